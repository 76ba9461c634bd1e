"""Counts the words of web archives: python common_crawl_words.py --inputs 'crawl/*.warc.wet.gz'

What warc_parse.py and word_count.py do one after the other, in one pass and without the lines in
between. Without inputs it makes a small WET file itself.
"""

import heapq
from pathlib import Path

from warc_parse import TextCleaner, make_wet

import gaia


def build(
    inputs: list[str],
    num_shards: int = 64,
    language: str | None = None,
    min_chars: int = 20,
    pattern: str = r"\w+",
) -> gaia.Pipeline:
    """The pipeline; its result is the table `wordcounts`."""
    pipeline = gaia.Pipeline("common_crawl_words")
    pages = pipeline.read_warc(inputs, name="pages", types=["conversion"], on_error=gaia.skip())
    lines = pages.map(TextCleaner, language, min_chars, name="text_cleaner")
    words = lines.map(gaia.ops.FindAll(pattern), name="word_splitter")
    output = words.write("word_interim", gaia.TXT).with_mod_n_sharding(num_shards, key="word")
    output.and_combine("word", count="sum")
    counts = pipeline.join(gaia.ops.GroupBy("word", count="sum"), [words], name="group_by")
    counts.write("wordcounts", gaia.TXT).and_compress(gaia.ZSTD)
    return pipeline


def main() -> None:
    parser = gaia.arg_parser(__doc__, dest_dir="out/common_crawl_words")
    parser.add_argument("--inputs", nargs="+", help="paths or globs of WET files")
    parser.add_argument("--num_shards", type=int, default=64, help="files per table (64)")
    parser.add_argument("--language", help="only pages in this language, such as eng")
    parser.add_argument("--min_chars", type=int, default=20, help="drop shorter lines (20)")
    parser.add_argument("--pattern", default=r"\w+", help=r"what a word is (\w+)")
    args = parser.parse_args()

    inputs = args.inputs or make_wet(Path(args.dest_dir, "inputs", "pages.warc.wet.gz"))
    pipeline = build(inputs, args.num_shards, args.language, args.min_chars, args.pattern)
    result = gaia.runner_from_args(args).run(pipeline)

    counts = result["wordcounts"]
    words = sum(record.count for record in counts.records())
    print(f"{result.counters.get('pages', 0):,} pages, {words:,} words, {len(counts):,} distinct")
    for record in heapq.nlargest(10, counts.records(), key=lambda record: record.count):
        print(f"{record.count:>12,}  {record.word}")
    print(f"{len(counts.shards)} shards in {counts.path} ({result.elapsed:.1f} s)")


if __name__ == "__main__":
    main()
