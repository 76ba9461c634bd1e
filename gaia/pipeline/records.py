"""Record types: what a table can hold, and how each type is taken apart and put together.

A record is a `str`, `bytes`, `int`, `float`, `bool` or `dict` (JSON), or an instance of an attrs
class, a dataclass, a NamedTuple or a msgspec.Struct whose fields are of those types, of `datetime`,
`date` or an `Enum`, optional, or of anything that msgspec can read from JSON: lists, tuples, dicts,
nested records.
"""

import dataclasses
import datetime
import enum
import functools
import inspect
import types
import typing
from collections.abc import Callable, Hashable
from typing import Any

import attrs

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
SCALARS = {str: "str", bytes: "bytes", int: "int", float: "float", bool: "bool"}
_SUPPORTED = (
    "str, bytes, int, float, bool, dict, or an attrs class, dataclass, NamedTuple or msgspec.Struct"
)


class UnsupportedTypeError(TypeError):
    """A type that no table can hold; the message says which part of it."""


@attrs.frozen
class Field:
    """One field of a record class.

    `kind` is the name of a kind of value in the native core; `encode` (in JSON, `to_json`) and
    `decode` are its conversions where it needs them. `init` is the name by which the class takes
    the field, None if it does not.
    """

    name: str
    type: Any
    kind: str
    optional: bool
    init: str | None
    encode: Callable[[Any], Any] | None = None
    to_json: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None

    @property
    def inner(self) -> Any:
        """The type without `| None`."""
        return _without_none(self.type)


@attrs.frozen
class RecordType:
    """What the native core has to know of a type in order to write and read its records.

    `build` says how a record is made from its fields: `fill` an empty object, `call` the class with
    them by name, or by position where it takes them in their order (`positional`), or make a
    `tuple`. `from_text` is the class's own reader of lines, if it has one.
    """

    type: Any
    kind: str
    fields: tuple[Field, ...] = ()
    build: str = ""
    encode: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None
    from_text: Callable[[str], Any] | None = None
    to_json: Callable[[Any], Any] | None = None
    from_json: Callable[[bytes], Any] | None = None


def record_type(tp: Any) -> RecordType:
    """Describes a type.

    Raises:
        UnsupportedTypeError: No table can hold it.

    >>> record_type(int).kind
    'int'
    >>> record_type(set)
    Traceback (most recent call last):
    ...
    gaia.pipeline.records.UnsupportedTypeError: expected str, bytes, int, float, bool, dict, or an \
attrs class, dataclass, NamedTuple or msgspec.Struct as the type of a record, got `set`
    """
    if isinstance(tp, Hashable) and not isinstance(tp, str):
        return _record_type(tp)
    raise UnsupportedTypeError(f"expected {_SUPPORTED} as the type of a record, got {tp!r}")


@functools.cache
def _record_type(tp: Any) -> RecordType:
    if tp in SCALARS:
        return RecordType(tp, SCALARS[tp], from_json=_json_reader(tp))
    if tp is dict or typing.get_origin(tp) is dict:
        read = _json_reader(tp)
        return RecordType(tp, "json", encode=_json_writer(tp), decode=read, from_json=read)
    found = _fields_of(tp)
    if found is None:
        raise UnsupportedTypeError(
            f"expected {_SUPPORTED} as the type of a record, got `{type_name(tp)}`"
        )
    fields, build = found
    if not fields:
        raise UnsupportedTypeError(
            f"`{type_name(tp)}` has no fields; a record needs at least one field"
        )
    from_text = getattr(tp, "from_text", None)
    if (from_text is None) != (getattr(tp, "to_text", None) is None):
        has, lacks = ("from_text", "to_text") if from_text else ("to_text", "from_text")
        raise UnsupportedTypeError(f"`{type_name(tp)}` defines `{has}` but not `{lacks}`")
    return RecordType(
        type=tp,
        kind="class",
        fields=fields,
        build=build,
        from_text=from_text,
        to_json=_json_writer(tp) if _renames(tp) else None,
        from_json=_class_reader(tp, fields, build),
    )


def type_name(tp: Any) -> str:
    """A type as users write it: `int`, `WordCount`, `list[str] | None`."""
    if tp is None or tp is type(None):
        return "None"
    if isinstance(tp, type) and not typing.get_args(tp):
        return tp.__qualname__.rpartition("<locals>.")[2]
    if isinstance(tp, types.UnionType) or typing.get_origin(tp) is typing.Union:
        return " | ".join(type_name(part) for part in typing.get_args(tp))
    if origin := typing.get_origin(tp):
        return f"{type_name(origin)}[{', '.join(map(type_name, typing.get_args(tp)))}]"
    return str(tp).removeprefix("typing.")


