"""Distinct: the first record of each key."""

from typing import Any, TypeVar

import attrs

from gaia import _core
from gaia.pipeline.aggregates import field_numbers, fields_of, key_names
from gaia.pipeline.names import type_name
from gaia.pipeline.native import NativeJoiner
from gaia.pipeline.records import codec

R = TypeVar("R")


@attrs.frozen
class Distinct(NativeJoiner[Any]):
    """The first record of each key of a shard; which one is first, is not defined.

    Args:
        key: A field's name, or a tuple of them; by default all fields.

    >>> import gaia
    >>> p = gaia.Pipeline("p")
    >>> words = p.from_records(["a", "b", "a"], name="words")
    >>> _ = words.write("words", gaia.TXT).with_mod_n_sharding(4)
    >>> p.join(gaia.ops.Distinct(), [words])
    PTable[str]('distinct')
    """

    key: str | tuple[str, ...] | None = None

    def output_type(self, takes: tuple[Any, ...]) -> Any:
        """See `NativeJoiner.output_type`."""
        if any(tp != takes[0] for tp in takes):
            raise ValueError(f"expected tables of one type, got {', '.join(map(type_name, takes))}")
        self._keys(takes[0])
        return takes[0]

    def keys(self, takes: tuple[Any, ...]) -> tuple[str, ...]:
        """See `NativeJoiner.keys`."""
        return self._keys(takes[0])

    def core(self, takes: tuple[Any, ...], gives: Any) -> _core.Joint:
        """See `NativeJoiner.core`."""
        return _core.Joint.distinct(codec(takes[0]), field_numbers(gives, self._keys(gives)))

    def _keys(self, tp: Any) -> tuple[str, ...]:
        return key_names(tp, tuple(fields_of(tp)) if self.key is None else self.key)
