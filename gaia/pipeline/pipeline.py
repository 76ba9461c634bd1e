"""Pipeline: where records come in, and where written tables are joined."""

import os
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, overload

from gaia.errors import PipelineError, caller
from gaia.pipeline import plan, signatures
from gaia.pipeline.graph import (
    Files,
    FileSpec,
    Format,
    Join,
    JoinInput,
    Node,
    Read,
    Records,
    Step,
    StoredTable,
    Write,
)
from gaia.pipeline.operators import Joiner
from gaia.pipeline.records import UnsupportedTypeError, is_generator, record_type, type_name
from gaia.pipeline.signatures import UNKNOWN
from gaia.pipeline.table import PTable
from gaia.pipeline.travel import dumps

T = TypeVar("T")
Paths = str | os.PathLike[str] | FileSpec | Sequence[str | os.PathLike[str] | FileSpec]


class Pipeline:
    """A job: a graph of reads, maps, joins and writes that a runner executes.

    >>> import gaia
    >>> pipeline = gaia.Pipeline("numbers")
    >>> numbers = pipeline.from_records([1, 2, 3], name="numbers")
    >>> _ = numbers.write("numbers", gaia.TXT).with_mod_n_sharding(2)
    >>> print(pipeline.explain())
    pipeline numbers: 1 stage, 1 table
    <BLANKLINE>
    stage 1: numbers
      read numbers: 3 records -> int
        write numbers: txt, 2 shards by record
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._nodes: list[Node] = []
        self._writes: dict[str, Write] = {}

    def __repr__(self) -> str:
        return f"Pipeline({self.name!r})"

    def read_text(
        self,
        paths: Paths,
        *,
        name: str | None = None,
        skip_header: bool = False,
        encoding: str = "utf-8",
        errors: str = "strict",
    ) -> PTable[str]:
        """Reads lines of text, without their line ends (LF or CRLF).

        Plain, gzip and zstd files are told apart by their first bytes.

        Args:
            paths: A path, a glob (`**` too), a `FileSpec`, or a list of them.
            name: The step's name.
            skip_header: Leave out the first line of every file.
            encoding: A Python codec's name.
            errors: What to do with bytes that do not decode, as in `bytes.decode`. With `strict`,
                the line is counted as a parse error and left out.
        """
        try:
            "".encode(encoding, errors)
        except LookupError as error:
            raise PipelineError(str(error), step=name or "read_text") from None
        files = Files(_specs(paths), Format.TXT, encoding, errors, skip_header)
        return self._read(files, str, name, "read_text")

    @overload
    def read_jsonl(self, paths: Paths, *, name: str | None = None) -> PTable[dict[str, Any]]: ...

    @overload
    def read_jsonl(self, paths: Paths, *, type: type[T], name: str | None = None) -> PTable[T]: ...

    def read_jsonl(self, paths: Paths, *, type: Any = dict, name: str | None = None) -> PTable[Any]:
        """Reads one JSON value a line, as dicts or as records of the type given.

        A line that does not parse is counted as a parse error and left out; blank lines are no
        records.
        """
        return self._read(Files(_specs(paths), Format.JSONL), type, name, "read_jsonl")

    @overload
    def from_records(self, records: Iterable[T], *, name: str | None = None) -> PTable[T]: ...

    @overload
    def from_records(
        self, records: Iterable[Any], *, type: type[T], name: str | None = None
    ) -> PTable[T]: ...

    def from_records(
        self, records: Iterable[Any], *, type: Any = None, name: str | None = None
    ) -> PTable[Any]:
        """Takes records from an iterable: for tests and small tables. They travel with the plan.

        The type is that of the first record, unless it is given.
        """
        held = tuple(records)
        if type is None:
            if not held:
                raise PipelineError(
                    "expected at least one record to tell their type by, got none; pass type=",
                    step=name or "from_records",
                )
            type = held[0].__class__
        for number, record in enumerate(held):
            if not isinstance(record, type) and not signatures.accepts(type, record.__class__):
                raise PipelineError(
                    f"expected records of type `{type_name(type)}`, got "
                    f"`{type_name(record.__class__)}` as record {number}",
                    step=name or "from_records",
                )
        return self._read(Records(held), type, name, "from_records")

    def read_table(
        self, path: str | os.PathLike[str], *, type: type[T], name: str | None = None
    ) -> PTable[T]:
        """Reads a table that an earlier run wrote: what its manifest names."""
        return self._read(StoredTable(os.fspath(path)), type, name, "read_table")

    def join(
        self,
        joiner: type[Joiner[T]],
        inputs: Sequence[JoinInput],
        *args: Any,
        name: str | None = None,
    ) -> PTable[T]:
        """Brings together the shards of written tables that are sharded alike.

        For every shard a joiner is made, given all records of the first input's shard, then of the
        second's, and told when the shard ends. What it writes stays in that shard unless the write
        shards anew.

        Args:
            joiner: A subclass of `Joiner`.
            inputs: `[table.bind_with(MyJoiner.method), ...]`; a table may be bound twice.
            args: Arguments for the class.
            name: The step's name; by default made from that of the class.

        Raises:
            PipelineError: An input is not written, has custom shards or another number of them, or
                a method does not take its table's records.
        """
        name = self._step_name(name, getattr(joiner, "__name__", "join").lower())
        if not (isinstance(joiner, type) and issubclass(joiner, Joiner)):
            raise PipelineError(f"expected a subclass of gaia.Joiner, got {joiner!r}", step=name)
        if not isinstance(inputs, Sequence) or not inputs:
            raise PipelineError(
                "expected a list of inputs, [table.bind_with(MyJoiner.method), ...], "
                f"got {inputs!r}",
                step=name,
            )
        for bound in inputs:
            _check_handler(name, joiner, bound)
        if why := signatures.misfit(joiner, args, "the class"):
            raise PipelineError(why, step=name)
        output = signatures.type_argument(joiner, Joiner, 0)
        if output is UNKNOWN:
            output = signatures.written_type(joiner.on_shard_finish)
        if output is UNKNOWN:
            raise PipelineError(
                f"cannot tell what `{type_name(joiner)}` writes; declare it as gaia.Joiner[Out]",
                step=name,
            )
        _check_type(name, output)
        join = Join(name, joiner, tuple(inputs), args, output, caller())
        plan.check_join(join, self._writes)
        self._add_node(join)
        return PTable(self, join)

    def explain(self) -> str:
        """The plan as text: stages, fused steps, inputs, outputs and numbers of shards.

        Raises:
            PipelineError: A write has no sharding, or needs another one.
        """
        return plan.explain(self.plan())

    def plan(self) -> "plan.Plan":
        """The stages that a runner executes.

        Raises:
            PipelineError: As `explain`.
        """
        return plan.plan(self.name, tuple(self._nodes), self._writes)

    def _read(self, source: Any, tp: Any, name: str | None, default: str) -> PTable[Any]:
        name = self._step_name(name, default)
        _check_type(name, tp)
        read = Read(name, source, tp, caller())
        self._add_node(read)
        return PTable(self, read)

    def _step_name(self, name: str | None, default: str) -> str:
        """A name that no other step has: the one given, or the default with a number if need be."""
        taken = {node.name: node for node in self._nodes}
        if name is None:
            name, number = default, 2
            while name in taken:
                name, number = f"{default}_{number}", number + 1
        elif not name or not name.isprintable():
            raise PipelineError(f"expected a name for a step, got {name!r}")
        elif name in taken:
            raise PipelineError(
                f"expected a new name for a step, but the step at {taken[name].location} "
                f"is called {name!r} already"
            )
        return name

    def _add_node(self, node: Node) -> None:
        if isinstance(node, Step | Join):
            user_code = node.joiner if isinstance(node, Join) else node.function
            _check_travels(node.name, user_code, node.args)
        self._nodes.append(node)

    def _add_write(self, write: Write) -> None:
        if write.name in self._writes:
            raise PipelineError(
                f"expected a new name for a table, but the write at "
                f"{self._writes[write.name].location} is called {write.name!r} already",
                step=f"write {write.name}",
            )
        self._writes[write.name] = write


def _specs(paths: Paths) -> tuple[FileSpec, ...]:
    several = [paths] if isinstance(paths, str | os.PathLike | FileSpec) else list(paths)
    if not several:
        raise PipelineError("expected at least one path to read, got an empty list")
    specs = []
    for path in several:
        spec = path if isinstance(path, FileSpec) else FileSpec(os.fspath(path))
        specs.append(spec)
    return tuple(specs)


def _check_type(name: str, tp: Any) -> None:
    try:
        record_type(tp)
    except UnsupportedTypeError as error:
        raise PipelineError(str(error), step=name) from None


def _check_travels(name: str, user_code: Any, args: tuple[Any, ...]) -> None:
    """Workers get user code and its arguments by pickle."""
    try:
        dumps((user_code, args))
    except Exception as error:
        what = f"`{getattr(user_code, '__qualname__', user_code)}` and its arguments"
        raise PipelineError(
            f"{what} cannot be sent to workers: {error}; open files, locks and connections in "
            "`setup` instead",
            step=name,
        ) from None


def _check_handler(name: str, joiner: type, bound: JoinInput) -> None:
    if not isinstance(bound, JoinInput):
        raise PipelineError(
            f"expected table.bind_with({joiner.__name__}.method), got {bound!r}", step=name
        )
    handler = bound.handler
    label = getattr(handler, "__name__", repr(handler))
    if getattr(joiner, label, None) is None or not _is_method(joiner, handler):
        raise PipelineError(
            f"expected a method of `{type_name(joiner)}` to bind table `{bound.node.name}` with, "
            f"got {getattr(handler, '__qualname__', handler)!r}",
            step=name,
        )
    if is_generator(handler):
        raise PipelineError(
            f"`{handler.__qualname__}` is a generator, which nothing would iterate; "
            "call ctx.write(record)",
            step=name,
        )
    if why := signatures.misfit(handler, (None, None, None), "the method"):
        raise PipelineError(why, step=name)
    for hint in signatures.parameter_types(handler, bound=True)[:1]:
        if not signatures.accepts(hint, bound.node.type):
            raise PipelineError(
                f"`{handler.__qualname__}` takes `{type_name(hint)}`, but table "
                f"`{bound.node.name}` holds `{type_name(bound.node.type)}`",
                step=name,
            )


def _is_method(joiner: type, handler: Any) -> bool:
    """Whether the class, or one that it inherits from, defines the function."""
    return any(
        vars(base).get(getattr(handler, "__name__", "")) is handler for base in joiner.__mro__
    )
