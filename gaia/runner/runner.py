"""What all runners do: plan, execute, and tell what came of it."""

import json
import math
import os
import signal
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from types import FrameType
from typing import Any

import attrs

from gaia.errors import GaiaError, PipelineError
from gaia.io.destination import REPORT, Destination, LocalDestination, StoreDestination, own_file
from gaia.io.stores import join, local_path, store_of, url_of
from gaia.io.tell import tell
from gaia.pipeline.pipeline import Pipeline
from gaia.pipeline.plan import Plan
from gaia.runner import scheduler
from gaia.runner.attempts import Attempts
from gaia.runner.columns import Rows
from gaia.runner.engine import Engine
from gaia.runner.explanation import Means, explanation
from gaia.runner.failure import Terminated
from gaia.runner.inputs import Part, Slice
from gaia.runner.memory import total_memory
from gaia.runner.profile import table
from gaia.runner.progress import Progress, TerminalDisplay, choose
from gaia.runner.result import RunResult, Table
from gaia.runner.shuffle import LocalShuffle, SharedShuffle, Shuffle
from gaia.runner.status import Listener, Status
from gaia.runner.task import Source, Task

# A compressed file from this size on is worth a word if it cannot be split.
_LONG_BYTES = 256 << 20


@attrs.frozen
class _Planned:
    """What a run does: its tasks that read, how its engine is started, and what it has."""

    plan: Plan
    reads: dict[str, list[Task]]
    start: Callable[[bool], Engine]
    means: Means
    tasks_at_once: int


