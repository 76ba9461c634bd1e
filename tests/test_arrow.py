"""Tables of columns: Arrow streams that others open, and those of others."""

import datetime
import enum
import io
import random
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import WordCount, tree, write_table

import gaia
from gaia._core import (
    ARROW_END,
    Batches,
    BatchRecords,
    Codec,
    Context,
    Output,
    TaskState,
    arrow_blocks,
    arrow_head,
    check_arrow,
    feed_batches,
)
from gaia.pipeline.records import plain_key, record_type

pytestmark = pytest.mark.libraries

settings.register_profile("steady", deadline=None, database=None)
settings.load_profile("steady")

UTC = datetime.UTC
EAST = datetime.timezone(datetime.timedelta(hours=5, minutes=30))


@pytest.fixture(autouse=True, scope="module")
def libraries() -> None:
    """They start threads, beside which the workers of other tests are not forked."""
    global pa, pl, pq
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq


class Color(enum.Enum):
    RED = "red"
    GREEN = "grün"


class Level(enum.IntEnum):
    LOW = -1
    HIGH = 2


ints = st.integers(-(2**63), 2**63 - 1)
aware = st.datetimes(
    datetime.datetime(2, 1, 1),
    datetime.datetime(9998, 1, 1),
    timezones=st.sampled_from([UTC, EAST]),
)

# Annotation, values of it, Arrow type.
KINDS: dict[str, tuple[Any, st.SearchStrategy[Any], str]] = {
    "text": (str, st.text(), "string"),
    "raw": (bytes, st.binary(), "binary"),
    "count": (int, ints, "int64"),
    "share": (float, st.floats(allow_nan=False), "double"),
    "flag": (bool, st.booleans(), "bool"),
    "day": (datetime.date, st.dates(), "date32[day]"),
    "time": (datetime.datetime, st.datetimes(), "timestamp[us]"),
    "moment": (datetime.datetime, aware, "timestamp[us, tz=UTC]"),
    "color": (Color, st.sampled_from(Color), "string"),
    "level": (Level, st.sampled_from(Level), "int64"),
    "tags": (list[str], st.lists(st.text(), max_size=2), "string"),
}
FIELDS = {
    **{name: (tp, values) for name, (tp, values, _) in KINDS.items()},
    **{f"maybe_{name}": (tp | None, st.none() | v) for name, (tp, v, _) in KINDS.items()},
}
Record: Any = attrs.make_class("Record", {n: attrs.field(type=tp) for n, (tp, _) in FIELDS.items()})
records = st.lists(
    st.builds(Record, **{n: values for n, (_, values) in FIELDS.items()}), max_size=6
)


@attrs.frozen
class Moment:
    x: datetime.datetime | None


class Pair(NamedTuple):
    word: str
    count: int | None


def codec(tp: Any, format: str = "arrow") -> Codec:
    return Codec(record_type(tp), format)


def one_field(tp: Any) -> Any:
    return attrs.make_class("Row", {"x": attrs.field(type=tp)})


def written(records: Iterable[Any], tp: Any, folder: Path, **how: Any) -> bytes:
    """The stream that one task writes of some records."""

    def write(context: Context[Any]) -> None:
        for record in records:
            context.write(record)

    return stream_of(write, tp, folder, **how)


def stream_of(
    write: Callable[[Context[Any]], None],
    tp: Any,
    folder: Path,
    *,
    compression: str = "none",
    level: int = 1,
    frame_bytes: int = 1 << 19,
) -> bytes:
    """The stream of what a function writes to a context."""
    path = folder / f"{random.randrange(2**60)}.bundle"
    output = Output(
        "out",
        codec(tp),
        str(path),
        shards=1,
        key=lambda record: 0,
        custom=None,
        kept=None,
        plain_key=plain_key,
        combine=None,
        compression=compression,
        level=level,
        frame_bytes=frame_bytes,
        budget=1 << 24,
    )
    state = TaskState("", None, None)
    context: Context[Any] = Context(state, codec(tp, "txt"), [output], [])
    write(context)
    _, _, zones = output.finish()
    frames = path.read_bytes() if path.exists() else b""
    return arrow_head(codec(tp), zones) + frames + ARROW_END


def read(source: Any, tp: Any, **how: Any) -> list[Any]:
    return list(BatchRecords(Batches.stream(source, **how), codec(tp)))


def exported(objects: Iterable[Any], tp: Any) -> list[Any]:
    return list(BatchRecords(Batches.arrays(objects), codec(tp)))


def stream(table: Any, kind: str = "stream", rows: int | None = None, **options: Any) -> bytes:
    """A table as pyarrow writes it."""
    buffer = io.BytesIO()
    new = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
    with new(buffer, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=rows)
    return buffer.getvalue()


# Writing.


