"""Sending user code and records to other processes."""

import io
import sys
from collections.abc import Callable
from types import CodeType
from typing import Any, ClassVar

import cloudpickle

_MSGSPEC_CACHE = "__msgspec_cache__"


def _code(code: CodeType) -> tuple[Any, ...]:
    """Code with the name of its file, which errors and profiles show lines of; cloudpickle leaves
    that out from 3.1.3 on."""
    make, parts = cloudpickle.Pickler.dispatch_table[CodeType](code)
    return _with_file, (code.co_filename, make, parts)


def _with_file(file: str, make: Callable[..., CodeType], parts: tuple[Any, ...]) -> CodeType:
    return make(*parts).replace(co_filename=file)


class _Pickler(cloudpickle.Pickler):
    dispatch_table: ClassVar = cloudpickle.Pickler.dispatch_table.new_child({CodeType: _code})

    def reducer_override(self, obj: Any) -> Any:
        # Tasks and reports are made of these: the scheduler handles thousands a second.
        if _is_own(obj if isinstance(obj, type) else type(obj)):
            return NotImplemented
        # msgspec notes what it knows of a class in the class itself, where it cannot be pickled.
        # It makes the note anew when it misses it.
        if isinstance(obj, io.IOBase) and obj not in (sys.stdin, sys.stdout, sys.stderr):
            raise TypeError(f"cannot pickle an open file, {obj!r}")
        if isinstance(obj, type) and _MSGSPEC_CACHE in vars(obj):
            delattr(obj, _MSGSPEC_CACHE)
        return super().reducer_override(obj)


def _is_own(kind: type) -> bool:
    """Whether a class is one of Gaia's, which other processes import by its name."""
    module = getattr(kind, "__module__", None)
    return (
        isinstance(module, str)
        and module.startswith("gaia.")
        and getattr(sys.modules.get(module), kind.__qualname__, None) is kind
    )


def dumps(value: Any) -> bytes:
    """Pickles a value, with functions and classes that other processes cannot import."""
    file = io.BytesIO()
    _Pickler(file).dump(value)
    return file.getvalue()
