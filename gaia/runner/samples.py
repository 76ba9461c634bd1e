"""What a run uses of the machine over time: processors, memory, throughput."""

import os
from collections.abc import Iterable
from typing import Any

import attrs

from gaia.runner.engine import Worker

# Of a long run every second sample is kept, then every fourth, and so on.
_MOST = 600


@attrs.define
class Samples:
    """Samples of all workers. Processor time is in cores since the sample before, memory in
    bytes; `read` is what the run had read by then."""

    every: float = 0.25
    rows: list[dict[str, Any]] = attrs.field(factory=list)
    _next: float = 0.0
    # Seconds of processor time, by process, at the last sample.
    _spent: dict[int, float] = attrs.field(init=False)
    _last: float = 0.0

    def __attrs_post_init__(self) -> None:
        used = _usage(os.getpid())
        self._spent = {} if used is None else {os.getpid(): used[0]}

    def take(self, now: float, workers: Iterable[Worker], read: int) -> None:
        """Takes a sample, if it is time."""
        if now < self._next:
            return
        usage: dict[str, tuple[float, int]] = {}
        own = Worker("scheduler", os.getpid())
        for worker in (own, *workers):
            if worker.pid is None or (used := _usage(worker.pid)) is None:
                continue
            spent, memory = used
            passed = max(now - self._last, 1e-3)
            before = self._spent.get(worker.pid, 0.0)
            usage[worker.name] = ((spent - before) / passed, memory)
            self._spent[worker.pid] = spent
        self._last = now
        self._next = now + self.every
        row = {
            "at": now,
            "read": read,
            "cpu": {name: round(cores, 3) for name, (cores, _) in usage.items()},
            "memory": {name: memory for name, (_, memory) in usage.items()},
        }
        self.rows.append(row)
        if len(self.rows) > _MOST:
            del self.rows[1::2]
            self.every *= 2

    def shown(self) -> list[dict[str, Any]]:
        """The samples as plain data."""
        return list(self.rows)


def _usage(pid: int) -> tuple[float, int] | None:
    """Seconds of processor time and bytes of memory of a process; None where that is not known."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
