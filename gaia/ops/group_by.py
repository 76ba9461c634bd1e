"""GroupBy: one record for each key."""

import builtins
import keyword
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

import attrs

from gaia import _core
from gaia.ops.made import made_class
from gaia.pipeline.aggregates import (
    Aggregate,
    aggregated,
    field_named,
    field_numbers,
    fields_of,
    key_names,
)
from gaia.pipeline.names import type_name
from gaia.pipeline.native import NativeJoiner
from gaia.pipeline.records import codec

R = TypeVar("R")
How = Aggregate | tuple[str, str | Callable[[Any, Any], Any]]


@attrs.frozen(init=False)
class GroupBy(NativeJoiner[R], Generic[R]):
    """One record for each key of a shard.

    Shard the table by the same key, so that all records of one key are in one shard.

    Args:
        key: A field's name, or a tuple of them.
        type: The class of the records that come out. By default that of the input if it has just
            these fields, and otherwise a class is made: the key's fields, then the aggregates.
        aggregates: For each field that comes out how it is reduced: `sum`, `prod`, `min`, `max`,
            `count`, `first`, `any`, `all`, or a function of two values; of another field if given
            as `total=("price", "sum")`. `count` is the number of records and needs no field. None
            is left out, but by `first` and `count`.

    Equal floats are one key (0.0 and -0.0, NaN and NaN), and so are datetimes of one moment.

    >>> import gaia
    >>> p = gaia.Pipeline("p")
    >>> counts = p.from_records([gaia.ops.WordCount("a", 2)], name="counts")
    >>> _ = counts.write("counts", gaia.TXT).with_mod_n_sharding(4, "word")
    >>> p.join(gaia.ops.GroupBy("word", count="sum"), [counts])
    PTable[WordCount]('group_by')
    """

    key: str | tuple[str, ...]
    aggregates: dict[str, How]
    type: Any

    @overload
    def __init__(
        self, key: str | tuple[str, ...], *, type: builtins.type[R], **aggregates: How
    ) -> None: ...

    @overload
    def __init__(self: "GroupBy[Any]", key: str | tuple[str, ...], **aggregates: How) -> None: ...

    def __init__(self, key: str | tuple[str, ...], *, type: Any = None, **aggregates: How) -> None:
        self.__attrs_init__(key, aggregates, type)

    def output_type(self, takes: tuple[Any, ...]) -> Any:
        """See `NativeJoiner.output_type`."""
        takes_one = takes[0]
        if any(tp != takes_one for tp in takes):
            raise ValueError(f"expected tables of one type, got {', '.join(map(type_name, takes))}")
        keys = key_names(takes_one, self.key)
        gives = {name: field_named(takes_one, name).type for name in keys}
        for name, how in self.aggregates.items():
            if name in keys:
                raise ValueError(f"`{name}` is the key, and cannot be reduced as well")
            if not name.isidentifier() or keyword.iskeyword(name):
                raise ValueError(f"{name!r} cannot be the name of a field")
            source, function = _source(name, how)
            if function == "count" and source not in fields_of(takes_one):
                gives[name] = int
            else:
                gives[name] = aggregated(field_named(takes_one, source), function)
        if self.type is None:
            mine = {name: field.type for name, field in fields_of(takes_one).items()}
            return takes_one if mine == gives else made_class("Group", gives)
        wanted = {name: field.type for name, field in fields_of(self.type).items()}
        if wanted != gives:
            shown = ", ".join(f"{name}: {type_name(tp)}" for name, tp in gives.items())
            raise ValueError(f"expected `{type_name(self.type)}` to have the fields ({shown})")
        return self.type

    def keys(self, takes: tuple[Any, ...]) -> tuple[str, ...]:
        """See `NativeJoiner.keys`."""
        return key_names(takes[0], self.key)

    def core(self, takes: tuple[Any, ...], gives: Any) -> _core.Joint:
        """See `NativeJoiner.core`."""
        fields = list(fields_of(takes[0]))
        out: list[tuple[Any, int]] = []
        for name in fields_of(gives):
            source, how = _source(name, self.aggregates.get(name, "key"))
            out.append((how, fields.index(source) if source in fields else 0))
        keys = field_numbers(takes[0], key_names(takes[0], self.key))
        return _core.Joint.group_by(codec(takes[0]), codec(gives), keys, out)


def _source(name: str, how: How) -> tuple[str, Aggregate]:
    """The field that is reduced, and how."""
    if isinstance(how, tuple):
        if len(how) != 2 or not isinstance(how[0], str):
            raise ValueError(f'expected `{name}=("field", "sum")` or the like, got {how!r}')
        return how
    return name, how