@pytest.mark.parametrize("compression", ["none", "zstd", "lz4"])
@settings(max_examples=20)
@given(records=records)
def test_records_come_back_from_us_and_are_opened_by_others(
    tmp_path_factory: Any, compression: str, records: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("bundles")
    data = written(records, Record, folder, compression=compression, frame_bytes=4096)
    assert read([data], Record) == records

    table = pa.ipc.open_stream(data).read_all()
    table.validate(full=True)
    assert table.schema.metadata is None
    assert table.column_names == list(FIELDS)
    for name, (_, _, arrow) in KINDS.items():
        # Without any value, nothing tells that datetimes would have an offset.
        if records and name != "moment":
            assert str(table.schema.field(name).type) == arrow
        assert table.schema.field(f"maybe_{name}").nullable
        assert not table.schema.field(name).nullable
    for name in ("text", "maybe_raw", "count", "share", "maybe_flag", "day", "time"):
        assert table[name].to_pylist() == [getattr(record, name) for record in records]
    assert table["maybe_moment"].to_pylist() == [record.maybe_moment for record in records]
    assert exported([table], Record) == records
    assert exported(table.to_batches(max_chunksize=2), Record) == records

    frame = pl.read_ipc_stream(io.BytesIO(data))
    assert frame["count"].to_list() == [record.count for record in records]
    assert exported([frame], Record) == records


@pytest.mark.parametrize(
    ("tp", "values"),
    [
        (str, ["", "é", "a\nb\t\\N"]),
        (bytes, [b"", b"\xff\n"]),
        (int, [-(2**63), 0, 2**63 - 1]),
        (float, [0.5, float("inf")]),
        (bool, [True, False]),
        (dict, [{}, {"a": [1, None, {"b": "é"}]}]),
        (Pair, [Pair("a", 1), Pair("b", None)]),
    ],
)
def test_single_values_have_one_column(tmp_path: Path, tp: Any, values: list[Any]) -> None:
    data = written(values, tp, tmp_path)
    assert read([data], tp) == values
    names = ["word", "count"] if tp is Pair else ["value"]
    assert pa.ipc.open_stream(data).schema.names == names


def test_batches_are_written_as_their_records_are(tmp_path: Path) -> None:
    class Copy(gaia.Mapper[Record, Record]):
        def do_batch(self, batch: gaia.Batch[Record], ctx: gaia.Context[Record]) -> None:
            assert len(batch) > 0
            ctx.write_columns(**{name: batch[name] for name in batch.column_names})

    rows = example_records(50)
    pipeline = gaia.Pipeline("copy")
    table = pipeline.from_records(rows, type=Record, name="rows")
    table.write("plain", gaia.ARROW).with_mod_n_sharding(3, "text")
    table.map(Copy, output=Record).write("copied", gaia.ARROW).with_mod_n_sharding(3, "text")
    result = gaia.LocalRunner(tmp_path, workers=0).run(pipeline)
    for shard in range(3):
        assert key(result["copied"].records(shard)) == key(result["plain"].records(shard))
    assert key(result["copied"].records()) == key(rows)


def example_records(count: int) -> list[Any]:
    """Records of all kinds, the same every time."""
    day = datetime.timedelta(days=1, microseconds=7)

    def values(k: int) -> dict[str, Any]:
        return {
            "text": f"w{k % 17}é",
            "raw": b"\xff" * (k % 5),
            "count": k * k - 7,
            "share": k / 3,
            "flag": k % 3 == 0,
            "day": datetime.date(2000, 1, 1) + k * day,
            "time": datetime.datetime(1969, 1, 1) + k * day,
            "moment": datetime.datetime(2020, 1, 1, tzinfo=EAST) + k * day,
            "color": list(Color)[k % 2],
            "level": list(Level)[k % 2],
            "tags": ["a"] * (k % 3),
        }

    def record(k: int) -> Any:
        maybe = values(k + 1).items()
        return Record(
            **values(k),
            **{f"maybe_{n}": None if (k + i) % 4 == 0 else v for i, (n, v) in enumerate(maybe)},
        )

    return [record(k) for k in range(count)]


def key(records: Iterable[Any]) -> list[str]:
    return sorted(repr(attrs.astuple(utc(record))) for record in records)


def utc(record: Any) -> Any:
    """With all datetimes in UTC, as equal ones need not look the same."""
    found = {n: v for n, v in attrs.asdict(record).items() if isinstance(v, datetime.datetime)}
    moved = {n: v.astimezone(UTC) for n, v in found.items() if v.tzinfo}
    return attrs.evolve(record, **moved)


def test_frames_are_of_the_size_that_is_asked_for(tmp_path: Path) -> None:
    rows = example_records(400)
    data = written(rows, Record, tmp_path, frame_bytes=8000)
    path = tmp_path / "rows.arrow"
    path.write_bytes(data)
    sizes = [length for _, length, _ in arrow_blocks(str(path))]
    assert len(sizes) > 10
    assert max(sizes) <= 8000
    assert read(str(path), Record) == rows


def test_a_record_larger_than_a_frame_stands_alone(tmp_path: Path) -> None:
    rows = [WordCount("a", 1), WordCount("b" * 9000, 2), WordCount("c", 3)]
    path = tmp_path / "rows.arrow"
    path.write_bytes(written(rows, WordCount, tmp_path, frame_bytes=1000))
    assert [rows for *_, rows in arrow_blocks(str(path))] == [1, 1, 1]
    assert read(str(path), WordCount) == rows


@pytest.mark.parametrize("compression", ["none", "zstd", "lz4"])
def test_the_same_records_make_the_same_bytes(tmp_path: Path, compression: str) -> None:
    rows = example_records(30)
    first = written(rows, Record, tmp_path, compression=compression)
    assert written(rows, Record, tmp_path, compression=compression) == first


def test_compression_makes_smaller_files(tmp_path: Path) -> None:
    rows = [WordCount(f"word {k % 7}", k % 3) for k in range(5000)]
    sizes = {
        (codec, level): len(written(rows, WordCount, tmp_path, compression=codec, level=level))
        for codec, level in [("none", 0), ("lz4", 0), ("zstd", 1), ("zstd", 19)]
    }
    assert sizes["none", 0] > 4 * sizes["lz4", 0]
    assert sizes["none", 0] > 4 * sizes["zstd", 1]
    assert sizes["zstd", 1] > sizes["zstd", 19]


@pytest.mark.parametrize(
    ("tp", "value", "error", "why"),
    [
        (int, 2**63, ValueError, "field `x`: the column tier holds ints of 64 bits"),
        (int, "1", TypeError, "field `x`: expected `int`, got `str`"),
        (str, None, TypeError, "field `x`: expected `str`, got `NoneType`"),
        (str, "\ud800", ValueError, "field `x`: the str holds lone surrogates"),
        (datetime.date, "2020", TypeError, "field `x`: expected `date`, got `str`"),
        (Level, 2, TypeError, "field `x`: expected `Level`, got `int`"),
        (list[int], object(), TypeError, "field `x`"),
    ],
)
def test_a_record_that_is_refused_leaves_no_trace(
    tmp_path: Path, tp: Any, value: Any, error: Any, why: str
) -> None:
    row = one_field(tp)
    known = {int: 1, str: "a", datetime.date: datetime.date(2020, 1, 1), Level: Level.LOW}
    good = row(known.get(tp, [1]))

    def write(context: Context[Any]) -> None:
        context.write(good)
        with pytest.raises(error, match=why):
            context.write(row(value))
        context.write(good)

    assert read([stream_of(write, row, tmp_path)], row) == [good, good]


def test_a_datetime_of_a_refused_record_does_not_count(tmp_path: Path) -> None:
    row = attrs.make_class(
        "Row", {"x": attrs.field(type=datetime.datetime), "y": attrs.field(type=int)}
    )
    naive, east = datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 1, tzinfo=EAST)

    def write(context: Context[Any]) -> None:
        with pytest.raises(ValueError, match="field `y`"):
            context.write(row(east, 2**63))
        context.write(row(naive, 1))

    assert read([stream_of(write, row, tmp_path)], row) == [row(naive, 1)]


