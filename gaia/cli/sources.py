"""What a path names: a table, files of some format, or standard input; and the records in it."""

import os
import sys
import tempfile
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain
from typing import Any

import attrs

from gaia import _core
from gaia.cli.columns import Rows, Shape, rows_of_arrow, rows_of_parquet, with_text
from gaia.cli.command import UsageError
from gaia.errors import GaiaError, InputError, TableError
from gaia.io.compression import decompress, sniff
from gaia.io.files import InputFile, content, expand, reading, reason
from gaia.io.manifest import MANIFEST, Manifest, read_manifest
from gaia.io.sources import sized
from gaia.io.stores import Store, explain, join, local_path, store_of, url_of
from gaia.pipeline.graph import Format
from gaia.pipeline.records import record_type
from gaia.runner.inputs import Archive, Part, archived, check_whole
from gaia.runner.result import Table, read_table
from gaia.runner.splits import shard_source
from gaia.warc import WarcRecord

STDIN = "-"
_STDIN_SHOWN = "standard input"
_BLOCK = 1 << 20
# Enough of a file to tell what it is.
_TELLING = 64

_BEGINNINGS = (
    (b"ARROW1", Format.ARROW),
    (b"\xff\xff\xff\xff", Format.ARROW),
    (b"PAR1", Format.PARQUET),
    (b"WARC/", Format.WARC),
)
_ENDINGS = {
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".json": Format.JSONL,
    ".csv": Format.CSV,
    ".arrow": Format.ARROW,
    ".feather": Format.ARROW,
    ".ipc": Format.ARROW,
    ".parquet": Format.PARQUET,
    ".warc": Format.WARC,
    ".wet": Format.WARC,
    ".wat": Format.WARC,
}
_COMPRESSED = (".gz", ".bgz", ".zst", ".zstd", ".bz2", ".xz", ".lz4")

_DATES = ("date", "datetime", "date | None", "datetime | None")
LINES = {"txt": ("text",), "jsonl": ("json",)}


@attrs.frozen
class Content:
    """What a file or a shard holds. `lines_are` are the forms of which its lines are already, so
    that they can be copied. Of the functions one may be called, once."""

    path: str
    lines_are: tuple[str, ...]
    blocks: Callable[[], Iterator[bytes]]
    read: Callable[[], Rows]


def contents(path: str, format: Format | None, shards: Sequence[str]) -> Iterator[Content]:
    """What there is to read at a path: of a table, shard by shard, all or those that are asked for;
    of files, one by one.

    Raises:
        UsageError: Shards are asked for of what has none.
        GaiaError: There is no such table, shard or file, or it cannot be read.
    """
    if path == STDIN:
        _refuse(shards, _STDIN_SHOWN)
        yield _stdin(format)
        return
    if table := table_at(path):
        if format is not None:
            raise UsageError(f"{path} is a table, whose format is known; --from is for files")
        folder, store, manifest = table
        opened = cache(lambda: _opened(folder, manifest))
        for number in _numbers(manifest, folder, shards):
            yield _shard(folder, store, manifest, opened, number)
        return
    _refuse(shards, path)
    for file in files_at(path):
        yield _file(file, format)


def table_at(path: str) -> tuple[str, Store | None, Manifest] | None:
    """The table in a folder, if there is one.

    Raises:
        TableError: Its manifest is damaged, or cannot be read.
    """
    store = store_of(path)
    if store is None:
        folder = local_path(path)
        found = os.path.exists(join(folder, MANIFEST))
    else:
        with _storing(path):
            folder = url_of(path, store)
            found = store.call("exists", join(folder, MANIFEST))
    return (folder, store, read_manifest(folder, store)) if found else None


def files_at(path: str) -> list[InputFile]:
    """The files that a path, URL or glob names.

    Raises:
        InputError: There are none, or it is a folder; the message tells of tables in it.
    """
    folder = local_path(path)
    if store_of(path) is None and os.path.isdir(folder):
        with reading(path):
            within = sorted(os.listdir(folder))
        tables = [name for name in within if os.path.exists(join(folder, name, MANIFEST))]
        if tables:
            more = ", ..." if len(tables) > 8 else ""
            raise TableError(
                f"{path} is a folder of tables; name one of them: {', '.join(tables[:8])}{more}"
            )
        raise TableError(
            f"{path} is a folder, but no table: it has no {MANIFEST}; name a table's folder or "
            f"files, such as {join(path, '*')}"
        )
    with _storing(path):
        return expand(path, store_of(path))


