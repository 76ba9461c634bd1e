"""Runs one task: its part of the input through the stage's steps, into bundles.

`run_task` is all that an engine has to call, in whatever process.
"""

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs

from gaia import _core
from gaia.errors import GaiaError, InputError, OutputError
from gaia.io.bundle import Bundle
from gaia.io.files import reason
from gaia.pipeline.aggregates import field_numbers, fields_of
from gaia.pipeline.graph import Call, Custom, Format, ModN
from gaia.pipeline.native import NativeJoiner, NativeMapper
from gaia.pipeline.operators import Operator
from gaia.pipeline.plan import Branch, Table, walk
from gaia.pipeline.records import codec, field_names, plain_key, record_type
from gaia.runner.columns import Columns, Rows, codec_of, frame_bytes, open_batches
from gaia.runner.failure import Failure, Terminated, step_error
from gaia.runner.inputs import Archive, Lines, Part, Slice, archived, codec_for, open_lines
from gaia.runner.profile import Sampler
from gaia.runner.skips import Skips
from gaia.runner.steps import (
    NativeOperator,
    call_hook,
    fresh,
    handler_of,
    weakly,
    with_arguments,
)
from gaia.runner.task import ParseError, Setup, Source, Task, TaskReport

FRAME_BYTES = 128 * 1024


def run_task(setup: Setup, task: Task) -> TaskReport:
    """Runs one task.

    Raises:
        StepError: User code raised.
        InputError: An input is damaged or unreadable.
    """
    if not setup.profile:
        return _TaskRun(setup, task).run()
    stage = setup.stage
    steps = dict.fromkeys([stage.name, *(branch.name for branch in walk(stage.root))])
    with Sampler([*steps, *(f"write {table.name}" for table in stage.tables())]) as sampler:
        report = _TaskRun(setup, task, sampler).run()
    return attrs.evolve(report, profile=sampler.profile)


def _is_stop(error: BaseException) -> bool:
    """Whether somebody stops this process. Where Ctrl-C is ignored, as it is in workers, only user
    code raises what it would raise."""
    if isinstance(error, KeyboardInterrupt):
        return signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    return isinstance(error, Terminated)


