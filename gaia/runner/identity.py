"""Identity: whether a stage is the same as in an earlier run.

User code counts by its content: the bytecode of functions and methods with the constants, defaults
and variables that they use, also of what they call, as far as that is the user's own. Of installed
packages and of Gaia only names count. So a comment or a renamed file changes nothing, and a changed
constant does.
"""

import enum
import functools
import os
import pickle
import re
import sys
import sysconfig
import types
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from gaia import _core
from gaia.pipeline.graph import Records
from gaia.pipeline.plan import Branch, Stage, walk
from gaia.runner.task import Task

_INSTALLED = tuple(
    os.path.realpath(path) + os.sep
    for path in {*sysconfig.get_paths().values(), os.path.dirname(os.path.dirname(__file__))}
)
_WRITTEN = (types.FunctionType, property, classmethod, staticmethod)
_GENERATED = {
    "__dict__",
    "__weakref__",
    "__doc__",
    "__module__",
    "__firstlineno__",
    "__static_attributes__",
    "__annotations_cache__",
    "__abstractmethods__",
    "_abc_impl",
    "__parameters__",
    "__orig_bases__",
    "__msgspec_cache__",
}


@attrs.frozen
class Identity:
    """What a stage is, by parts that can be told apart: what is read, what each step does, what is
    written. Two stages are the same if all parts are."""

    parts: dict[str, str]

    def difference(self, other: "Identity") -> str:
        """Which part of a stage differs from another's, in words; empty if none does."""
        for name in {**self.parts, **other.parts}:
            if self.parts.get(name) != other.parts.get(name):
                return name
        return ""


def identity_of(
    stage: Stage, tasks: list[Task] | None, upstream: Mapping[str, Identity]
) -> Identity:
    """The identity of a stage.

    Args:
        stage: The stage.
        tasks: The tasks of a stage that reads, for what they read.
        upstream: The identities of the stages that write the tables that a join reads.
    """
    parts = {"Python's version": ".".join(map(str, sys.version_info[:2]))}
    if stage.joiner is None:
        files = sorted(
            {
                (part.file.path, part.file.size, part.file.version)
                for task in tasks or ()
                for source in task.inputs
                for part in getattr(source, "parts", ())
            },
            key=repr,
        )
        source: Any = stage.source
        if isinstance(source, Records):
            # There may be millions.
            try:
                source = pickle.dumps(source.records, protocol=5)
            except (pickle.PicklingError, AttributeError):
                source = source.records
        parts["the input"] = digest((files, source))
        limits = [task.limit for task in tasks or () if task.limit is not None]
        if limits:
            parts["the limit"] = digest(limits)
    else:
        for entry in stage.inputs:
            parts[f"table `{entry.table}`"] = digest(upstream[entry.table].parts)
        code = stage.joiner if stage.version is None else stage.version
        inputs = [(entry.table, entry.handler, entry.batch_size) for entry in stage.inputs]
        parts[f"the code of `{stage.name}`"] = digest((code, stage.args, inputs, stage.shards))
    for branch in walk(stage.root):
        parts[f"what `{branch.name}` does about errors"] = digest(branch.on_error)
        if branch.function is not None:
            parts[f"the code of `{branch.name}`"] = digest(_step(branch))
        for table in branch.tables:
            parts[f"how `{table.name}` is written"] = digest(table)
    return Identity(parts)


def _step(branch: Branch) -> tuple[Any, ...]:
    code = branch.function if branch.version is None else branch.version
    return (branch.name, branch.call, code, branch.args, branch.batch_size, branch.type)


def digest(value: Any) -> str:
    """A fingerprint of a value by its content: the same in every process and on every machine.

    >>> digest({"b": 2, "a": (1,)}) == digest({"a": (1,), "b": 2})
    True
    >>> digest(lambda word: word.lower()) == digest(lambda word: word.upper())
    False
    """
    return f"{_core.checksum_of(_Content().of(value)):032x}"


