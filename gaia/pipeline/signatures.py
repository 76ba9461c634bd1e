"""Reading user code's annotations: what it takes, what it gives."""

import inspect
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from gaia._core import Batch
from gaia.pipeline.names import type_name
from gaia.pipeline.operators import Context

UNKNOWN = object()
"""Stands for a type that the annotations do not tell."""


def parameter_types(function: Callable[..., Any], *, bound: bool = False) -> list[Any]:
    """The annotated types of a function's positional parameters; `bound` leaves out `self`."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []
    hints = _hints(function)
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    found = [hints.get(p.name, UNKNOWN) for p in parameters if p.kind in positional]
    return found[1:] if bound else found


def result_type(function: Callable[..., Any]) -> Any:
    """What a function is annotated to return; a class returns itself."""
    if isinstance(function, type):
        return function
    return _hints(function).get("return", UNKNOWN)


def item_type(iterable: Any) -> Any:
    """What an annotated iterable yields: `list[int]` and `Iterator[int]` yield `int`."""
    origin = typing.get_origin(iterable)
    args = typing.get_args(iterable)
    if isinstance(origin, type) and issubclass(origin, Iterable) and args:
        return args[0]
    return UNKNOWN


def type_argument(cls: type, base: type, index: int) -> Any:
    """The type given to a generic base class: `Out` of a class declared as `Mapper[In, Out]`."""
    return _type_argument(cls, base, index, {})


def _type_argument(cls: type, base: type, index: int, known: dict[Any, Any]) -> Any:
    for parent in (
        types.get_original_bases(cls)
        if hasattr(types, "get_original_bases")
        else (cls.__dict__.get("__orig_bases__", cls.__bases__))
    ):
        origin = typing.get_origin(parent) or parent
        args = [known.get(arg, arg) for arg in typing.get_args(parent)]
        if origin is base:
            return args[index] if args and not isinstance(args[index], TypeVar) else UNKNOWN
        if isinstance(origin, type) and issubclass(origin, base):
            parameters = getattr(origin, "__parameters__", ())
            found = _type_argument(origin, base, index, dict(zip(parameters, args, strict=False)))
            if found is not UNKNOWN:
                return found
    return UNKNOWN


def written_type(hook: Callable[..., Any]) -> Any:
    """`T` of a method's parameter annotated `Context[T]`."""
    for hint in parameter_types(hook):
        if typing.get_origin(hint) is Context:
            written = typing.get_args(hint)[0]
            return UNKNOWN if isinstance(written, TypeVar) else written
    return UNKNOWN


def batch_type(method: Callable[..., Any]) -> Any:
    """`T` of a method whose first parameter is annotated `Batch[T]`; `Any` for a bare `Batch`."""
    hint = next(iter(parameter_types(method, bound=True)), UNKNOWN)
    if typing.get_origin(hint) is Batch:
        return typing.get_args(hint)[0]
    return Any if hint is Batch else UNKNOWN


def accepts(annotation: Any, tp: Any) -> bool:
    """Whether a parameter annotated so takes records of type `tp`; in doubt, it does.

    >>> accepts(int | str, str), accepts(int, str), accepts(float, int), accepts(object, str)
    (True, False, True, True)
    """
    if annotation in (UNKNOWN, Any) or isinstance(annotation, TypeVar) or annotation == tp:
        return True
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return any(accepts(part, tp) for part in typing.get_args(annotation))
    wanted = typing.get_origin(annotation) or annotation
    given = typing.get_origin(tp) or tp
    if not (isinstance(wanted, type) and isinstance(given, type)):
        return True
    if issubclass(given, wanted):
        declared, actual = typing.get_args(annotation), typing.get_args(tp)
        return not (declared and actual) or wanted is not given or declared == actual
    return wanted is float and given is int


def misfit(function: Callable[..., Any], types: list[Any]) -> str | None:
    """Why a function or class cannot be called with arguments of these types, or None if it can.

    >>> misfit(divmod, [int, int]), misfit(divmod, [int])
    (None, "`divmod(x, y, /)` does not take (`int`): missing a required argument: 'y'")
    """
    try:
        inspect.signature(function).bind(*types)
    except ValueError:
        return None  # A built-in that does not tell its signature.
    except TypeError as error:
        given = ", ".join(f"`{type_name(tp)}`" for tp in types)
        name = getattr(function, "__qualname__", repr(function)).rpartition("<locals>.")[2]
        return f"`{name}{shown(function)}` does not take ({given}): {error}"
    return None


def shown(function: Callable[..., Any]) -> str:
    """The parameters of a function as they were written."""
    return str(inspect.signature(function))


def required(function: Callable[..., Any]) -> list[str]:
    """The names of the positional parameters that have no default."""
    parameters = inspect.signature(function).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.kind in positional and p.default is p.empty]


def is_generator(function: Any) -> bool:
    """Whether calling the function returns a generator, which somebody has to iterate."""
    return inspect.isgeneratorfunction(function)


def is_coroutine(function: Any) -> bool:
    """Whether the function is asynchronous."""
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Annotations, resolved; those that cannot be (names for type checkers only) are left out."""
    function = inspect.unwrap(function)
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        raw = getattr(function, "__annotations__", {})
        return {name: hint for name, hint in raw.items() if not isinstance(hint, str)}
