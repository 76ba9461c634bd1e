"""Columns: files of Arrow and Parquet as inputs, and what is around the batches of tables."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs

from gaia import _core
from gaia.errors import InputError, OutputError
from gaia.io import nested, parquet
from gaia.io.bundle import Bundle
from gaia.io.files import InputFile, content, guarded, reading
from gaia.io.grouped import Shipped
from gaia.io.sources import sized
from gaia.io.stores import at_once
from gaia.pipeline.aggregates import fields_of
from gaia.pipeline.graph import Format
from gaia.pipeline.plan import Table
from gaia.pipeline.records import record_type
from gaia.runner.inputs import check_whole

FRAME_BYTES = 512 * 1024
_BOTH = 3
# An Arrow file below this size is not worth cutting.
_SMALL_FILE = 2 << 20


@attrs.frozen
class Rows:
    """Some batches of a file, or all of them (None): of Arrow, where their messages stand and how
    long they are; of Parquet, the numbers of row groups. The first row is number `first_row`, and
    all of them are about `size` bytes."""

    file: InputFile
    batches: tuple[Any, ...] | None = None
    first_row: int = 0
    size: int = attrs.field()

    @size.default
    def _whole(self) -> int:
        return self.file.size or 0

    @property
    def path(self) -> str:
        """The file's path or URL."""
        return self.file.path


@attrs.frozen
class Columns:
    """Rows of files of columns. `ours` are files of a table that Gaia wrote. With `skip_damaged`,
    what follows damage in a file is left out and counted."""

    parts: tuple[Rows, ...]
    format: Format
    ours: bool = False
    skip_damaged: bool = False


def codec_of(tp: Any) -> _core.Codec:
    """The codec of records that stand in columns."""
    return _core.Codec(record_type(tp), "arrow")


def open_batches(source: Columns, rows: Rows, tp: Any) -> _core.Batches:
    """Opens some rows for reading.

    Raises:
        InputError: The file is not as it was written, or cannot be read, now or while it is read.
    """
    file = rows.file
    if source.ours and rows.first_row == 0:
        check_whole(file)
    if source.format is Format.PARQUET:
        found = parquet.batches(sized(file.source()), rows.batches, _names(tp), rows.size)
        arrays = guarded(nested.as_json(found, _names(tp)), file.path)
        return _core.Batches.arrays(arrays, rows.first_row)
    if not source.ours and _has_json(tp):
        batches = nested.as_json(
            nested.arrow_batches(sized(file.source()), rows.batches), _names(tp)
        )
        return _core.Batches.arrays(guarded(_told(batches), file.path), rows.first_row)
    if file.store is not None:
        return _core.Batches.stream(content(file), first_row=rows.first_row)
    return _core.Batches.stream(file.path, rows.batches, rows.first_row)


def _told(batches: Iterator[Any]) -> Iterator[Any]:
    for batch in batches:
        _core.has_read(batch.nbytes)
        yield batch


def measured(
    files: Sequence[InputFile], format: Format, tp: Any, ours: bool
) -> list[list[tuple[Rows, int]]]:
    """For each file the smallest parts in which it can be read, with about how many bytes they are.

    Raises:
        InputError: A file is damaged, or lacks a column for a field, or has one of another type.
    """

    def measure(file: InputFile) -> list[tuple[Rows, int]]:
        if file.compression != "none":
            raise InputError(
                f"{file.path} is compressed as a whole by {file.compression}; expected a file of "
                f"{format.value}, which compresses its columns itself"
            )
        with reading(file.path):
            if not ours:
                _check_schema(file, format, tp)
            return list(_parts(file, format))

    return at_once(measure, files)


def _parts(file: InputFile, format: Format) -> Iterator[tuple[Rows, int]]:
    row = 0
    if format is Format.PARQUET:
        for number, (rows, size) in enumerate(parquet.row_groups(sized(file.source()))):
            yield Rows(file, (number,), row, size), size
            row += rows
    elif file.store is None and (file.size or 0) >= _SMALL_FILE:
        try:
            blocks = _core.arrow_blocks(file.path)
        except ValueError as error:
            raise InputError(f"{file.path} is damaged: {error}") from None
        for offset, length, rows in blocks:
            yield Rows(file, ((offset, length),), row, length), length
            row += rows
    else:
        yield Rows(file), file.size or 0


def merged(parts: Iterable[Rows]) -> Iterator[Rows]:
    """The same with neighbours in one file put together."""
    last: Rows | None = None
    for part in parts:
        if last is not None and last.file is part.file and last.batches and part.batches:
            batches, size = last.batches + part.batches, last.size + part.size
            last = attrs.evolve(last, batches=batches, size=size)
            continue
        if last is not None:
            yield last
        last = part
    if last is not None:
        yield last


def _check_schema(file: InputFile, format: Format, tp: Any) -> None:
    if format is Format.PARQUET:
        found = nested.json_schema(parquet.schema(sized(file.source())), _names(tp))
    elif file.store is not None:
        return  # The first task that reads it will see.
    elif _has_json(tp):
        found = nested.json_schema(nested.arrow_schema(sized(file.source())), _names(tp))
    else:
        try:
            found = _core.Batches.stream(file.path)
        except ValueError as error:
            raise InputError(f"{file.path} is damaged: {error}") from None
    try:
        _core.check_arrow(found, codec_of(tp))
    except ValueError as error:
        raise InputError(f"{file.path} does not hold the columns that are read: {error}") from None


def _names(tp: Any) -> tuple[str, ...]:
    return tuple(fields_of(tp))


def _has_json(tp: Any) -> bool:
    described = record_type(tp)
    kinds = {field.kind for field in described.fields} or {described.kind}
    return "json" in kinds


def ends(table: Table, bundles: Iterable[Bundle | Shipped]) -> tuple[bytes, bytes]:
    """What stands before and behind the frames in every file of a table.

    Raises:
        OutputError: A column has datetimes of two kinds, from several tasks.
    """
    if not table.format.has_columns:
        head = _core.Codec(record_type(table.type), table.format.value).head()
        return head and _core.compress(head, table.compression.value, table.level), b""
    described = record_type(table.type)
    zones = bytearray(max(1, len(described.fields)))
    for bundle in bundles:
        zones[:] = (seen | more for seen, more in zip(zones, bundle.zones, strict=True))
    if _BOTH in zones:
        name = described.fields[zones.index(_BOTH)].name
        raise OutputError(
            f"cannot write table `{table.name}`: expected datetimes of one kind in field `{name}`, "
            "got some with an offset from UTC and some without, which no Arrow column holds"
        )
    return _core.arrow_head(codec_of(table.type), bytes(zones)), _core.ARROW_END


def frame_bytes(table: Table) -> int:
    """How large frames get at most: with its ends, one fits the maximum size of a file."""
    if table.max_shard_bytes is None:
        return FRAME_BYTES
    # With datetimes in UTC, the head is the longest.
    zones = b"\2" * max(1, len(record_type(table.type).fields))
    around = len(_core.arrow_head(codec_of(table.type), zones)) + len(_core.ARROW_END)
    return max(1, min(FRAME_BYTES, table.max_shard_bytes - around))
