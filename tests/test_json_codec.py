"""Records as lines of JSON, and back."""

import base64
import dataclasses
import datetime
import enum
import json
import math
import subprocess
import sys
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_text_codec import FIELDS, FLAVOURS, HUGE, WRONG, finite, json_values, one_field, texts

from gaia._core import Codec
from gaia.pipeline.records import record_type

settings.register_profile("steady", deadline=None, database=None)
settings.load_profile("steady")

ARRAYS = ("NamedTuple", "array-like Struct")
OBJECTS = {
    name: cls
    for name, cls in FLAVOURS.items()
    if name not in (*ARRAYS, "renamed Struct", "tagged Struct")
}


def codec(tp: Any) -> Codec:
    return Codec(record_type(tp), "jsonl")


def through(record: Any) -> Any:
    """The record that comes back from the line that it is written as."""
    line = codec(type(record)).encode(record)
    assert b"\n" not in line
    back = codec(type(record)).decode(line)
    assert type(back) is type(record)
    return back


def plain(value: Any) -> Any:
    """What Python's own JSON reader should make of a value."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return plain(attrs.asdict(value)) if attrs.has(type(value)) else value


values_of_fields = st.fixed_dictionaries({name: values for name, (_, values) in FIELDS.items()})


@pytest.mark.parametrize("cls", FLAVOURS.values(), ids=FLAVOURS)
@settings(max_examples=25)
@given(values=values_of_fields)
def test_a_record_of_any_class_and_any_fields_comes_back(cls: type, values: dict[str, Any]) -> None:
    record = cls(**values)
    assert through(record) == record


@pytest.mark.parametrize("cls", OBJECTS.values(), ids=OBJECTS)
@settings(max_examples=10)
@given(values=values_of_fields)
def test_a_record_is_an_object_of_its_fields(cls: type, values: dict[str, Any]) -> None:
    assert json.loads(codec(cls).encode(cls(**values))) == plain(values)


@pytest.mark.parametrize("name", ARRAYS)
@settings(max_examples=10)
@given(values=values_of_fields)
def test_a_tuple_is_an_array(name: str, values: dict[str, Any]) -> None:
    line = codec(FLAVOURS[name]).encode(FLAVOURS[name](**values))
    assert len(json.loads(line)) == len(values)


@given(texts)
def test_a_str_is_written_as_python_reads_it(text: str) -> None:
    assert json.loads(codec(str).encode(text)) == text
    assert through(text) == text


@given(st.binary())
def test_bytes_are_base64(raw: bytes) -> None:
    assert base64.b64decode(json.loads(codec(bytes).encode(raw)), validate=True) == raw
    assert through(raw) == raw


@given(st.integers() | st.sampled_from([2**63, 2**64, -(2**63) - 1, HUGE // 100, -(HUGE // 1000)]))
def test_an_int_is_exact_however_large(number: int) -> None:
    assert json.loads(codec(int).encode(number)) == number
    assert through(number) == number
    assert through({"n": [number]}) == {"n": [number]}


def test_an_int_that_no_reader_takes_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 4299 characters"):
        codec(int).encode(-(HUGE // 10))


@given(finite)
def test_every_finite_float_comes_back_bit_for_bit(number: float) -> None:
    line = codec(float).encode(number)
    assert repr(json.loads(line)) == repr(through(number)) == repr(number)


@given(st.dictionaries(texts, json_values, max_size=4))
def test_a_dict_comes_back_and_python_reads_it(value: dict[str, Any]) -> None:
    assert repr(json.loads(codec(dict).encode(value))) == repr(value)
    assert repr(through(value)) == repr(value)


@given(st.dictionaries(texts, json_values, max_size=4), st.booleans(), st.booleans())
def test_what_python_writes_is_read(value: dict[str, Any], ascii_only: bool, dense: bool) -> None:
    separators = (",", ":") if dense else (" , ", " : ")
    line = json.dumps(value, ensure_ascii=ascii_only, separators=separators).encode()
    assert repr(codec(dict).decode(line)) == repr(value)


@given(st.datetimes(timezones=st.timezones()))
def test_a_datetime_comes_back_or_is_refused_for_the_seconds_of_its_offset(
    moment: datetime.datetime,
) -> None:
    offset = moment.utcoffset()
    assert offset is not None
    record = one_field(datetime.datetime)(moment)
    if offset.seconds % 60:
        with pytest.raises(ValueError, match=r"field `x`: .* no offset from UTC with seconds"):
            through(record)
    else:
        assert through(record).x.isoformat() == moment.isoformat()


def test_a_struct_is_written_under_its_other_names() -> None:
    fields = [("first_name", str), ("age", int, 0)]
    renamed = msgspec.defstruct("Renamed", fields, rename="camel")
    tagged = msgspec.defstruct("Tagged", fields, tag="person", tag_field="kind")
    array = msgspec.defstruct("Array", fields, array_like=True)
    sparse = msgspec.defstruct("Sparse", fields, omit_defaults=True)
    assert codec(renamed).encode(renamed("Ada")) == b'{"firstName":"Ada","age":0}'
    assert codec(tagged).encode(tagged("Ada")) == b'{"kind":"person","first_name":"Ada","age":0}'
    assert codec(array).encode(array("Ada")) == b'["Ada",0]'
    assert codec(sparse).encode(sparse("Ada")) == b'{"first_name":"Ada"}'


def test_fields_may_come_in_any_order_and_others_are_ignored() -> None:
    @attrs.define
    class Row:
        a: int
        b: str | None = None

    assert codec(Row).decode(b' { "z": [1], "b": "x", "a": 1 } ') == Row(1, "x")
    assert codec(Row).decode(b'{"a": 1}') == Row(1, None)


def test_validators_run_when_a_record_is_read() -> None:
    @attrs.define
    class Row:
        size: int = attrs.field(validator=attrs.validators.gt(0))

    assert codec(Row).decode(b'{"size":1}') == Row(1)
    with pytest.raises(ValueError, match="'size' must be > 0"):
        codec(Row).decode(b'{"size":0}')


def test_converters_run_when_a_record_is_read() -> None:
    @attrs.define
    class Row:
        name: str = attrs.field(converter=str.lower)

    assert codec(Row).decode(b'{"name":"ABC"}') == Row("abc")


def test_private_fields_come_back() -> None:
    @attrs.define
    class Row:
        _x: int
        _y: str = attrs.field(alias="why")

    assert through(Row(1, "b")) == Row(1, "b")


def test_fields_that_the_class_does_not_take_keep_their_values() -> None:
    @attrs.define
    class Attrs:
        a: int
        total: int = attrs.field(init=False, default=0)

    @dataclasses.dataclass
    class Data:
        a: int
        total: int = dataclasses.field(init=False, default=0)

        def __post_init__(self) -> None:
            self.total = self.a

    for record in (Attrs(1), Data(1)):
        record.total = 7
        assert through(record) == record


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_are_refused(number: float) -> None:
    for record in (number, {"a": [number]}):
        with pytest.raises(ValueError, match=r"JSON has no (NaN|-?inf)"):
            codec(type(record)).encode(record)
    with pytest.raises(ValueError, match=r"field `x`: JSON has no (NaN|-?inf)"):
        codec(one_field(float)).encode(one_field(float)(number))


@pytest.mark.parametrize("record", ["\ud800", {"\ud800": 1}, {"a": ["\udfff"]}])
def test_lone_surrogates_are_refused(record: Any) -> None:
    with pytest.raises(ValueError, match="lone surrogates, which have no UTF-8 form"):
        codec(type(record)).encode(record)


def test_an_int_of_more_digits_than_python_writes_is_refused_by_its_field() -> None:
    with pytest.raises(ValueError, match=r"field `x`: .*digits"):
        codec(one_field(int)).encode(one_field(int)(HUGE))


@pytest.mark.parametrize("record", [{1: 2}, {"a": {None: 1}}, {"a": [{(1, 2): 3}]}])
def test_keys_that_are_no_str_are_refused(record: dict[Any, Any]) -> None:
    with pytest.raises(TypeError, match=r"key[^`]*: expected `str`, got `(int|NoneType|tuple)`"):
        codec(dict).encode(record)


@pytest.mark.parametrize("value", [{1}, b"a", datetime.date(2026, 1, 2), object()])
def test_values_that_json_lacks_are_refused(value: object) -> None:
    with pytest.raises(TypeError, match=f"expected `.*dict`, got `{type(value).__name__}`"):
        codec(dict).encode({"a": [value]})


@pytest.mark.parametrize(("tp", "value", "expected", "got"), WRONG)
def test_a_field_of_another_type_is_refused(tp: Any, value: Any, expected: str, got: str) -> None:
    with pytest.raises(TypeError, match=f"(?i)field `x`.*expected `{expected}`, got `{got}`"):
        codec(one_field(tp)).encode(one_field(tp)(value))


@pytest.mark.parametrize("options", [{"rename": "camel"}, {"tag": True}, {"array_like": True}])
def test_a_field_of_another_type_is_refused_for_any_struct(options: dict[str, Any]) -> None:
    row = msgspec.defstruct("Row", [("a_field", int)], **options)
    with pytest.raises(TypeError, match="expected `int`, got `str` - at"):
        codec(row).encode(row("1"))


@pytest.mark.parametrize(
    ("tp", "line", "message"),
    [
        (dict, b"", "truncated"),
        (dict, b'{"a":', "truncated"),
        (dict, b"{'a': 1}", "malformed"),
        (dict, b"[1]", "Expected `object`, got `array`"),
        (dict, b'{"a": NaN}', "malformed"),
        (dict, b'{"a": 1} {"a": 2}', "malformed"),
        (str, b'"\xff"', "utf-?8"),
        (int, b"1.5", "Expected `int`, got `float`"),
        (one_field(int), b"{}", "missing required field `x`"),
        (one_field(int), b'{"x":"1"}', r"Expected `int`, got `str` - at `\$.x`"),
        (one_field(bytes), b'{"x":"?"}', r"base64.*at `\$.x`"),
    ],
)
def test_a_line_that_does_not_parse_is_refused(tp: Any, line: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=f"(?i){message}"):
        codec(tp).decode(line)


@pytest.mark.parametrize(
    "shape",
    ["value['a'] = value", "for _ in range(10**6): value = {'a': value}"],
    ids=["a dict in itself", "a million dicts"],
)
def test_endless_nesting_is_refused_and_does_not_crash(shape: str) -> None:
    script = f"""
from gaia._core import Codec
from gaia.pipeline.records import record_type
value = {{}}
{shape}
try:
    Codec(record_type(dict), "jsonl").encode(value)
except (ValueError, RecursionError):
    print("refused", flush=True)
import os
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "refused\n")