def test_datetimes_of_one_kind_stand_in_a_column(tmp_path: Path) -> None:
    naive, east = datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 1, tzinfo=EAST)
    for values in ([naive, None], [None, east]):
        rows = [Moment(value) for value in values]
        assert read([written(rows, Moment, tmp_path)], Moment) == rows
    for rows, why in [
        ([Moment(naive), Moment(east)], "expected a datetime without an offset .*, got one with"),
        ([Moment(east), Moment(naive)], "expected a datetime with an offset .*, got one without"),
    ]:
        with pytest.raises(ValueError, match=f"field `x`: {why}"):
            written(rows, Moment, tmp_path)


def test_a_codec_of_columns_has_no_lines() -> None:
    with pytest.raises(ValueError, match="expected a format of lines, got arrow"):
        codec(str).encode("a")
    with pytest.raises(ValueError, match="expected a format of lines, got arrow"):
        codec(str).decode(b"a")


# Reading.

VARIANTS: dict[str, Callable[[Any], Any]] = {
    "as it is": lambda table: table,
    "other columns": lambda table: table.append_column("b", [[[1]] * 5]).select(["b", "y", "x"]),
    "large": lambda table: table.cast(pa.schema([("x", pa.large_string()), ("y", pa.int16())])),
    "views": lambda table: table.cast(pa.schema([("x", pa.string_view()), ("y", pa.uint8())])),
    "dictionary": lambda table: table.set_column(0, "x", table["x"].dictionary_encode()),
    "dictionaries": lambda table: pa.table(
        {"x": table["x"].dictionary_encode(), "y": table["y"].dictionary_encode()}
    ),
}


