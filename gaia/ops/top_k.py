"""TopK: the records with the largest values."""

from typing import Any

import attrs

from gaia import _core
from gaia.pipeline.aggregates import aggregated, field_named, field_numbers
from gaia.pipeline.names import type_name
from gaia.pipeline.native import NativeJoiner
from gaia.pipeline.records import codec


@attrs.frozen
class TopK(NativeJoiner[Any]):
    """The `n` records of each shard with the largest values of a field.

    For those of a whole table, write what comes out with `with_mod_n_sharding(1, ...)` and join it
    by `TopK` once more. None is behind every value; among equal ones the choice is not defined.

    Args:
        n: How many.
        by: The field's name; `"value"` for a table of single values.
        largest: False for the smallest values.

    >>> import gaia
    >>> p = gaia.Pipeline("p")
    >>> counts = p.from_records([gaia.ops.WordCount("a", 2)], name="counts")
    >>> _ = counts.write("counts", gaia.TXT).with_mod_n_sharding(1, "word")
    >>> p.join(gaia.ops.TopK(10, "count"), [counts])
    PTable[WordCount]('top_k')
    """

    n: int
    by: str
    largest: bool = attrs.field(default=True, kw_only=True)

    def output_type(self, takes: tuple[Any, ...]) -> Any:
        """See `NativeJoiner.output_type`."""
        if type(self.n) is not int or self.n < 1:
            raise ValueError(f"expected a number of records, 1 or more, got {self.n!r}")
        if any(tp != takes[0] for tp in takes):
            raise ValueError(f"expected tables of one type, got {', '.join(map(type_name, takes))}")
        aggregated(field_named(takes[0], self.by), "max")
        return takes[0]

    def core(self, takes: tuple[Any, ...], gives: Any) -> _core.Joint:
        """See `NativeJoiner.core`."""
        by = field_numbers(gives, (self.by,))[0]
        return _core.Joint.top_k(codec(gives), self.n, by, self.largest)
