"""Tasks in a process that somebody else has started: a worker of an executor, or of Ray.

Each of its threads has a worker process of ours, in which the tasks run. So user code that dies,
hangs or is killed ends as it does on one machine, with as much to tell, and breaks nobody's pool.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from gaia.io.undisturbed import undisturbed
from gaia.runner.child import Child, ready, spawn
from gaia.runner.engine import Death, Worker

# What all tasks of a stage share is kept for so many stages.
_KEPT = 4
# A worker process that has had nothing to do for so many seconds is ended.
_IDLE = 10.0

# Seconds between two questions whether a task is still wanted.
_OFTEN = 1.0
SELDOM = 5.0

UNWANTED = Death("was ended, as nobody wants its task any more")
"""What comes of a task that is not wanted any more."""

_shared: dict[str, bytes] = {}


def keep(name: str, shared: bytes) -> None:
    """Keeps what tasks share in this process, for `run`."""
    while len(_shared) >= _KEPT:
        _shared.pop(next(iter(_shared)), None)
    _shared[name] = shared


def has(name: str) -> bool:
    """Whether this process has what such tasks share."""
    return name in _shared


def run(
    name: str, item: bytes, timeout: float | None, wanted: Callable[[], bool] | None = None
) -> bytes | Death | None:
    """Runs a task with what was kept under a name: the answer of a worker process (see
    `worker.serve`), or its death; None where nothing was kept, or is no more. If it can be told
    whether it is `wanted`, that is asked once in a while, and it is ended when it is not."""
    shared = _shared.get(name)
    asking = None if wanted is None else _Wanted(wanted)
    return None if shared is None else _seat.run(shared, item, timeout, asking)


@attrs.define
class _Wanted:
    """Asks whether a task is still wanted: every second at first, and more seldom as it goes on."""

    ask: Callable[[], bool]
    start: float = attrs.field(factory=time.monotonic)
    asked: float = attrs.field(factory=time.monotonic)
    holds: bool = True

    def began(self, item: Any, worker: Worker) -> None:
        """An item has begun."""

    def look(self, workers: Iterable[Worker]) -> None:
        """Some time has passed."""
        now = time.monotonic()
        if now - self.asked > min(SELDOM, max(_OFTEN, (now - self.start) / 4)):
            self.asked = now
            self.holds = self.ask()


class _Seat(threading.local):
    """The worker process of a thread. The system ends it with the thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Child] = []
        self._timer: threading.Timer | None = None

    def run(
        self, shared: bytes, item: bytes, timeout: float | None, wanted: _Wanted | None
    ) -> bytes | Death:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            worker = self._idle.pop() if self._idle else _started()
        try:
            worker.begin(shared, item, timeout)
            while not ready([worker], wanted, []):
                if wanted is not None and not wanted.holds:
                    _ended(worker)
                    return UNWANTED
            answer = worker.receive()
        except BaseException:
            _ended(worker)
            raise
        if isinstance(answer, Death):
            return attrs.evolve(answer, how=f"{answer.how} on {socket.gethostname()}")
        self._idle.append(worker)
        self._timer = threading.Timer(_IDLE, _leave, (self._lock, self._idle))
        self._timer.daemon = True
        self._timer.start()
        return answer


_seat = _Seat()


def _started() -> Child:
    with undisturbed():
        return spawn(0, None)


def _ended(worker: Child) -> None:
    worker.kill()
    worker.reap()


def _leave(lock: threading.Lock, idle: list[Child]) -> None:
    with lock:
        while idle:
            _ended(idle.pop())
