"""Types and functions by the names that users know them by, and the refusal of a type."""

import types
import typing
from typing import Any


class UnsupportedTypeError(TypeError):
    """A type that no table can hold; the message says which part of it."""


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


def label(function: Any) -> str:
    """The name of a function or class as its author knows it.

    >>> label(len), label(lambda x: x)
    ('len', '<lambda>')
    """
    name: str = getattr(function, "__qualname__", type(function).__name__)
    return name.rpartition("<locals>.")[2]
