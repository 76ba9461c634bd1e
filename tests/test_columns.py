"""Records as columns: to and from Python, NumPy and Arrow."""

import array
import dataclasses
import datetime
import enum
import gc
import io
import json
import typing
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaia._core import Batch, Codec
from gaia.pipeline.records import record_type

pytestmark = pytest.mark.libraries

settings.register_profile("steady", deadline=None, database=None)
settings.load_profile("steady")


@pytest.fixture(autouse=True, scope="module")
def libraries() -> None:
    """They start threads, beside which the workers of other tests are not forked."""
    global np, pa, pd, pl
    import numpy as np
    import pandas as pd
    import polars as pl
    import pyarrow as pa


class Color(enum.Enum):
    RED = "red"
    GREEN = "grün"


class Level(enum.IntEnum):
    LOW = -1
    HIGH = 2


@attrs.frozen
class WordCount:
    word: str
    count: int


def zone(minutes: float) -> datetime.timezone:
    return datetime.timezone(datetime.timedelta(minutes=minutes))


AWARE = [zone(0), zone(330), zone(-0.75), datetime.UTC]
ints = st.integers(-(2**63), 2**63 - 1)
naive = st.datetimes()
aware = st.datetimes(
    datetime.datetime(2, 1, 1), datetime.datetime(9998, 1, 1), timezones=st.sampled_from(AWARE)
)

# Annotation, values of it, Arrow type.
KINDS: dict[str, tuple[Any, st.SearchStrategy[Any], str]] = {
    "text": (str, st.text(), "string"),
    "raw": (bytes, st.binary(), "binary"),
    "count": (int, ints, "int64"),
    "share": (float, st.floats(allow_nan=False), "double"),
    "flag": (bool, st.booleans(), "bool"),
    "day": (datetime.date, st.dates(), "date32[day]"),
    "time": (datetime.datetime, naive, "timestamp[us]"),
    "moment": (datetime.datetime, aware, "timestamp[us, tz=UTC]"),
    "color": (Color, st.sampled_from(Color), "string"),
    "level": (Level, st.sampled_from(Level), "int64"),
    "tags": (list[str], st.lists(st.text(), max_size=2), "string"),
}
FIELDS = {
    **{name: (tp, values) for name, (tp, values, _) in KINDS.items()},
    **{f"maybe_{name}": (tp | None, st.none() | v) for name, (tp, v, _) in KINDS.items()},
}
ANNOTATIONS = {name: tp for name, (tp, _) in FIELDS.items()}


def _plain() -> type:
    return type("Record", (), {"__annotations__": ANNOTATIONS})


Record: Any = attrs.frozen(_plain())
FLAVOURS = {
    "attrs": Record,
    "attrs without slots": attrs.define(slots=False)(_plain()),
    "dataclass": dataclasses.dataclass(_plain()),
    "NamedTuple": typing.NamedTuple("Record", list(ANNOTATIONS.items())),
    "Struct": msgspec.defstruct("Record", list(ANNOTATIONS.items())),
}
rows = st.lists(st.fixed_dictionaries({n: values for n, (_, values) in FIELDS.items()}), max_size=5)


def codec(tp: Any) -> Codec:
    return Codec(record_type(tp), "txt")


def one_field(tp: Any) -> Codec:
    return codec(attrs.make_class("Row", {"x": attrs.field(type=tp)}))


def column(tp: Any, values: Any) -> Any:
    """What a column of that type makes of values, or of what a function returns."""
    return Batch.of(one_field(tp), x=values() if callable(values) else values)["x"]


def word_counts() -> Batch[WordCount]:
    return Batch.from_records(codec(WordCount), [WordCount("a", 1), WordCount("é", -2)])


@pytest.mark.parametrize("cls", FLAVOURS.values(), ids=FLAVOURS)
@settings(max_examples=25)
@given(rows=rows)
def test_records_of_any_class_come_back(cls: type, rows: list[dict[str, Any]]) -> None:
    records = [cls(**row) for row in rows]
    batch = Batch.from_records(codec(cls), records)
    assert len(batch) == len(records)
    assert list(batch.records()) == records
    assert [type(record) for record in batch.records()] == [cls] * len(records)


