"""Tasks in a process that somebody else has started: a worker of an executor, or of Ray.

Each of its threads has a worker process of ours, in which the tasks run. So user code that dies,
hangs or is killed ends as it does on one machine, with as much to tell, and breaks nobody's pool.
"""

import socket
import threading

import attrs

from gaia.io.undisturbed import undisturbed
from gaia.runner.child import Child, ready, spawn
from gaia.runner.engine import Death

# What all tasks of a stage share is kept for so many stages.
_KEPT = 4
# A worker process that has had nothing to do for so many seconds is ended.
_IDLE = 10.0

_shared: dict[str, bytes] = {}


def keep(name: str, shared: bytes) -> None:
    """Keeps what tasks share in this process, for `run`."""
    while len(_shared) >= _KEPT:
        _shared.pop(next(iter(_shared)), None)
    _shared[name] = shared


def has(name: str) -> bool:
    """Whether this process has what such tasks share."""
    return name in _shared


def run(name: str, item: bytes, timeout: float | None) -> bytes | Death | None:
    """Runs a task with what was kept under a name: the answer of a worker process (see
    `worker.serve`), or its death; None where nothing was kept, or is no more."""
    shared = _shared.get(name)
    return None if shared is None else _seat.run(shared, item, timeout)


class _Seat(threading.local):
    """The worker process of a thread. The system ends it with the thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Child] = []
        self._timer: threading.Timer | None = None

    def run(self, shared: bytes, item: bytes, timeout: float | None) -> bytes | Death:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            worker = self._idle.pop() if self._idle else _started()
        try:
            worker.begin(shared, item, timeout)
            while not ready([worker], None, []):
                pass
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
