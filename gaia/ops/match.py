"""InnerJoin and LeftJoin: records of two tables with equal keys."""

import builtins
from typing import Any, ClassVar, Generic, TypeVar, overload

import attrs

from gaia import _core
from gaia.ops.made import made_class
from gaia.pipeline.aggregates import field_named, field_numbers, fields_of, key_names
from gaia.pipeline.names import type_name
from gaia.pipeline.native import NativeJoiner
from gaia.pipeline.records import codec

R = TypeVar("R")


class _Match(NativeJoiner[R]):
    """A hash join: the second table's shard is held in memory while the first's passes by. Where it
    does not fit, both go to disk in parts, and are joined part by part."""

    last_first = True
    outer: ClassVar[bool]
    on: str | tuple[str, ...]
    type: Any

    def output_type(self, takes: tuple[Any, ...]) -> Any:
        if len(takes) != 2:
            raise ValueError(f"expected two tables, got {len(takes)}")
        left, right = takes
        keys = key_names(left, self.on)
        for name in key_names(right, self.on):
            mine, other = field_named(left, name), field_named(right, name)
            if mine.inner != other.inner:
                raise ValueError(
                    f"expected `{name}` to have one type, but in the first table it is "
                    f"`{type_name(mine.type)}`, in the second `{type_name(other.type)}`"
                )
        both = [name for name in fields_of(right) if name in fields_of(left) and name not in keys]
        if both:
            raise ValueError(
                f"both tables have a field `{both[0]}` besides the key; rename or leave it out "
                "before they are written, as with gaia.ops.Select"
            )
        gives = {name: field.type for name, field in fields_of(left).items()}
        for name, field in fields_of(right).items():
            if name not in keys:
                gives[name] = field.type | None if self.outer else field.type
        if self.type is None:
            return made_class("Joined", gives)
        wanted = {name: field.type for name, field in fields_of(self.type).items()}
        if not set(wanted.items()) <= set(gives.items()):
            shown = ", ".join(f"{name}: {type_name(tp)}" for name, tp in gives.items())
            raise ValueError(
                f"expected the fields of `{type_name(self.type)}` to be some of ({shown})"
            )
        return self.type

    def keys(self, takes: tuple[Any, ...]) -> tuple[str, ...]:
        return key_names(takes[0], self.on)

    def core(self, takes: tuple[Any, ...], gives: Any) -> _core.Joint:
        left, right = takes
        mine, others = list(fields_of(left)), list(fields_of(right))
        out = [
            (0, mine.index(name)) if name in mine else (1, others.index(name))
            for name in fields_of(gives)
        ]
        keys = key_names(left, self.on)
        return _core.Joint.matched(
            codec(left),
            codec(right),
            field_numbers(left, keys),
            field_numbers(right, keys),
            out,
            self.outer,
        )


@attrs.frozen(init=False)
class InnerJoin(_Match[R], Generic[R]):
    """Every pair of records of two tables with equal keys.

    Both tables have to be sharded by the same fields, or by some of them. The second table's shard
    is held in memory, and both go by the disk if it does not fit, so put the larger table first.

    Args:
        on: The fields to match, of the same names in both tables; None matches None.
        type: The class of the records that come out, with fields of either table. By default a
            class is made: all fields of the first table, then those of the second without the key.

    >>> import gaia
    >>> p = gaia.Pipeline("p")
    >>> counts = p.from_records([gaia.ops.WordCount("a", 2)], name="counts")
    >>> stops = counts.map(gaia.ops.Select("word"), name="stops")
    >>> _ = counts.write("counts", gaia.TXT).with_mod_n_sharding(4, "word")
    >>> _ = stops.write("stops", gaia.TXT).with_mod_n_sharding(4, "word")
    >>> p.join(gaia.ops.InnerJoin("word", type=gaia.ops.WordCount), [counts, stops])
    PTable[WordCount]('inner_join')
    """

    outer = False
    on: str | tuple[str, ...]
    type: Any

    @overload
    def __init__(self: "InnerJoin[Any]", on: str | tuple[str, ...]) -> None: ...

    @overload
    def __init__(self, on: str | tuple[str, ...], *, type: builtins.type[R]) -> None: ...

    def __init__(self, on: str | tuple[str, ...], *, type: Any = None) -> None:
        self.__attrs_init__(on, type)


@attrs.frozen(init=False)
class LeftJoin(_Match[R], Generic[R]):
    """As `InnerJoin`, and every record of the first table without a match, with None in the fields
    of the second, which are optional therefore.

    >>> import gaia
    >>> gaia.ops.LeftJoin("word")
    LeftJoin(on='word', type=None)
    """

    outer = True
    on: str | tuple[str, ...]
    type: Any

    @overload
    def __init__(self: "LeftJoin[Any]", on: str | tuple[str, ...]) -> None: ...

    @overload
    def __init__(self, on: str | tuple[str, ...], *, type: builtins.type[R]) -> None: ...

    def __init__(self, on: str | tuple[str, ...], *, type: Any = None) -> None:
        self.__attrs_init__(on, type)
