"""Records as lines of text, and back."""

import dataclasses
import datetime
import enum
import functools
import math
import sys
import typing
from typing import Any, NamedTuple

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gaia
from gaia._core import Codec
from gaia.pipeline.names import UnsupportedTypeError
from gaia.pipeline.records import record_type

settings.register_profile("steady", deadline=None, database=None)
settings.load_profile("steady")

HUGE = 10 ** sys.get_int_max_str_digits()


class Color(enum.Enum):
    RED = "red"
    TABBED = "a\tb"
    NULL = "\\N"


class Level(enum.Enum):
    LOW = -1
    HIGH = 2


@attrs.frozen
class Point:
    x: int
    label: str | None


class Pair(NamedTuple):
    left: float
    right: Point


class Person(msgspec.Struct, rename="camel"):
    first_name: str
    home: Point


texts = st.text() | st.text("\\Nntrx\t\r\n") | st.sampled_from(["", "\\N", "\r", "\U0001f600"])
finite = st.floats(allow_nan=False, allow_infinity=False)
offsets = st.integers(-1439, 1439).map(lambda m: datetime.timezone(datetime.timedelta(minutes=m)))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
points = st.builds(Point, st.integers(), st.none() | texts)

SINGLE: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    bytes: st.binary(),
    int: st.integers() | st.integers(-(2**80), 2**80),
    float: finite,
    bool: st.booleans(),
    datetime.datetime: st.datetimes() | st.datetimes(timezones=offsets),
    datetime.date: st.dates(),
    Color: st.sampled_from(Color),
    Level: st.sampled_from(Level),
    list[int]: st.lists(st.integers(), max_size=3),
    list[bytes]: st.lists(st.binary(), max_size=3),
    dict[str, float]: st.dictionaries(texts, finite, max_size=3),
    dict[int, str]: st.dictionaries(st.integers(), texts, max_size=3),
    Point: points,
    list[Point]: st.lists(points, max_size=2),
    Pair: st.builds(Pair, finite, points),
    Person: st.builds(Person, texts, points),
    int | str: st.integers() | texts,
}
FIELDS = {
    **{f"field_{i}": field for i, field in enumerate(SINGLE.items())},
    **{f"maybe_{i}": (tp | None, st.none() | s) for i, (tp, s) in enumerate(SINGLE.items())},
}
ANNOTATIONS = {name: tp for name, (tp, _) in FIELDS.items()}


def _plain() -> type:
    return type("Record", (), {"__annotations__": ANNOTATIONS})


def _hooked() -> type:
    cls = _plain()
    cls.__attrs_post_init__ = lambda self: None
    return attrs.define(cls)


FLAVOURS = {
    "attrs": attrs.define(_plain()),
    "frozen attrs": attrs.frozen(_plain()),
    "attrs without slots": attrs.define(slots=False)(_plain()),
    "attrs with hook": _hooked(),
    "attrs with cached hash": attrs.frozen(cache_hash=True, eq=True)(_plain()),
    "dataclass": dataclasses.dataclass(_plain()),
    "frozen dataclass": dataclasses.dataclass(frozen=True)(_plain()),
    "dataclass with slots": dataclasses.dataclass(slots=True)(_plain()),
    "NamedTuple": typing.NamedTuple("Record", list(ANNOTATIONS.items())),
    "Struct": msgspec.defstruct("Record", list(ANNOTATIONS.items())),
    "renamed Struct": msgspec.defstruct("Record", list(ANNOTATIONS.items()), rename="camel"),
    "tagged Struct": msgspec.defstruct("Record", list(ANNOTATIONS.items()), tag=True),
    "array-like Struct": msgspec.defstruct("Record", list(ANNOTATIONS.items()), array_like=True),
}


@functools.cache
def one_field(tp: Any) -> type:
    return attrs.make_class("Row", {"x": attrs.field(type=tp)}, slots=True)


def codec(tp: Any) -> Codec:
    return Codec(record_type(tp), "txt")


def through(record: Any, tp: Any = None) -> Any:
    """The record that comes back from the line that it is written as."""
    line = codec(tp or type(record)).encode(record)
    assert b"\n" not in line
    back = codec(tp or type(record)).decode(line)
    assert type(back) is type(record)
    return back