@settings(max_examples=50)
@given(rows=rows)
def test_a_column_holds_the_values_of_the_records(rows: list[dict[str, Any]]) -> None:
    batch = Batch.from_records(codec(Record), [Record(**row) for row in rows])
    for name in FIELDS:
        values = [row[name] for row in rows]
        assert batch[name].to_list() == values
        assert list(batch[name]) == values
        assert len(batch[name]) == len(values)
        assert np.asarray(batch[name]).tolist() == values


@settings(max_examples=50)
@given(rows=rows, pack=st.sampled_from([list, tuple]))
def test_columns_are_taken_from_lists(rows: list[dict[str, Any]], pack: Any) -> None:
    columns = {name: pack(row[name] for row in rows) for name in FIELDS}
    batch = Batch.of(codec(Record), **columns)
    assert list(batch.records()) == [Record(**row) for row in rows]


@settings(max_examples=50)
@given(rows=rows)
def test_columns_are_taken_from_another_batch(rows: list[dict[str, Any]]) -> None:
    batch = Batch.from_records(codec(Record), [Record(**row) for row in rows])
    again = Batch.of(codec(Record), **{name: batch[name] for name in FIELDS})
    assert list(again.records()) == list(batch.records())


def from_arrow(name: str, value: Any) -> Any:
    """The value that stands for this one in Arrow."""
    if value is None:
        return None
    read = {"color": Color, "level": Level, "tags": json.loads}
    return read.get(name.removeprefix("maybe_"), lambda same: same)(value)


@settings(max_examples=50)
@given(rows=rows)
def test_arrow_has_the_values_in_types_of_the_fields(rows: list[dict[str, Any]]) -> None:
    batch = Batch.from_records(codec(Record), [Record(**row) for row in rows])
    arrow = pa.record_batch(batch)
    arrow.validate(full=True)
    back = [{name: from_arrow(name, v) for name, v in row.items()} for row in arrow.to_pylist()]
    assert back == rows
    for name, (_, _, tp) in KINDS.items():
        for field in arrow.schema.field(name), arrow.schema.field(f"maybe_{name}"):
            assert field.nullable == field.name.startswith("maybe_")
            empty = all(row[field.name] is None for row in rows)
            assert str(field.type) == ("timestamp[us]" if name == "moment" and empty else tp)
            assert pa.array(batch[field.name]).equals(arrow.column(field.name))


def chunked(array: Any) -> Any:
    return pa.chunked_array([array[:1], array[1:], array[:0]], array.type)


