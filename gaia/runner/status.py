"""What a run tells of itself while it works: for progress, the live page, and its record."""

import os
import platform
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import attrs

from gaia.errors import GaiaError
from gaia.io.manifest import Manifest, Shard
from gaia.pipeline.plan import Plan
from gaia.runner import profile
from gaia.runner.credentials import command, hidden
from gaia.runner.engine import Death, Worker
from gaia.runner.failure import Terminated
from gaia.runner.profile import Profile
from gaia.runner.samples import Samples
from gaia.runner.skips import Skipped
from gaia.runner.stage_status import Done, Running, StageStatus, message
from gaia.runner.task import ParseError, Task, TaskReport

_ERRORS = 50
_LARGEST = 20


class Listener(Protocol):
    """Is told that something has happened, in the thread that runs the pipeline."""

    def changed(self, status: "Status") -> None:
        """Something has happened, or a quarter of a second has passed."""

    def ended(self, status: "Status") -> None:
        """The run has finished, or has failed."""


@attrs.define
class Status:
    """The state of a run. The scheduler tells it what happens, listeners show it.

    Everything here happens in one thread; `snapshot` is what others may have.
    """

    plan: Plan
    settings: dict[str, Any]
    listeners: list[Listener] = attrs.field(factory=list)
    # Where the run's report will be.
    report: str | None = None
    phase: str = "running"
    stages: list[StageStatus] = attrs.field(init=False)
    manifests: dict[str, Manifest] = attrs.field(factory=dict)
    # Of tables of which a few shards are much larger than the others.
    hottest: dict[str, list[dict[str, Any]]] = attrs.field(factory=dict)
    errors: list[dict[str, Any]] = attrs.field(factory=list)
    samples: Samples = attrs.field(factory=Samples)
    started: float = attrs.field(factory=time.time)
    elapsed: float | None = None
    _begin: float = attrs.field(factory=time.perf_counter)

    def __attrs_post_init__(self) -> None:
        self.stages = [StageStatus(number, stage) for number, stage in enumerate(self.plan.stages)]

    @property
    def now(self) -> float:
        """Seconds since the run began, or those that it took."""
        return time.perf_counter() - self._begin if self.elapsed is None else self.elapsed

    @property
    def current(self) -> StageStatus | None:
        """The stage that runs."""
        return next((s for s in self.stages if s.phase in ("running", "committing")), None)

    def stage_began(self, number: int, tasks: list[Task], resumed: list[TaskReport]) -> None:
        """A stage begins, some of whose tasks an earlier run has finished."""
        stage = self.stages[number]
        weights = {task.number: task.weight for task in tasks}
        stage.phase, stage.began = "running", self.now
        stage.tasks, stage.bytes = len(tasks), sum(weights.values())
        for report in resumed:
            stage.resumed += 1
            self._count(stage, report, weights[report.task])
        stage.bytes_resumed, stage.records_resumed = stage.bytes_done, stage.records
        self._changed()

    def stage_skipped(self, number: int, counters: dict[str, int]) -> None:
        """An earlier run has finished the stage."""
        stage = self.stages[number]
        stage.phase = "skipped"
        stage.began = stage.ended = self.now
        stage.counters.update(counters)
        self._changed()

    def task_began(self, number: int, task: Task, worker: Worker) -> None:
        """A worker has got a task."""
        stage = self.stages[number]
        stage.retried += task.attempt > 1
        # What it had before has finished, which is told next.
        follows = any(running.worker == worker.name for running in stage.running.values())
        stage.running[task.number] = Running(task, worker.name, self.now)
        if not follows:
            self._changed()

    def task_died(self, number: int, task: Task, death: Death) -> None:
        """The worker that had a task is dead."""
        self.stages[number].running.pop(task.number, None)
        where = "" if task.shard is None else f", shard {task.shard}"
        self.error(
            self.stages[number].name, f"task {task.number}{where}: a worker {death.how}", "death"
        )

    def task_done(self, number: int, report: TaskReport) -> None:
        """A task has finished."""
        stage = self.stages[number]
        running = stage.running.pop(report.task)
        task = running.task
        self._count(stage, report, task.weight)
        done = Done(
            task.number,
            task.shard,
            report.worker or running.worker,
            task.attempt,
            running.began,
            self.now,
            task.weight,
            report.read,
        )
        stage.task_done(done)
        for error in report.parse_errors:
            where = error.file or "records of the plan"
            text = f"{where}, position {error.position}: {error.message}"
            self.error(stage.name, text, "parse error")
        for step, skipped in report.skipped.items():
            self.error(step, skipped.last, "left out")
        self._changed()

    def committing(self, number: int, shards: int) -> None:
        """All tasks have finished; so many shards of a table are put together."""
        stage = self.stages[number]
        stage.phase = "committing"
        if stage.committing is None:
            stage.committing = self.now
        stage.shards += shards
        self._changed()

    def shards_made(self, number: int, count: int) -> None:
        """So many more shards are whole."""
        self.stages[number].shards_done += count
        self._changed()

    def keys_found(self, table: str, hottest: list[dict[str, Any]]) -> None:
        """It is known what makes the largest shards of a table so large."""
        if hottest:
            self.hottest[table] = hottest

    def stage_done(
        self,
        number: int,
        manifests: dict[str, Manifest],
        parse_errors: tuple[ParseError, ...],
        skipped: dict[str, Skipped],
    ) -> None:
        """All tables of a stage are in their places."""
        stage = self.stages[number]
        stage.parse_errors, stage.skipped = parse_errors, skipped
        if stage.phase != "skipped":
            stage.phase, stage.ended = "done", self.now
        self.manifests |= manifests
        self._changed()

    def error(self, step: str, text: str, kind: str) -> None:
        """Something went wrong that need not stop the run; the latest are kept."""
        self.errors.append({"at": self.now, "step": step, "kind": kind, "text": message(text)})
        del self.errors[:-_ERRORS]

    def look(self, workers: Iterable[Worker]) -> None:
        """Looks at how far the workers are, and at what they use of the machine."""
        workers = list(workers)
        stage = self.current
        if stage is not None:
            known = {worker.name: worker for worker in workers}
            for running in stage.running.values():
                if (worker := known.get(running.worker)) is not None:
                    running.read = int(running.task.weight * worker.read)
                    running.records = worker.records
        self.samples.take(self.now, workers, sum(stage.bytes_read for stage in self.stages))
        self._changed()

    def end(self) -> None:
        """All stages are done."""
        self.elapsed = self.now
        self.phase = "done"

    def fail(self, error: BaseException) -> None:
        """The run has failed, or was stopped; also after the last stage."""
        if self.phase == "failed":
            return
        stage = self.current
        self.elapsed = self.now
        self.phase = "failed"
        if stage is not None:
            stage.phase, stage.ended = "failed", self.elapsed
        self.error("" if stage is None else stage.name, _told(error), "failed")

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tells listeners when the run has come to its end, whatever that is."""
        try:
            yield
        except BaseException as error:
            self.fail(error)
            raise
        finally:
            # All of them, also if one is stopped: a terminal is to get its cursor back.
            with ExitStack() as left:
                for listener in reversed(self.listeners):
                    left.callback(listener.ended, self)

    def _changed(self) -> None:
        for listener in self.listeners:
            listener.changed(self)

    def _count(self, stage: StageStatus, report: TaskReport, weight: int) -> None:
        stage.finished += 1
        stage.bytes_done += weight
        stage.records += report.read
        stage.written += report.counters.get("fn-writes", 0)
        stage.counters.update(report.counters)
        if report.profile is not None:
            stage.profile = stage.profile or Profile()
            stage.profile.add(report.profile)

    def progress(self) -> dict[str, Any]:
        """How far the run is: what is needed often of `snapshot`, in no time."""
        return {
            "pipeline": self.plan.pipeline,
            "phase": self.phase,
            "started": self.started,
            "elapsed": self.now,
            "stages": [stage.progress() for stage in self.stages],
        }

    def snapshot(self) -> dict[str, Any]:
        """The state as plain data, such as JSON holds. `profile` is that of `profile.shown`."""
        counters: Counter[str] = Counter()
        for stage in self.stages:
            counters.update(stage.counters)
        return self.progress() | {
            "report": None if self.report is None else hidden(self.report),
            "settings": {
                name: hidden(value) if isinstance(value, str) else value
                for name, value in self.settings.items()
            },
            "versions": _versions(),
            "stages": [stage.snapshot() for stage in self.stages],
            "tables": {
                name: _table(manifest) | {"hottest": self.hottest.get(name, [])}
                for name, manifest in self.manifests.items()
            },
            "counters": dict(counters),
            "errors": list(self.errors),
            "samples": self.samples.shown(),
            "profile": self.profile(),
        }

    def profile(self) -> dict[str, Any] | None:
        """Where the run has spent its time, as `profile.shown` tells it; None if it is not
        profiled."""
        found = [(stage.name, stage.profile) for stage in self.stages if stage.profile is not None]
        return profile.shown(found) if found else None


def _told(error: BaseException) -> str:
    if isinstance(error, GaiaError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "stopped by Ctrl-C"
    if isinstance(error, Terminated):
        return "stopped by SIGTERM"
    return f"{type(error).__name__}: {error}"


def _versions() -> dict[str, Any]:
    from gaia import __version__

    return {
        "gaia": __version__,
        "python": platform.python_version(),
        "platform": " ".join((platform.system(), platform.release(), platform.machine())),
        "host": socket.gethostname(),
        "cores": os.cpu_count(),
        "command": list(command(sys.argv)),
    }


def _table(manifest: Manifest) -> dict[str, Any]:
    sizes = sorted(map(_size, manifest.shards), reverse=True)
    largest = sorted(manifest.shards, key=_size, reverse=True)[:_LARGEST]
    return {
        "format": manifest.format,
        "compression": manifest.compression,
        "shards": len(sizes),
        "records": sum(shard.records for shard in manifest.shards),
        "raw_bytes": sum(shard.raw_bytes for shard in manifest.shards),
        "sharding": manifest.sharding,
        "bytes": sum(sizes),
        "histogram": list(_histogram(sizes)),
        "largest": [
            {"shard": shard.key, "records": shard.records, "bytes": _size(shard)}
            for shard in largest
        ],
    }


def _size(shard: Shard) -> int:
    return sum(file.size for file in shard.files)


def _histogram(sizes: list[int], bars: int = 20) -> Iterator[dict[str, int]]:
    """How many shards are of which size, in bars of one width."""
    most = max(sizes, default=0)
    width = max(1, -(-(most + 1) // bars))
    counts = Counter(size // width for size in sizes)
    for bar in range(most // width + 1 if sizes else 0):
        yield {"from": bar * width, "to": (bar + 1) * width, "shards": counts[bar]}
