"""Words counted in Python alone: every `(word, 1)` is written, shuffled and joined as a record.

words_gaia_pairs.py TEXT DEST WORKERS
"""

import sys
from collections import defaultdict

import attrs

import gaia


@attrs.define
class WordCount:
    word: str
    count: int


class Split(gaia.Mapper[str, WordCount]):
    def do(self, line: str, ctx: gaia.Context[WordCount]) -> None:
        for word in line.split():
            ctx.write(WordCount(word, 1))


class Sum(gaia.Joiner[WordCount]):
    def __init__(self) -> None:
        self.counts: defaultdict[str, int] = defaultdict(int)

    def on_word_count(self, record: WordCount, ctx: gaia.Context[WordCount]) -> None:
        self.counts[record.word] += record.count

    def on_shard_finish(self, ctx: gaia.Context[WordCount]) -> None:
        for word, count in self.counts.items():
            ctx.write(WordCount(word, count))


def main() -> None:
    source, dest, workers = sys.argv[1:]
    pipeline = gaia.Pipeline("words")
    words = pipeline.read_text(source, name="lines").map(Split, name="words")
    words.write("words", gaia.TXT).with_mod_n_sharding(64, "word").and_compress(gaia.ZSTD)
    counts = pipeline.join(Sum, [words.bind_with(Sum.on_word_count)], name="counts")
    counts.write("result", gaia.TXT).and_compress(gaia.ZSTD)
    gaia.LocalRunner(dest, workers=int(workers)).run(pipeline)


if __name__ == "__main__":
    main()
