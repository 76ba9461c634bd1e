"""`gaia cat` and `gaia head`: records of tables and files, printed."""

import argparse
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import BinaryIO, TypeVar

from gaia.cli.command import FINE, Command
from gaia.errors import InputError

X = TypeVar("X")

_HEAD = 10
# About how many bytes are printed at once, of at most how many records.
_PRINTED = 1 << 20
_MOST_RECORDS = 1 << 14
_FIRST_RECORDS = 64

_NOTES = """\
A TABLE is a folder with a manifest.json, a FILE is of lines, JSONL, CSV, Arrow, Parquet or WARC,
with any compression; both are local or URLs (gs://, s3://, https://), a FILE may be a glob, and
- is standard input. What a file is, its first bytes tell, or else its name (.jsonl, .csv): text
where neither does. --from overrules them.

formats:
  json  a JSON value a line, as JSONL tables hold it: of bytes base64, of dates ISO 8601, of an
        Enum its value, of a single value the value alone; of NaN and infinities null
  text  the line of a str; of a class tab-separated fields in which \\t, \\n, \\r, \\\\ stand for
        tab, newline, carriage return, backslash, \\N for None, \\xHH for a byte outside ASCII
  csv   RFC 4180 with a header; None is an empty field, an empty text is ""; bytes are base64,
        lists and nested records JSON"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--limit", "-n", type=_count, metavar="N", help="print N records at most")


def _head_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument(
        "--limit",
        "-n",
        type=_count,
        metavar="N",
        default=_HEAD,
        help=f"print N records at most (default: {_HEAD})",
    )


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="TABLE|FILE",
        help="a table's folder, a file, a glob, or a URL of them; - is standard input",
    )
    parser.add_argument(
        "--shard",
        "-s",
        action="append",
        default=[],
        metavar="K",
        help="print this shard only, by number or name; may be given several times",
    )
    parser.add_argument(
        "--format",
        "-f",
        choices=("json", "text", "csv"),
        default="text",
        help="how records are printed (default: text)",
    )
    parser.add_argument(
        "--from",
        dest="given_format",
        choices=("txt", "jsonl", "csv", "arrow", "parquet", "warc"),
        help="what the files are, where neither their beginning nor their name tells",
    )


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected a number of records, got {text!r}")
    return int(text)


def _cat(given: argparse.Namespace) -> int:
    from gaia.cli.encoders import DICTS, encoder
    from gaia.cli.sources import contents
    from gaia.pipeline.graph import Format

    out = sys.stdout.buffer
    left = sys.maxsize if given.limit is None else given.limit
    form = given.format
    format = None if given.given_format is None else Format(given.given_format)
    encode = encoder(form)
    for path in given.paths:
        for content in contents(path, format, given.shard):
            if not left:
                break
            if form in content.lines_are:
                left -= _copy(content.blocks(), out, left)
                continue
            shape, found = content.read()
            records = islice(found, left)
            count = DICTS if shape.type is dict and form == "csv" else _FIRST_RECORDS
            out.write(_of(content.path, encode.begin, shape))
            while chunk := list(islice(records, count)):
                printed = _of(content.path, encode.encode, chunk)
                out.write(printed)
                out.flush()
                left -= len(chunk)
                fitting = len(chunk) * _PRINTED // max(1, len(printed))
                count = max(1, min(fitting, _MOST_RECORDS))
    out.flush()
    return FINE


def _of(path: str, encode: Callable[[X], bytes], what: X) -> bytes:
    """What is encoded; where it cannot be, the error names the path."""
    try:
        return encode(what)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _copy(blocks: Iterator[bytes], out: BinaryIO, limit: int) -> int:
    """Copies at most so many lines; returns how many there were. The last one gets the line end
    that it may lack."""
    left = limit
    unended = False
    for block in blocks:
        lines = block.count(b"\n")
        if lines >= left:
            end = -1
            for _ in range(left):
                end = block.index(b"\n", end + 1)
            out.write(block[: end + 1])
            left, unended = 0, False
            break
        out.write(block)
        out.flush()
        left -= lines
        if block:
            unended = not block.endswith(b"\n")
    if unended:
        out.write(b"\n")
        left -= 1
    return limit - left


CAT = Command(
    "cat",
    "print the records of tables and files",
    (
        ("gaia cat out/words", "a table, with tabs between fields"),
        ("gaia cat out/words --shard 3 --format json", "one shard, as JSON"),
        ("gaia cat out/pages --shard fr/news -n 5", "five records of a shard that has a name"),
        ("gaia cat 'gs://bucket/in/*.warc.gz' -f json | jq .url", "files in a bucket"),
        ("gaia cat sales.parquet --format csv > s.csv", "from one format to another"),
        ("curl -s URL | gaia cat --from csv -", "standard input"),
    ),
    _arguments,
    _cat,
    _NOTES,
)

HEAD = Command(
    "head",
    f"print the first records of tables and files: gaia cat with a limit of {_HEAD}",
    (
        ("gaia head out/words", "ten records of a table"),
        ("gaia head -n 3 crawl.warc.gz", "three of a web archive"),
        ("gaia head big.log.zst", "ten lines of a compressed file"),
    ),
    _head_arguments,
    _cat,
    _NOTES,
)
