"""Words counted by a Python mapper that writes a column for every line.

words_gaia_columns.py TEXT DEST WORKERS
"""

import sys

import attrs

import gaia


@attrs.define
class WordCount:
    word: str
    count: int


class Split(gaia.Mapper[str, WordCount]):
    def do(self, line: str, ctx: gaia.Context[WordCount]) -> None:
        ctx.write_columns(word=line.split(), count=1)


def main() -> None:
    source, dest, workers = sys.argv[1:]
    pipeline = gaia.Pipeline("words")
    words = pipeline.read_text(source, name="lines").map(Split, name="words")
    words.write("words", gaia.TXT).with_mod_n_sharding(64, "word").and_combine("word", count="sum")
    counts = pipeline.join(gaia.ops.GroupBy("word", count="sum"), [words], name="counts")
    counts.write("result", gaia.TXT).and_compress(gaia.ZSTD)
    gaia.LocalRunner(dest, workers=int(workers)).run(pipeline)


if __name__ == "__main__":
    main()