class XY(NamedTuple):
    x: str | None
    y: int


def table_of(rows: list[XY]) -> Any:
    return pa.table(
        {"x": pa.array([row.x for row in rows], pa.string()), "y": [row.y for row in rows]}
    )


ROWS = [XY("a", 1), XY(None, 2), XY("é" * 30, 3), XY("a", 4), XY("", 255 - 128)]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", ["stream", "file"])
@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
@pytest.mark.parametrize("chunk", [None, 2])
def test_streams_and_files_of_others(
    tmp_path: Path, variant: str, kind: str, compression: str | None, chunk: int | None
) -> None:
    table = VARIANTS[variant](table_of(ROWS))
    table = table.combine_chunks()
    data = stream(table, kind, chunk, compression=compression)
    path = tmp_path / "other.arrow"
    path.write_bytes(data)
    assert read(str(path), XY) == ROWS
    assert read([data], XY) == ROWS
    assert read([data[i : i + 7] for i in range(0, len(data), 7)], XY) == ROWS
    assert exported([table], XY) == ROWS
    blocks = arrow_blocks(str(path))
    assert [rows for *_, rows in blocks] == ([5] if chunk is None else [2, 2, 1])
    parts = [read(str(path), XY, ranges=[block[:2]]) for block in blocks]
    assert [row for part in parts for row in part] == ROWS
    assert read(str(path), XY, ranges=[block[:2] for block in blocks]) == ROWS


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_streams_of_polars(tmp_path: Path, compression: Any) -> None:
    frame = pl.DataFrame({"x": [row.x for row in ROWS], "y": [row.y for row in ROWS]})
    frame = frame.with_columns(pl.col("y").cast(pl.Int32))
    for column in (pl.col("x"), pl.col("x").cast(pl.Categorical)):
        made = frame.with_columns(column)
        for write in (made.write_ipc_stream, made.write_ipc):
            path = tmp_path / "polars.arrow"
            write(path, compression=compression)
            assert read(str(path), XY) == ROWS
            assert read([path.read_bytes()], XY) == ROWS
            assert sum(rows for *_, rows in arrow_blocks(str(path))) == len(ROWS)


def test_dictionaries_that_change_are_not_split(tmp_path: Path) -> None:
    rows = [XY("ab"[k % 2] + str(k // 3), k) for k in range(9)]
    tables = [table_of(rows[start : start + 3]) for start in range(0, 9, 3)]
    tables = [table.set_column(0, "x", table["x"].dictionary_encode()) for table in tables]
    for deltas in (False, True):
        if deltas:
            known = pa.array(["a0", "b0", "a1", "b1", "a2", "b2"])
            chunks = [
                pa.DictionaryArray.from_arrays(pa.array(index), known[:size])
                for index, size in [([0, 1, 0], 2), ([3, 2, 3], 4), ([4, 5, 4], 6)]
            ]
            tables = [
                pa.table({"x": chunk, "y": table["y"]})
                for chunk, table in zip(chunks, tables, strict=True)
            ]
        buffer = io.BytesIO()
        options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=deltas)
        with pa.ipc.new_stream(buffer, tables[0].schema, options=options) as writer:
            for table in tables:
                writer.write_table(table)
        path = tmp_path / "changing.arrow"
        path.write_bytes(buffer.getvalue())
        assert read(str(path), XY) == rows
        [(offset, length, count)] = arrow_blocks(str(path))
        assert count == 9
        assert read(str(path), XY, ranges=[(offset, length)]) == rows


def test_a_dictionary_larger_than_what_is_read_at_once() -> None:
    words = [f"word {k}" for k in range(20_000)]
    keys = [(k * 7919) % 20_000 for k in range(20_000)]
    x = pa.DictionaryArray.from_arrays(pa.array(keys, pa.int32()), pa.array(words))
    table = pa.table({"x": x, "y": pa.array(range(20_000))})
    expected = [XY(words[key], row) for row, key in enumerate(keys)]
    assert read([stream(table)], XY) == expected


def test_a_null_in_a_dictionary_counts_where_it_is_used() -> None:
    words = pa.array(["a", None])
    used = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), words)
    unused = pa.DictionaryArray.from_arrays(pa.array([0, 0, 0]), words)
    strict = one_field(str)
    assert exported([pa.table({"x": unused})], strict) == [strict("a")] * 3
    with pytest.raises(TypeError, match="row 1: field `x`: expected `str`, got `NoneType`"):
        exported([pa.table({"x": used})], strict)
    loose = one_field(str | None)
    assert exported([pa.table({"x": used})], loose) == [loose("a"), loose(None), loose("a")]