def field_names(tp: Any) -> tuple[str, ...]:
    """The names of a record class's fields; none for a single value."""
    return tuple(field.name for field in record_type(tp).fields)


def plain_key(value: Any) -> Any:
    """A sharding key of another type as str or int; equal keys give equal results.

    >>> plain_key(datetime.date(2026, 1, 2))
    '2026-01-02'
    """
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime.datetime) and value.utcoffset() is not None:
        return str((value - _EPOCH) // datetime.timedelta(microseconds=1))
    if isinstance(value, datetime.date):
        return value.isoformat()
    if value is None:
        return "\\N"
    return value


def can_be_key(field: Field) -> bool:
    """Whether shards can be chosen by the field: its values have one canonical form."""
    return field.kind != "json"


def _fields_of(tp: Any) -> tuple[tuple[Field, ...], str] | None:
    """The fields of a record class and how it is built, or None for another type."""
    if not isinstance(tp, type):
        return None
    if attrs.has(tp):
        specs: list[tuple[str, str | None]] = [
            (a.name, a.alias if a.init else None) for a in attrs.fields(tp)
        ]
        stores = not any(a.validator or a.converter for a in attrs.fields(tp))
        hooks: tuple[str, ...] = ("__attrs_pre_init__", "__attrs_post_init__", "__attrs_init__")
    elif dataclasses.is_dataclass(tp):
        specs = [(f.name, f.name if f.init else None) for f in dataclasses.fields(tp)]
        stores = True
        hooks = ("__post_init__",)
    elif issubclass(tp, tuple) and hasattr(tp, "_fields"):
        specs = [(name, name) for name in tp._fields]
        return _typed(tp, specs), "tuple"
    elif hasattr(tp, "__struct_fields__"):
        specs = [(name, name) for name in tp.__struct_fields__]
        stores = False
        hooks = ()
    else:
        return None
    stores = (
        stores
        and all(init for _, init in specs)
        and not any(hasattr(tp, hook) for hook in hooks)
        and tp.__new__ is object.__new__
        and _is_generated(tp)
        and "_attrs_cached_hash" not in dir(tp)
    )
    if stores:
        return _typed(tp, specs), "fill"
    return _typed(tp, specs), "positional" if _in_order(tp, specs) else "call"


def _in_order(tp: type, specs: list[tuple[str, str | None]]) -> bool:
    """Whether the class takes exactly its fields, by position."""
    parameters = inspect.signature(tp).parameters.values()
    return [init for _, init in specs] == [p.name for p in parameters] and all(
        p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for p in parameters
    )


def _is_generated(tp: type) -> bool:
    """Whether attrs or dataclasses made `__init__`: a user's own may do more than store."""
    init = vars(tp).get("__init__")
    if init is None:
        return False
    filename: str = init.__code__.co_filename
    return filename == "<string>" or filename.startswith("<attrs generated")


def _typed(tp: type, specs: list[tuple[str, str | None]]) -> tuple[Field, ...]:
    try:
        hints = typing.get_type_hints(tp)
    except NameError as error:
        raise UnsupportedTypeError(f"a field of `{type_name(tp)}`: {error}") from None
    fields = []
    for name, init in specs:
        if name not in hints:
            raise UnsupportedTypeError(f"field `{name}` of `{type_name(tp)}` has no annotation")
        try:
            fields.append(_field(name, init, hints[name]))
        except UnsupportedTypeError as error:
            raise UnsupportedTypeError(f"field `{name}` of `{type_name(tp)}`: {error}") from None
    return tuple(fields)


def _field(name: str, init: str | None, hint: Any) -> Field:
    inner = _without_none(hint)
    optional = type(None) in typing.get_args(hint)
    if inner in SCALARS:
        return Field(name, hint, SCALARS[inner], optional, init)
    if inner is datetime.datetime:
        to_json = _isoformat_json
        return Field(
            name, hint, "via", optional, init, _isoformat, to_json, datetime.datetime.fromisoformat
        )
    if inner is datetime.date:
        to_json = _isoformat_date
        return Field(
            name, hint, "via", optional, init, to_json, to_json, datetime.date.fromisoformat
        )
    if isinstance(inner, type) and issubclass(inner, enum.Enum):
        encode, decode = _enum_codec(inner)
        return Field(name, hint, "via", optional, init, encode, encode, decode)
    read = _json_reader(hint)
    return Field(name, hint, "json", optional, init, _json_writer(inner), None, read)


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


def _class_reader(tp: Any, fields: tuple[Field, ...], build: str) -> Callable[[bytes], Any]:
    """Reads a record class from a JSON object."""
    read = _json_reader(tp)
    if build == "fill" or hasattr(tp, "__struct_fields__"):
        return read
    # msgspec makes attrs classes and dataclasses without calling them, and NamedTuples only from
    # arrays. So it reads a plain struct of the same fields, and the class is called with those.
    import msgspec

    unset = msgspec.UNSET
    needed = _required(tp)
    struct = msgspec.defstruct(
        tp.__name__,
        [
            (field.name, field.type)
            if field.name in needed
            else (field.name, field.type | msgspec.UnsetType, unset)
            for field in sorted(fields, key=lambda field: field.name not in needed)
        ],
    )
    read_struct = msgspec.json.Decoder(struct).decode

    def read_and_call(line: bytes) -> Any:
        parts = read_struct(line)
        given = {name: getattr(parts, name) for name in struct.__struct_fields__}
        given = {name: value for name, value in given.items() if value is not unset}
        record = tp(**{f.init: given[f.name] for f in fields if f.init and f.name in given})
        for field in fields:
            if field.init is None and field.name in given:
                object.__setattr__(record, field.name, given[field.name])
        return record

    return read_and_call


def _required(tp: Any) -> set[str]:
    """The fields without which the class cannot be called."""
    if attrs.has(tp):
        return {a.name for a in attrs.fields(tp) if a.init and a.default is attrs.NOTHING}
    if dataclasses.is_dataclass(tp):
        missing = dataclasses.MISSING
        return {
            f.name
            for f in dataclasses.fields(tp)
            if f.init and f.default is missing and f.default_factory is missing
        }
    return set(tp._fields) - set(tp._field_defaults)


def _json_reader(tp: Any) -> Callable[[bytes], Any]:
    import msgspec

    try:
        foreign = _foreign_type(msgspec.inspect.type_info(tp), set())
        read = msgspec.json.Decoder(tp).decode
    except (TypeError, NameError) as error:
        raise UnsupportedTypeError(f"`{type_name(tp)}` cannot be read from JSON: {error}") from None
    if foreign is not None:
        raise UnsupportedTypeError(f"`{type_name(foreign)}` cannot be read from JSON")
    return read


def _foreign_type(info: Any, seen: set[int]) -> Any:
    """The first type below a type that msgspec leaves to hooks, which Gaia has none of."""
    import msgspec

    if isinstance(info, msgspec.inspect.CustomType):
        return info.cls
    if id(info) in seen:
        return None
    seen.add(id(info))
    parts: Any = info if isinstance(info, tuple) else ()
    if isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field):
        parts = [getattr(info, name) for name in info.__struct_fields__]
    return next((found for part in parts if (found := _foreign_type(part, seen))), None)


