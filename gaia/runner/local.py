"""LocalRunner: all cores of this machine."""

import math
import os
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from types import FrameType
from typing import Any

import attrs

from gaia.errors import GaiaError, PipelineError
from gaia.io.destination import REPORT, Destination, LocalDestination, StoreDestination, own_file
from gaia.io.stores import join, local_path, store_of, url_of
from gaia.pipeline.pipeline import Pipeline
from gaia.pipeline.plan import Plan
from gaia.runner import scheduler
from gaia.runner.attempts import Attempts
from gaia.runner.columns import Rows
from gaia.runner.engine import Engine, InlineEngine
from gaia.runner.explanation import Means, explanation
from gaia.runner.failure import Terminated
from gaia.runner.inputs import Part, Slice
from gaia.runner.memory import default_memory, least_memory, parse_size, shown
from gaia.runner.overrides import overridable
from gaia.runner.processes import ProcessEngine
from gaia.runner.profile import table
from gaia.runner.progress import Progress, TerminalDisplay, choose
from gaia.runner.result import RunResult, Table
from gaia.runner.status import Listener, Status
from gaia.runner.task import Source, Task

# Jobs below these sizes end before worker processes would have started.
_SMALL_BYTES = 1 << 20
_SMALL_RECORDS = 10_000
# A compressed file from this size on is worth a word if it cannot be split.
_LONG_BYTES = 256 << 20


@attrs.frozen
class _Planned:
    """What a run does: its tasks that read, whether in this process, and in how many bytes."""

    plan: Plan
    reads: dict[str, list[Task]]
    inline: bool
    workers: int
    memory: int