def test_what_is_sliced_is_read_from_its_place() -> None:
    table = pa.table({"x": [str(k) for k in range(100)], "y": range(100)})
    expected = [XY(str(k), k) for k in range(10, 40)]
    assert exported([table.slice(10, 30)], XY) == expected
    structs = table.to_struct_array().combine_chunks().slice(10, 30)
    assert exported([structs], XY) == expected


def test_objects_may_differ_in_their_columns(tmp_path: Path) -> None:
    first, second = table_of(ROWS), table_of(ROWS).select(["y", "x"]).append_column("z", [[1] * 5])
    assert exported([first, second], XY) == ROWS * 2
    pq.write_table(first, tmp_path / "rows.parquet")
    assert exported(pq.ParquetFile(tmp_path / "rows.parquet").iter_batches(2), XY) == ROWS


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_datetimes_of_any_unit(unit: str) -> None:
    times = [datetime.datetime(1969, 12, 31, 23, 59, 58), None]
    for zone, values in [
        (None, times),
        ("Asia/Kolkata", [t and t.replace(tzinfo=UTC) for t in times]),
    ]:
        table = pa.table({"x": pa.array(values, pa.timestamp(unit, zone))})
        assert exported([table], Moment) == [Moment(value) for value in values]


def test_lists_and_nested_records_are_read_from_their_text() -> None:
    nested = one_field(list[WordCount] | None)
    table = pa.table({"x": ['[{"word":"a","count":1}]', None]})
    assert exported([table], nested) == [nested([WordCount("a", 1)]), nested(None)]
    with pytest.raises(ValueError, match="field `x`: "):
        exported([pa.table({"x": ["[1"]})], nested)


def test_a_schema_is_shown(tmp_path: Path) -> None:
    data = written(example_records(3), Record, tmp_path)
    assert pa.schema(Batches.stream([data])) == pa.ipc.open_stream(data).schema
    table = table_of(ROWS)
    assert pa.schema(Batches.arrays([table])) == table.schema
    with pytest.raises(ValueError, match="expected at least one batch, got none"):
        pa.schema(Batches.arrays([]))


def test_all_that_is_wrong_with_a_schema_is_told() -> None:
    schema = pa.schema(
        [("x", pa.int64()), ("w", pa.string()), ("w", pa.string()), ("z", pa.list_(pa.string()))]
    )
    wanted = attrs.make_class(
        "Wanted",
        {n: attrs.field(type=t) for n, t in {"x": str, "y": int, "w": str, "z": list[int]}.items()},
    )
    why = re.escape(
        "field `x`: expected `str`, got an array of Int64; expected a column `y`, got none; there "
        "is x, w, w, z; expected a column `w`, got several; there is x, w, w, z; field `z`: "
        "expected `JSON`, got an array of List"
    )
    with pytest.raises(ValueError, match=f"^{why}"):
        check_arrow(schema, codec(wanted))
    data = stream(pa.table({"x": [1]}))
    with pytest.raises(ValueError, match="field `x`: expected `str`, got an array of Int64"):
        read([data], one_field(str))
    check_arrow(schema.remove(1).remove(1).remove(1), codec(one_field(float)))
    with pytest.raises(ValueError, match="expected a table of records, got an Arrow array"):
        exported([pa.array([1])], int)


def test_rows_that_do_not_fit_tell_their_number() -> None:
    tables = [pa.table({"x": [1.0, 2.0]}), pa.table({"x": [3.0, None]})]
    with pytest.raises(TypeError, match="row 13: field `x`: expected `float`, got `NoneType`"):
        list(BatchRecords(Batches.arrays(tables, first_row=10), codec(one_field(float))))


class Seen:
    """What a context is given, and where."""

    def __init__(self, tp: Any, batches: bool) -> None:
        self.records: list[Any] = []
        self.positions: list[int] = []
        self.state = TaskState("", None, None)
        into: Context[Any] = Context(self.state, codec(tp, "txt"), [], [])
        consumer: tuple[Any, ...] = ("see", "do", self.do, into, None)
        if batches:
            consumer = ("see", "do_batch", (self.do_batch, 3), into, None)
        self.context: Context[Any] = Context(self.state, codec(tp, "txt"), [], [consumer])

    def do(self, record: Any, ctx: Any) -> None:
        self.records.append(record)
        self.positions.append(ctx.input_pos)

    def do_batch(self, batch: gaia.Batch[Any], ctx: Any) -> None:
        self.records += batch.records()

    def feed(self, batches: Batches, tp: Any, lenient: bool) -> int:
        count = feed_batches(batches, codec(tp), self.context, lenient)
        self.context.flush()
        return count


