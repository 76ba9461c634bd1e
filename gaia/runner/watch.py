"""Watching the workers of a stage: what they have in their hands, and how much memory they use."""

import os
import time
from collections.abc import Iterable

from gaia.io.tell import tell
from gaia.runner.engine import EVERY, Death, Worker
from gaia.runner.memory import shown
from gaia.runner.status import Status
from gaia.runner.task import Task


class StageWatch:
    """Passes on what the workers of a stage do to the run's status.

    Tells once of a worker that uses more than its share, before the system ends it. What the core
    holds is within its budget; what users' code holds is not in our hands.
    """

    def __init__(self, status: Status, number: int, advice: str, share: int, memory: int) -> None:
        self._status = status
        self._number = number
        self._advice = advice
        self._share = share
        self._memory = memory
        self._next = 0.0
        self.told = False

    def began(self, item: Task, worker: Worker) -> None:
        """See `Watch.began`."""
        self._status.task_began(self._number, item, worker)

    def died(self, task: Task, death: Death) -> None:
        """A worker is dead."""
        self._status.task_died(self._number, task, death)

    def look(self, workers: Iterable[Worker]) -> None:
        """See `Watch.look`."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + EVERY
        workers = list(workers)
        self._status.look(workers)
        if self.told:
            return
        used = max((_used(worker.pid, self._share) for worker in workers if worker.pid), default=0)
        if used > self._share:
            self.told = True
            step = self._status.plan.stages[self._number].name
            tell(
                f"gaia: step `{step}`: a worker uses {shown(used)} of its share of "
                f"{shown(self._share)} (memory={shown(self._memory)}); {self._advice}"
            )


class CommitWatch:
    """Goes on looking at the workers while they put shards together."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def began(self, item: object, worker: Worker) -> None:
        """See `Watch.began`."""

    def look(self, workers: Iterable[Worker]) -> None:
        """See `Watch.look`."""
        self._status.look(workers)


def _used(pid: int, share: int) -> int:
    """The memory of a process; about, if it is below the share."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            _, resident, files, *_ = map(int, file.read().split())
        used = (resident - files) * os.sysconf("SC_PAGE_SIZE")
        if used > share:
            # Forked processes have memory in common, which is slow to find out.
            with open(f"/proc/{pid}/smaps_rollup") as rollup:
                pss = [line.split()[1] for line in rollup if line.startswith("Pss:")]
            used = int(pss[0]) * 1024
        return used
    except (OSError, ValueError, IndexError):
        return 0  # It has ended, or the system has no such files.