class _Content:
    """Turns values into bytes that tell what they are."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        # What has been looked at stays alive, so that no other object takes its place.
        self._held: list[Any] = []

    def of(self, value: Any) -> bytes:
        kind = type(value)
        if value is None or kind in (bool, int, float, str, bytes, complex, type(...)):
            return f"{kind.__name__}:{value!r};".encode()
        if id(value) in self._seen:
            return f"again:{self._seen[id(value)]};".encode()
        self._seen[id(value)] = len(self._held)
        self._held.append(value)
        return kind.__name__.encode() + b"(" + self._parts(value) + b")"

    def _parts(self, value: Any) -> bytes:
        if isinstance(value, tuple | list):
            return b"".join(map(self.of, value))
        if isinstance(value, set | frozenset):
            return b"".join(sorted(_Content().of(item) for item in value))
        if isinstance(value, dict):
            pairs = sorted(((_Content().of(key), item) for key, item in value.items()), key=_first)
            return b"".join(key + self.of(item) for key, item in pairs)
        if isinstance(value, enum.Enum):
            return f"{type(value).__qualname__}.{value.name}".encode()
        if isinstance(value, enum.EnumMeta):
            return self._enum(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.CodeType):
            return self._code(value)
        if isinstance(value, types.MethodType):
            return self.of((value.__func__, value.__self__))
        if isinstance(value, staticmethod | classmethod):
            return self.of(value.__func__)
        if isinstance(value, property):
            return self.of((value.fget, value.fset, value.fdel))
        if isinstance(value, functools.partial):
            return self.of((value.func, value.args, value.keywords))
        if isinstance(value, types.ModuleType):
            return value.__name__.encode()
        if isinstance(value, re.Pattern):
            return self.of((value.pattern, value.flags))
        if attrs.has(type(value)):
            fields = attrs.fields(type(value))
            kept = {f.name: getattr(value, f.name) for f in fields if f.name != "location"}
            return self.of((type(value).__qualname__, kept))
        if isinstance(value, types.BuiltinFunctionType | types.GenericAlias | types.UnionType):
            return repr(value).encode()
        return self._object(value)

    def _function(self, function: types.FunctionType) -> bytes:
        file = function.__code__.co_filename
        # Methods of attrs follow from the class, and hold numbers of this process.
        if file.startswith("<attrs") or not _is_users(file, function.__module__):
            return f"{function.__module__}.{function.__qualname__}".encode()
        used = {
            name: function.__globals__[name]
            for name in sorted(_names(function.__code__))
            if name in function.__globals__
        }
        cells = []
        for cell in function.__closure__ or ():
            try:
                cells.append(cell.cell_contents)
            except ValueError:
                cells.append(...)  # Not bound yet.
        return self.of(
            (function.__code__, function.__defaults__, function.__kwdefaults__, cells, used)
        )

    def _code(self, code: types.CodeType) -> bytes:
        return self.of((code.co_code, code.co_consts, code.co_names, code.co_argcount))

    def _class(self, cls: type) -> bytes:
        name = f"{cls.__module__}.{cls.__qualname__}"
        module = sys.modules.get(cls.__module__)
        if not _is_users(getattr(module, "__file__", None), cls.__module__):
            return name.encode()
        own = {
            name: value
            for name, value in vars(cls).items()
            if name not in _GENERATED
            and not name.startswith("__attrs_")
            and not isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType)
        }
        fields = attrs.fields(cls) if attrs.has(cls) else ()
        made = [(field.name, field.default, field.validator, field.converter) for field in fields]
        return self.of((cls.__qualname__, cls.__bases__, own, made))

    def _enum(self, cls: enum.EnumMeta) -> bytes:
        """Its members, and what the user has defined; the rest is made of these by Python."""
        members: list[tuple[str, Any]] = [
            (name, cls.__members__[name].value) for name in cls.__members__
        ]
        own = {name: value for name, value in vars(cls).items() if type(value) in _WRITTEN}
        return self.of((cls.__qualname__, cls.__bases__, members, own))

    def _object(self, value: Any) -> bytes:
        """What it would be made of again; pickles themselves hold numbers of this process."""
        if hasattr(value, "__wrapped__"):
            return self.of((type(value).__qualname__, value.__wrapped__))
        try:
            reduced = value.__reduce_ex__(4)
        except Exception:
            return f"{type(value).__module__}.{type(value).__qualname__}".encode()
        if isinstance(reduced, str):
            return f"{type(value).__module__}.{reduced}".encode()
        return self.of([list(part) if isinstance(part, Iterator) else part for part in reduced])


def _names(code: types.CodeType) -> set[str]:
    """The names that code uses, also in the functions inside of it."""
    inner = [const for const in code.co_consts if isinstance(const, types.CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _is_users(path: str | None, module: str | None) -> bool:
    """Whether code is the user's own: in `__main__`, or in a file that is not of a package that is
    installed."""
    if module == "__main__":
        return True
    if path is None or module in sys.builtin_module_names:
        return False
    if path.startswith("<"):
        # Made by attrs, dataclasses and the like of what the class tells anyway, or typed in.
        return not path.startswith(("<attrs", "<string>", "<frozen"))
    return not os.path.realpath(path).startswith(_INSTALLED)


def _first(pair: tuple[bytes, Any]) -> bytes:
    return pair[0]
