"""Values to JSON and back, by msgspec."""

import functools
import typing
from collections.abc import Callable, Mapping
from typing import Any

from gaia.pipeline.names import UnsupportedTypeError, type_name


def json_reader(tp: Any) -> Callable[[bytes], Any]:
    """What reads a value of the type from JSON.

    Raises:
        UnsupportedTypeError: No value of the type can be read.
    """
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


def json_writer(tp: Any) -> Callable[[Any], Any] | None:
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


def class_readers(
    cls: type, fields: Mapping[str, Any], init: Mapping[str, str | None], needed: set[str]
) -> tuple[Callable[[bytes], Any], Callable[[Any], Any]]:
    """What reads a class from a JSON object and from a dict by calling it.

    msgspec makes attrs classes and dataclasses without calling them, and NamedTuples only from
    arrays. So it reads a plain struct of the same fields, and the class is called with those.

    Args:
        cls: The class.
        fields: The types of its fields.
        init: The names by which the class takes its fields; None for one that is set afterwards.
        needed: The fields without which the class cannot be called.
    """
    import msgspec

    json_reader(cls)
    optional = [name for name in fields if name not in needed]
    struct = msgspec.defstruct(
        cls.__name__,
        [
            *((name, fields[name]) for name in fields if name in needed),
            *((name, fields[name] | msgspec.UnsetType, msgspec.UNSET) for name in optional),
        ],
    )
    read_struct = msgspec.json.Decoder(struct).decode

    def called(parts: Any) -> Any:
        values = ((name, getattr(parts, name)) for name in fields)
        given = {name: value for name, value in values if value is not msgspec.UNSET}
        taken = {by: given[name] for name, by in init.items() if by and name in given}
        record = cls(**taken)
        for name, value in given.items():
            if init[name] is None:
                object.__setattr__(record, name, value)
        return record

    return (
        lambda line: called(read_struct(line)),
        lambda record: called(msgspec.convert(record, struct)),
    )
