"""The engine that runs tasks in worker processes on this machine."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

import cloudpickle

from gaia.errors import WorkerError
from gaia.pipeline.travel import dumps
from gaia.runner.watch import EVERY, Watch
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


class ProcessEngine:
    """A fixed number of worker processes.

    They are forked while this process has a single thread, which takes a millisecond; otherwise
    they are started afresh, because a fork copies locks that other threads hold. A fresh worker
    does not import the user's main module: all that it needs comes by cloudpickle.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        start = _fork if _single_threaded() else _spawn
        self._workers: list[_Worker] = []
        try:
            for _ in range(workers):
                self._workers.append(start(self._workers))
        except BaseException:
            self.close()
            raise

    def map(
        self,
        function: Callable[[Shared, Item], Result],
        shared: Shared,
        items: Sequence[Item],
        watch: Watch | None = None,
    ) -> Iterator[Result]:
        """See `Engine.map`."""
        payload = dumps((function, shared))
        waiting = iter(items)
        busy: dict[Connection, _Worker] = {}
        for worker, item in zip(self._workers, waiting, strict=False):
            worker.send(("shared", payload))
            worker.send(("item", dumps(item)))
            busy[worker.connection] = worker
        while busy:
            # A child of a dead worker may hold its pipe open, so its end is waited for as well.
            ends = [worker.end for worker in busy.values() if worker.end is not None]
            watched = watch is not None and not watch.told
            ready = set(wait([*busy, *ends], EVERY if watched else None))
            if watch is not None:
                watch.look(worker.pid for worker in busy.values())
            for connection, worker in list(busy.items()):
                if connection not in ready and worker.end not in ready:
                    continue
                del busy[connection]
                result: Result = worker.receive()
                for item in waiting:
                    worker.send(("item", dumps(item)))
                    busy[connection] = worker
                    break
                yield result

    def close(self) -> None:
        """See `Engine.close`. What workers leave behind is never visible, so they are killed."""
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.reap()
        self._workers = []


class _Worker:
    def __init__(self, connection: Connection, pid: int) -> None:
        self.connection = connection
        self.pid = pid
        self.end = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None

    def send(self, message: tuple[str, bytes]) -> None:
        try:
            self.connection.send(message)
        except (BrokenPipeError, ConnectionResetError):
            raise self._died() from None

    def receive(self) -> Any:
        try:
            if not self.connection.poll():
                raise EOFError  # Only the worker's end is to be seen, and no answer.
            kind, value = cloudpickle.loads(self.connection.recv_bytes())
        except (EOFError, ConnectionResetError):
            raise self._died() from None
        if kind == "failed":
            raise value
        return value

    def kill(self) -> None:
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def reap(self) -> int:
        self.connection.close()
        if self.end is not None:
            os.close(self.end)
        pid, self.pid, self.end = self.pid, 0, None
        try:
            return os.waitpid(pid, 0)[1] if pid else 0
        except ChildProcessError:
            return 0  # The program ignores the end of its children, or somebody else saw it.

    def _died(self) -> WorkerError:
        pid = self.pid
        code = os.waitstatus_to_exitcode(self.reap())
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        hint = "; the machine may have run out of memory" if code == -signal.SIGKILL else ""
        return WorkerError(f"worker process {pid} {how} in the middle of a task{hint}")


def _single_threaded() -> bool:
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


def _fork(others: list[_Worker]) -> _Worker:
    ours, theirs = socket.socketpair()
    flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            ours.close()
            for other in others:
                other.connection.close()
            serve(Connection(theirs.detach()))
            status = 0
        finally:
            os._exit(status)
    theirs.close()
    return _Worker(Connection(ours.detach()), pid)


def _spawn(others: list[_Worker]) -> _Worker:
    ours, theirs = socket.socketpair()
    with theirs:
        fd = theirs.fileno()
        command = [
            sys.executable,
            "-P",
            "-c",
            "from gaia.runner.worker import main; main()",
            str(fd),
        ]
        environment = {**dict.fromkeys(_THREADS, "1"), **os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        process = subprocess.Popen(
            command, pass_fds=(fd,), stdin=subprocess.DEVNULL, env=environment
        )
        process.returncode = 0  # This module waits for it; Popen must not.
    return _Worker(Connection(ours.detach()), process.pid)
