"""Child processes of this machine: how they are started, spoken to, and how they end."""

import os
import signal
import socket
import struct
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

import cloudpickle

from gaia.io.undisturbed import undisturbed
from gaia.runner.engine import EVERY, Death, Watch, Worker
from gaia.runner.failure import dumped_frames
from gaia.runner.forkserver import ForkServer
from gaia.runner.prints import Prints
from gaia.runner.worker import flush, serve

# A worker ends by itself when its time is up, and tells where it was. One that is stopped, or stuck
# in the system, cannot; so many seconds later it is killed.
_GRACE = 2.0
_DUMP = 1 << 16
# What a worker tells of its task; see `_core.tell_progress`.
_TOLD = struct.Struct("=QQQ")


class Child:
    """A worker process, as who has started it sees it."""

    def __init__(
        self,
        number: int,
        connection: Connection,
        dump: int,
        progress: int,
        prints: Prints | None,
        pid: int,
        server: ForkServer | None = None,
    ) -> None:
        self.number = number
        self.connection = connection
        self.dump = dump
        self.progress = progress
        self.prints = prints
        if prints is not None:
            os.close(prints.theirs)
        self.pid = pid
        self.server = server
        self.end = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
        self.deadline: float | None = None
        self._limit: float | None = None
        self._shared: bytes | None = None

    @property
    def shown(self) -> Worker:
        """What is known of it."""
        size, read, records = _TOLD.unpack(os.pread(self.progress, _TOLD.size, 0))
        part = min(1.0, read / size) if size else 0.0
        return Worker(f"worker {self.number}", self.pid, part, records)

    def begin(self, shared: bytes, item: bytes, timeout: float | None) -> None:
        """Sends an item, and before it what all items share if that is new. If the worker has died
        meanwhile, that is seen by who waits for it."""
        self._limit = timeout
        os.pwrite(self.progress, bytes(_TOLD.size), 0)
        with suppress(BrokenPipeError, ConnectionResetError):
            if shared is not self._shared:
                self.connection.send(("shared", shared))
                self._shared = shared
            self.connection.send(("item", item))
        self.deadline = None if timeout is None else time.monotonic() + timeout + _GRACE

    def receive(self) -> bytes | Death:
        """The answer to an item, packed, or the worker's death."""
        if self.end is not None and wait([self.end], 0):
            self.kill()  # What it has started may hold its pipe open.
        try:
            if not self.connection.poll():
                raise EOFError  # Only its end is to be seen, or its time is up.
            return self.connection.recv_bytes()
        except (EOFError, OSError):
            return self._death()

    def kill(self) -> None:
        """Ends the worker and the processes that it has started."""
        # A worker ends with its server, and then its id may soon be that of others.
        if self.pid and not (self.server is not None and self.server.ended()):
            for end in (os.kill, os.killpg):
                # It may not have made its session yet; macOS refuses groups of the dead.
                with suppress(ProcessLookupError, PermissionError):
                    end(self.pid, signal.SIGKILL)

    def reap(self) -> int | None:
        """Waits for the end; returns the status, or None where somebody else saw it."""
        self.connection.close()
        os.close(self.dump)
        os.close(self.progress)
        if self.end is not None:
            os.close(self.end)
        pid, self.pid, self.end = self.pid, 0, None
        try:
            if pid and self.server is not None:
                return self.server.reap(pid)
            return os.waitpid(pid, 0)[1] if pid else None
        except ChildProcessError:
            return None  # The program ignores the end of its children.
        finally:
            if self.prints is not None:
                self.prints.close()

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


def unpacked(answer: bytes | Death) -> Any:
    """What a worker has answered, or its death.

    Raises:
        GaiaError: What the function raised.
    """
    if isinstance(answer, Death):
        return answer
    kind, value = cloudpickle.loads(answer)
    if kind == "failed":
        raise value
    return value


def _told(code: int) -> str:
    if code >= 0:
        return f"exited with {code}"
    hint = " (the machine may have run out of memory)" if code == -signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-code).name}{hint}"


def ready(busy: Collection[Child], watch: Watch | None, workers: list[Child]) -> list[Child]:
    """Waits for workers that have answered, ended or used up their time; for a moment only, if
    somebody watches them, or if they have printed something."""
    # A child of a dead worker may hold its pipe open, so its end is waited for as well.
    ends = [worker.end for worker in busy if worker.end is not None]
    deadlines = [worker.deadline for worker in busy if worker.deadline is not None]
    patience = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
    if watch is not None:
        patience = EVERY if patience is None else min(patience, EVERY)
    prints = {worker.prints.ours: worker.prints for worker in busy if worker.prints is not None}
    told = set(wait([*(worker.connection for worker in busy), *ends, *prints], patience))
    for descriptor, printed in prints.items():
        if descriptor in told:
            printed.pass_on()
    if watch is not None:
        watch.look(worker.shown for worker in workers)
    now = time.monotonic()
    return [
        worker
        for worker in busy
        if worker.connection in told
        or worker.end in told
        or (worker.deadline is not None and now >= worker.deadline)
    ]


def _dump() -> int:
    """A file without a name, in which a worker tells where it was when it died."""
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _progress() -> int:
    """A file in memory, where that is to be had, in which a worker tells how far it is."""
    memory = getattr(os, "memfd_create", None)
    descriptor: int = _dump() if memory is None else memory("gaia-progress")
    os.truncate(descriptor, _TOLD.size)
    return descriptor


def fork(others: list[Child], number: int, prints: Prints | None) -> Child:
    """Starts a worker as a copy of this process. It is not to hold on to `others`."""
    ours, theirs = socket.socketpair()
    dump, progress = _dump(), _progress()
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
                os.close(other.progress)
                if other.prints is not None:
                    os.close(other.prints.ours)
            if prints is not None:
                prints.redirect()
            serve(Connection(theirs.detach()), dump, progress)
            status = 0
        finally:
            os._exit(status)
    theirs.close()
    return Child(number, Connection(ours.detach()), dump, progress, prints, pid)


def fork_by(server: ForkServer, number: int, prints: Prints | None) -> Child:
    """Has a server start a worker."""
    ours, theirs = socket.socketpair()
    dump, progress = _dump(), _progress()
    streams = {} if prints is None else prints.streams()
    with theirs:
        pid = server.fork((theirs.fileno(), dump, progress), streams)
    return Child(number, Connection(ours.detach()), dump, progress, prints, pid, server)