FORMS: dict[str, Callable[[Any], Any]] = {
    "array": lambda array: array,
    "slice": lambda array: pa.concat_arrays([array[:1], array])[min(1, len(array)) :],
    "chunks": chunked,
    "polars": lambda array: pl.Series(array),
    "dictionary": lambda array: array.dictionary_encode(),
    "chunks of dictionaries": lambda array: chunked(array).dictionary_encode(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@settings(max_examples=25)
@given(rows=rows)
def test_columns_are_taken_from_arrow(form: Any, rows: list[dict[str, Any]]) -> None:
    batch = Batch.from_records(codec(Record), [Record(**row) for row in rows])
    columns = {name: form(pa.array(batch[name])) for name in FIELDS if "tags" not in name}
    tags = {name: batch[name] for name in FIELDS if "tags" in name}
    again = Batch.of(codec(Record), **columns, **tags)
    assert list(again.records()) == list(batch.records())


@pytest.mark.parametrize(
    ("tp", "given", "values"),
    [
        (str, lambda: pa.array(["a", "é" * 20]).cast(pa.large_string()), ["a", "é" * 20]),
        (str, lambda: pa.array(["a", "é" * 20]).cast(pa.string_view()), ["a", "é" * 20]),
        (bytes, lambda: pa.array([b"\xff", b""], pa.large_binary()), [b"\xff", b""]),
        (str | None, lambda: pa.array([None, None], pa.null()), [None, None]),
        (bool, lambda: pa.array([True] * 9 + [False] * 3)[7:], [True, True, False, False, False]),
        (float, lambda: pa.array([1.5], pa.float32()), [1.5]),
        (float, lambda: pa.array([1, 2]), [1.0, 2.0]),
        (int, lambda: pa.array([2**63 - 1], pa.uint64()), [2**63 - 1]),
        (int, lambda: pa.array([True]), [1]),
        (datetime.datetime, lambda: pa.array([-1], pa.timestamp("s")), ["1969-12-31T23:59:59"]),
        (
            datetime.datetime,
            lambda: pa.array([1500], pa.timestamp("ms")),
            ["1970-01-01T00:00:01.500000"],
        ),
        (
            datetime.datetime,
            lambda: pa.array([7000], pa.timestamp("ns")),
            ["1970-01-01T00:00:00.000007"],
        ),
        (
            datetime.datetime,
            lambda: pa.array([0], pa.timestamp("us", "Europe/Berlin")),
            ["1970-01-01T00:00:00+00:00"],
        ),
        (list[int], lambda: pa.array([[1], []]), [[1], []]),
        (dict[str, int], lambda: pa.array([{"a": 1}]), [{"a": 1}]),
        (list[int], lambda: pl.Series([[1], [2]]), [[1], [2]]),
        (Color, lambda: pl.Series(["red"], dtype=pl.Categorical), [Color.RED]),
        (str, lambda: pd.Series(["a", "b"]), ["a", "b"]),
        (int | None, lambda: pd.Series([1, None], dtype="Int64"), [1, None]),
        (int, lambda: pd.Series([1, 2]), [1, 2]),
        (
            datetime.datetime,
            lambda: pd.Series(pd.to_datetime(["2026-01-02"])),
            ["2026-01-02T00:00:00"],
        ),
    ],
)
def test_other_types_of_arrow_are_converted_without_loss(
    tp: Any, given: Any, values: list[Any]
) -> None:
    if tp is datetime.datetime:
        values = [datetime.datetime.fromisoformat(value) for value in values]
    assert column(tp, given).to_list() == values


def test_nan_of_pandas_stays_nan() -> None:
    assert str(column(float, pd.Series([1.0, float("nan")])).to_list()) == "[1.0, nan]"


INTS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]


@pytest.mark.parametrize("dtype", [*INTS, "?", ">i4", "<u2"])
@pytest.mark.parametrize("step", [1, 2, -1, -3])
def test_ints_of_numpy_are_taken_of_any_width_and_stride(dtype: str, step: int) -> None:
    given = np.arange(10).astype(dtype)[::step]
    assert column(int, given).to_list() == given.tolist()
    assert column(float, given).to_list() == given.tolist()
    assert column(int, given.reshape(-1, 1)[:, 0]).to_list() == given.tolist()


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8"])
def test_floats_of_numpy_are_taken_of_any_width(dtype: str) -> None:
    given = np.array([0.5, -0.0, np.inf, 2.0**-10]).astype(dtype)[::-1]
    assert column(float, given).to_list() == given.tolist()


@pytest.mark.parametrize(
    ("tp", "given"),
    [
        (bool, lambda: np.array([True, False, True])[::2]),
        (str, lambda: np.array(["a", "é\0b"])),
        (str, lambda: np.array(["a", "b"], dtype=object)),
        (str | None, lambda: np.array(["a", None])),
        (bytes, lambda: np.array([b"a", b"bc"])),
        (list[int], lambda: np.arange(4).reshape(2, 2)),
        (int | None, lambda: np.ma.array([1, 2, 3], mask=[False, True, False])),
        (datetime.datetime, lambda: np.array(["2026-01-02"], "datetime64[us]")),
        (datetime.date, lambda: np.array(["2026-01-02"], "datetime64[D]")),
        (int, array.array("h", [1, -2])),
        (int, memoryview(b"ab")),
    ],
)
def test_other_arrays_are_taken(tp: Any, given: Any) -> None:
    given = given() if callable(given) else given
    assert column(tp, given).to_list() == given.tolist()


@given(st.lists(st.integers(-(2**63), 2**64 - 1)), st.sampled_from(["i8", "u8", "f8"]))
def test_ints_are_converted_as_python_does_it(values: list[int], dtype: str) -> None:
    tp = float if dtype == "f8" else int
    try:
        given = np.array(values, "u8" if all(value >= 0 for value in values) else "i8")
    except OverflowError:
        return
    fits = [float(v) == v if tp is float else v < 2**63 for v in values]
    for form in given, pa.array(given):
        if all(fits):
            assert column(tp, form).to_list() == values
        else:
            with pytest.raises(ValueError, match=f"row {fits.index(False)}: field `x`: "):
                column(tp, form)


def test_one_value_stands_for_every_row() -> None:
    batch = Batch.of(codec(WordCount), word=["a", "b"], count=7)
    assert list(batch.records()) == [WordCount("a", 7), WordCount("b", 7)]
    assert np.asarray(batch["count"]).tolist() == [7, 7]
    assert pa.record_batch(batch).to_pydict() == {"word": ["a", "b"], "count": [7, 7]}
    assert list(Batch.of(codec(WordCount), word="ab", count=1).records()) == [WordCount("ab", 1)]
    assert len(Batch.of(codec(WordCount), word="ab", count=[])) == 0


@settings(max_examples=50)
@given(row=st.fixed_dictionaries({name: values for name, (_, values) in FIELDS.items()}))
def test_one_value_may_be_of_any_type(row: dict[str, Any]) -> None:
    values = {name: [value] if "tags" in name else value for name, value in row.items()}
    assert list(Batch.of(codec(Record), **values).records()) == [Record(**row)]
    values = {name: [value] * 3 if "tags" in name else value for name, value in row.items()}
    batch = Batch.of(codec(Record), **values)
    assert list(batch.records()) == [Record(**row)] * 3
    pa.record_batch(batch).validate(full=True)


@pytest.mark.parametrize(
    ("tp", "values"),
    [
        (str, ["a", "é"]),
        (bytes, [b"a"]),
        (int, [1]),
        (float, [1.5]),
        (bool, [True]),
        (dict, [{"a": 1}]),
    ],
)
def test_single_values_are_a_column_named_value(tp: type, values: list[Any]) -> None:
    for batch in Batch.from_records(codec(tp), values), Batch.of(codec(tp), value=values):
        assert batch.column_names == ("value",)
        assert list(batch.records()) == batch["value"].to_list() == values


@pytest.mark.parametrize(
    ("tp", "values", "dtype"),
    [
        (int, [1, -(2**63)], "int64"),
        (float, [0.5, float("inf")], "float64"),
        (bool, [True, False], "bool"),
    ],
)
def test_numpy_sees_numbers_where_they_are(tp: type, values: list[Any], dtype: Any) -> None:
    numbers = column(tp, values)
    seen = np.asarray(numbers)
    assert seen.dtype == dtype
    assert seen.dtype.char == np.dtype(dtype).char
    assert np.shares_memory(seen, np.asarray(numbers))
    assert not seen.flags.writeable
    assert np.asarray(numbers.__array__()).tolist() == values
    assert not np.shares_memory(numbers.__array__(copy=True), seen)
    assert np.asarray(numbers, dtype=object).tolist() == values
    del numbers
    gc.collect()
    assert seen.tolist() == values


@pytest.mark.parametrize("tp", [int, float])
def test_arrow_sees_numbers_where_they_are(tp: type) -> None:
    numbers = column(tp, [1, 2])
    address = np.asarray(numbers).__array_interface__["data"][0]
    for seen in pa.array(numbers), pl.Series(numbers).to_arrow():
        assert seen.buffers()[1].address == address


def test_a_buffer_is_what_was_asked_for() -> None:
    numbers = column(int, [1, -1])
    view = memoryview(numbers)
    assert (view.shape, view.strides, view.itemsize, view.readonly) == ((2,), (8,), 8, True)
    assert view.tolist() == [1, -1]
    assert bytes(numbers) == np.array([1, -1]).tobytes()
    assert memoryview(column(bool, [True, False])).tolist() == [True, False]
    assert np.asarray(column(float, [])).shape == (0,)
    with pytest.raises((BufferError, TypeError), match=r"writable|read-write"):
        io.BytesIO(b"12345678").readinto(numbers)


@pytest.mark.parametrize(("tp", "values"), [(int | None, [1, None]), (str, ["a"])])
def test_what_is_no_array_in_memory_is_copied(tp: Any, values: list[Any]) -> None:
    with pytest.raises(BufferError, match="only a column of int, float or bool without None"):
        memoryview(column(tp, values))
    with pytest.raises(ValueError, match=r"Column\(.*\) is no array in memory"):
        np.array(column(tp, values), copy=False)
    assert np.asarray(column(tp, values)).dtype == object
    assert np.asarray(column(tp, values), dtype="U").tolist() == list(map(str, values))


def test_what_is_read_from_a_batch_outlives_it() -> None:
    batch = word_counts()
    arrow, frame = pa.record_batch(batch), pl.DataFrame(batch)
    words, counts = batch["word"], np.asarray(batch["count"])
    records = batch.records()
    assert next(records) == WordCount("a", 1)
    del batch
    gc.collect()
    assert arrow.to_pydict() == {"word": ["a", "é"], "count": [1, -2]}
    assert frame.to_dict(as_series=False) == {"word": ["a", "é"], "count": [1, -2]}
    assert (words.to_list(), counts.tolist()) == (["a", "é"], [1, -2])
    assert list(records) == [WordCount("é", -2)]


def test_other_libraries_take_a_batch_as_a_table() -> None:
    batch = word_counts()
    expected = {"word": ["a", "é"], "count": [1, -2]}
    assert pa.table(batch).to_pydict() == expected
    assert pa.table(batch).to_pandas().to_dict("list") == expected
    assert pl.DataFrame(batch).to_dict(as_series=False) == expected
    assert pl.Series(batch["word"]).to_list() == expected["word"]
    again = Batch.of(codec(WordCount), **{name: pl.DataFrame(batch)[name] for name in expected})
    assert list(again.records()) == list(batch.records())


def test_a_batch_says_what_it_is() -> None:
    batch = word_counts()
    assert repr(batch) == "Batch[WordCount](2 records: word, count)"
    assert repr(batch["word"]) == 'Column("word", 2 values)'
    assert batch.column_names == ("word", "count")
    with pytest.raises(KeyError, match='no column "words"; there is word, count'):
        batch["words"]


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"word": "a", "n": 1}, TypeError, "the fields word, count of `WordCount`, got word, n"),
        ({"word": "a"}, TypeError, "the fields word, count of `WordCount`, got word"),
        ({"word": "a", "count": 1, "n": 1}, TypeError, "got word, count, n"),
        ({}, TypeError, "expected the fields word, count of `WordCount`, got none"),
        (
            {"word": ["a"] * 3, "count": [1, 2]},
            ValueError,
            "`word` has 3 values, `count` has 2",
        ),
    ],
)
def test_other_columns_than_the_fields_are_refused(columns: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=f"^Batch.of: .*{message}$"):
        Batch.of(codec(WordCount), **columns)


