"""Pipeline: the graph of a job, and where its written tables are joined."""

from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar, overload

from gaia.errors import PipelineError, caller
from gaia.pipeline import explain, plan, signatures, wiring
from gaia.pipeline.graph import (
    Call,
    Join,
    JoinInput,
    Node,
    Read,
    Step,
    Write,
    source_of,
)
from gaia.pipeline.names import label
from gaia.pipeline.native import NativeJoiner
from gaia.pipeline.on_error import DeadLetters, OnError, check_on_error, fail
from gaia.pipeline.operators import Joiner
from gaia.pipeline.output import MAX_SHARDS, check_table_name
from gaia.pipeline.plan import Plan
from gaia.pipeline.reads import Reads
from gaia.pipeline.signatures import UNKNOWN
from gaia.pipeline.table import PTable, snake_case

T = TypeVar("T")


class Pipeline(Reads):
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

    @overload
    def join(
        self, joiner: NativeJoiner[T], inputs: Sequence[PTable[Any]], *, name: str | None = None
    ) -> PTable[T]: ...

    @overload
    def join(
        self,
        joiner: type[Joiner[T]],
        inputs: Sequence[JoinInput],
        *args: Any,
        name: str | None = None,
        on_error: OnError = fail,
        version: str | int | None = None,
    ) -> PTable[T]: ...

    def join(
        self,
        joiner: type[Joiner[Any]] | NativeJoiner[Any],
        inputs: Sequence[Any],
        *args: Any,
        name: str | None = None,
        on_error: OnError = fail,
        version: str | int | None = None,
        **keywords: Any,
    ) -> PTable[Any]:
        """Brings together the shards of written tables that are sharded alike.

        For every shard a joiner is made, given all records of the first input's shard, then of the
        second's, and told when the shard ends. What it writes stays in that shard unless the write
        shards anew.

        Args:
            joiner: A subclass of `Joiner`, or an operator such as `gaia.ops.GroupBy(...)`.
            inputs: `[table.bind_with(MyJoiner.method), ...]`; a table may be bound twice. For an
                operator just the tables.
            args: Arguments for the class.
            name: The step's name; by default made from that of the class.
            version: As for `PTable.map`.
            on_error: What a record does for which a bound method raises, as for `PTable.map`.

        Raises:
            PipelineError: An input is not written, has custom shards or another number of them, or
                a method does not take its table's records.
        """
        name = self._step_name(name, snake_case(label(joiner)))
        call = f"join({label(joiner)}, [...], {{}})"
        wiring.refuse_keywords(name, joiner, call, keywords)
        wiring.check_made(name, joiner, NativeJoiner)
        if isinstance(joiner, NativeJoiner):
            if on_error is not fail:
                wiring.refuse_on_error(name, f"`{label(joiner)}`")
            return self._native_join(name, joiner, inputs, args)
        if not (isinstance(joiner, type) and issubclass(joiner, Joiner)):
            made = "one that is made already: " if isinstance(joiner, Joiner) else ""
            raise PipelineError(
                f"expected a subclass of gaia.Joiner, got {made}`{label(joiner)}`; a Mapper goes "
                "to table.map",
                step=name,
            )
        if not isinstance(inputs, Sequence) or not inputs:
            raise PipelineError(
                "expected a list of inputs, [table.bind_with(MyJoiner.method), ...], "
                f"got {_input_shown(inputs)}",
                step=name,
            )
        for bound in inputs:
            self._check_input(name, joiner, bound)
            if bound.batch_size is not None and on_error is not fail:
                wiring.refuse_on_error(name, f"`{label(bound.handler)}`")
        wiring.check_constructor(name, joiner, args)
        output = signatures.type_argument(joiner, Joiner, 0)
        hooks: list[Any] = [joiner.on_shard_finish, *(bound.handler for bound in inputs)]
        for hook in hooks:
            output = signatures.written_type(hook) if output is UNKNOWN else output
        if output is UNKNOWN:
            raise PipelineError(
                f"cannot tell what `{label(joiner)}` writes; declare it as gaia.Joiner[Out]",
                step=name,
            )
        wiring.check_type(name, output)
        wiring.check_hooks(name, joiner)
        wiring.check_writes(name, joiner, output, hooks)
        join = Join(name, joiner, tuple(inputs), args, output, caller(), on_error, version=version)
        plan.check_join(join, self._writes)
        self._add_node(join)
        return PTable(self, join)

    def _native_join(
        self, name: str, joiner: NativeJoiner[Any], inputs: Sequence[Any], args: tuple[Any, ...]
    ) -> PTable[Any]:
        what = label(joiner)
        if args:
            raise PipelineError(
                f"`{what}` takes its arguments itself, got {args!r} besides", step=name
            )
        if not isinstance(inputs, Sequence) or not inputs:
            raise PipelineError(f"expected a list of tables, got {_input_shown(inputs)}", step=name)
        for table in inputs:
            if not isinstance(table, PTable):
                got = repr(table)
                if isinstance(table, JoinInput):
                    got = _input_shown(table)
                raise PipelineError(
                    f"expected a table for `{what}`, which needs no method to be bound, got {got}",
                    step=name,
                )
            if table._node not in self._nodes:
                raise PipelineError(
                    f"expected tables of pipeline `{self.name}`, but `{table.name}` is one of "
                    f"pipeline `{table._pipeline.name}`",
                    step=name,
                )
        takes = tuple(table._node.type for table in inputs)
        try:
            output = joiner.output_type(takes)
            joiner.core(takes, output)
        except (ValueError, TypeError, OverflowError, NotImplementedError) as error:
            raise PipelineError(f"{what}: {error}", step=name) from None
        wiring.check_type(name, output)
        bound = tuple(JoinInput(self.name, table._node, None, caller()) for table in inputs)
        join = Join(name, joiner, bound, (), output, caller())
        chosen = plan.check_join(join, self._writes)
        wiring.check_meeting(
            name, what, joiner.keys(takes), chosen, [plan.kept(w, self._writes) for w in chosen]
        )
        self._add_node(join)
        return PTable(self, join)

    def explain(self) -> str:
        """The plan as text: stages, fused steps, inputs, outputs and numbers of shards.

        Raises:
            PipelineError: A write has no sharding, or needs another one.
        """
        return explain.explain(self.plan())

    def to_mermaid(self) -> str:
        """The plan as a flowchart of Mermaid's, which GitHub, GitLab and many notebooks draw.

        Raises:
            PipelineError: As `explain`.

        >>> import gaia
        >>> pipeline = gaia.Pipeline("numbers")
        >>> numbers = pipeline.from_records([1, 2, 3], name="numbers")
        >>> _ = numbers.write("kept", gaia.TXT).with_mod_n_sharding(2)
        >>> print(pipeline.to_mermaid())
        flowchart TB
          subgraph stage1["stage 1: numbers"]
            stage1_step1["read numbers: 3 records"]
          end
          table1[("kept<br>txt, 2 shards by record")]
          stage1_step1 --> table1
        """
        from gaia.pipeline import drawing

        return drawing.to_mermaid(drawing.drawn(self.plan()))

    def to_svg(self) -> str:
        """The plan as a drawing: stages with their steps, the tables between them.

        It stands by itself, takes the colours of a light or dark page, and its parts can be told
        apart by `id`: `stage-1`, `table-NAME`.

        Raises:
            PipelineError: As `explain`.
        """
        from gaia.pipeline import drawing, svg

        return svg.to_svg(drawing.drawn(self.plan()))

    def _repr_html_(self) -> str:
        """The drawing, which notebooks show."""
        return self.to_svg()

    def plan(self) -> Plan:
        """The stages that a runner executes.

        Raises:
            PipelineError: As `explain`.
        """
        return plan.plan(self.name, tuple(self._nodes), self._writes)

    def _plan_to_run(self) -> Plan:
        """The plan of a pipeline that is complete: one that leaves something behind.

        Raises:
            PipelineError: As `explain`; or nothing is written.
        """
        plan.check_written(tuple(self._nodes), self._writes)
        return self.plan()

    def _read(
        self, source: Any, tp: Any, name: str | None, default: str, on_error: OnError = fail
    ) -> PTable[Any]:
        name = self._step_name(name, default)
        wiring.check_type(name, tp)
        read = Read(name, source, tp, caller(), on_error)
        self._add_node(read)
        return PTable(self, read)

    def _step_name(self, name: str | None, default: str) -> str:
        """A name that no other step has: the one given, or the default with a number if need be."""
        taken = {node.name: node for node in self._nodes}
        if name is None:
            name, number = default, 2
            while name in taken:
                name, number = f"{default}_{number}", number + 1
        elif not isinstance(name, str) or not name or not name.isprintable():
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
            wiring.check_travels(node.name, user_code, node.args)
        counted = isinstance(node, Step) and node.call is Call.AS and node.on_error is None
        if not counted:
            check_on_error(node.name, node.on_error, MAX_SHARDS)
        if isinstance(node.on_error, DeadLetters):
            self._check_letters(node, node.on_error)
        self._nodes.append(node)

    def _check_letters(self, node: Node, letters: DeadLetters) -> None:
        """Refuses a table of dead letters that is another table, or one of another stage."""
        if why := check_table_name(letters.table):
            raise PipelineError(why, step=node.name)
        if letters.table in self._writes:
            self._refuse_table(letters.table, self._writes[letters.table].location, node.name)
        for other in self._with_letters(letters.table):
            if source_of(other) is not source_of(node):
                raise PipelineError(
                    f"expected a table of dead letters for this stage alone, but "
                    f"{letters.table!r} is that of step `{other.name}` behind "
                    f"`{source_of(other).name}`; choose another name",
                    step=node.name,
                )
            assert isinstance(other.on_error, DeadLetters)
            if other.on_error.shards != letters.shards:
                raise PipelineError(
                    f"expected {other.on_error.shards} shards for the dead letters in "
                    f"{letters.table!r}, as step `{other.name}` has it, got {letters.shards}",
                    step=node.name,
                )

    def _with_letters(self, table: str) -> list[Node]:
        """The nodes whose dead letters go to a table."""
        return [
            node
            for node in self._nodes
            if isinstance(node.on_error, DeadLetters) and node.on_error.table == table
        ]

    def _refuse_table(self, name: str, location: str, step: str) -> NoReturn:
        raise PipelineError(
            f"expected a new name for a table, but the one at {location} is called {name!r} "
            "already",
            step=step,
        )

    def _add_write(self, write: Write) -> None:
        taken = [*filter(None, [self._writes.get(write.name)]), *self._with_letters(write.name)]
        if taken:
            self._refuse_table(write.name, taken[0].location, f"write {write.name}")
        self._writes[write.name] = write

    def _check_input(self, step: str, joiner: type, bound: JoinInput) -> None:
        """Refuses what is no table of this pipeline bound with a method of the joiner."""
        if not isinstance(bound, JoinInput):
            raise PipelineError(
                f"expected table.bind_with({joiner.__name__}.method), got {bound!r}", step=step
            )
        if bound.node not in self._nodes:
            raise PipelineError(
                f"expected tables of pipeline `{self.name}`, but `{bound.node.name}` is one of "
                f"pipeline `{bound.pipeline}`",
                step=step,
                location=bound.location,
            )
        handler: Any = bound.handler
        name = label(handler)
        if hasattr(handler, "__self__"):
            raise PipelineError(
                f"expected the method of the class, `{name}`, got that of one that is made already",
                step=step,
                location=bound.location,
            )
        methods = [vars(base).get(name.rpartition(".")[2]) for base in joiner.__mro__]
        if not any(method is handler for method in methods):
            raise PipelineError(
                f"expected a method of `{label(joiner)}` to bind table `{bound.node.name}` with, "
                f"got `{name}`",
                step=step,
                location=bound.location,
            )
        wiring.check_method(step, name, handler, bound.location)
        wiring.check_batch_size(step, bound.batch_size)
        hints = signatures.parameter_types(handler, bound=True)[:1]
        if bound.batch_size is not None:
            wiring.check_columns(step, bound.node.type)
            hints = [signatures.batch_type(handler)]
        wiring.check_takes(step, f"`{name}`", hints, bound.node, bound.location)


def _input_shown(given: Any) -> str:
    """What was given as an input, or in place of inputs, as its author wrote it."""
    if isinstance(given, JoinInput):
        method = "..." if given.handler is None else label(given.handler)
        return f"`{given.node.name}.bind_with({method})`"
    return repr(given)