def format_of(path: str, head: bytes) -> Format:
    """The format of a file by how its content begins, or else by its name; text if neither tells.

    >>> format_of("words.jsonl.gz", b"{}"), format_of("words", b"PAR1")
    (<Format.JSONL: 'jsonl'>, <Format.PARQUET: 'parquet'>)
    """
    for beginning, format in _BEGINNINGS:
        if head.startswith(beginning):
            return format
    stem, ending = os.path.splitext(path.lower())
    if ending in _COMPRESSED:
        ending = os.path.splitext(stem)[1]
    return _ENDINGS.get(ending, Format.TXT)


def compression_of(file: InputFile) -> str:
    """The codec of a file, by its first bytes."""
    with reading(file.path):
        return sniff(file.source().read(0, _TELLING)) if file.small else file.compression


def whole(file: InputFile) -> tuple[bytes, Iterator[bytes]]:
    """The beginning of a file's content, and all of it."""
    return _peeked(content(file))


def csv_rows(blocks: Iterator[bytes], path: str) -> Rows:
    """The columns of CSV, which are text that may be missing, and its rows.

    Raises:
        InputError: The header is damaged; or a row, when it is read.
    """
    try:
        lines = _core.Lines(blocks, skip_bom=True, crlf=True, delimiter=",")
        names = _core.csv_header(lines, ",") or []
    except ValueError as error:
        raise InputError(f"cannot read the header of {path}: {error}") from None
    shape = Shape.of_columns(names, [typing.Optional[str]] * len(names))  # noqa: UP045
    if not names:
        return shape, iter(())
    width = (list(range(len(names))), len(names))
    codec = _core.Codec(record_type(shape.type), "csv", columns=width)
    return shape, _guarded(_core.RecordReader(lines, codec), path)


def _refuse(shards: Sequence[str], path: str) -> None:
    if shards:
        raise UsageError(f"{path} is no table, and has no shards to choose")


def _numbers(manifest: Manifest, folder: str, keys: Sequence[str]) -> Sequence[int]:
    """The places of the shards of these numbers or names in the manifest, in the order asked."""
    if not keys:
        return range(len(manifest.shards))
    places = {str(shard.key): number for number, shard in enumerate(manifest.shards)}
    for key in keys:
        if key not in places:
            names = list(places)
            there = ", ".join(names[:4]) + (f", ... {names[-1]}" if len(names) > 4 else "")
            raise TableError(f"table {folder} has no shard {key!r}; it has {there or 'none'}")
    return [places[key] for key in keys]


def _opened(folder: str, manifest: Manifest) -> Table[Any]:
    """The table with a type for its records.

    Raises:
        TableError: Only the class that wrote them can read them.
    """
    try:
        return read_table(folder)
    except TableError as error:
        if not (manifest.record["own_text"] or manifest.record["own_json"]):
            raise
        form = LINES[manifest.format][0]
        raise TableError(
            f"table {folder} holds `{manifest.record['name']}` in a form of its own, which "
            f"can be shown only as it is, by --format {form}"
        ) from error


def _shard(
    folder: str,
    store: Store | None,
    manifest: Manifest,
    opened: Callable[[], Table[Any]],
    number: int,
) -> Content:
    parts = shard_source(manifest, folder, store, number).parts

    def blocks() -> Iterator[bytes]:
        for part in parts:
            check_whole(part.file)
            yield from content(part.file)

    def read() -> Rows:
        fields = manifest.record["fields"]
        shape = Shape(opened().type, tuple(name for name, *_ in fields))
        records = opened().records(manifest.shards[number].key)
        enums = [name for name, tp, kind, _ in fields if kind == "via" and tp not in _DATES]
        if manifest.format == "jsonl" and enums:
            return with_text(shape, enums, records)
        return shape, records

    return Content(folder, LINES.get(manifest.format, ()), blocks, read)


