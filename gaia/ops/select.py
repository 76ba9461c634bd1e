"""Operators on whole records: Select and Filter."""

import builtins
from typing import Any, Generic, TypeVar, overload

import attrs

from gaia import _core
from gaia.ops.made import made_class
from gaia.pipeline.aggregates import field_named, field_numbers, fields_of
from gaia.pipeline.names import type_name
from gaia.pipeline.native import NativeMapper
from gaia.pipeline.records import codec

R = TypeVar("R")


@attrs.frozen(init=False)
class Select(NativeMapper[Any, R], Generic[R]):
    """Some fields of each record, in the order in which they are named.

    Args:
        fields: Their names.
        type: The class of the records that come out, with fields of these names and types; or, of a
            single field, that field's type. By default a class is made.

    >>> import gaia
    >>> counts = gaia.Pipeline("p").from_records([gaia.ops.WordCount("a", 2)], name="counts")
    >>> counts.map(gaia.ops.Select("word", type=str))
    PTable[str]('select')
    """

    fields: tuple[str, ...]
    type: Any

    @overload
    def __init__(self: "Select[Any]", *fields: str) -> None: ...

    @overload
    def __init__(self, *fields: str, type: builtins.type[R]) -> None: ...

    def __init__(self, *fields: str, type: Any = None) -> None:
        self.__attrs_init__(fields, type)

    def output_type(self, takes: Any) -> Any:
        """See `NativeMapper.output_type`."""
        if not self.fields:
            raise ValueError("expected the name of at least one field")
        found = {name: field_named(takes, name) for name in self.fields}
        if len(found) < len(self.fields):
            raise ValueError(f"expected different fields, got {', '.join(self.fields)}")
        if self.type is None:
            return made_class("Selected", {name: field.type for name, field in found.items()})
        wanted = fields_of(self.type)
        types = [field.type for field in found.values()]
        if [field.type for field in wanted.values()] != types or (
            list(wanted) not in (list(found), ["value"])
        ):
            shown = ", ".join(f"{name}: {type_name(field.type)}" for name, field in found.items())
            raise ValueError(f"expected `{type_name(self.type)}` to have the fields ({shown})")
        return self.type

    def core(self, takes: Any, gives: Any) -> _core.Op:
        """See `NativeMapper.core`."""
        fields = field_numbers(takes, self.fields)
        return _core.Op("select", codec(takes), codec(gives), fields=fields)


@attrs.frozen
class Filter(NativeMapper[R, R]):
    """Keeps the records of which a field compares so with a value.

    Args:
        field: The field's name; `"value"` for a table of single values.
        comparison: One of `==`, `!=`, `<`, `<=`, `>`, `>=`.
        value: What it is compared with. None is equal to None, and neither less nor greater than
            anything.

    >>> import gaia
    >>> counts = gaia.Pipeline("p").from_records([gaia.ops.WordCount("a", 2)], name="counts")
    >>> counts.map(gaia.ops.Filter("count", ">=", 2))
    PTable[WordCount]('filter')
    """

    field: str
    comparison: str
    value: Any

    def output_type(self, takes: Any) -> Any:
        """See `NativeMapper.output_type`."""
        field = field_named(takes, self.field)
        if self.comparison not in ("==", "!=", "<", "<=", ">", ">="):
            raise ValueError(f"expected one of == != < <= > >=, got {self.comparison!r}")
        ordered = self.comparison not in ("==", "!=")
        if field.kind == "json" or (ordered and field.plain.startswith("enum")):
            raise ValueError(f"`{self.field}` is `{type_name(field.type)}`, which has no order")
        if self.value is None and (ordered or not field.optional):
            raise ValueError(f"`{self.field}` {self.comparison} None is never true")
        return takes

    def core(self, takes: Any, gives: Any) -> _core.Op:
        """See `NativeMapper.core`."""
        return _core.Op(
            "filter",
            codec(takes),
            codec(gives),
            field=field_numbers(takes, (self.field,))[0],
            comparison=self.comparison,
            value=self.value,
        )
