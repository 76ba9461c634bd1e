"""Stragglers: tasks that take much longer than the others, on a node that is slow or stuck."""

import time
from collections import Counter, deque
from collections.abc import Iterable

from gaia.runner.engine import Worker
from gaia.runner.task import Task, TaskReport
from gaia.runner.watch import StageWatch

# A task is late when it takes so many times as long as the longest one that has finished, and at
# least so many seconds.
_TIMES = 2.0
_LEAST = 5.0


class Stragglers:
    """Watches the tasks of a stage. When there is nothing else to do, those that are late are
    queued once more; the first that finishes counts, and nobody ever sees what another leaves. What
    is tried again after a death is not doubled: those that look for a deadly record differ."""

    def __init__(self, watch: StageWatch, queue: deque[Task], workers: int) -> None:
        self._watch = watch
        self._queue = queue
        self._workers = workers
        self._running: dict[int, tuple[Task, float]] = {}
        self._copies: Counter[int] = Counter()
        self._longest: float | None = None
        # Since when all that is left is in the hands of workers.
        self._all_begun: float | None = None

    def began(self, item: Task, worker: Worker) -> None:
        """See `Watch.began`."""
        self._copies[item.number] += 1
        if self._copies[item.number] == 1:
            self._running[item.number] = item, time.monotonic()
            self._watch.began(item, worker)

    def look(self, workers: Iterable[Worker]) -> None:
        """See `Watch.look`."""
        self._watch.look(workers)
        # As long as there is more to do, looking takes no time, however many workers there are.
        if self._queue or self._longest is None:
            self._all_begun = None
            return
        under_way = sum(self._copies[number] for number in self._running)
        if under_way >= self._workers:
            self._all_begun = None
            return
        now = time.monotonic()
        self._all_begun = self._all_begun or now
        patience = max(_LEAST, _TIMES * self._longest)
        late = [
            task
            for task, since in self._running.values()
            if task.attempt == 1
            and self._copies[task.number] == 1
            and now - max(since, self._all_begun) > patience
        ]
        self._queue.extend(late[: self._workers - under_way])

    def lost(self, task: Task) -> bool:
        """Whether a task has to be tried again whose worker died: no other worker has it."""
        self._copies[task.number] -= 1
        if self._copies[task.number] == 0:
            self._running.pop(task.number, None)
            return True
        return False

    def first(self, report: TaskReport) -> bool:
        """Whether a report is the first of its task."""
        if self._running.pop(report.task, None) is None:
            return False
        self._longest = max(report.elapsed, self._longest or 0.0)
        self._copies.pop(report.task, None)
        return True