def test_a_class_without_fields_has_no_columns() -> None:
    class Own:
        def to_text(self) -> str:
            return ""

        @classmethod
        def from_text(cls, text: str) -> "Own":
            return cls()

    with pytest.raises(TypeError, match="`Own` has no fields, and so no columns"):
        Batch.of(codec(Own))


BEYOND = "the column tier holds ints of 64 bits, got one beyond"
WHOLE = "expected a datetime of whole microseconds in the years 1 to 9999"
REFUSED = [
    (str, ["a", b"b"], TypeError, "row 1: field `x`: expected `str`, got `bytes`"),
    (str, ["a", None], TypeError, "row 1: field `x`: expected `str`, got `NoneType`"),
    (str, ["a", "\ud800"], ValueError, "row 1: field `x`: .*lone surrogates"),
    (str, (word for word in "ab"), TypeError, "field `x`: expected `str`, got `generator`"),
    (str, bytearray(b"a"), TypeError, "field `x`: expected `str`, got `bytearray`"),
    (bytes, "a", TypeError, "field `x`: expected `bytes`, got `str`"),
    (int, ["1"], TypeError, "row 0: field `x`: expected `int`, got `str`"),
    (int, [1, 2.0], TypeError, "row 1: field `x`: expected `int`, got `float`"),
    (int, [1, 2**63], ValueError, f"row 1: field `x`: {BEYOND}"),
    (int, -(2**63) - 1, ValueError, f"field `x`: {BEYOND}"),
    (int, b"a", TypeError, "field `x`: expected `int`, got `bytes`"),
    (int, None, TypeError, "field `x`: expected `int`, got `NoneType`"),
    (float, ["1"], TypeError, "row 0: field `x`: expected `float`, got `str`"),
    (float, 2**53 + 1, ValueError, "field `x`: no float is equal to this int"),
    (bool, [1], TypeError, "row 0: field `x`: expected `bool`, got `int`"),
    (datetime.date, ["2026-01-02"], TypeError, "row 0: field `x`: expected `date`, got `str`"),
    (Color, ["red"], TypeError, "row 0: field `x`: expected `Color`, got `str`"),
    (list[int], [[1], ["a"]], TypeError, "row 1: field `x`: .*`int`, got `str`"),
    (int, lambda: np.array([1.0]), TypeError, "field `x`: expected `int`, got an array of float64"),
    (bool, lambda: np.array([1]), TypeError, "field `x`: expected `bool`, got an array of int64"),
    (str, lambda: np.array([1]), TypeError, "row 0: field `x`: expected `str`, got `int`"),
    (
        int,
        lambda: np.zeros((2, 2), int),
        ValueError,
        "expected an array of one dimension, got one of 2",
    ),
    (int, lambda: np.ma.array([1], mask=[True]), TypeError, "row 0: field `x`: .*got `NoneType`"),
    (float, lambda: np.array([1j]), TypeError, "row 0: field `x`: expected `float`, got `complex`"),
    (int, lambda: pa.array([1.0]), TypeError, "field `x`: expected `int`, got an array of Float64"),
    (
        int,
        lambda: pa.array([1, None]),
        TypeError,
        "row 1: field `x`: expected `int`, got `NoneType`",
    ),
    (int, lambda: pa.nulls(1), TypeError, "row 0: field `x`: expected `int`, got `NoneType`"),
    (str, lambda: pa.array([1])[:0], TypeError, "field `x`: expected `str`, got an array of Int64"),
    (
        str,
        lambda: pa.table({"x": ["a"]}),
        TypeError,
        "field `x`: expected `str`, got an array of Struct",
    ),
    (
        int,
        lambda: pa.chunked_array([[1], [2, None]]),
        TypeError,
        "row 2: field `x`: expected `int`",
    ),
    (
        bytes,
        lambda: pa.array(["a"]),
        TypeError,
        "field `x`: expected `bytes`, got an array of Utf8",
    ),
    (datetime.date, lambda: pa.array(["a"]), TypeError, "expected `date`, got an array of Utf8"),
    (
        datetime.date,
        lambda: pa.array([-(10**6)], pa.date32()),
        ValueError,
        "row 0: .*years 1 to 9999",
    ),
    (datetime.datetime, lambda: pa.array([1], pa.timestamp("ns")), ValueError, f"row 0: .*{WHOLE}"),
    (datetime.datetime, lambda: pa.array([10**18], pa.timestamp("s")), ValueError, WHOLE),
    (
        Color,
        lambda: pa.array(["red", "blue"]),
        ValueError,
        "row 1: .*a value of `Color`, got 'blue'",
    ),
    (
        Level,
        lambda: pa.array([-1, 5]),
        ValueError,
        "row 1: field `x`: .*a value of `Level`, got '5'",
    ),
    (Level, lambda: pa.array(["-1"]), TypeError, "expected `Enum` of `int`, got an array of Utf8"),
]