@pytest.mark.parametrize("cls", FLAVOURS.values(), ids=FLAVOURS)
@settings(max_examples=25)
@given(values=st.fixed_dictionaries({name: values for name, (_, values) in FIELDS.items()}))
def test_a_record_of_any_class_and_any_fields_comes_back(cls: type, values: dict[str, Any]) -> None:
    record = cls(**values)
    assert through(record) == record


@given(st.text().filter(lambda text: "\n" not in text))
def test_a_str_is_its_own_line(text: str) -> None:
    assert codec(str).encode(text) == text.encode()
    assert through(text) == text


@given(st.binary().filter(lambda raw: b"\n" not in raw))
def test_bytes_are_their_own_line(raw: bytes) -> None:
    assert codec(bytes).encode(raw) == raw
    assert through(raw) == raw


@given(st.integers() | st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1, HUGE // 10]))
def test_an_int_is_written_in_decimal(number: int) -> None:
    assert codec(int).encode(number) == str(number).encode()
    assert through(number) == number


@given(st.floats())
def test_every_float_comes_back_bit_for_bit(number: float) -> None:
    for back in (through(number), through(one_field(float)(number)).x):
        assert math.isnan(back) if math.isnan(number) else back.hex() == number.hex()


@given(st.booleans())
def test_a_bool_comes_back(value: bool) -> None:
    assert through(value) is value


@given(st.dictionaries(texts, json_values, max_size=4))
def test_a_dict_comes_back(value: dict[str, Any]) -> None:
    assert repr(through(value)) == repr(value)


@given(st.datetimes(timezones=st.timezones()))
def test_a_datetime_keeps_its_offset(moment: datetime.datetime) -> None:
    assert through(one_field(datetime.datetime)(moment)).x.isoformat() == moment.isoformat()


def test_fields_are_separated_by_tabs_and_escaped_as_in_copy() -> None:
    row = attrs.make_class(
        "Row",
        {
            "text": attrs.field(type=str),
            "raw": attrs.field(type=bytes),
            "count": attrs.field(type=int | None),
            "tags": attrs.field(type=list[str]),
        },
    )
    line = codec(row).encode(row("a\tb\\c\r\n", b"\x00\xff~", None, ["é", "\n"]))
    assert line == b"a\\tb\\\\c\\r\\n\t\\x00\\xff~\t\\N\t" + '["é","\\\\n"]'.encode()


def test_the_text_backslash_n_is_told_from_none() -> None:
    row = one_field(str | None)
    assert through(row("\\N")).x == "\\N"
    assert through(row(None)).x is None


def test_validators_and_converters_run_when_a_record_is_read() -> None:
    @attrs.define
    class Row:
        size: int = attrs.field(validator=attrs.validators.gt(0))
        name: str = attrs.field(converter=str.lower)

    assert codec(Row).decode(b"1\tABC") == Row(1, "abc")
    with pytest.raises(ValueError, match="'size' must be > 0"):
        codec(Row).decode(b"0\tabc")


def test_post_init_runs_when_a_record_is_read() -> None:
    @dataclasses.dataclass
    class Row:
        name: str
        lengths: typing.ClassVar[list[int]] = []

        def __post_init__(self) -> None:
            self.lengths.append(len(self.name))

    assert codec(Row).decode(b"abc") == Row("abc")
    assert Row.lengths == [3, 3]


def test_fields_that_the_class_does_not_take_keep_their_values() -> None:
    @attrs.define
    class Attrs:
        a: int
        total: int = attrs.field(init=False, default=0)

    @dataclasses.dataclass(frozen=True)
    class Data:
        a: int
        total: int = dataclasses.field(init=False, default=0)

    for record in (Attrs(1), Data(1)):
        object.__setattr__(record, "total", 7)
        assert through(record) == record


def test_private_and_keyword_only_fields_come_back() -> None:
    @attrs.define
    class Row:
        _x: int
        _y: str = attrs.field(alias="why", kw_only=True)

    assert through(Row(1, why="b")) == Row(1, why="b")


def test_a_class_without_fields_is_refused() -> None:
    @attrs.define
    class Nothing:
        pass

    with pytest.raises(UnsupportedTypeError, match="`Nothing` has no fields"):
        record_type(Nothing)


def test_a_class_can_read_and_write_its_own_text() -> None:
    @attrs.define
    class Version:
        major: int
        minor: int

        def to_text(self) -> str:
            return f"v{self.major}.{self.minor}"

        @classmethod
        def from_text(cls, text: str) -> "Version":
            return cls(*map(int, text[1:].split(".")))

    assert codec(Version).encode(Version(3, 11)) == b"v3.11"
    assert through(Version(3, 11)) == Version(3, 11)
    with pytest.raises(ValueError, match="invalid literal"):
        codec(Version).decode(b"va.b")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("a\nb", ValueError, "newline"),
        ("\ud800", ValueError, "lone surrogates"),
        (b"a", TypeError, r"to_text\(\).*expected `str`, got `bytes`"),
    ],
)
def test_own_text_that_is_no_line_is_refused(text: Any, error: type, message: str) -> None:
    @attrs.define
    class Own:
        x: int

        def to_text(self) -> Any:
            return text

        @classmethod
        def from_text(cls, text: str) -> "Own":
            return cls(int(text))

    with pytest.raises(error, match=message):
        codec(Own).encode(Own(1))


