"""Words counted by a Python mapper in a dict, which is written when its part of the input ends.

words_gaia_dict.py TEXT DEST WORKERS
"""

import sys
from collections import defaultdict

import attrs

import gaia


@attrs.define
class WordCount:
    word: str
    count: int


class Count(gaia.Mapper[str, WordCount]):
    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def do(self, line: str, ctx: gaia.Context[WordCount]) -> None:
        counts = self.counts
        for word in line.split():
            counts[word] = counts.get(word, 0) + 1

    def on_shard_finish(self, ctx: gaia.Context[WordCount]) -> None:
        for word, count in self.counts.items():
            ctx.write(WordCount(word, count))


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
    words = pipeline.read_text(source, name="lines").map(Count, name="words")
    words.write("words", gaia.TXT).with_mod_n_sharding(64, "word").and_compress(gaia.ZSTD)
    counts = pipeline.join(Sum, [words.bind_with(Sum.on_word_count)], name="counts")
    counts.write("result", gaia.TXT).and_compress(gaia.ZSTD)
    gaia.LocalRunner(dest, workers=int(workers)).run(pipeline)


if __name__ == "__main__":
    main()