class _TaskRun:
    """The steps of a stage, made anew for one task."""

    def __init__(self, setup: Setup, task: Task, sampler: Sampler | None = None) -> None:
        self.setup = setup
        self.task = task
        self.sampler = sampler
        self.folder = setup.folder_of(task)
        self.skips = Skips(setup.stage)
        self.state = _core.TaskState("", task.metadata, task.shard, weakly(self._broken))
        self.outputs: list[tuple[Table, str, _core.Output]] = []
        self.operators: list[tuple[str, Operator[Any], _core.Context[Any]]] = []
        self.contexts: list[_core.Context[Any]] = []
        self.joint: _core.Joint | None = None
        self.spill = os.path.join(self.folder, "spill")
        self.step = setup.stage.name
        self.reading = False
        # The size of the parts that are done.
        self.before = 0
        self.left = task.limit

    def run(self) -> TaskReport:
        begin = time.perf_counter()
        stage = self.setup.stage
        try:
            os.mkdir(self.folder)
        except OSError as error:
            raise OutputError(f"cannot write {self.folder}: {reason(error)}") from None
        try:
            head = self._context(stage.root)
            reads = [head] * len(self.task.inputs)
            targets = reads if stage.joiner is None else self._joiner(head)
            for table in stage.letters:
                self.skips.letters[table.name] = _core.Context(
                    self.state, codec(table.type), [self._output(table)], []
                )
            for killer in self.task.killers:
                self.skips.add(killer)
            self.operators.reverse()
            for name, operator, ctx in self.operators:
                run = self.setup.run.copy()
                self._enter(name, users=True)
                call_hook(operator.setup, run)
                call_hook(operator.on_shard_start, self.task.shard, ctx)
            self._enter(stage.name)
            self.reading = True
            _core.begin_reading(sum(part.size for part in self._parts()))
            inputs = list(zip(self.task.inputs, self._types(), targets, strict=True))
            if isinstance(stage.joiner, NativeJoiner) and stage.joiner.last_first:
                inputs.reverse()
            read = 0
            for source, tp, target in inputs:
                read += self._feed(source, tp, target)
                target.flush()
                if self.left == 0:
                    break
            self.reading = False
            for name, operator, ctx in self.operators:
                self._enter(name, users=not isinstance(operator, NativeOperator))
                call_hook(operator.on_shard_finish, ctx)
                ctx.flush()
            for table, _, output in self.outputs:
                self._enter(f"write {table.name}")
                output.settle()
            for fatal in (self.state.spoiled, self.skips.stopped):
                if fatal is not None:
                    raise fatal  # Even if user code has caught it.
        except BaseException as error:
            if _is_stop(error):
                raise
            # Errors of Gaia's own come out of reading; user code may raise the like as well.
            if isinstance(error, GaiaError) and self.reading and not self.state.blame(error):
                raise
            if self.skips.stopped is not None:
                raise self.skips.stopped from None
            self._check_disk()
            raise step_error(error, self.step, self.state) from None
        finally:
            self.state.forget()
        return TaskReport(
            task=self.task.number,
            read=read,
            bundles=tuple(self._bundles()),
            counters=self._counters(read, targets),
            freq_maps=self.state.freq_maps,
            parse_errors=tuple(ParseError(*error) for error in self.state.parse_errors[1]),
            skipped=self.skips.skipped,
            elapsed=time.perf_counter() - begin,
        )

    def _enter(self, step: str, users: bool = False) -> None:
        """Goes on to a step: to user code of it that is called from here, or to Gaia's."""
        self.step = step
        if self.sampler is not None:
            self.sampler.enter(step, users)

    def _context(self, branch: Branch) -> _core.Context[Any]:
        """The context through which a step's records leave it, with all that hangs behind."""
        consumers = []
        for child in branch.branches:
            into = self._context(child)
            call, function = self._consumer(child, branch.type, into)
            consumers.append((child.name, call, function, into, self._policy(child.name)))
        ctx: _core.Context[Any] = _core.Context(
            self.state,
            codec(branch.type),
            [self._output(table) for table in branch.tables],
            consumers,
        )
        self.contexts.append(ctx)
        return ctx

    def _consumer(self, branch: Branch, takes: Any, into: _core.Context[Any]) -> tuple[str, Any]:
        """How the core calls a step: the kind of call and what to call."""
        self._enter(branch.name)
        assert branch.call is not None
        assert branch.function is not None
        if isinstance(branch.function, NativeMapper):
            return "native", branch.function.core(takes, branch.type)
        if branch.call in (Call.DO, Call.DO_BATCH):
            args = fresh(branch.args)
            self._enter(branch.name, users=True)
            mapper = branch.function(*args)
            self._enter(branch.name)
            self.operators.append((branch.name, mapper, into))
            if branch.call is Call.DO_BATCH:
                return "do_batch", (mapper.do_batch, branch.batch_size)
            return "do", mapper.do
        if branch.call is Call.AS:
            lenient = branch.on_error is None
            if record_type(takes).kind == "json":
                return "convert", (record_type(branch.type).from_dict, lenient)
            return "parse", (_core.Codec(record_type(branch.type), "txt"), lenient)
        return branch.call.value, with_arguments(branch.function, branch.args)

    def _policy(self, step: str) -> Callable[[Exception], None] | None:
        return self.skips.policy(step, self.state, weakly(self._check_disk))

    def _broken(self, position: int, message: str, line: bytes | None) -> None:
        """Is told of what cannot be read."""
        shown = "" if line is None else repr(line.decode(errors="backslashreplace"))
        file = self.state.input_file
        self.skips.add(Failure(self.setup.stage.name, message, file, position, shown))

    def _joiner(self, head: _core.Context[Any]) -> list[_core.Context[Any]]:
        """Makes the joiner; returns for each input the context that leads to its handler."""
        stage = self.setup.stage
        self._enter(stage.name)
        assert stage.joiner is not None
        calls: list[tuple[str, Any]]
        if isinstance(stage.joiner, NativeJoiner):
            joint = stage.joiner.core(tuple(self._types()), stage.root.type)
            joint.limit(self.setup.budget.join, self.spill)
            self.joint = joint
            self.operators.append((stage.name, NativeOperator(joint), head))
            calls = [("joint", (joint, number)) for number in range(len(stage.inputs))]
        else:
            args = fresh(stage.args)
            self._enter(stage.name, users=True)
            joiner = stage.joiner(*args)
            self._enter(stage.name)
            self.operators.append((stage.name, joiner, head))
            calls = [handler_of(joiner, entry) for entry in stage.inputs]
        policy = self._policy(stage.name)
        return [
            _core.Context(self.state, codec(entry.type), [], [(stage.name, *call, head, policy)])
            for entry, call in zip(stage.inputs, calls, strict=True)
        ]

    def _output(self, table: Table) -> _core.Output:
        path = os.path.join(self.folder, f"{table.name}.bundle")
        sharding = table.sharding
        parquet = table.format is Format.PARQUET
        key: Any = None
        if isinstance(sharding, ModN):
            key = sharding.key
            if isinstance(key, tuple):
                names = field_names(table.type)
                key = [names.index(name) for name in key]
        output = _core.Output(
            table.name,
            _core.Codec(
                record_type(table.type), "arrow" if table.format.has_columns else table.format.value
            ),
            path,
            shards=table.shards or 0,
            key=key,
            custom=sharding.function if isinstance(sharding, Custom) else None,
            kept=self.task.shard if sharding is None else None,
            plain_key=plain_key,
            combine=_combine(table, self.setup.budget.combine),
            # Parquet is made of uncompressed Arrow when it is committed.
            compression="none" if parquet else table.compression.value,
            level=table.level,
            frame_bytes=_frame_bytes(table),
            budget=self.setup.budget.buffers,
        )
        self.outputs.append((table, path, output))
        return output

    def _types(self) -> Iterator[Any]:
        stage = self.setup.stage
        if stage.joiner is None:
            yield from (stage.root.type for _ in self.task.inputs)
        else:
            yield from (entry.type for entry in stage.inputs)

    def _feed(self, source: Source, tp: Any, target: _core.Context[Any]) -> int:
        """Passes all records of an input to a context; returns how many there were."""
        if isinstance(source, Slice):
            return self._took(_core.feed_records(source.records[: self.left], target, source.start))
        if isinstance(source, Archive):
            return self._feed_archive(source, target)
        count = 0
        for part in self._entered(source.parts, target):
            try:
                count += self._took(self._feed_part(source, part, tp, target))
            except InputError as error:
                if not source.skip_damaged or self.state.blame(error):
                    raise
                self.state.count_broken(self.state.input_pos, str(error))
            except OSError as error:
                if self.state.blame(error):
                    raise
                raise InputError(f"cannot read {part.path}: {reason(error)}") from None
            except (ValueError, TypeError) as error:
                if self.state.blame(error):
                    raise
                if not source.ours:
                    raise InputError(f"cannot read {part.path}: {error}") from None
                raise InputError(
                    f"{part.path} is damaged at position {self.state.input_pos}: {error}"
                ) from None
        return count

    def _entered(
        self, parts: Iterable[Part | Rows], target: _core.Context[Any]
    ) -> Iterator[Part | Rows]:
        """Goes from part to part, as far as records are wanted."""
        for part in parts:
            if self.left == 0:
                break
            target.flush()  # What waits is of the file before.
            self.state.enter(part.path)
            yield part
            self.before += part.size

    def _feed_part(
        self, source: Lines | Columns, part: Part | Rows, tp: Any, target: _core.Context[Any]
    ) -> int:
        if isinstance(source, Columns):
            assert isinstance(part, Rows)
            batches = open_batches(source, part, tp)
            _core.read_up_to(self.before)
            return _core.feed_batches(batches, codec_of(tp), target, not source.ours, self.left)
        assert isinstance(part, Part)
        try:
            codec = codec_for(source, part, tp)
        except InputError as error:
            raise InputError(f"step `{self.setup.stage.name}`: {error}") from None
        lines = open_lines(source, part, self.setup.budget.line)
        _core.read_up_to(self.before)
        return _core.feed_lines(lines, codec, target, not source.ours, self.left)

    def _feed_archive(self, source: Archive, target: _core.Context[Any]) -> int:
        count = 0
        for part in self._entered(source.parts, target):
            assert isinstance(part, Part)
            _core.read_up_to(self.before)
            records = archived(source, part, self.state.count_broken)
            first = itertools.islice(records, self.left)
            count += self._took(_core.feed_positioned(first, target))
        return count

    def _took(self, count: int) -> int:
        """So many records were read."""
        if self.left is not None:
            self.left -= count
        return count

    def _parts(self) -> Iterator[Part | Rows]:
        for source in self.task.inputs:
            if not isinstance(source, Slice):
                yield from source.parts

    def _check_disk(self) -> None:
        """Takes the blame off user code that ran when a file of ours could not be written."""
        if self.joint is not None and self.joint.broken is not None:
            raise OutputError(
                f"cannot spill to {self.spill}: {os.strerror(self.joint.broken)}"
            ) from None
        for _, path, output in self.outputs:
            if output.broken is not None:
                raise OutputError(f"cannot write {path}: {os.strerror(output.broken)}") from None

    def _bundles(self) -> Iterator[Bundle]:
        for table, path, output in self.outputs:
            try:
                index, names, zones = output.finish()
            except OSError as error:
                raise OutputError(f"cannot write {path}: {reason(error)}") from None
            yield Bundle(table.name, path, index, tuple(names), zones)

    def _counters(self, read: int, targets: list[_core.Context[Any]]) -> dict[str, int]:
        counters = dict(self.state.counters) | self.skips.counters()
        joined = self.setup.stage.joiner is not None
        if not joined:
            counters[f"map-input-{self.setup.stage.name}"] = read
        calls = writes = 0
        for ctx in [*self.contexts, *(targets if joined else [])]:
            called, written = ctx.traffic()
            calls += called
            writes += written
        counters["fn-calls"] = counters.get("fn-calls", 0) + calls
        counters["fn-writes"] = counters.get("fn-writes", 0) + writes
        if self.joint is not None and self.joint.spilled[0]:
            for name, n in zip(("spills", "spilled-bytes"), self.joint.spilled, strict=True):
                counters[name] = counters.get(name, 0) + n
        if errors := self.state.parse_errors[0]:
            counters["parse-errors"] = counters.get("parse-errors", 0) + errors
        return counters


def _frame_bytes(table: Table) -> int:
    if table.format.has_columns:
        return frame_bytes(table)
    return min(FRAME_BYTES, table.max_shard_bytes or FRAME_BYTES)


def _combine(table: Table, limit: int) -> tuple[list[int], list[Any], int] | None:
    """The key's fields, how each field of the record is reduced, and in how many bytes."""
    if table.combine is None:
        return None
    how = dict.fromkeys(table.combine.key, "key") | dict(table.combine.aggregates)
    fields = [how[name] for name in fields_of(table.type)]
    return field_numbers(table.type, table.combine.key), fields, limit