class Runner:
    """Runs pipelines into a folder. What kinds of runners differ in is where the tasks run."""

    def __init__(
        self,
        dest_dir: str | os.PathLike[str],
        *,
        scratch_dir: str | os.PathLike[str] | None,
        storage_options: dict[str, Any] | None,
        filesystem: Any,
        resume: bool,
        verify: bool,
        max_attempts: int,
        task_timeout: float | None,
        profile: bool,
        progress: bool,
        limit: int | None,
        explain: bool,
        http_port: int | None,
        http_host: str,
    ) -> None:
        if type(max_attempts) is not int or max_attempts < 1:
            raise PipelineError(f"expected max_attempts of 1 or more, got {max_attempts!r}")
        if task_timeout is not None and (
            type(task_timeout) not in (int, float) or not 0 < task_timeout < math.inf
        ):
            raise PipelineError(f"expected task_timeout in seconds, above 0, got {task_timeout!r}")
        if http_port is not None and (type(http_port) is not int or not 0 <= http_port < 1 << 16):
            raise PipelineError(f"expected http_port from 0 to 65535, got {http_port!r}")
        if limit is not None and (type(limit) is not int or limit < 1):
            raise PipelineError(f"expected a limit of 1 record or more, got {limit!r}")
        if not isinstance(dest_dir, str | os.PathLike):
            raise PipelineError(
                f'expected a destination, {type(self).__name__}("out").run(pipeline), got '
                f"{dest_dir!r}"
            )
        dest = os.fspath(dest_dir)
        self._store = store_of(dest, storage_options, filesystem)
        self.dest_dir = local_path(dest) if self._store is None else url_of(dest, self._store)
        self.scratch_dir = None if scratch_dir is None else local_path(os.fspath(scratch_dir))
        self.attempts = Attempts(max_attempts, task_timeout)
        self.resume = resume
        self.verify = verify
        self.profile = profile
        self.progress = progress
        self.http_port = http_port
        self.http_host = http_host
        self.limit = limit
        self._explains = explain

    def explain(self, pipeline: Pipeline) -> str:
        """The plan as text, with the sizes of the inputs, the numbers of tasks, and the memory that
        each stage takes. Runs and writes nothing.

        Raises:
            PipelineError, InputError: As `run`.

        >>> import gaia
        >>> pipeline = gaia.Pipeline("squares")
        >>> numbers = pipeline.from_records(range(5), name="numbers")
        >>> _ = numbers.write("numbers", gaia.TXT).with_mod_n_sharding(2)
        >>> print(gaia.LocalRunner("/data/out", memory="1GB").explain(pipeline))
        pipeline squares: 1 stage, 1 table
          into /data/out, by this process alone, with 1.0 GB of memory
        <BLANKLINE>
        stage 1: numbers
          input: 5 records, in 5 tasks
          memory: at most 175 MB, and what your code keeps
          read numbers: 5 records -> int
            write numbers: txt, 2 shards by record
        """
        with self._session():
            planned = self._planned(pipeline)
        return explanation(planned.plan, planned.reads, planned.means)

    def run(self, pipeline: Pipeline) -> RunResult:
        """Runs all stages and returns the tables.

        Ctrl-C and SIGTERM stop all workers; tables that were not finished are not written.

        Raises:
            PipelineError: The graph is not complete.
            InputError: An input is missing or damaged.
            OutputError: The destination cannot be written.
            StepError: User code raised.
            WorkerError: Worker processes died, or took too long.
            SystemExit: The plan was printed, because of `explain=True`.
        """
        if self._explains:
            print(self.explain(pipeline))
            raise SystemExit(0)
        begin = time.perf_counter()
        with self._session():
            planned = self._planned(pipeline)
            plan, reads = planned.plan, planned.reads
            place = self._place()
            scheduler.prepare(plan, reads, place)
            if self.limit is not None:
                _warn_of_limit(plan, place, self.limit)
            _warn_of_long_reads(reads, planned.tasks_at_once)
            try:
                with _terminating():
                    display = choose() if self.progress else None
                    engine = planned.start(isinstance(display, TerminalDisplay))
                    settings = scheduler.Settings(
                        self.attempts,
                        planned.means.memory,
                        self.resume,
                        self.verify,
                        self._shuffle(),
                        self.profile,
                    )
                    listeners: list[Listener] = [] if display is None else [Progress(display)]
                    given = self._shown(engine.workers, planned.means.memory)
                    report = own_file(self.dest_dir, REPORT)
                    status = Status(plan, given, listeners, report=report)
                    with closing(engine), self._live(status):
                        progress = scheduler.execute(plan, reads, engine, place, settings, status)
            except GaiaError as error:
                raise error.with_traceback(None) from None
            except KeyboardInterrupt as stop:
                told = "the run was stopped; the tables of unfinished stages are as they were"
                stop.args = (told,)
                raise stop.with_traceback(None) from None
        if profiled := status.profile():
            tell("\n".join(table(profiled)))
        _warn_of_unwritten(plan, progress)
        _warn_of_parse_errors(progress)
        _warn_of_skipped(progress)
        types = {table.name: table.type for stage in plan.stages for table in stage.tables()}
        return RunResult(
            tables={
                name: Table(join(self.dest_dir, name), types[name], manifest, self._store)
                for name, manifest in progress.manifests.items()
            },
            counters=progress.counters,
            freq_maps=progress.freq_maps,
            elapsed=time.perf_counter() - begin,
            report=report,
        )

    def _session(self) -> AbstractContextManager[object]:
        """What has to be there while a pipeline runs."""
        return nullcontext()

    def _workers(self) -> int:
        """How many tasks can run at once."""
        raise NotImplementedError

    def _means(
        self, workers: int, reads: dict[str, list[Task]], alone: bool
    ) -> tuple[Callable[[bool], Engine], Means]:
        """How the engine is started, given whether this process draws on the terminal, and what it
        has. If some files are seen by this process
        `alone`, it has to be the one that reads and writes them.

        Raises:
            PipelineError: That is not possible.
        """
        raise NotImplementedError

    def _planned(self, pipeline: Pipeline) -> _Planned:
        """What is to be done, and by how many; reads the inputs' names and sizes alone."""
        if not isinstance(pipeline, Pipeline):
            raise PipelineError(
                f'expected a pipeline, {type(self).__name__}("out").run(pipeline), got {pipeline!r}'
            )
        plan = pipeline._plan_to_run()
        workers = self._workers()
        reads = scheduler.plan_reads(plan, workers, self.verify, self.limit)
        stores = {self._store, *(part.file.store for part in parts_of(reads))}
        alone = any(store is not None and store.in_process for store in stores)
        start, means = self._means(workers, reads, alone)
        return _Planned(plan, reads, start, means, workers)

    def _place(self) -> Destination:
        if self._store is None:
            return LocalDestination(self.dest_dir, self.scratch_dir)
        return StoreDestination(self.dest_dir, self._store, self.scratch_dir)

    def _shuffle(self) -> Shuffle:
        return LocalShuffle()

    @contextmanager
    def _live(self, status: Status) -> Iterator[None]:
        """Serves the live page, if there is to be one. Workers are there by now: beside a second
        thread they could not be forked."""
        if self.http_port is None:
            yield
            return
        from gaia.runner.live import LivePage

        live = LivePage(self.http_host, self.http_port)
        status.listeners.append(live)
        live.start(status)
        try:
            yield
        finally:
            live.close()

    def _shown(self, workers: int, memory: int) -> dict[str, Any]:
        """The settings, for the run's record."""
        return {
            "runner": type(self).__name__,
            "dest_dir": self.dest_dir,
            "workers": workers,
            "memory": memory,
            "scratch_dir": self.scratch_dir,
            "resume": self.resume,
            "verify": self.verify,
            "profile": self.profile,
            "limit": self.limit,
            **attrs.asdict(self.attempts),
        }


