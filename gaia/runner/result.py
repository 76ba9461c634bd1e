"""What a run leaves: tables that can be read."""

import datetime
import os
import sys
import typing
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar, overload

import attrs

from gaia import _core
from gaia.errors import InputError, TableError
from gaia.io.files import reason
from gaia.io.manifest import Manifest, Shard, read_manifest
from gaia.io.stores import Store, join, local_path, store_of, url_of
from gaia.pipeline.fields import SCALARS, Field
from gaia.pipeline.graph import Format
from gaia.pipeline.names import UnsupportedTypeError, type_name
from gaia.pipeline.records import record_type, same_shape, why_not
from gaia.runner.columns import Columns, Rows, codec_of, open_batches
from gaia.runner.inputs import Lines, Part, check_whole, codec_for, open_lines
from gaia.runner.splits import shard_source

T = TypeVar("T")


@attrs.frozen(eq=False, repr=False)
class Table(Generic[T]):
    """A written table, whose records are read when they are asked for."""

    path: str
    type: Any
    _manifest: Manifest
    _store: Store | None = None

    @property
    def name(self) -> str:
        """The table's name, which is that of its folder when it was written."""
        return self._manifest.table

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The shards with their numbers or names, records, sizes in bytes, and files."""
        return self._manifest.shards

    def __len__(self) -> int:
        return sum(shard.records for shard in self.shards)

    def __repr__(self) -> str:
        return (
            f"Table[{type_name(self.type)}]({self.name!r}, {len(self.shards)} shards, "
            f"{len(self)} records)"
        )

    def records(self, shard: int | str | None = None) -> Iterator[T]:
        """The records of the table, or of one of its shards, in no order.

        Raises:
            TableError: There is no such shard.
            InputError: A file is missing or damaged.
        """
        numbers = [number for number, found in enumerate(self.shards) if shard in (None, found.key)]
        if shard is not None and not numbers:
            raise TableError(f"table {self.path} has no shard {shard!r}")
        for number in numbers:
            yield from self._shard_records(number)

    def verify(self) -> None:
        """Reads all files, and compares sizes and checksums with those that were written.

        Raises:
            InputError: A file is missing or damaged; the message names its shard.
        """
        for number, shard in enumerate(self.shards):
            source = shard_source(self._manifest, self.path, self._store, number, verify=True)
            for part in source.parts:
                try:
                    check_whole(part.file)
                except InputError as error:
                    raise InputError(f"shard {shard.key!r} of table {self.path}: {error}") from None

    def to_arrow(self) -> Any:
        """The table as a `pyarrow.Table`; a table of single values has one column, `value`.

        Raises:
            ImportError: pyarrow is not installed.
        """
        try:
            import pyarrow
        except ImportError:
            raise ImportError("to_arrow needs pyarrow: pip install 'gaia-mr[arrow]'") from None
        if (stored := self._stored_columns()) is not None:
            return stored
        records: list[Any] = list(self.records())
        if record_type(self.type).kind == "json":
            names = {name: None for record in records for name in record}
            return pyarrow.table({name: [record.get(name) for record in records] for name in names})
        columns = {
            field.name: _arrow_column([getattr(record, field.name) for record in records], field)
            for field in record_type(self.type).fields
        }
        value = Field("value", self.type, record_type(self.type).kind, False, None)
        return pyarrow.table(columns or {"value": _arrow_column(records, value)})

    def _stored_columns(self) -> Any:
        """The columns as they are on this machine's disk; None where they are not, or where they
        hold the text of lists and records."""
        import pyarrow
        import pyarrow.parquet

        described = record_type(self.type)
        kinds = {field.kind for field in described.fields} or {described.kind}
        format = Format(self._manifest.format)
        if not format.has_columns or self._store is not None or "json" in kinds:
            return None
        tables = []
        for file in (file for shard in self.shards for file in shard.files):
            path = join(self.path, file.path)
            if format is Format.PARQUET:
                tables.append(pyarrow.parquet.read_table(path))
            else:
                with pyarrow.memory_map(path) as mapped:
                    tables.append(pyarrow.ipc.open_stream(mapped).read_all())
        return pyarrow.concat_tables(tables)

    def to_pandas(self) -> Any:
        """The table as a pandas DataFrame."""
        return self.to_arrow().to_pandas()

    def to_polars(self) -> Any:
        """The table as a polars DataFrame."""
        try:
            import polars
        except ImportError:
            raise ImportError("to_polars needs polars: pip install 'gaia-mr[polars]'") from None
        return polars.from_arrow(self.to_arrow())

    def _shard_records(self, number: int) -> Iterator[T]:
        source = shard_source(self._manifest, self.path, self._store, number)
        for part in source.parts:
            try:
                yield from self._part_records(source, part)
            except OSError as error:
                raise InputError(f"cannot read {part.path}: {reason(error)}") from None
            except (ValueError, TypeError) as error:
                raise InputError(f"{part.path} is damaged: {error}") from None

    def _part_records(self, source: Lines | Columns, part: Part | Rows) -> Iterator[T]:
        if isinstance(source, Columns):
            assert isinstance(part, Rows)
            batches = open_batches(source, part, self.type)
            yield from _core.BatchRecords(batches, codec_of(self.type))
        else:
            assert isinstance(part, Part)
            codec = codec_for(source, part, self.type)
            yield from _core.RecordReader(open_lines(source, part), codec)


def _arrow_column(values: list[Any], field: Field) -> Any:
    """A column whose type depends on the field alone, except for that of lists and records in it:
    their types come from the values."""
    import msgspec
    import pyarrow

    plain = {
        "str": pyarrow.string(),
        "bytes": pyarrow.binary(),
        "int": pyarrow.int64(),
        "float": pyarrow.float64(),
        "bool": pyarrow.bool_(),
    }
    if field.kind in plain:
        return pyarrow.array(values, plain[field.kind])
    if field.kind == "via" and issubclass(field.inner, datetime.date):
        if issubclass(field.inner, datetime.datetime):
            zone = next((value.tzinfo for value in values if value is not None), None)
            return pyarrow.array(values, pyarrow.timestamp("us", "UTC" if zone else None))
        return pyarrow.array(values, pyarrow.date32())
    return pyarrow.array([msgspec.to_builtins(value) for value in values])


@attrs.frozen(eq=False)
class RunResult:
    """What a run made and counted.

    `result[name]` is a table. A counter that nobody increased is 0, and a frequency map that
    nobody filled is empty. `elapsed` is in seconds; `report` is the path of the run's report, a
    page for browsers.
    """

    tables: Mapping[str, Table[Any]]
    counters: Counter[str]
    freq_maps: Mapping[str, Counter[Any]]
    elapsed: float
    report: str

    def __getitem__(self, name: str) -> Table[Any]:
        if name not in self.tables:
            raise KeyError(f"no table {name!r}; there is {', '.join(self.tables) or 'none'}")
        return self.tables[name]


@overload
def read_table(
    path: str | os.PathLike[str],
    *,
    storage_options: dict[str, Any] | None = None,
    filesystem: Any = None,
) -> Table[Any]: ...


@overload
def read_table(
    path: str | os.PathLike[str],
    type: type[T],
    *,
    storage_options: dict[str, Any] | None = None,
    filesystem: Any = None,
) -> Table[T]: ...


def read_table(
    path: str | os.PathLike[str],
    type: Any = None,
    *,
    storage_options: dict[str, Any] | None = None,
    filesystem: Any = None,
) -> Table[Any]:
    """Opens a table by its folder. Its shards are read when their records are asked for.

    Args:
        path: The folder, which has a `manifest.json`: a local path or a URL.
        type: The type of the records. Without it, the class that wrote the table is used where the
            program has it, and otherwise a class with the same fields is made.
        storage_options: Options for the file system of a URL, as fsspec takes them.
        filesystem: An fsspec file system to use instead.

    Raises:
        TableError: The folder is no table, or its records are not of that type.

    >>> import gaia, tempfile
    >>> pipeline = gaia.Pipeline("p")
    >>> names = pipeline.from_records(["ada", "bob"], name="names")
    >>> _ = names.write("names", gaia.TXT).with_mod_n_sharding(2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = gaia.LocalRunner(folder).run(pipeline)
    ...     sorted(gaia.read_table(f"{folder}/names").records())
    ['ada', 'bob']
    """
    given = os.fspath(path)
    store = store_of(given, storage_options, filesystem)
    folder = local_path(given) if store is None else url_of(given, store)
    manifest = read_manifest(folder, store)
    schema = manifest.record
    if type is None:
        type = _known_type(schema) or _made_type(manifest, folder, store)
        return Table(folder, type, manifest, store)
    try:
        fits = same_shape(type, schema)
    except UnsupportedTypeError as error:
        raise TableError(str(error)) from None
    if not fits:
        raise TableError(f"table {folder} {why_not(type, schema)}")
    return Table(folder, type, manifest, store)


def _known_type(schema: dict[str, Any]) -> Any:
    """The type that wrote the table, if the program has it already: nothing is imported."""
    if schema["kind"] == "json":
        return dict
    for scalar, kind in SCALARS.items():
        if schema["kind"] == kind:
            return scalar
    found = getattr(sys.modules.get(schema["module"]), schema["name"], None)
    return found if isinstance(found, type) and same_shape(found, schema) else None


def _made_type(manifest: Manifest, folder: str, store: Store | None) -> Any:
    schema, format = manifest.record, manifest.format
    if schema["own_text"] and format == "txt":
        raise TableError(
            f"table {folder} was written by `{schema['name']}.to_text`; pass that class as type="
        )
    if schema["own_json"] and format == "jsonl":
        raise TableError(
            f"table {folder} was written by `{schema['name']}` under other names than those of its "
            "fields; pass that class as type="
        )
    called = schema["name"].rpartition(".")[2]
    fields = [
        (name, _made_field(manifest, folder, store, name, shown, kind, optional))
        for name, shown, kind, optional in schema["fields"]
    ]
    if schema["build"] == "tuple":
        return typing.NamedTuple(called, fields)
    made = {name: attrs.field(type=tp) for name, tp in fields}
    return attrs.make_class(called, made)


def _made_field(
    manifest: Manifest,
    folder: str,
    store: Store | None,
    name: str,
    shown: str,
    kind: str,
    optional: bool,
) -> Any:
    tp: Any = {kind: scalar for scalar, kind in SCALARS.items()}.get(kind, Any)
    if kind == "via":
        dates = {"datetime": datetime.datetime, "date": datetime.date}
        tp = dates.get(shown.removesuffix(" | None")) or _enum_value(manifest, folder, store, name)
    # In JSON, None is a value of anything.
    plain = tp is not Any or Format(manifest.format).has_columns
    return tp | None if optional and plain else tp


def _enum_value(manifest: Manifest, folder: str, store: Store | None, name: str) -> Any:
    """The type of the values of an Enum that is not there."""
    if not Format(manifest.format).has_columns or not manifest.shards:
        return Any if manifest.format == "jsonl" else str
    text = attrs.make_class("Row", {name: attrs.field(type=str)})
    source = shard_source(manifest, folder, store, 0)
    assert isinstance(source, Columns)
    batches = open_batches(source, source.parts[0], text)
    try:
        _core.check_arrow(batches, codec_of(text))
    except ValueError:
        return int
    return str
