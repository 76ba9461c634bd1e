"""What user code looks like: mappers, joiners, and the context they write through."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

import attrs

from gaia._core import Batch

In_contra = TypeVar("In_contra", contravariant=True)
Out = TypeVar("Out")
Record_contra = TypeVar("Record_contra", contravariant=True)


class Context(Protocol[Record_contra]):
    """What a mapper or joiner writes through. It is made by Gaia and passed to every hook.

    `Context[WordCount]` takes records of type `WordCount`.
    """

    def write(self, record: Record_contra, /, *, shard: int | str | None = None) -> None:
        """Writes a record to the step's table.

        `shard` overrides the table's sharding: a number, or a name where the sharding is custom.

        Raises:
            TypeError: The record or one of its fields is not of the declared type.
            ValueError: The format cannot hold a value, or there is no such shard.
        """

    def write_columns(self, **columns: Any) -> None:
        """Writes records given by columns: `ctx.write_columns(word=line.split(), count=1)`.

        Each field is a list or tuple, a NumPy array, anything of Arrow's (a pyarrow array, a polars
        Series), or one value that all records share. All columns are of one length.

        Raises:
            TypeError: A field is missing, or a value is not of the declared type.
            ValueError: The lengths differ, or the format cannot hold a value.
        """

    def inc(self, counter: str, n: int = 1) -> None:
        """Adds `n` to a counter; counters are summed over all workers."""

    def freq_map(self, name: str) -> Counter[Any]:
        """A counter per key, such as `ctx.freq_map("languages")[language] += 1`.

        Summed over all workers at the end of the stage; readable in `setup` of later stages and in
        the result.
        """

    @property
    def input_file(self) -> str:
        """The path of the file that is being read."""

    @property
    def input_pos(self) -> int:
        """Where the record starts: a byte offset in the (decompressed) file, or the number of the
        record for `from_records`."""

    @property
    def metadata(self) -> Any:
        """The `metadata` of the `FileSpec` that named the file, or None."""

    @property
    def shard(self) -> Any:
        """The shard of the input: in a joiner always, in a mapper where its input has one."""

    def set_output_shard(self, shard: int | str | None) -> None:
        """Sends the following writes without `shard=` to this shard; None ends it."""

    def close_shard(self, shard: int | str) -> None:
        """Promises that this task writes no more to the shard, and frees its memory."""


@attrs.frozen
class Run:
    """What `setup` may look at: the results of the stages before.

    `freq_maps` and `counters` are those of all finished stages, merged; one that nobody filled is
    empty or 0.
    """

    pipeline: str
    freq_maps: Mapping[str, Counter[Any]]
    counters: Counter[str]

    def copy(self) -> "Run":
        """One that can be changed without changing this."""
        freq_maps: dict[str, Counter[Any]] = defaultdict(Counter)
        freq_maps.update({name: counts.copy() for name, counts in self.freq_maps.items()})
        return Run(self.pipeline, freq_maps, self.counters.copy())


class Operator(Generic[Out]):
    """The hooks that mappers and joiners share."""

    def setup(self, run: Run) -> None:
        """Called once, before anything else."""

    def on_shard_start(self, shard: Any, ctx: Context[Out]) -> None:
        """Called before the first record. `shard` is that of the input: in a joiner its number, in
        a mapper None unless the input has one."""

    def on_shard_finish(self, ctx: Context[Out]) -> None:
        """Called after the last record of the task's input; may still write."""


class Mapper(Operator[Out], Generic[In_contra, Out]):
    """Sees the records of a table one by one, and writes any number of records for each.

    Subclass as `Mapper[In, Out]` and define `do`. A mapper is made anew for every task from the
    arguments given to `map`, so its state is that of one task. A record may go to several steps, so
    none should change it.

    >>> import gaia
    >>> class Longer(gaia.Mapper[str, int]):
    ...     def __init__(self, least: int) -> None:
    ...         self.least = least
    ...
    ...     def do(self, line: str, ctx: gaia.Context[int]) -> None:
    ...         if len(line) >= self.least:
    ...             ctx.write(len(line))
    >>> p = gaia.Pipeline("lengths")
    >>> lengths = p.from_records(["a", "bcd"], name="lines").map(Longer, 2, name="longer")
    """

    def do(self, record: In_contra, ctx: Context[Out]) -> None:
        """Called for every record. What it returns is ignored."""
        raise NotImplementedError

    def do_batch(self, batch: Batch[In_contra], ctx: Context[Out]) -> None:
        """Called, where it is defined, with many records at a time, in columns; `do` is not.

        `batch["x"]` is a column, which NumPy takes without copying it (`np.asarray(batch["x"])`);
        the batch is one of Arrow's (`pyarrow.record_batch(batch)`, `polars.DataFrame(batch)`).
        `map(..., batch_size=n)` says how many records at most.
        """
        raise NotImplementedError


class Joiner(Operator[Out]):
    """Sees the whole of one shard: all records of the first table, then of the second, and so on.

    Subclass as `Joiner[Out]` with one method per input, `method(self, record, ctx)`, which
    `table.bind_with(MyJoiner.method)` names. Records with equal keys are in the same shard, in no
    order: group them in a dict, and write in `on_shard_finish`. A joiner is made anew for every
    shard.
    """