@pytest.mark.parametrize(("tp", "given", "error", "message"), REFUSED)
def test_a_column_that_does_not_fit_is_refused(
    tp: Any, given: Any, error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        column(tp, given)


def test_text_of_arrow_that_is_not_utf8_is_refused() -> None:
    buffers = [None, pa.py_buffer(np.array([0, 1, 2], "i4")), pa.py_buffer(b"a\xff")]
    with pytest.raises(ValueError, match="row 1: field `x`: the text is not UTF-8"):
        column(str, pa.Array.from_buffers(pa.string(), 2, buffers))


def test_a_stream_that_fails_says_why() -> None:
    def batches() -> Iterator[Any]:
        raise OSError("the disk is gone")
        yield

    reader = pa.RecordBatchReader.from_batches(pa.schema({"x": pa.string()}), batches())
    with pytest.raises(ValueError, match="the disk is gone"):
        column(str, reader)


def test_an_int_beyond_64_bits_is_refused_in_records() -> None:
    with pytest.raises(ValueError, match=f"field `count`: {BEYOND}"):
        Batch.from_records(codec(WordCount), [WordCount("a", 1), WordCount("a", 2**63)])


def test_a_record_of_another_class_is_refused() -> None:
    with pytest.raises(TypeError, match="expected `WordCount`, got `str`"):
        Batch.from_records(codec(WordCount), ["a"])


def test_arrow_has_datetimes_with_offsets_or_without() -> None:
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 6)
    mixed = column(datetime.datetime, [moment, moment.replace(tzinfo=datetime.UTC)])
    with pytest.raises(ValueError, match=r"row 1: field `x`: .*offset from UTC or without"):
        pa.array(mixed)


