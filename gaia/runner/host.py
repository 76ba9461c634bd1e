"""Tasks in a process that somebody else has started: a worker of an executor, or of Ray.

Each of its threads has a worker process of ours, in which the tasks run. So user code that dies,
hangs or is killed ends as it does on one machine, with as much to tell, and breaks nobody's pool.
"""

import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from gaia.io.undisturbed import undisturbed
from gaia.runner.child import Child, fork_by, ready
from gaia.runner.engine import Death, Worker
from gaia.runner.forkserver import ForkServer, living

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
    return None if shared is None else _here.seat.run(shared, item, timeout, asking)


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


class _Seat:
    """A place for a worker process, and the server that forks it. They are ended when they have had
    nothing to do for a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: ForkServer | None = None
        self._worker: Child | None = None
        self._timer: threading.Timer | None = None

    def run(
        self, shared: bytes, item: bytes, timeout: float | None, wanted: _Wanted | None
    ) -> bytes | Death:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            try:
                answer = self._answer(shared, item, timeout, wanted)
            finally:
                self._timer = threading.Timer(_IDLE, self.leave)
                self._timer.daemon = True
                self._timer.start()
        if isinstance(answer, Death) and answer is not UNWANTED:
            return attrs.evolve(answer, how=f"{answer.how} on {socket.gethostname()}")
        return answer

    def _answer(
        self, shared: bytes, item: bytes, timeout: float | None, wanted: _Wanted | None
    ) -> bytes | Death:
        worker = self._worker or self._started()
        try:
            worker.begin(shared, item, timeout)
            while not ready([worker], wanted, []):
                if wanted is not None and not wanted.holds:
                    self._end()
                    return UNWANTED
            answer = worker.receive()
        except BaseException:
            self._end()
            raise
        if isinstance(answer, Death):
            self._worker = None
        return answer

    def _started(self) -> Child:
        with undisturbed():
            self._server = living(self._server)
            self._worker = fork_by(self._server, 0, None)
            return self._worker

    def _end(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker.reap()
            self._worker = None

    def leave(self) -> None:
        """Ends both."""
        with self._lock, undisturbed():
            self._end()
            if self._server is not None:
                self._server.close()
                self._server = None


class _Here(threading.local):
    """The seat of a thread, which is left when the thread ends."""

    def __init__(self) -> None:
        self.seat = _Seat()
        self._thread = _Thread()
        weakref.finalize(self._thread, _left, self.seat, os.getpid()).atexit = False


class _Thread:
    """Is there as long as a thread."""


def _left(seat: _Seat, process: int) -> None:
    # In a copy of the process the threads are gone as well, but not what they have started.
    if process == os.getpid():
        seat.leave()


_here = _Here()