def _file(file: InputFile, format: Format | None) -> Content:
    head, blocks = whole(file)
    found = format or format_of(file.path, head)
    if found in (Format.ARROW, Format.PARQUET, Format.WARC):
        if found is not Format.WARC and head and compression_of(file) != "none":
            raise InputError(
                f"{file.path} is compressed as a whole; expected a file of {found.value}, which "
                "compresses its columns itself"
            )
        return _seekable(file, found)
    return _lines(file.path, blocks, found)


def _seekable(file: InputFile, format: Format) -> Content:
    """The content of a file that is not read from front to back."""
    if format is Format.WARC:
        shape = Shape(WarcRecord, tuple(field.name for field in attrs.fields(WarcRecord)))
        found = archived(Archive((Part(file),), None, False), Part(file), _never)
        rows: Iterator[Any] = (record for _, record in found)
    else:
        open_rows = rows_of_arrow if format is Format.ARROW else rows_of_parquet
        with reading(file.path):
            shape, rows = open_rows(sized(file.source()))
        rows = _guarded(rows, file.path)
    return Content(file.path, (), _no_blocks, lambda: (shape, rows))


def _lines(path: str, blocks: Iterator[bytes], format: Format) -> Content:
    if format is Format.CSV:
        shape, rows = csv_rows(blocks, path)
        return Content(path, (), _no_blocks, lambda: (shape, rows))
    # Of JSON, the text form is the JSON itself.
    lines_are = ("text",) if format is Format.TXT else ("text", "json")
    tp: Any = str if format is Format.TXT else dict

    def read() -> Rows:
        lines = _core.Lines(blocks, skip_bom=format is Format.JSONL, crlf=True)
        found = _core.RecordReader(lines, _core.Codec(record_type(tp), format.value))
        return Shape(tp, ()), _guarded(found, path)

    return Content(path, lines_are, lambda: blocks, read)


def _stdin(format: Format | None) -> Content:
    head, stored = _peeked(_read_stdin())
    compression = sniff(head)
    blocks = stored
    if compression != "none":
        head, blocks = _peeked(decompress(stored, compression, _STDIN_SHOWN))
    found = format or format_of("", head)
    if found not in (Format.ARROW, Format.PARQUET, Format.WARC):
        return _lines(_STDIN_SHOWN, blocks, found)
    # What is not read from front to back goes through a file, which ends with the process.
    spooled = tempfile.NamedTemporaryFile(prefix="gaia-stdin-")  # noqa: SIM115
    for block in blocks:
        spooled.write(block)
    spooled.flush()
    shape, rows = _seekable(expand(spooled.name)[0], found).read()

    def records() -> Iterator[Any]:
        with spooled:
            yield from rows

    return Content(_STDIN_SHOWN, (), _no_blocks, lambda: (shape, records()))


def _read_stdin() -> Iterator[bytes]:
    try:
        while block := os.read(sys.stdin.fileno(), _BLOCK):
            yield block
    except OSError as error:
        raise InputError(f"cannot read {_STDIN_SHOWN}: {reason(error)}") from None


def _peeked(blocks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The beginning of some blocks, and all of them."""
    begin: list[bytes] = []
    while sum(map(len, begin)) < _TELLING and (block := next(blocks, None)) is not None:
        begin.append(block)
    return b"".join(begin)[:_TELLING], chain(begin, blocks)


def _guarded(records: Iterator[Any], path: str) -> Iterator[Any]:
    """The same records; what cannot be read of them as an `InputError`."""
    try:
        yield from records
    except GaiaError:
        raise
    except (ValueError, TypeError, ArithmeticError) as error:
        raise InputError(f"cannot read {path}: {error}") from None


@contextmanager
def _storing(path: str) -> Iterator[None]:
    """Turns what a store raises into an `InputError` that names the path."""
    try:
        yield
    except GaiaError:
        raise
    except Exception as error:
        raise InputError(explain(error, "read", path)) from None


def _never(position: int, message: str) -> None:
    raise AssertionError((position, message))


def _no_blocks() -> Iterator[bytes]:
    raise AssertionError("its records are to be read")
