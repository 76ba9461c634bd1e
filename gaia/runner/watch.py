"""Watching how much memory workers use."""

import os
import sys
import time
from collections.abc import Iterable

from gaia.runner.memory import shown

# Seconds between two looks.
EVERY = 0.25


class Watch:
    """Tells once of a worker that uses more than its share, before the system ends it.

    What the core holds is within its budget; what users' code holds is not in our hands.
    """

    def __init__(self, step: str, advice: str, share: int, memory: int) -> None:
        self._step = step
        self._advice = advice
        self._share = share
        self._memory = memory
        self._next = 0.0
        self.told = False

    def look(self, pids: Iterable[int]) -> None:
        """Looks at the workers, unless it has just been done."""
        now = time.monotonic()
        if self.told or now < self._next:
            return
        self._next = now + EVERY
        used = max((_used(pid, self._share) for pid in pids), default=0)
        if used > self._share:
            self.told = True
            print(
                f"gaia: step `{self._step}`: a worker uses {shown(used)} of its share of "
                f"{shown(self._share)} (memory={shown(self._memory)}); {self._advice}",
                file=sys.stderr,
            )


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