def test_a_datetime_that_is_written_in_another_way_is_read_as_python_reads_it() -> None:
    class Spaced(datetime.datetime):
        def isoformat(self, sep: str = " ", timespec: str = "minutes") -> str:
            return super().isoformat(sep, timespec)

    spaced = column(datetime.datetime, [Spaced(2026, 1, 2, 3, 4, tzinfo=zone(60))])
    assert pa.array(spaced).to_pylist() == [
        datetime.datetime(2026, 1, 2, 2, 4, tzinfo=datetime.UTC)
    ]


def test_an_offset_stays_when_a_column_goes_from_batch_to_batch() -> None:
    moment = datetime.datetime(2026, 1, 2, tzinfo=zone(60))
    moments = column(datetime.datetime, [moment])
    assert column(datetime.datetime, moments).to_list()[0].isoformat() == moment.isoformat()


def test_columns_of_another_kind_are_converted() -> None:
    assert column(float, column(int, [1, 2])).to_list() == [1.0, 2.0]
    assert column(str | None, column(str, ["a"])).to_list() == ["a"]
    assert column(str, column(str | None, ["a"])).to_list() == ["a"]
    assert column(list[int], column(list[int] | None, [[1]])).to_list() == [[1]]
    with pytest.raises(TypeError, match="row 1: field `x`: expected `str`, got `NoneType`"):
        column(str, column(str | None, ["a", None]))
    with pytest.raises(TypeError, match="field `x`: expected `int`, got an array of Utf8"):
        column(int, column(str, ["1"]))


def test_arrow_that_another_reader_has_consumed_is_refused() -> None:
    class Once:
        capsules = pa.array(["a"]).__arrow_c_array__()

        def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
            return self.capsules

    assert pa.array(Once()).to_pylist() == ["a"]
    with pytest.raises(ValueError, match="some that another reader has consumed"):
        column(str, Once())