def test_a_class_needs_both_own_functions() -> None:
    @attrs.define
    class Half:
        x: int

        def to_text(self) -> str:
            return ""

    with pytest.raises(UnsupportedTypeError, match="defines `to_text` but not `from_text`"):
        record_type(Half)


@pytest.mark.parametrize("record", ["a\nb", b"a\nb"])
def test_a_bare_newline_is_refused_with_a_way_out(record: Any) -> None:
    with pytest.raises(ValueError, match=r"newline.*write JSONL, or a class with a field"):
        codec(type(record)).encode(record)


@pytest.mark.parametrize(
    ("tp", "value", "message"),
    [
        (str, "a\ud800", "lone surrogates"),
        (list[str], ["\udfff"], "lone surrogates"),
        (dict, {"\ud800": 1}, "lone surrogates"),
        (int, HUGE, "digits"),
        (int, -HUGE, "digits"),
        (float, 10**400, "too large|float"),
        (list[float], [math.nan], "JSON has no NaN"),
    ],
    ids=["surrogate", "in list", "in key", "huge", "-huge", "huge float", "nan in list"],
)
def test_a_value_that_text_cannot_hold_is_refused_by_its_field(
    tp: Any, value: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=f"field `x`: .*({message})"):
        codec(one_field(tp)).encode(one_field(tp)(value))