class LocalRunner:
    """Runs pipelines on this machine.

    Args:
        dest_dir: The folder that the tables' folders go to, made if need be: a local path or a URL
            such as `gs://bucket/folder`.
        workers: Number of worker processes; 0 runs everything in the calling process. By default
            one for each core, and none for inputs below 1 MiB or files of `memory://`, which no
            other process sees.
        memory: How much the run may use in all its processes, as `"4GB"` or a number of bytes; by
            default 70 % of what is free in the machine, or in the container. Native operators keep
            within it, and what does not fit goes to `scratch_dir`; a worker whose Python code takes
            more than its share is told of.
        scratch_dir: A local folder for temporary files, as large as the largest table; by default
            in `dest_dir` if that is local, and the system's folder for temporary files if not.
        storage_options: Options for the file system of `dest_dir`, as fsspec takes them.
        filesystem: An fsspec file system to use for `dest_dir` instead.
        resume: Go on with the last run into this `dest_dir`, if it died or was stopped: stages and
            tasks that had finished are not done again, unless their input, their code or what
            they depend on has changed; it tells which are skipped, and why others are not. On a
            `dest_dir` in a store, on the same machine with the same `scratch_dir`.
        verify: Compare the checksums of tables' files before they are read, by joins as well. The
            content of zstd and gzip shards has checksums of its own, which always count.
        max_attempts: How often a part of the input is tried that workers die of. Then it is cut in
            halves, again and again, until the record is found that kills them, and the run stops;
            or goes on without it, where a step says so by `on_error`. With 1, the first death
            stops the run. Without worker processes there is nothing to try again.
        profile: Tell where the time goes, step by step: in your code or in Gaia, and its hottest
            lines; at the end of the run, and in its record. A mapper that does little but write
            small records takes about 5 % more time, others less.
        task_timeout: Seconds after which a worker that is still at one part of the input counts as
            dead; the error shows where its code was. By default none.
        progress: Show how far the run is, once it has taken half a second: on a terminal and in
            notebooks a line for each stage, elsewhere a line on standard error every ten seconds.
        limit: Read the first so many records of each input, in the order of its files, and take
            them through everything: for a try. Of files that are told apart by `FileSpec`s with a
            shard or metadata of their own, so many of each.
        explain: Print what `explain` returns in place of running, and end the program. It is what
            `--explain` of `gaia.arg_parser` does.
        http_port: Serve a page that shows the run while it goes on, at this port; 0 takes one that
            is free. Its address is printed to stderr. Beside the page, `/status.json` has the same
            as data, and `/metrics` for Prometheus. It is only read, but by everybody who reaches
            it. By default there is none.
        http_host: The address at which it is served. By default only this machine reaches it;
            `"0.0.0.0"` is for all.

    >>> import gaia, tempfile
    >>> pipeline = gaia.Pipeline("squares")
    >>> numbers = pipeline.from_records(range(5), name="numbers")
    >>> squares = numbers.map(lambda n: n * n, name="square", output=int)
    >>> _ = squares.write("squares", gaia.TXT).with_mod_n_sharding(2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = gaia.LocalRunner(folder).run(pipeline)
    ...     sorted(result["squares"].records())
    [0, 1, 4, 9, 16]
    """

    @overridable
    def __init__(
        self,
        dest_dir: str | os.PathLike[str],
        workers: int | None = None,
        *,
        memory: int | str | None = None,
        scratch_dir: str | os.PathLike[str] | None = None,
        storage_options: dict[str, Any] | None = None,
        filesystem: Any = None,
        resume: bool = False,
        verify: bool = False,
        max_attempts: int = 3,
        task_timeout: float | None = None,
        profile: bool = False,
        progress: bool = True,
        limit: int | None = None,
        explain: bool = False,
        http_port: int | None = None,
        http_host: str = "127.0.0.1",
    ) -> None:
        if workers is not None and workers < 0:
            raise PipelineError(f"expected a number of workers, 0 or more, got {workers}")
        if type(max_attempts) is not int or max_attempts < 1:
            raise PipelineError(f"expected max_attempts of 1 or more, got {max_attempts!r}")
        if task_timeout is not None:
            if type(task_timeout) not in (int, float) or not 0 < task_timeout < math.inf:
                raise PipelineError(
                    f"expected task_timeout in seconds, above 0, got {task_timeout!r}"
                )
            if workers == 0:
                raise PipelineError(
                    "expected worker processes, which can be ended, for task_timeout, got workers=0"
                )
        if http_port is not None and (type(http_port) is not int or not 0 <= http_port < 1 << 16):
            raise PipelineError(f"expected http_port from 0 to 65535, got {http_port!r}")
        if limit is not None and (type(limit) is not int or limit < 1):
            raise PipelineError(f"expected a limit of 1 record or more, got {limit!r}")
        dest = os.fspath(dest_dir)
        self._store = store_of(dest, storage_options, filesystem)
        self.dest_dir = local_path(dest) if self._store is None else url_of(dest, self._store)
        self.scratch_dir = None if scratch_dir is None else local_path(os.fspath(scratch_dir))
        self.workers = workers
        self.attempts = Attempts(max_attempts, task_timeout)
        self.resume = resume
        self.verify = verify
        self.profile = profile
        self.progress = progress
        self.memory = None if memory is None else parse_size(memory)
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
        planned = self._planned(pipeline)
        workers = 0 if planned.inline else planned.workers
        means = Means(self.dest_dir, workers, planned.memory, self.limit)
        return explanation(planned.plan, planned.reads, means)

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
        planned = self._planned(pipeline)
        plan, reads = planned.plan, planned.reads
        place: Destination = LocalDestination(self.dest_dir, self.scratch_dir)
        if self._store is not None:
            place = StoreDestination(self.dest_dir, self._store, self.scratch_dir)
        scheduler.prepare(plan, reads, place)
        _warn_of_long_reads(reads, planned.workers)
        try:
            with _terminating():
                display = choose() if self.progress else None
                drawn = isinstance(display, TerminalDisplay)
                engine: Engine = (
                    InlineEngine() if planned.inline else ProcessEngine(planned.workers, drawn)
                )
                settings = scheduler.Settings(
                    self.attempts, planned.memory, self.resume, self.verify, self.profile
                )
                listeners: list[Listener] = [] if display is None else [Progress(display)]
                report = own_file(self.dest_dir, REPORT)
                given = self._shown(engine.workers, planned.memory)
                status = Status(plan, given, listeners, report=report)
                with closing(engine), self._live(status):
                    progress = scheduler.execute(plan, reads, engine, place, settings, status)
        except GaiaError as error:
            raise error.with_traceback(None) from None
        except KeyboardInterrupt as stop:
            stop.args = ("the run was stopped; the tables of unfinished stages are as they were",)
            raise stop.with_traceback(None) from None
        if told := status.profile():
            print(*table(told), sep="\n", file=sys.stderr)
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

    def _planned(self, pipeline: Pipeline) -> _Planned:
        """What is to be done, and by how many; reads the inputs' names and sizes alone."""
        plan = pipeline.plan()
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        workers = self.workers or cores or os.cpu_count() or 1
        reads = scheduler.plan_reads(plan, workers, self.verify, self.limit)
        stores = {self._store, *(part.file.store for part in _parts(reads))}
        alone = any(store is not None and store.in_process for store in stores)
        timed = self.attempts.task_timeout is not None
        if alone and (self.workers or timed):
            got = f"workers={self.workers}" if self.workers else "task_timeout"
            raise PipelineError(
                "expected workers=0 for files of memory://, which this process alone sees, got "
                f"{got}"
            )
        few = self.workers is None and not timed and _is_small(reads)
        inline = alone or self.workers == 0 or few
        return _Planned(plan, reads, inline, workers, self._memory(1 if inline else workers))

    def _memory(self, workers: int) -> int:
        least = least_memory(workers)
        if self.memory is None:
            return max(least, default_memory())
        if self.memory < least:
            raise PipelineError(
                f"expected memory of {shown(least)} or more for workers={workers}, got "
                f"{shown(self.memory)}; use more, or fewer workers"
            )
        return self.memory


