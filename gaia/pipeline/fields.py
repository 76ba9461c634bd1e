"""The fields of record classes: how the values of each type are written."""

import datetime
import enum
import types
import typing
from collections.abc import Callable
from typing import Any

import attrs

from gaia.pipeline.json_values import json_reader, json_writer
from gaia.pipeline.names import UnsupportedTypeError, type_name

SCALARS = {str: "str", bytes: "bytes", int: "int", float: "float", bool: "bool"}


@attrs.frozen
class Field:
    """One field of a record class.

    `kind` is the name of a kind of value in the native core; `encode` (in JSON, `to_json`) and
    `decode` are its conversions where it needs them, and `plain` says what its values are in Arrow:
    `date`, `datetime`, `enum_str` or `enum_int`. `init` is the name by which the class takes the
    field, None if it does not.
    """

    name: str
    type: Any
    kind: str
    optional: bool
    init: str | None
    encode: Callable[[Any], Any] | None = None
    to_json: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None
    plain: str = ""

    @property
    def inner(self) -> Any:
        """The type without `| None`."""
        return _without_none(self.type)


def can_be_key(field: Field) -> bool:
    """Whether shards can be chosen by the field: its values have one canonical form."""
    return field.kind != "json"


def field_of(name: str, init: str | None, hint: Any) -> Field:
    """The field of that name and annotation.

    Raises:
        UnsupportedTypeError: Its values cannot be written.
    """
    inner = _without_none(hint)
    optional = type(None) in typing.get_args(hint)
    if inner in SCALARS:
        return Field(name, hint, SCALARS[inner], optional, init)
    if inner is datetime.datetime:
        return Field(
            name,
            hint,
            "via",
            optional,
            init,
            _isoformat,
            _isoformat_json,
            datetime.datetime.fromisoformat,
            "datetime",
        )
    if inner is datetime.date:
        to_json = _isoformat_date
        return Field(
            name, hint, "via", optional, init, to_json, to_json, datetime.date.fromisoformat, "date"
        )
    if isinstance(inner, type) and issubclass(inner, enum.Enum):
        encode, decode = _enum_codec(inner)
        plain = "enum_str" if all(type(member.value) is str for member in inner) else "enum_int"
        return Field(name, hint, "via", optional, init, encode, encode, decode, plain)
    read = json_reader(hint)
    return Field(name, hint, "json", optional, init, json_writer(inner), None, read)


def _without_none(hint: Any) -> Any:
    """`T` of `T | None`; other unions stay as they are."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        others = [part for part in typing.get_args(hint) if part is not type(None)]
        if len(others) == 1:
            return others[0]
    return hint


def _isoformat(value: Any) -> str:
    if not isinstance(value, datetime.datetime):
        raise TypeError(f"expected `datetime`, got `{type_name(type(value))}`")
    return value.isoformat()


def _isoformat_json(value: Any) -> str:
    text = _isoformat(value)
    offset = value.utcoffset()
    if offset is not None and offset % datetime.timedelta(minutes=1):
        raise ValueError(f"JSON (RFC 3339) has no offset from UTC with seconds, got {text}")
    return text


def _isoformat_date(value: Any) -> str:
    if not isinstance(value, datetime.date) or isinstance(value, datetime.datetime):
        raise TypeError(f"expected `date`, got `{type_name(type(value))}`")
    return value.isoformat()


def _enum_codec(
    cls: type[enum.Enum],
) -> tuple[Callable[[Any], str | int], Callable[[str], enum.Enum]]:
    """By value, as msgspec does it in JSON."""
    values = [member.value for member in cls]
    if not (all(type(v) is str for v in values) or all(type(v) is int for v in values)):
        raise UnsupportedTypeError(
            f"expected an Enum whose values are all str or all int, but those of "
            f"`{type_name(cls)}` are {', '.join(map(repr, values))}"
        )
    if issubclass(cls, enum.Flag):
        raise UnsupportedTypeError(
            f"`{type_name(cls)}` is a Flag, whose combinations have no value of their own in JSON; "
            "use an int"
        )
    members = {str(member.value): member for member in cls}

    def encode(value: Any) -> str | int:
        if not isinstance(value, cls):
            raise TypeError(f"expected `{type_name(cls)}`, got `{type_name(type(value))}`")
        plain: str | int = value.value
        return plain

    def decode(text: str) -> enum.Enum:
        if text not in members:
            raise ValueError(f"expected a value of `{type_name(cls)}`, got {text!r}")
        return members[text]

    return encode, decode
