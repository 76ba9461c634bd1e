"""Columns of other tools' files, whatever their names and types, as records to print."""

import datetime
import typing
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import attrs

from gaia.errors import InputError
from gaia.io import nested, parquet
from gaia.io.sources import SizedSource
from gaia.pipeline.graph import Format
from gaia.pipeline.records import record_type


@attrs.frozen
class Shape:
    """The type of records, and the names under which their values are shown: none for single values
    and dicts. They are those of the type's fields, but where the names of columns are no names of
    Python's."""

    type: Any
    names: tuple[str, ...]

    @staticmethod
    def of_columns(names: Sequence[str], types: Sequence[Any]) -> "Shape":
        """That of rows, as tuples, of columns with any names."""
        fields = [(f"c{number}", tp) for number, tp in enumerate(types)]
        return Shape(typing.NamedTuple("Row", fields), tuple(names))


Rows = tuple[Shape, Iterator[Any]]


def with_text(shape: Shape, names: Collection[str], records: Iterator[Any]) -> Rows:
    """The same with the values of the fields named as text: of Enums that are read from JSON, of
    which it is not known whether they are str or int."""
    fields = record_type(shape.type).fields
    types = [str | None if field.name in names else field.type for field in fields]
    rows = Shape.of_columns(shape.names, types)
    textual = [field.name in names for field in fields]

    def changed() -> Iterator[Any]:
        for record in records:
            values = (getattr(record, name) for name in shape.names)
            yield rows.type._make(
                str(value) if text and value is not None else value
                for value, text in zip(values, textual, strict=True)
            )

    return rows, changed()


def schema_of(source: SizedSource, format: Format) -> tuple[Any, int | None]:
    """The `pyarrow.Schema` of a file of Arrow or Parquet, and how many rows it has, if it tells.

    Raises:
        InputError: It is damaged, or pyarrow is not there.
    """
    _need_pyarrow(source.path)
    if format is Format.PARQUET:
        return parquet.schema(source), sum(rows for rows, _ in parquet.row_groups(source))
    return nested.arrow_schema(source), None


def rows_of_arrow(source: SizedSource) -> Rows:
    """The columns and rows of an Arrow file or stream.

    Raises:
        InputError: It is damaged, now or while it is read, or pyarrow is not there.
    """
    _need_pyarrow(source.path)
    schema = nested.arrow_schema(source)
    return _rows(schema, nested.arrow_batches(source, None))


def rows_of_parquet(source: SizedSource) -> Rows:
    """As `rows_of_arrow`, of a Parquet file."""
    _need_pyarrow(source.path)
    schema = parquet.schema(source)
    return _rows(schema, parquet.batches(source, None, schema.names))


def _need_pyarrow(path: str) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise InputError(f"reading {path} needs pyarrow: pip install 'gaia-mr[arrow]'") from None


def _rows(schema: Any, batches: Iterator[Any]) -> Rows:
    shape = Shape.of_columns(schema.names, [_type_of(field.type) | None for field in schema])

    def rows() -> Iterator[Any]:
        for batch in batches:
            columns = [_values(column) for column in batch.columns]
            if columns:
                yield from map(shape.type._make, zip(*columns, strict=True))

    return shape, rows()


def _type_of(tp: Any) -> Any:
    """What Python has for a type of Arrow's; where nothing, its text or its JSON."""
    from pyarrow import types

    if types.is_dictionary(tp):
        return _type_of(tp.value_type)
    if types.is_integer(tp):
        return int
    if types.is_floating(tp):
        return float
    if types.is_boolean(tp):
        return bool
    if types.is_binary(tp) or types.is_large_binary(tp) or types.is_fixed_size_binary(tp):
        return bytes
    if types.is_timestamp(tp) and tp.unit != "ns":
        return datetime.datetime
    if types.is_date(tp):
        return datetime.date
    if types.is_nested(tp):
        return list | dict
    return str


def _values(column: Any) -> list[Any]:
    """The values of a column as `_type_of` tells."""
    import msgspec
    import pyarrow

    if pyarrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = _type_of(column.type)
    if kind is str and not pyarrow.types.is_string(column.type):
        column = column.cast(pyarrow.string())
    values: list[Any] = column.to_pylist()
    if kind == list | dict:
        return [None if value is None else msgspec.to_builtins(value) for value in values]
    return values