def _sources(reads: dict[str, list[Task]]) -> list[Source]:
    return [source for tasks in reads.values() for task in tasks for source in task.inputs]


def _parts(reads: dict[str, list[Task]]) -> list[Part | Rows]:
    files = [source for source in _sources(reads) if not isinstance(source, Slice)]
    return [part for source in files for part in source.parts]


def _is_small(reads: dict[str, list[Task]]) -> bool:
    slices = [source for source in _sources(reads) if isinstance(source, Slice)]
    sizes = {part.path: part.file.size for part in _parts(reads)}
    known = sum(size or 0 for size in sizes.values())
    records = sum(len(source.records) for source in slices)
    return known <= _SMALL_BYTES and records <= _SMALL_RECORDS and None not in sizes.values()


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
            print(
                f"gaia: {part.path} ({size >> 20} MiB) is one {part.file.compression} stream, "
                "which a single worker has to read while the others wait; recompress it with pzstd "
                "or bgzip, whose files are read in parts, or cut it into several files",
                file=sys.stderr,
            )


def _warn_of_parse_errors(progress: scheduler.Progress) -> None:
    for stage in progress.stages:
        count = stage.counters.get("parse-errors", 0)
        if not count:
            continue
        read = stage.counters.get(f"map-input-{stage.name}")
        of = "" if read is None else f" ({read} were read)"
        print(f"gaia: {stage.name}: records that failed to parse: {count}{of}", file=sys.stderr)
        for error in stage.parse_errors:
            file = error.file or "records of the plan"
            print(f"  {file}, position {error.position}: {error.message}", file=sys.stderr)


def _warn_of_skipped(progress: scheduler.Progress) -> None:
    for stage in progress.stages:
        for step, skipped in stage.skipped.items():
            print(
                f"gaia: {step}: records that failed and were left out: {skipped.count}; the last:\n"
                + textwrap.indent(skipped.last, "  "),
                file=sys.stderr,
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
