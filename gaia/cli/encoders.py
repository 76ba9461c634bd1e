"""Records as bytes to print: JSON, text or CSV, as Gaia's own tables hold them.

What those refuse is printed all the same where a form is usual: in JSON, null for a number that is
none; in CSV, the JSON of lists and records, and base64 for bytes, as JSON has it.
"""

import datetime
import enum
import operator
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from gaia import _core
from gaia.cli.columns import Shape
from gaia.errors import InputError
from gaia.pipeline.csv_format import check_type
from gaia.pipeline.records import field_names, record_type

FORMS = ("json", "text", "csv")
# The columns of CSV are the keys of so many dicts; what comes later has no others.
DICTS = 1000


class Encoder(Protocol):
    """Makes bytes of records. `begin` is called for every file or shard, and gives what comes
    before its records."""

    def begin(self, shape: Shape) -> bytes: ...

    def encode(self, records: Sequence[Any]) -> bytes: ...


def encoder(form: str) -> Encoder:
    """That of a form. Raises `InputError` while it encodes what the form cannot hold."""
    makers: dict[str, Callable[[], Encoder]] = {"json": _Json, "text": _Text, "csv": _Csv}
    return makers[form]()


def _joined(lines: Iterable[bytes]) -> bytes:
    """The lines with their line ends."""
    return b"\n".join((*lines, b""))


class _Text:
    """Lines, or fields with tabs between them."""

    def begin(self, shape: Shape) -> bytes:
        self._encode = _core.Codec(record_type(shape.type), "txt").encode
        return b""

    def encode(self, records: Sequence[Any]) -> bytes:
        try:
            return _joined(map(self._encode, records))
        except ValueError as error:
            raise InputError(f"cannot print a record as text: {error}; try --format json") from None


class _Json:
    """A JSON value a line."""

    def begin(self, shape: Shape) -> bytes:
        import msgspec

        self._any = msgspec.json.Encoder().encode
        self._names = shape.names
        own = field_names(shape.type) == shape.names
        if not own and len(set(shape.names)) < len(shape.names):
            twice = next(name for name in shape.names if shape.names.count(name) > 1)
            raise InputError(f"there are several columns {twice!r}: use --format csv or text")
        self._values = _values_of(shape.type)
        self._encode: Callable[[Any], bytes] = self._by_names
        if own:
            self._encode = _core.Codec(record_type(shape.type), "jsonl").encode
        return b""

    def encode(self, records: Sequence[Any]) -> bytes:
        try:
            return _joined(map(self._encode, records))
        except ValueError:
            pass  # Perhaps because of a NaN.
        try:
            return _joined(map(self._by_names if self._names else self._any, records))
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError(f"cannot print a record as JSON: {error}") from None

    def _by_names(self, record: Any) -> bytes:
        return self._any(dict(zip(self._names, self._values(record), strict=True)))


class _Csv:
    """Rows, with the names of the columns before the first."""

    def __init__(self) -> None:
        self._columns: tuple[str, ...] | None = None

    def begin(self, shape: Shape) -> bytes:
        self._dicts = record_type(shape.type).kind == "json"
        if self._dicts:
            return b""  # The columns are known when there are records.
        self._values = _values_of(shape.type)
        self._row = _row_of(len(shape.names or ("value",)))
        self._encode = self._by_cells
        try:
            check_type(shape.type)
            self._encode = _core.Codec(record_type(shape.type), "csv").encode
        except ValueError:
            pass  # Its values are put into cells here.
        return self._header(shape.names or ("value",))

    def encode(self, records: Sequence[Any]) -> bytes:
        if self._dicts:
            return self._encode_dicts(records)
        try:
            return _joined(map(self._encode, records))
        except ValueError:
            pass  # Perhaps because of an int beyond 64 bits.
        try:
            return _joined(map(self._by_cells, records))
        except (ValueError, TypeError) as error:
            raise InputError(f"cannot print a record as CSV: {error}") from None

    def _encode_dicts(self, records: Sequence[dict[str, Any]]) -> bytes:
        begin = b""
        if self._columns is None:
            names = tuple({name: None for record in records for name in record})
            if not names:
                raise InputError("cannot print records without fields as CSV; use --format json")
            begin = self._header(names)
        columns = self._columns or ()
        known = set(columns)
        row = _row_of(len(columns))
        for record in records:
            if not known.issuperset(record):
                new = next(name for name in record if name not in known)
                raise InputError(
                    f"a record has a field {new!r}, which the first {DICTS} have not, and so no "
                    "column of CSV; use --format json"
                )
        return begin + _joined(
            row([_cell(record.get(name)) for name in columns]) for record in records
        )

    def _header(self, names: tuple[str, ...]) -> bytes:
        if self._columns is not None and self._columns != names:
            raise InputError(
                f"expected the columns {', '.join(self._columns)} in all inputs of one CSV, got "
                f"{', '.join(names)}"
            )
        if self._columns is not None or not names:
            return b""
        self._columns = names
        return _joined([_row_of(len(names))(names)])

    def _by_cells(self, record: Any) -> bytes:
        return self._row([_cell(value) for value in self._values(record)])


def _values_of(tp: Any) -> Callable[[Any], Sequence[Any]]:
    """What takes the values out of a record: of one without fields, itself."""
    names = field_names(tp)
    if len(names) > 1:
        return operator.attrgetter(*names)
    if names:
        return lambda record: (getattr(record, names[0]),)
    return lambda record: (record,)


def _row_of(width: int) -> Callable[[Sequence[str | None]], bytes]:
    """What makes a row of CSV of so many cells."""
    fields = [(f"c{number}", typing.Optional[str]) for number in range(width)]  # noqa: UP045
    row = typing.NamedTuple("Row", fields)  # type: ignore[misc]
    encode = _core.Codec(record_type(row), "csv").encode
    return lambda cells: encode(row._make(cells))


def _cell(value: Any) -> str | None:
    """A value as it stands in a cell."""
    import msgspec

    if value is None or isinstance(value, str):
        return value
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, float):
        return _core.Codec(record_type(float), "txt").encode(value).decode()
    text = msgspec.json.encode(value).decode()
    return text[1:-1] if isinstance(value, bytes) else text