def sources_of(reads: dict[str, list[Task]]) -> list[Source]:
    """All that is read by the stages that read."""
    return [source for tasks in reads.values() for task in tasks for source in task.inputs]


def parts_of(reads: dict[str, list[Task]]) -> list[Part | Rows]:
    """All parts of files among it."""
    files = [source for source in sources_of(reads) if not isinstance(source, Slice)]
    return [part for source in files for part in source.parts]


def _warn_of_long_reads(reads: dict[str, list[Task]], workers: int) -> None:
    """Tells of files that keep one worker busy when the others have long been done."""
    tasks = [task for tasks in reads.values() for task in tasks]
    total = sum(task.weight for task in tasks)
    for task in tasks:
        files = [source for source in task.inputs if not isinstance(source, Slice)]
        parts = [part for source in files for part in source.parts]
        if len(parts) != 1 or isinstance(parts[0], Rows) or task.weight * workers <= total:
            continue
        part = parts[0]
        size = part.file.size or 0
        if part.end is None and size >= _LONG_BYTES:
            tell(
                f"gaia: {part.path} ({size >> 20} MiB) is one {part.file.compression} stream, "
                "which a single worker has to read while the others wait; recompress it with pzstd "
                "or bgzip, whose files are read in parts, or cut it into several files"
            )


def _warn_of_unwritten(plan: Plan, progress: scheduler.Progress) -> None:
    """Tells of joins whose records went nowhere; those that only count write none."""
    counters = {stage.name: stage.counters for stage in progress.stages}
    for stage in plan.stages:
        if stage.joiner is None or stage.root.tables or stage.root.branches:
            continue
        if count := counters[stage.name].get("fn-writes", 0):
            tell(
                f"gaia: the result of `{stage.name}` is not written, and its {count} records are "
                "lost: call .write(name, format) on it"
            )


def _warn_of_limit(plan: Plan, place: Destination, limit: int) -> None:
    """Tells that tables of a run without a limit are replaced by those of one that has it."""
    # A record of another version, or one that cannot be read, tells nothing.
    with suppress(Exception):
        last = json.loads(place.read_record())
        if last["settings"]["limit"] is None:
            written = {table.name for stage in plan.stages for table in stage.tables()}
            if replaced := sorted(written & last["tables"].keys()):
                tell(
                    f"gaia: this run, limited to {limit} records of each input, replaces "
                    f"{', '.join(f'`{name}`' for name in replaced)} of a run without a limit; "
                    "give it a dest_dir of its own to keep both"
                )


def _warn_of_parse_errors(progress: scheduler.Progress) -> None:
    for stage in progress.stages:
        count = stage.counters.get("parse-errors", 0)
        if not count:
            continue
        read = stage.counters.get(f"map-input-{stage.name}")
        of = "" if read is None else f" ({read} were read)"
        tell(f"gaia: {stage.name}: records that failed to parse: {count}{of}")
        for error in stage.parse_errors:
            file = error.file or "records of the plan"
            tell(f"  {file}, position {error.position}: {error.message}")


def _warn_of_skipped(progress: scheduler.Progress) -> None:
    for stage in progress.stages:
        for step, skipped in stage.skipped.items():
            tell(
                f"gaia: {step}: records that failed and were left out: {skipped.count}; the last:\n"
                + textwrap.indent(skipped.last, "  ")
            )


@contextmanager
def _terminating() -> Iterator[None]:
    """Turns SIGTERM into `SystemExit`, so that workers and unfinished files are cleaned up."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        raise Terminated(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class ClusterRunner(Runner):
    """What runners have in common whose workers may be on many machines: what one leaves for
    another goes to the destination."""

    def _place(self) -> Destination:
        if self._store is None:
            return LocalDestination(self.dest_dir)
        return StoreDestination(self.dest_dir, self._store, shared=True)

    def _shuffle(self) -> Shuffle:
        return SharedShuffle(self.scratch_dir)

    def _means(
        self, workers: int, reads: dict[str, list[Task]], alone: bool
    ) -> tuple[Callable[[bool], Engine], Means]:
        if alone:
            raise PipelineError(
                "expected files that all workers see, got some of memory://, which are seen by "
                "this process alone"
            )
        memory = total_memory(self._task_memory(workers), workers)
        return (lambda drawn: self._engine()), Means(self.dest_dir, workers, memory, self.limit)

    def _task_memory(self, workers: int) -> int:
        """How many bytes a task may use."""
        raise NotImplementedError

    def _engine(self) -> Engine:
        """Starts the engine."""
        raise NotImplementedError
