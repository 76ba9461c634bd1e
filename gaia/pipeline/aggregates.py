"""Aggregates: how the values of a group become one."""

import datetime
from collections.abc import Callable
from typing import Any, TypeAlias

from gaia.pipeline.fields import Field, can_be_key
from gaia.pipeline.names import type_name
from gaia.pipeline.records import record_type
from gaia.pipeline.signatures import misfit

Aggregate: TypeAlias = str | Callable[[Any, Any], Any]

_NUMBERS = ("int", "float")
_ORDERED = ("int", "float", "str", "bytes", "bool")


def fields_of(tp: Any) -> dict[str, Field]:
    """The fields of a record class by name; a table of single values has one, `value`.

    Raises:
        ValueError: The records are dicts, which have no fields.
    """
    described = record_type(tp)
    if described.kind == "json" or (described.kind == "class" and not described.fields):
        raise ValueError(
            f"expected records with fields, got `{type_name(tp)}`; read them as a class with "
            ".as_(T)"
        )
    if described.kind == "class":
        return {field.name: field for field in described.fields}
    return {"value": Field("value", tp, described.kind, False, None)}


def field_numbers(tp: Any, names: tuple[str, ...]) -> list[int]:
    """Where fields stand in a record class."""
    known = list(fields_of(tp))
    return [known.index(name) for name in names]


def key_names(tp: Any, key: Any) -> tuple[str, ...]:
    """The fields of a key that is given as a name or a tuple of names.

    Raises:
        ValueError: There is no such field, or its values have no canonical form.
    """
    names = (key,) if isinstance(key, str) else key
    if not isinstance(names, tuple) or not names or not all(type(n) is str for n in names):
        raise ValueError(f"expected a field's name or a tuple of names as key, got {key!r}")
    for name in names:
        if not can_be_key(field_named(tp, name)):
            raise ValueError(
                f"expected a key that is str, bytes, int, float, bool, datetime or Enum, but field "
                f"`{name}` is `{type_name(field_named(tp, name).type)}`"
            )
    if len(set(names)) < len(names):
        raise ValueError(f"expected different fields as key, got {key!r}")
    return names


def field_named(tp: Any, name: str) -> Field:
    """A field of a record class.

    Raises:
        ValueError: There is none of that name.
    """
    fields = fields_of(tp)
    if name not in fields:
        raise ValueError(
            f"expected a field of `{type_name(tp)}` ({', '.join(fields)}), got {name!r}"
        )
    return fields[name]


def aggregated(field: Field, how: Aggregate) -> Any:
    """The type that comes of a field's values.

    Raises:
        ValueError: There is no such aggregate, or it does not take such values.
    """
    if callable(how):
        if why := misfit(how, [None, None]):
            raise ValueError(f"expected a function of two values: {why}")
        return field.type
    if how == "count":
        return int
    takes = {
        "sum": field.kind in _NUMBERS,
        "prod": field.kind in _NUMBERS,
        "min": field.kind in _ORDERED or _is_date(field),
        "max": field.kind in _ORDERED or _is_date(field),
        "first": True,
        "any": field.kind == "bool",
        "all": field.kind == "bool",
    }
    if not isinstance(how, str) or how not in takes:
        raise ValueError(
            f"expected an aggregate (sum, min, max, prod, count, first, any, all, or a function of "
            f"two values) for field `{field.name}`, got {how!r}"
        )
    if not takes[how]:
        raise ValueError(f"`{how}` does not take field `{field.name}`: `{type_name(field.type)}`")
    return field.type


def _is_date(field: Field) -> bool:
    return isinstance(field.inner, type) and issubclass(field.inner, datetime.date)
