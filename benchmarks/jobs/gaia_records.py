"""The words of a file counted in the record tier: gaia_records.py combine|pairs FILE DEST [WORKERS]

`combine` adds up in the mapper, in a dict that is written when its part of the input ends; `pairs`
writes, shards and joins every `(word, 1)`.
"""

import sys
from collections import defaultdict

import attrs

import gaia


@attrs.define
class WordCount:
    word: str
    count: int


class Combine(gaia.Mapper[str, WordCount]):
    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def do(self, line: str, ctx: gaia.Context[WordCount]) -> None:
        d = self.counts
        for w in line.split():
            d[w] = d.get(w, 0) + 1

    def on_shard_finish(self, ctx: gaia.Context[WordCount]) -> None:
        for word, count in self.counts.items():
            ctx.write(WordCount(word, count))


class Pairs(gaia.Mapper[str, WordCount]):
    def do(self, line: str, ctx: gaia.Context[WordCount]) -> None:
        write = ctx.write
        for w in line.split():
            write(WordCount(w, 1))


class Sum(gaia.Joiner[WordCount]):
    def __init__(self) -> None:
        self.counts: defaultdict[str, int] = defaultdict(int)

    def on_word_count(self, record: WordCount, ctx: gaia.Context[WordCount]) -> None:
        self.counts[record.word] += record.count

    def on_shard_finish(self, ctx: gaia.Context[WordCount]) -> None:
        for word, count in self.counts.items():
            ctx.write(WordCount(word, count))


def main() -> None:
    variant, path, dest = sys.argv[1:4]
    workers = int(sys.argv[4]) if len(sys.argv) > 4 else 2
    pipeline = gaia.Pipeline("word_count")
    mapper = Combine if variant == "combine" else Pairs
    words = pipeline.read_text(path, name="lines").map(mapper, name="words")
    words.write("words", gaia.TXT).with_mod_n_sharding(64, "word").and_compress(gaia.ZSTD)
    counts = pipeline.join(Sum, [words.bind_with(Sum.on_word_count)], name="sum")
    counts.write("counts", gaia.TXT).and_compress(gaia.ZSTD)
    gaia.LocalRunner(dest, workers=workers).run(pipeline)


if __name__ == "__main__":
    main()