@pytest.mark.parametrize(
    ("record", "message"), [("\ud800", "lone surrogates"), (HUGE, "digits")], ids=["str", "int"]
)
def test_a_bare_value_that_text_cannot_hold_is_refused(record: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        codec(type(record)).encode(record)


WRONG = [
    (str, b"a", "str", "bytes"),
    (str, None, "str", "NoneType"),
    (str | None, 1, "str", "int"),
    (bytes, "a", "bytes", "str"),
    (int, "1", "int", "str"),
    (int, 1.0, "int", "float"),
    (float, "1", "float", "str"),
    (bool, 1, "bool", "int"),
    (datetime.datetime, "2026-01-02", "datetime", "str"),
    (datetime.datetime, datetime.date(2026, 1, 2), "datetime", "date"),
    (datetime.date, "2026-01-02", "date", "str"),
    (datetime.date, datetime.datetime(2026, 1, 2), "date", "datetime"),
    (Color, "red", "Color", "str"),
    (Color, Level.LOW, "Color", "Level"),
    (list[int], "1", "list.*", "str"),
    (list[int], ["1"], "int", "str"),
    (dict[str, int], [1], "dict.*", "list"),
    (Point, "point", "Point", "str"),
    (int | str, [1], r"int \| str", "list"),
]


@pytest.mark.parametrize(("tp", "value", "expected", "got"), WRONG)
def test_a_field_of_another_type_is_refused(tp: Any, value: Any, expected: str, got: str) -> None:
    with pytest.raises(TypeError, match=f"(?i)field `x`.*expected `{expected}`, got `{got}`"):
        codec(one_field(tp)).encode(one_field(tp)(value))


@pytest.mark.parametrize("tp", [str, bytes, int, float, bool, dict, Point])
def test_a_record_of_another_type_is_refused(tp: type) -> None:
    with pytest.raises(TypeError, match=r"expected `.+`, got `object`"):
        codec(tp).encode(object())


def test_a_subclass_is_refused_because_it_would_come_back_as_less() -> None:
    @attrs.define
    class Base:
        x: int

    @attrs.define
    class More(Base):
        y: int

    with pytest.raises(TypeError, match="expected `Base`, got `More`"):
        codec(Base).encode(More(1, 2))


BAD = [
    (int, b"abc", 'expected `int`, got "abc"'),
    (int, b"", 'expected `int`, got ""'),
    (int, b"\\N", "expected `int`, got"),
    (float, b"1,5", 'expected `float`, got "1,5"'),
    (bool, b"True", 'expected `bool`, got "True"'),
    (str, b"\\N", r"expected a value, got `\\N` \(None\)"),
    (str, b"a\\q", r"expected an escape.*got `\\q`"),
    (str | None, b"a\\", "expected an escape.*at the end"),
    (bytes, b"\\x4", "expected two hexadecimal digits"),
    (bytes, b"\\xg0", "expected two hexadecimal digits"),
    (str, b"\xff", "utf-?8"),
    (datetime.datetime, b"noon", "noon"),
    (datetime.date, b"2026-13-01", "2026-13-01|month"),
    (Color, b"blue", "expected a value of `Color`, got 'blue'"),
    (list[int], b"[1", "JSON|truncated"),
    (list[int], b'["a"]', "Expected `int`, got `str`"),
]


@pytest.mark.parametrize(("tp", "line", "message"), BAD)
def test_a_field_that_does_not_parse_is_refused_by_its_name(
    tp: Any, line: bytes, message: str
) -> None:
    with pytest.raises(ValueError, match=f"(?i)field `x`: .*({message})"):
        codec(one_field(tp)).decode(line)


@pytest.mark.parametrize("line", [b"", b"1", b"1\ta\tb"])
def test_a_line_with_another_number_of_fields_is_refused(line: bytes) -> None:
    got = line.count(b"\t") + 1
    with pytest.raises(ValueError, match=f"`Point` has 2 fields.*the line has {got}|field `x`"):
        codec(Point).decode(line)


def test_a_bare_value_that_does_not_parse_is_refused() -> None:
    with pytest.raises(ValueError, match='expected `int`, got "abc"'):
        codec(int).decode(b"abc")


def test_a_refusal_does_not_repeat_an_endless_value() -> None:
    with pytest.raises(ValueError, match="expected `int`") as caught:
        codec(int).decode(b"1" * 100_000)
    assert len(str(caught.value)) < 1000


class Tags:
    """Holds what no field could, and has a text of its own."""

    def __init__(self, tags: set[str]) -> None:
        self.tags = tags

    def to_text(self) -> str:
        return ",".join(sorted(self.tags))

    @classmethod
    def from_text(cls, text: str) -> "Tags":
        return cls(set(text.split(",")))


def test_a_class_with_a_text_of_its_own_may_hold_anything() -> None:
    line = codec(Tags).encode(Tags({"b", "a"}))
    assert line == b"a,b"
    assert codec(Tags).decode(line).tags == {"a", "b"}
    with pytest.raises(gaia.PipelineError, match="`Tags` has only its own text"):
        gaia.Pipeline("p").from_records([Tags({"a"})]).write("tags", gaia.JSONL)


class Pair(NamedTuple):
    left: int
    right: int


def test_a_tuple_that_lacks_a_field_is_refused() -> None:
    with pytest.raises(AttributeError, match="field `right` of this `Pair` is not set"):
        codec(Pair).encode(tuple.__new__(Pair, (1,)))