@pytest.mark.parametrize("batches", [False, True])
def test_records_are_fed_with_their_positions(batches: bool) -> None:
    rows = [XY(str(k), k) for k in range(20_000)]
    seen = Seen(XY, batches)
    assert seen.feed(Batches.stream([stream(table_of(rows))], first_row=5), XY, False) == 20_000
    assert seen.records == rows
    assert batches or seen.positions == list(range(5, 20_005))


@pytest.mark.parametrize("batches", [False, True])
def test_rows_that_are_no_records_are_left_out_where_that_is_allowed(batches: bool) -> None:
    row = attrs.make_class("Row", {"x": attrs.field(type=Color), "y": attrs.field(type=list[int])})
    table = pa.table({"x": ["red", "blue", "grün", "red"], "y": ["[1]", "[2]", "[3", "[4]"]})
    seen = Seen(row, batches)
    assert seen.feed(Batches.arrays([table], first_row=7), row, True) == 2
    assert seen.records == [row(Color.RED, [1]), row(Color.RED, [4])]
    count, errors = seen.state.parse_errors
    assert count == 2
    assert [position for _, position, _ in errors] == [8, 9]
    with pytest.raises(ValueError, match="row 8: field `x`: "):
        Seen(row, batches).feed(Batches.arrays([table], first_row=7), row, False)


def test_large_texts_are_read_a_few_rows_at_a_time() -> None:
    sizes: list[int] = []

    class Sizes(Seen):
        def do_batch(self, batch: gaia.Batch[Any], ctx: Any) -> None:
            sizes.append(len(batch))

    table = pa.table({"x": ["x" * 2_000_000] * 40, "y": range(40)})
    seen = Sizes(XY, True)
    assert seen.feed(Batches.arrays([table]), XY, False) == 40
    assert sum(sizes) == 40


# Damage.


