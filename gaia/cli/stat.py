"""`gaia stat`: what tables and files are, and how their shards are filled."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gaia.cli.command import FAILED, FINE, Command, one_line
from gaia.errors import GaiaError
from gaia.io.tell import escaped

if TYPE_CHECKING:
    from gaia.io.files import InputFile
    from gaia.io.manifest import Manifest

_LARGEST = 5

_NOTES = """\
skew is the largest shard over the mean: 1.00 is even, and the slowest task of a join takes about
that many times as long as the others. raw bytes are those before compression.

--format json prints an object a line, of a table
  {"path", "kind": "table", "name", "format", "compression", "sharding", "type",
   "fields": [{"name", "type"}], "shards", "files",
   "records": SIZES, "raw_bytes": SIZES, "file_bytes": SIZES,
   "largest": [{"shard", "records", "raw_bytes", "file_bytes"}]}
where SIZES are {"total", "min", "median", "max", "skew"}, and of a file
  {"path", "kind": "file", "format", "compression", "bytes", "records", "fields"}
with null for what only reading all of it would tell."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="TABLE|FILE",
        help="a table's folder, a file, a glob, or a URL of them",
    )
    parser.add_argument(
        "--format",
        "-f",
        choices=("text", "json"),
        default="text",
        help="text for people, json for scripts (default: text)",
    )


def _stat(given: argparse.Namespace) -> int:
    code = FINE
    first = True
    for path in given.paths:
        try:
            for found in _described(path):
                if given.format == "json":
                    print(json.dumps(found))
                    continue
                lines = _table_lines(found) if found["kind"] == "table" else _file_lines(found)
                print(*([] if first else [""]), *map(escaped, lines), sep="\n")
                first = False
        except GaiaError as error:
            print(one_line(f"gaia stat: {error}"), file=sys.stderr)
            code = FAILED
    return code


def _described(path: str) -> Iterator[dict[str, Any]]:
    """What `--format json` prints of a path."""
    from gaia.cli.sources import files_at, table_at

    if (table := table_at(path)) is not None:
        yield _described_table(table[0], table[2])
        return
    for file in files_at(path):
        yield _described_file(file)


def _described_table(folder: str, manifest: "Manifest") -> dict[str, Any]:
    shards: list[dict[str, Any]] = [
        {
            "shard": shard.key,
            "records": shard.records,
            "raw_bytes": shard.raw_bytes,
            "file_bytes": sum(file.size for file in shard.files),
        }
        for shard in manifest.shards
    ]
    largest = sorted(shards, key=lambda shard: shard["raw_bytes"], reverse=True)[:_LARGEST]
    return {
        "path": folder,
        "kind": "table",
        "name": manifest.table,
        "format": manifest.format,
        "compression": manifest.compression,
        "sharding": manifest.sharding,
        "type": manifest.record["name"],
        "fields": [{"name": name, "type": tp} for name, tp, *_ in manifest.record["fields"]],
        "shards": len(shards),
        "files": sum(len(shard.files) for shard in manifest.shards),
        **{
            what: _sizes([shard[what] for shard in shards])
            for what in ("records", "raw_bytes", "file_bytes")
        },
        "largest": largest,
    }


def _sizes(sizes: Sequence[int]) -> dict[str, Any]:
    from statistics import median

    total = sum(sizes)
    if not sizes:
        return {"total": 0, "min": None, "median": None, "max": None, "skew": None}
    skew = round(max(sizes) * len(sizes) / total, 4) if total else None
    return {
        "total": total,
        "min": min(sizes),
        "median": median(sizes),
        "max": max(sizes),
        "skew": skew,
    }


def _described_file(file: "InputFile") -> dict[str, Any]:
    """Of a file, what tells without reading all of it."""
    from gaia.cli.sources import compression_of, csv_rows, format_of, whole
    from gaia.io.sources import sized
    from gaia.pipeline.graph import Format

    head, blocks = whole(file)
    format = format_of(file.path, head)
    compression = compression_of(file)
    fields: list[dict[str, str]] | None = None
    records: int | None = None
    if format is Format.CSV:
        shape, _ = csv_rows(blocks, file.path)
        fields = [{"name": name, "type": "text"} for name in shape.names]
    elif format in (Format.ARROW, Format.PARQUET) and compression == "none":
        from gaia.cli.columns import schema_of

        schema, records = schema_of(sized(file.source()), format)
        fields = [{"name": field.name, "type": str(field.type)} for field in schema]
    return {
        "path": file.path,
        "kind": "file",
        "format": format.value,
        "compression": compression,
        "bytes": file.size,
        "records": records,
        "fields": fields,
    }


def _table_lines(found: dict[str, Any]) -> Iterator[str]:
    files = "" if found["files"] == found["shards"] else f" in {found['files']:,} files"
    by = "number" if found["sharding"] == "mod" else "name"
    yield f"{found['path']}: table {found['name']}"
    yield f"  format    {_format(found)}"
    yield f"  shards    {found['shards']:,} by {by}{files}"
    yield f"  type      {found['type']}"
    yield from _field_lines(found["fields"])
    columns = ("total", "min", "median", "max", "skew")
    rows = [["", *columns]]
    for what in ("records", "raw_bytes", "file_bytes"):
        sizes = found[what]
        rows.append(
            [
                what.replace("_", " "),
                *(_number(sizes[column]) for column in columns[:-1]),
                "-" if sizes["skew"] is None else f"{sizes['skew']:.2f}",
            ]
        )
    yield ""
    yield from _aligned(rows)
    if found["shards"] > 1:
        rows = [["largest shards", "records", "raw bytes", "file bytes"]]
        for shard in found["largest"]:
            sizes = [_number(shard[what]) for what in ("records", "raw_bytes", "file_bytes")]
            rows.append([f"  {shard['shard']}", *sizes])
        yield ""
        yield from _aligned(rows)


def _file_lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['path']}: file"
    yield f"  format    {_format(found)}"
    yield f"  bytes     {_number(found['bytes'])}"
    if found["records"] is not None:
        yield f"  records   {found['records']:,}"
    if found["fields"] is not None:
        yield "  columns"
        yield from _field_lines(found["fields"])


def _format(found: dict[str, Any]) -> str:
    compression = found["compression"]
    return f"{found['format']}, {'not compressed' if compression == 'none' else compression}"


def _field_lines(fields: Sequence[dict[str, str]]) -> Iterator[str]:
    names = [escaped(field["name"]) for field in fields]
    wide = max(map(len, names), default=0)
    for name, field in zip(names, fields, strict=True):
        yield f"    {name:{wide}}  {field['type']}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The rows with the first column to the left, and the others to the right."""
    shown = [[escaped(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join([f"  {row[0]:{widths[0]}}", *cells])


STAT = Command(
    "stat",
    "tell what tables and files are: format, fields, shards, sizes, skew",
    (
        ("gaia stat out/words", "a table"),
        ("gaia stat -f json out/words | jq .records.skew", "for scripts"),
        ("gaia stat s3://bucket/sales.parquet", "a file in a bucket"),
    ),
    _arguments,
    _stat,
    _NOTES,
)