def _json_writer(tp: Any) -> Callable[[Any], Any] | None:
    """What turns a value into plain JSON values, and refuses one that would not be read again;
    None where any JSON value will do."""
    import msgspec

    if tp in (Any, dict) or typing.get_args(tp) == (str, Any):
        return None
    simplify = functools.partial(msgspec.to_builtins, str_keys=True)

    def write(value: Any) -> Any:
        plain = simplify(value)
        try:
            msgspec.convert(plain, tp, str_keys=True)
        except msgspec.ValidationError as error:
            message = str(error)
            if " - at " not in message:
                message = f"expected `{type_name(tp)}`, got `{type_name(type(value))}`"
            raise TypeError(message[0].lower() + message[1:]) from None
        return plain

    return write


def _renames(tp: Any) -> bool:
    """Whether a msgspec.Struct stands in JSON otherwise than as its fields by their names."""
    config = getattr(tp, "__struct_config__", None)
    if config is None:
        return False
    renamed = tp.__struct_encode_fields__ != tp.__struct_fields__
    return bool(config.array_like or config.tag is not None or config.omit_defaults or renamed)


def same_shape(tp: Any, schema: dict[str, Any]) -> bool:
    """Whether records that were written as `schema` can be read as `tp`."""
    described = describe(tp)
    return all(described[part] == schema[part] for part in ("kind", "fields"))


def describe(tp: Any) -> dict[str, Any]:
    """A type as it stands in a manifest.

    >>> describe(int)
    {'kind': 'int', 'name': 'int', 'module': 'builtins', 'build': '', 'fields': [], \
'own_text': False}
    """
    described = record_type(tp)
    plain = typing.get_origin(tp) or tp
    return {
        "kind": described.kind,
        "name": plain.__qualname__,
        "module": plain.__module__,
        "build": described.build,
        "fields": [
            [field.name, type_name(field.type), field.kind, field.optional]
            for field in described.fields
        ],
        "own_text": described.from_text is not None,
    }
