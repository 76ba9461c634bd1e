"""Record types: what a table can hold, and how each type is taken apart and put together.

A record is a `str`, `bytes`, `int`, `float`, `bool` or `dict` (JSON), or an instance of an attrs
class, a dataclass, a NamedTuple or a msgspec.Struct whose fields are of those types, of `datetime`,
`date` or an `Enum`, optional, or of anything that msgspec can read from JSON: lists, tuples, dicts,
nested records. A class with `to_text` and a class method `from_text` may hold anything, in TXT.
"""

import dataclasses
import datetime
import enum
import functools
import inspect
import os
import typing
from collections.abc import Callable, Hashable
from typing import Any

import attrs

from gaia import _core
from gaia.pipeline.fields import SCALARS, Field, field_of
from gaia.pipeline.json_values import class_readers, json_reader, json_writer
from gaia.pipeline.names import UnsupportedTypeError, type_name

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SUPPORTED = (
    "str, bytes, int, float, bool, dict, or an attrs class, dataclass, NamedTuple or msgspec.Struct"
)


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
    from_dict: Callable[[Any], Any] | None = None


def record_type(tp: Any) -> RecordType:
    """Describes a type.

    Raises:
        UnsupportedTypeError: No table can hold it.

    >>> record_type(int).kind
    'int'
    >>> record_type(set)
    Traceback (most recent call last):
    ...
    gaia.pipeline.names.UnsupportedTypeError: expected str, bytes, int, float, bool, dict, \
or an attrs class, dataclass, NamedTuple or msgspec.Struct as the type of a record, got `set`
    """
    if isinstance(tp, Hashable) and not isinstance(tp, str):
        return _record_type(tp)
    raise _unsupported(tp)


@functools.cache
def _record_type(tp: Any) -> RecordType:
    if tp in SCALARS:
        return RecordType(tp, SCALARS[tp], from_json=json_reader(tp))
    if tp is dict or typing.get_origin(tp) is dict:
        read = json_reader(tp)
        return RecordType(tp, "json", encode=json_writer(tp), decode=read, from_json=read)
    if not isinstance(tp, type):
        raise _unsupported(tp)
    from_text = getattr(tp, "from_text", None)
    if (from_text is None) != (getattr(tp, "to_text", None) is None):
        has, lacks = ("from_text", "to_text") if from_text else ("to_text", "from_text")
        raise UnsupportedTypeError(f"`{type_name(tp)}` defines `{has}` but not `{lacks}`")
    try:
        return attrs.evolve(_class_type(tp), from_text=from_text)
    except UnsupportedTypeError:
        if from_text is None:
            raise
        # A class with a text of its own may hold anything; there is no JSON of it.
        return RecordType(tp, "class", build="call", from_text=from_text)


def _class_type(tp: type) -> RecordType:
    fields, build = _fields_of(tp)
    if not fields:
        raise UnsupportedTypeError(
            f"`{type_name(tp)}` has no fields; a record needs at least one field"
        )
    if build == "fill" or hasattr(tp, "__struct_fields__"):
        from_json, from_dict = json_reader(tp), _from_dict(tp)
    else:
        from_json, from_dict = class_readers(
            tp,
            {field.name: field.type for field in fields},
            {field.name: field.init for field in fields},
            _required(tp),
        )
    return RecordType(
        type=tp,
        kind="class",
        fields=fields,
        build=build,
        to_json=json_writer(tp) if _renames(tp) else None,
        from_json=from_json,
        from_dict=from_dict,
    )


def _unsupported(tp: Any) -> UnsupportedTypeError:
    shown = repr(tp) if isinstance(tp, str) else f"`{type_name(tp)}`"
    return UnsupportedTypeError(f"expected {_SUPPORTED} as the type of a record, got {shown}")


def codec(tp: Any) -> _core.Codec:
    """How the core knows a type."""
    return _core.Codec(record_type(tp), "txt")


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


def _fields_of(tp: type) -> tuple[tuple[Field, ...], str]:
    """The fields of a record class and how it is built."""
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
        raise _unsupported(tp)
    stores = (
        stores
        and all(init for _, init in specs)
        and not any(hasattr(tp, hook) for hook in hooks)
        and "__new__" not in _own(tp)
        and _is_generated(tp, "__init__")
        and ("__setattr__" not in _own(tp) or _is_generated(tp, "__setattr__"))
        and type(tp).__call__ is type.__call__
        and not inspect.isabstract(tp)
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


def _own(tp: type) -> set[str]:
    """What the class and its bases define, but for `object`."""
    return {name for base in tp.__mro__[:-1] for name in vars(base)}


def _is_generated(tp: type, method: str) -> bool:
    """Whether attrs or dataclasses made the method: a user's own may do more than store."""
    made = vars(tp).get(method)
    if made is None:
        return False
    filename: str = made.__code__.co_filename
    library = os.path.basename(os.path.dirname(filename)) == "attr"
    return library or filename == "<string>" or filename.startswith("<attrs generated")


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
            fields.append(field_of(name, init, hints[name]))
        except UnsupportedTypeError as error:
            raise UnsupportedTypeError(f"field `{name}` of `{type_name(tp)}`: {error}") from None
    return tuple(fields)


def _from_dict(tp: Any) -> Callable[[Any], Any]:
    import msgspec

    return functools.partial(msgspec.convert, type=tp)


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
    return all(described[part] == schema[part] for part in ("kind", "fields", "own_text"))


def why_not(tp: Any, schema: dict[str, Any]) -> str:
    """How a type differs from the one that a table was written with."""
    if describe(tp)["kind"] != schema["kind"]:
        return f"holds `{schema['name']}`, which cannot be read as `{type_name(tp)}`"
    stored = [f"{name}: {shown}" for name, shown, *_ in schema["fields"]]
    asked = [f"{field.name}: {type_name(field.type)}" for field in record_type(tp).fields]
    lacks = ", ".join(field for field in stored if field not in asked)
    more = ", ".join(field for field in asked if field not in stored)
    return (
        f"holds `{schema['name']}` with the fields ({lacks or 'in another order'}), where "
        f"`{type_name(tp)}` has ({more or 'in another order'})"
    )


def describe(tp: Any) -> dict[str, Any]:
    """A type as it stands in a manifest.

    >>> describe(int)
    {'kind': 'int', 'name': 'int', 'module': 'builtins', 'build': '', 'fields': [], \
'own_text': False, 'own_json': False}
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
        "own_json": described.to_json is not None,
    }
