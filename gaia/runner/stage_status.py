"""How far a stage is, and what its tasks have told."""

from collections import Counter
from typing import Any

import attrs

from gaia.pipeline.graph import Records, StoredTable
from gaia.pipeline.plan import Stage, walk
from gaia.runner.credentials import hidden
from gaia.runner.profile import Profile
from gaia.runner.skips import Skipped
from gaia.runner.task import ParseError, Task

# Of more tasks than these, those that took longest are told one by one.
_TASKS = 2_000
# So much of a message is told.
_LONGEST = 10_000
_SHOWN_OTHERWISE = (
    "stage",
    "running",
    "done",
    "slowest",
    "counters",
    "parse_errors",
    "skipped",
    "profile",
)
_SHOWN_PATHS = 100


@attrs.define
class Running:
    """A task that a worker has in its hands: since when, how much of its weight it has read, and
    how many records."""

    task: Task
    worker: str
    began: float
    read: int = 0
    records: int = 0


@attrs.frozen
class Done:
    """A task that has finished. Times are in seconds since the run began, `bytes` as its weight."""

    task: int
    shard: int | None
    worker: str
    attempt: int
    began: float
    ended: float
    bytes: int
    records: int

    @property
    def took(self) -> float:
        """Seconds."""
        return self.ended - self.began


# Thousands of them are shown twice a second, for which `attrs.asdict` is too slow.
_DONE = tuple(field.name for field in attrs.fields(Done))


@attrs.define
class StageStatus:
    """How far a stage is. `phase` is `waiting`, `running`, `committing`, `done`, `failed`, or
    `skipped` where an earlier run had finished it."""

    number: int
    stage: Stage
    phase: str = "waiting"
    began: float | None = None
    ended: float | None = None
    tasks: int = 0
    # Of which an earlier run had finished so many.
    resumed: int = 0
    finished: int = 0
    retried: int = 0
    bytes: int = 0
    bytes_done: int = 0
    bytes_resumed: int = 0
    records: int = 0
    records_resumed: int = 0
    written: int = 0
    counters: Counter[str] = attrs.field(factory=Counter)
    running: dict[int, Running] = attrs.field(factory=dict)
    done: list[Done] = attrs.field(factory=list)
    # Of these the one that took longest.
    slowest: Done | None = None
    # Since when tables are put together: how many shards there are, and how many are made.
    committing: float | None = None
    shards: int = 0
    shards_done: int = 0
    # What was told when it was done: the first records that failed to parse, and by step what was
    # left out.
    parse_errors: tuple[ParseError, ...] = ()
    skipped: dict[str, Skipped] = attrs.field(factory=dict)
    # What its tasks have told, where the run is profiled.
    profile: Profile | None = None

    @property
    def name(self) -> str:
        """The stage's name."""
        return self.stage.name

    @property
    def queued(self) -> int:
        """Tasks that nobody has begun."""
        return self.tasks - self.finished - len(self.running)

    def task_done(self, done: Done) -> None:
        """One more task has finished."""
        self.done.append(done)
        if self.slowest is None or done.took > self.slowest.took:
            self.slowest = done
        if len(self.done) >= 2 * _TASKS:
            self.done.sort(key=lambda done: -done.took)
            del self.done[_TASKS:]

    @property
    def bytes_read(self) -> int:
        """What has been read, also by tasks that are not done."""
        return self.bytes_done + sum(running.read for running in self.running.values())

    @property
    def records_read(self) -> int:
        """How many records have been read, also by tasks that are not done."""
        return self.records + sum(running.records for running in self.running.values())

    def progress(self) -> dict[str, Any]:
        """What is needed often of `snapshot`, in no time."""
        shown = attrs.asdict(self, recurse=False, filter=attrs.filters.exclude(*_SHOWN_OTHERWISE))
        slowest = self.slowest
        return shown | {
            "name": self.name,
            "slowest": None
            if slowest is None
            else {"task": slowest.task, "shard": slowest.shard, "took": slowest.took},
            "queued": self.queued,
            "bytes_read": self.bytes_read,
            "records_read": self.records_read,
            "running": [
                {
                    "task": running.task.number,
                    "shard": running.task.shard,
                    "attempt": running.task.attempt,
                    "worker": running.worker,
                    "began": running.began,
                    "bytes": running.task.weight,
                    "read": running.read,
                    "records": running.records,
                }
                for running in self.running.values()
            ],
        }

    def snapshot(self) -> dict[str, Any]:
        """The state as plain data, such as JSON holds."""
        stage = self.stage
        slowest = sorted(self.done, key=lambda done: -done.took)[:_TASKS]
        return self.progress() | {
            "join": stage.joiner is not None,
            "source": _source(stage),
            "steps": [branch.name for branch in walk(stage.root)][1:],
            "inputs": [entry.table for entry in stage.inputs],
            "tables": [table.name for table in stage.tables()],
            "letters": [table.name for table in stage.letters],
            "counters": dict(self.counters),
            "done": [
                {name: getattr(done, name) for name in _DONE}
                for done in sorted(slowest, key=lambda done: done.began)
            ],
            "parse_errors": [
                {
                    "file": hidden(error.file),
                    "position": error.position,
                    "message": message(error.message),
                }
                for error in self.parse_errors
            ],
            "skipped": {
                step: {"count": skipped.count, "last": message(skipped.last)}
                for step, skipped in self.skipped.items()
            },
        }


def _source(stage: Stage) -> list[str] | None:
    """What a stage reads that no stage has written."""
    if stage.source is None:
        return None
    if isinstance(stage.source, Records):
        return [f"{len(stage.source.records)} records"]
    if isinstance(stage.source, StoredTable):
        return [hidden(stage.source.path)]
    return [hidden(spec.glob) for spec in stage.source.specs[:_SHOWN_PATHS]]


def message(text: str) -> str:
    """What is told of a message: its beginning, without credentials."""
    shown = hidden(text[: 2 * _LONGEST])
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
