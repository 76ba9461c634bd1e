"""LocalRunner: all cores of this machine."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from gaia.errors import GaiaError, OutputError, PipelineError
from gaia.pipeline.pipeline import Pipeline
from gaia.runner import scheduler
from gaia.runner.engine import Engine, InlineEngine
from gaia.runner.failure import Terminated
from gaia.runner.inputs import Slice
from gaia.runner.processes import ProcessEngine
from gaia.runner.result import RunResult, Table
from gaia.runner.task import Task

# Jobs below these sizes end before worker processes would have started.
_SMALL_BYTES = 1 << 20
_SMALL_RECORDS = 10_000


class LocalRunner:
    """Runs pipelines on this machine.

    Args:
        dest_dir: The folder that the tables' folders go to; made if need be.
        workers: Number of worker processes; 0 runs everything in the calling process. By default
            one for each core, and none for inputs below 1 MiB.

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

    def __init__(self, dest_dir: str | os.PathLike[str], workers: int | None = None) -> None:
        if workers is not None and workers < 0:
            raise PipelineError(f"expected a number of workers, 0 or more, got {workers}")
        dest = os.fspath(dest_dir)
        if "://" in dest:
            raise OutputError(f"expected a local folder as dest_dir, got {dest}")
        self.dest_dir = os.path.abspath(os.path.expanduser(dest))
        self.workers = workers

    def run(self, pipeline: Pipeline) -> RunResult:
        """Runs all stages and returns the tables.

        Ctrl-C and SIGTERM stop all workers; tables that were not finished are not written.

        Raises:
            PipelineError: The graph is not complete.
            InputError: An input is missing or damaged.
            OutputError: The destination cannot be written.
            StepError: User code raised.
            WorkerError: A worker process died.
        """
        begin = time.perf_counter()
        plan = pipeline.plan()
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        workers = self.workers or cores or os.cpu_count() or 1
        reads = scheduler.plan_reads(plan, workers)
        scheduler.prepare(plan, reads, self.dest_dir)
        inline = self.workers == 0 or (self.workers is None and _is_small(reads))
        try:
            with _terminating():
                engine: Engine = InlineEngine() if inline else ProcessEngine(workers)
                progress = scheduler.execute(plan, reads, engine, self.dest_dir)
        except GaiaError as error:
            raise error.with_traceback(None) from None
        except KeyboardInterrupt as stop:
            stop.args = ("the run was stopped; the tables of unfinished stages are as they were",)
            raise stop.with_traceback(None) from None
        _warn_of_parse_errors(progress)
        types = {table.name: table.type for stage in plan.stages for table in stage.tables()}
        return RunResult(
            tables={
                name: Table(os.path.join(self.dest_dir, name), types[name], manifest)
                for name, manifest in progress.manifests.items()
            },
            counters=progress.counters,
            freq_maps=progress.freq_maps,
            elapsed=time.perf_counter() - begin,
            report=scheduler.run_record(self.dest_dir),
        )


def _is_small(reads: dict[str, list[Task]]) -> bool:
    sources = [source for tasks in reads.values() for task in tasks for source in task.inputs]
    records = sum(len(source.records) for source in sources if isinstance(source, Slice))
    parts = [part for source in sources if not isinstance(source, Slice) for part in source.parts]
    size = sum(os.path.getsize(path) for path in {part.path for part in parts})
    return size <= _SMALL_BYTES and records <= _SMALL_RECORDS


def _warn_of_parse_errors(progress: scheduler.Progress) -> None:
    for stage in progress.stages:
        count = stage.counters.get("parse-errors", 0)
        if not count:
            continue
        read = stage.counters.get(f"map-input-{stage.name}")
        of = "" if read is None else f" (beside {read} that were read)"
        print(f"gaia: {stage.name}: records that failed to parse: {count}{of}", file=sys.stderr)
        for error in stage.parse_errors:
            file = error.file or "records of the plan"
            print(f"  {file}, position {error.position}: {error.message}", file=sys.stderr)


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
