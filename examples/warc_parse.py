"""Makes clean lines of text of web archives: python warc_parse.py --inputs 'crawl/*.warc.wet.gz'

It reads WET files, the texts of Common Crawl's pages, and writes lines in UTF-8, equal ones to one
shard, as input for word_count.py 'out/warc_parse/lines/*.zst'. Without inputs it makes a small WET
file itself.
"""

import gzip
import importlib
from pathlib import Path

import gaia

MODULES = ["argparse", "calendar", "decimal", "heapq", "json", "pickle", "random", "zipfile"]


class TextCleaner(gaia.Mapper[gaia.WarcRecord, str]):
    """Writes the lines of pages in a language, with single spaces in place of any whitespace."""

    def __init__(self, language: str | None, min_chars: int) -> None:
        self.language = language
        self.min_chars = min_chars

    def do(self, page: gaia.WarcRecord, ctx: gaia.Context[str]) -> None:
        # A page may be in several languages, the main one first: `eng,deu`.
        if self.language and page.language.split(",")[0] != self.language:
            ctx.inc("pages-in-other-languages")
            return
        ctx.inc("pages")
        short = 0
        for line in self.decoded(page.payload, ctx):
            text = " ".join(line.split())
            if len(text) >= self.min_chars:
                ctx.write(text)
            else:
                short += 1
        ctx.inc("lines-too-short", short)

    def decoded(self, content: bytes, ctx: gaia.Context[str]) -> list[str]:
        try:
            return content.decode().splitlines()
        except UnicodeDecodeError:
            lines = []
            for line in content.splitlines():
                try:
                    lines.append(line.decode())
                except UnicodeDecodeError:
                    ctx.inc("lines-not-utf-8")
            return lines


def build(
    inputs: list[str], num_shards: int = 16, language: str | None = None, min_chars: int = 20
) -> gaia.Pipeline:
    """The pipeline; its result is the table `lines`."""
    pipeline = gaia.Pipeline("warc_parse")
    pages = pipeline.read_warc(inputs, name="pages", types=["conversion"], on_error=gaia.skip())
    lines = pages.map(TextCleaner, language, min_chars, name="text_cleaner")
    lines.write("lines", gaia.TXT).with_mod_n_sharding(num_shards).and_compress(gaia.ZSTD)
    return pipeline


def make_wet(path: Path) -> list[str]:
    """Makes a WET file of what some modules of Python tell of themselves; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pages = [(name, "eng", importlib.import_module(name).__doc__ or "") for name in MODULES]
    pages.append(("über", "deu,eng", "Eine Seite in einer anderen Sprache: natürlich auf Deutsch."))
    with path.open("wb") as file:
        for name, language, text in pages:
            body = text.encode() + b"\nThis line is in Latin-1, not in UTF-8: caf\xe9.\n"
            head = (
                "WARC/1.0\r\n"
                "WARC-Type: conversion\r\n"
                f"WARC-Target-URI: https://docs.python.org/3/library/{name}.html\r\n"
                "WARC-Date: 2026-01-31T10:00:00Z\r\n"
                f"WARC-Record-ID: <urn:gaia:{name}>\r\n"
                f"WARC-Identified-Content-Language: {language}\r\n"
                "Content-Type: text/plain\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            file.write(gzip.compress(head.encode() + body + b"\r\n\r\n"))
    return [str(path)]


def main() -> None:
    parser = gaia.arg_parser(__doc__, dest_dir="out/warc_parse")
    parser.add_argument("--inputs", nargs="+", help="paths or globs of WET files")
    parser.add_argument("--num_shards", type=int, default=16, help="files of the table (16)")
    parser.add_argument("--language", help="only pages in this language, such as eng")
    parser.add_argument("--min_chars", type=int, default=20, help="drop shorter lines (20)")
    args = parser.parse_args()

    inputs = args.inputs or make_wet(Path(args.dest_dir, "inputs", "pages.warc.wet.gz"))
    pipeline = build(inputs, args.num_shards, args.language, args.min_chars)
    result = gaia.runner_from_args(args).run(pipeline)

    lines = result["lines"]
    for what in ("pages", "pages-in-other-languages", "lines-too-short", "lines-not-utf-8"):
        print(f"{result.counters.get(what, 0):>12,}  {what}")
    print(f"{result.counters.get('parse-errors', 0):>12,}  broken records")
    print(f"{len(lines):,} lines")
    print(f"{len(lines.shards)} shards in {lines.path} ({result.elapsed:.1f} s)")


if __name__ == "__main__":
    main()
