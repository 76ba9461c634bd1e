"""The engine that runs tasks in worker processes on this machine."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

import cloudpickle

from gaia.io.undisturbed import undisturbed
from gaia.pipeline.travel import dumps
from gaia.runner.engine import EVERY, Death, Watch, Worker
from gaia.runner.failure import dumped_frames
from gaia.runner.worker import flush, serve

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


# The workers fill the cores; threads that libraries start in each would be in their way.
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "POLARS_MAX_THREADS",
)
# A worker ends by itself when its time is up, and tells where it was. One that is stopped, or stuck
# in the system, cannot; so many seconds later it is killed.
_GRACE = 2.0
_DUMP = 1 << 16


class ProcessEngine:
    """A fixed number of worker processes; one that dies is replaced.

    They are forked while this process has a single thread, which takes a millisecond; otherwise
    they are started afresh, because a fork copies locks that other threads hold. A fresh worker
    does not import the user's main module: all that it needs comes by cloudpickle.

    Each is the head of a session, so that whatever user code starts in it ends with it, and Ctrl-C
    reaches this process alone.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._workers: list[_Worker] = []
        try:
            for number in range(1, workers + 1):
                self._start(number)
        except BaseException:
            self.close()
            raise

    def map(
        self,
        function: Callable[[Shared, Item], Result],
        shared: Shared,
        items: deque[Item],
        timeout: float | None = None,
        watch: Watch | None = None,
    ) -> Iterator[tuple[Item, Result | Death]]:
        """See `Engine.map`."""
        payload = dumps((function, shared, timeout))
        idle = list(self._workers)
        busy: dict[_Worker, Item] = {}

        def hand_out() -> None:
            while items and idle:
                worker, item = idle.pop(), items.popleft()
                worker.begin(payload, dumps(item), timeout)
                busy[worker] = item
                if watch is not None:
                    watch.began(item, worker.shown)

        hand_out()
        while busy:
            for worker in _ready(busy, watch, self._workers):
                item = busy.pop(worker)
                outcome: Result | Death = worker.receive()
                if isinstance(outcome, Death):
                    self._workers.remove(worker)
                    worker = self._start(worker.number)
                idle.append(worker)
                hand_out()
                yield item, outcome
            hand_out()  # The caller may have added some for workers that had nothing to do.

    def close(self) -> None:
        """See `Engine.close`. What workers leave behind is never visible, so they are killed."""
        with undisturbed():
            for worker in self._workers:
                worker.kill()
            for worker in self._workers:
                worker.reap()
            self._workers = []

    def _start(self, number: int) -> "_Worker":
        # This process may have got threads since the last one was started.
        start = _fork if _single_threaded() else _spawn
        with undisturbed():
            worker = start(self._workers, number)
            self._workers.append(worker)
        return worker


class _Worker:
    def __init__(self, number: int, connection: Connection, dump: int, pid: int) -> None:
        self.number = number
        self.shown = Worker(f"worker {number}", pid)
        self.connection = connection
        self.dump = dump
        self.pid = pid
        self.end = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
        self.deadline: float | None = None
        self._limit: float | None = None
        self._shared: bytes | None = None

    def begin(self, shared: bytes, item: bytes, timeout: float | None) -> None:
        """Sends an item, and before it what all items share if that is new. If the worker has died
        meanwhile, that is seen by who waits for it."""
        self._limit = timeout
        with suppress(BrokenPipeError, ConnectionResetError):
            if shared is not self._shared:
                self.connection.send(("shared", shared))
                self._shared = shared
            self.connection.send(("item", item))
        self.deadline = None if timeout is None else time.monotonic() + timeout + _GRACE

    def receive(self) -> Any:
        """The answer to an item, or the worker's death.

        Raises:
            GaiaError: What the function raised.
        """
        if self.end is not None and wait([self.end], 0):
            self.kill()  # What it has started may hold its pipe open.
        try:
            if not self.connection.poll():
                raise EOFError  # Only its end is to be seen, or its time is up.
            answer = self.connection.recv_bytes()
        except (EOFError, OSError):
            return self._death()
        kind, value = cloudpickle.loads(answer)
        if kind == "failed":
            raise value
        return value

    def kill(self) -> None:
        """Ends the worker and the processes that it has started."""
        if self.pid:
            for end in (os.kill, os.killpg):
                # It may not have made its session yet; macOS refuses groups of the dead.
                with suppress(ProcessLookupError, PermissionError):
                    end(self.pid, signal.SIGKILL)

    def reap(self) -> int | None:
        """Waits for the end; returns the status, or None where somebody else saw it."""
        self.connection.close()
        os.close(self.dump)
        if self.end is not None:
            os.close(self.end)
        pid, self.pid, self.end = self.pid, 0, None
        try:
            return os.waitpid(pid, 0)[1] if pid else None
        except ChildProcessError:
            return None  # The program ignores the end of its children.

    def _death(self) -> Death:
        overdue = self.deadline is not None and time.monotonic() >= self.deadline
        with undisturbed():
            self.kill()
            dump = os.pread(self.dump, _DUMP, 0).decode(errors="replace")
            status = self.reap()
        if overdue or dump.startswith("Timeout"):
            how = f"took longer than {self._limit:g} s (task_timeout) and was killed"
        elif status is None:
            how = "ended"
        else:
            how = _told(os.waitstatus_to_exitcode(status))
        return Death(f"{how} in the middle of a task", dumped_frames(dump))


def _told(code: int) -> str:
    if code >= 0:
        return f"exited with {code}"
    hint = " (the machine may have run out of memory)" if code == -signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-code).name}{hint}"


def _ready(busy: Collection[_Worker], watch: Watch | None, workers: list[_Worker]) -> list[_Worker]:
    """Waits for workers that have answered, ended or used up their time; for a moment only, if
    somebody watches them."""
    # A child of a dead worker may hold its pipe open, so its end is waited for as well.
    ends = [worker.end for worker in busy if worker.end is not None]
    deadlines = [worker.deadline for worker in busy if worker.deadline is not None]
    patience = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
    if watch is not None:
        patience = EVERY if patience is None else min(patience, EVERY)
    ready = set(wait([*(worker.connection for worker in busy), *ends], patience))
    if watch is not None:
        watch.look(worker.shown for worker in workers)
    now = time.monotonic()
    return [
        worker
        for worker in busy
        if worker.connection in ready
        or worker.end in ready
        or (worker.deadline is not None and now >= worker.deadline)
    ]


def _single_threaded() -> bool:
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


def _dump() -> int:
    """A file without a name, in which a worker tells where it was when it died."""
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _fork(others: list[_Worker], number: int) -> _Worker:
    ours, theirs = socket.socketpair()
    dump = _dump()
    flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setsid()
            ours.close()
            for other in others:
                other.connection.close()
                os.close(other.dump)
            serve(Connection(theirs.detach()), dump)
            status = 0
        finally:
            os._exit(status)
    theirs.close()
    return _Worker(number, Connection(ours.detach()), dump, pid)


def _spawn(others: list[_Worker], number: int) -> _Worker:
    ours, theirs = socket.socketpair()
    dump = _dump()
    with theirs:
        fds = (theirs.fileno(), dump)
        command = [
            sys.executable,
            "-P",
            "-c",
            "from gaia.runner.worker import main; main()",
            *map(str, fds),
        ]
        environment = {**dict.fromkeys(_THREADS, "1"), **os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        process = subprocess.Popen(
            command,
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        process.returncode = 0  # This module waits for it; Popen must not.
    return _Worker(number, Connection(ours.detach()), dump, process.pid)