def damaged(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    how = rng.randrange(3)
    if how == 0:
        return data[: rng.randrange(len(data))]
    if how == 1:
        for _ in range(rng.randrange(1, 4)):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    else:
        at = rng.randrange(len(changed) - 8)
        changed[at : at + 8] = rng.choice([b"\xff" * 8, bytes(8), struct.pack("<q", 2**62)])
    return bytes(changed)


@pytest.mark.parametrize("how", ["none", "zstd", "lz4", "file", "dictionary", "views"])
def test_damaged_streams_are_refused_or_read(tmp_path: Path, how: str) -> None:
    rows = example_records(40)
    if how in ("none", "zstd", "lz4"):
        data, tp = written(rows, Record, tmp_path, compression=how, frame_bytes=8000), Record
    else:
        tp = XY
        table = VARIANTS[how if how in VARIANTS else "as it is"](table_of(ROWS))
        kind = "file" if how == "file" else "stream"
        data = stream(table.combine_chunks(), kind, 2)
    path = tmp_path / "damaged.arrow"
    refused = 0
    for seed in range(400):
        path.write_bytes(damaged(data, random.Random(seed)))
        for source in (str(path), [path.read_bytes()]):
            try:
                read(source, tp)
            except (ValueError, TypeError):
                refused += 1
        try:
            arrow_blocks(str(path))
        except ValueError:
            refused += 1
    assert refused > 100


def test_damage_is_told_with_its_place(tmp_path: Path) -> None:
    data = stream(table_of(ROWS))
    path = tmp_path / "rows.arrow"
    path.write_bytes(data)
    [(offset, _, _)] = arrow_blocks(str(path))
    for source, why in [
        (data[: offset + 100], f"the Arrow message at byte {offset}: it ends early"),
        (data[: len(data) - 20], f"the Arrow message at byte {offset}: it ends early"),
        (b"", "the Arrow message at byte 0: expected a schema, got nothing"),
        (data[offset:], "the Arrow message at byte 0: expected a schema, got one of kind RecordB"),
        (
            b"\xff" * 4 + b"\xff\xff\xff\x7f",
            "the Arrow message at byte 0: it ends early: 2147483647",
        ),
    ]:
        with pytest.raises(ValueError, match=why):
            read([source], XY)
    with pytest.raises(ValueError, match="expected a path, as ranges are given"):
        Batches.stream([data], [(0, 1)])
    file = stream(table_of(ROWS), "file", 1)
    path.write_bytes(file[:-300])
    with pytest.raises(ValueError, match="the Arrow file has no footer"):
        read(str(path), XY)
    with pytest.raises(FileNotFoundError):
        Batches.stream(str(tmp_path / "none.arrow"))


def test_absurd_sizes_take_no_memory(tmp_path: Path) -> None:
    data = bytearray(written([WordCount("a" * 1000, 1)], WordCount, tmp_path, compression="zstd"))
    at = data.find(struct.pack("<q", 1000))
    data[at : at + 8] = struct.pack("<q", 2**62)
    with pytest.raises(ValueError, match=f"a compressed buffer of {2**62} bytes"):
        read([bytes(data)], WordCount)


def test_one_reader_has_one_codec() -> None:
    batches = Batches.stream([stream(table_of(ROWS), rows=2)])
    assert next(BatchRecords(batches, codec(XY))) == ROWS[0]
    with pytest.raises(ValueError, match="expected the codec that these batches have been read"):
        next(BatchRecords(batches, codec(one_field(str))))


# Tables.


class Sum(gaia.Joiner[WordCount]):
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def on_word(self, record: WordCount, ctx: gaia.Context[WordCount]) -> None:
        self.counts[record.word] += record.count

    def on_shard_finish(self, ctx: gaia.Context[WordCount]) -> None:
        for word, count in self.counts.items():
            ctx.write(WordCount(word, count))


WORDS = [WordCount(f"w{k % 13}", k) for k in range(500)]
COUNTS: Counter[str] = Counter()
for _word in WORDS:
    COUNTS[_word.word] += _word.count


def counts(table: Any) -> dict[str, int]:
    return {record.word: record.count for record in table.records()}


@pytest.mark.parametrize("compression", [gaia.NONE, gaia.ZSTD, gaia.LZ4])
@pytest.mark.parametrize("combined", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_pipeline_of_columns(
    tmp_path: Path, compression: Any, combined: bool, workers: int
) -> None:
    pipeline = gaia.Pipeline("p")
    words = pipeline.from_records(WORDS, name="words")
    output = words.write("t", gaia.ARROW).with_mod_n_sharding(4, "word").and_compress(compression)
    if combined:
        output.and_combine("word", count="sum")
    python = pipeline.join(Sum, [words.bind_with(Sum.on_word)], name="python")
    python.write("python", gaia.ARROW).and_compress(compression)
    native = pipeline.join(gaia.ops.GroupBy("word", count="sum"), [words], name="native")
    native.write("native", gaia.TXT)
    result = gaia.LocalRunner(tmp_path / "out", workers=workers).run(pipeline)

    assert counts(result["python"]) == COUNTS
    assert counts(result["native"]) == COUNTS
    if not combined:
        assert sorted(result["t"].records(), key=lambda r: r.count) == WORDS
    files = sorted((tmp_path / "out" / "t").glob("*.arrow"))
    assert [file.name for file in files] == [f"t-{k:05}-of-00004.arrow" for k in range(4)]
    total: Counter[str] = Counter()
    for file in files:
        table = pa.ipc.open_stream(file.read_bytes()).read_all()
        frame = pl.read_ipc_stream(file)
        assert frame["word"].to_list() == table["word"].to_pylist()
        for word, count in zip(table["word"].to_pylist(), table["count"].to_pylist(), strict=True):
            total[word] += count
    assert total == COUNTS

    again = gaia.Pipeline("again")
    stored = again.read_table(tmp_path / "out" / "t", type=WordCount, name="stored")
    stored.write("copy", gaia.JSONL).with_mod_n_sharding(2, "word")
    copy = gaia.LocalRunner(tmp_path / "again", workers=0).run(again)["copy"]
    key = attrs.astuple
    assert sorted(copy.records(), key=key) == sorted(result["t"].records(), key=key)
    assert result["t"].to_arrow().num_rows == len(result["t"])


def test_an_empty_shard_is_a_stream_without_batches(tmp_path: Path) -> None:
    table = write_table(
        tmp_path, [], lambda o: o.with_mod_n_sharding(2, "word"), format=gaia.ARROW, type=WordCount
    )
    assert list(table.records()) == []
    for file in (tmp_path / "out").glob("*.arrow"):
        assert pa.ipc.open_stream(file.read_bytes()).read_all().num_rows == 0


def test_a_shard_may_be_several_files(tmp_path: Path) -> None:
    rows = [WordCount("word" * (k % 9), k) for k in range(3000)]
    table = write_table(
        tmp_path,
        rows,
        lambda o: o.with_mod_n_sharding(1, "word").with_max_shard_size(0.01),
        format=gaia.ARROW,
    )
    [shard] = table.shards
    assert len(shard.files) > 5
    assert max(file.size for file in shard.files) <= 10_000
    for file in shard.files:
        pa.ipc.open_stream((tmp_path / "out" / file.path).read_bytes()).read_all()
    assert sorted(table.records(), key=lambda record: record.count) == rows


def test_the_same_run_makes_the_same_files(tmp_path: Path) -> None:
    def run(dest: Path, workers: int) -> dict[str, bytes]:
        write_table(
            dest,
            example_records(100),
            lambda o: o.with_mod_n_sharding(3, "text"),
            format=gaia.ARROW,
            compression=gaia.ZSTD,
            workers=workers,
        )
        return {name: data for name, data in tree(dest / "out").items() if name.endswith(".arrow")}

    assert run(tmp_path / "a", 0) == run(tmp_path / "b", 0)


def test_custom_shards_of_columns(tmp_path: Path) -> None:
    table = write_table(
        tmp_path, WORDS, lambda o: o.with_custom_sharding(lambda r: r.word), format=gaia.ARROW
    )
    assert {shard.key for shard in table.shards} == set(COUNTS)
    assert list(table.records("w3")) == [record for record in WORDS if record.word == "w3"]


def test_tasks_whose_datetimes_differ(tmp_path: Path) -> None:
    naive, east = datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 1, tzinfo=EAST)
    rows = [Moment(naive), Moment(east)]

    def one(output: Any) -> Any:
        return output.with_mod_n_sharding(1, "x")

    with pytest.raises(gaia.OutputError, match=r"table `out`: .* one kind in field `x`"):
        write_table(tmp_path, rows, one, format=gaia.ARROW, type=Moment)
    with pytest.raises(gaia.StepError, match="field `x`: expected a datetime without an offset"):
        write_table(tmp_path, rows * 20, one, format=gaia.ARROW)
    table = write_table(tmp_path, [Moment(None), Moment(east)], one, format=gaia.ARROW)
    assert list(table.records()) == [Moment(None), Moment(east)]


def test_a_class_that_is_not_there_is_made(tmp_path: Path) -> None:
    gone: Any = attrs.make_class("Gone", {n: attrs.field(type=tp) for n, (tp, _) in FIELDS.items()})
    rows = [gone(*attrs.astuple(record)) for record in example_records(20)]
    write_table(tmp_path, rows, lambda o: o.with_mod_n_sharding(2, "text"), format=gaia.ARROW)
    made = list(gaia.read_table(tmp_path / "out").records())
    assert sorted(record.count for record in made) == sorted(record.count for record in rows)
    first = next(record for record in made if record.count == rows[1].count)
    assert (first.color, first.level, first.tags) == ("grün", 2, ["a"])
    assert first.maybe_tags is None or isinstance(first.maybe_tags, list)


def test_damaged_tables_name_their_file(tmp_path: Path) -> None:
    table = write_table(
        tmp_path, WORDS, lambda o: o.with_mod_n_sharding(1, "word"), format=gaia.ARROW
    )
    [file] = (tmp_path / "out").glob("*.arrow")
    data = bytearray(file.read_bytes())
    data[400:416] = b"\xff" * 16
    file.write_bytes(data)
    with pytest.raises(
        gaia.InputError, match=r"out-00000-of-00001.arrow is damaged: .*at byte \d+"
    ):
        list(table.records())
    pipeline = gaia.Pipeline("p")
    stored = pipeline.read_table(tmp_path / "out", type=WordCount, name="stored")
    stored.write("copy", gaia.TXT).with_mod_n_sharding(1, "word")
    with pytest.raises(gaia.InputError, match=r"arrow is damaged at position \d+: .*at byte \d+"):
        gaia.LocalRunner(tmp_path / "again", workers=0).run(pipeline)
    file.write_bytes(data[:-1])
    with pytest.raises(gaia.InputError, match="is damaged: it was written with"):
        list(table.records())
    file.unlink()
    with pytest.raises(gaia.InputError, match="cannot read"):
        list(table.records())


class Odd:
    def __init__(self, text: str) -> None:
        self.text = text

    def to_text(self) -> str:
        return self.text

    @classmethod
    def from_text(cls, text: str) -> "Odd":
        return cls(text)


def test_what_does_not_go_together_is_refused() -> None:
    pipeline = gaia.Pipeline("p")
    words = pipeline.from_records(WORDS, name="words")
    with pytest.raises(gaia.PipelineError, match=r"gaia\.ARROW, got gaia\.GZIP"):
        words.write("a", gaia.ARROW).and_compress(gaia.GZIP)
    for format in (gaia.TXT, gaia.JSONL):
        with pytest.raises(gaia.PipelineError, match=f"gaia.{format.name}, got gaia.LZ4"):
            words.write(format.value, format).and_compress(gaia.LZ4)
    with pytest.raises(gaia.PipelineError, match="expected a LZ4 level from 0 to 0"):
        words.write("b", gaia.ARROW).and_compress(gaia.LZ4, 3)
    odd = pipeline.from_records([Odd("a")], name="odd")
    with pytest.raises(gaia.PipelineError, match="columns can hold, but `Odd` has only its own"):
        odd.write("c", gaia.ARROW)
    output = words.write("d", gaia.ARROW).with_mod_n_sharding(2, "word").and_compress(gaia.LZ4)
    assert output.name == "d"
