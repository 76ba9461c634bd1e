"""A process with a single thread, of which workers are forked for one that has several.

A fork copies the locks that other threads hold, so a process with threads must not be copied. A
worker that is started afresh takes a tenth of a second, most of it imports; the copy of a process
that has made them, some milliseconds. Python's own fork server lives as long as the program, with
the environment of its first use; this one as long as who uses it.
"""

import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection

from gaia import _core
from gaia.errors import WorkerError
from gaia.runner.worker import serve

# The workers fill the cores; threads that libraries start in each would be in their way.
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "POLARS_MAX_THREADS",
)
# What is asked: to fork a worker that has given descriptors in place of its standard output and
# error, or of some of them; or to wait for the end of a worker. The answer is its process id, or
# its status; or an error number, negative.
_ASK = struct.Struct("=ci??")
_ANSWER = struct.Struct("=i")
_FORK, _REAP = b"f", b"r"


class ForkServer:
    """Forks workers, which end with it; it ends with the thread that has started it.

    Workers do not import the user's main module: all that they need comes by cloudpickle.
    """

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-c",
                    "from gaia.runner.forkserver import main; main()",
                    str(theirs.fileno()),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={
                    **dict.fromkeys(_THREADS, "1"),
                    **os.environ,
                    # An entry that is empty is the current folder, as in `python -c`.
                    "PYTHONPATH": os.pathsep.join(entry or os.curdir for entry in sys.path),
                },
                start_new_session=True,
            )

    def fork(self, descriptors: Sequence[int], streams: Mapping[int, int]) -> int:
        """Starts a worker with the descriptors that `worker.serve` takes, and others in place of
        its standard output and error; returns its process id.

        Raises:
            WorkerError: The server could not be started.
            OSError: The system has no room for more processes.
        """
        given = [*descriptors, *(streams[number] for number in (1, 2) if number in streams)]
        pid = self._ask(_FORK, 0, 1 in streams, 2 in streams, descriptors=given)
        if pid is None:
            raise WorkerError(f"{sys.executable} starts no workers: what it printed says why")
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        return pid

    def reap(self, pid: int) -> int | None:
        """Waits for the end of a worker, whose process id is not given to others before that;
        returns its status, or None if that is not known any more."""
        status = None if self.ended() else self._ask(_REAP, pid)
        return None if status is None or status < 0 else status

    def ended(self) -> bool:
        """Whether somebody has killed it."""
        return self._process.poll() is not None

    def close(self) -> None:
        """Ends it, and workers that have not ended."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _ask(
        self,
        what: bytes,
        number: int,
        stdout: bool = False,
        stderr: bool = False,
        descriptors: Sequence[int] = (),
    ) -> int | None:
        try:
            socket.send_fds(self._socket, [_ASK.pack(what, number, stdout, stderr)], descriptors)
            answer = self._socket.recv(_ANSWER.size, socket.MSG_WAITALL)
        except (BrokenPipeError, ConnectionResetError):
            return None
        return _ANSWER.unpack(answer)[0] if len(answer) == _ANSWER.size else None


def living(server: ForkServer | None) -> ForkServer:
    """A server, or a new one where there is none, or where somebody has killed it, and with it the
    workers that it had started."""
    if server is not None:
        if not server.ended():
            return server
        server.close()
    return ForkServer()


def main() -> None:
    """The main function of the server, with the descriptor of its socket."""
    _core.die_with_parent()
    # Who starts it holds them back meanwhile.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    import gaia.runner.task_run  # noqa: F401 - What workers run, so that they do not import it each.

    with socket.socket(fileno=int(sys.argv[1])) as asked:
        while True:
            message, descriptors, _, _ = socket.recv_fds(asked, _ASK.size, 5)
            if not message:
                return
            what, number, *streams = _ASK.unpack(message)
            try:
                if what == _FORK:
                    answer = _fork(asked, descriptors, [n for n in (1, 2) if streams[n - 1]])
                else:
                    answer = os.waitpid(number, 0)[1]
            except OSError as error:
                answer = -(error.errno or 1)
            asked.send(_ANSWER.pack(answer))


def _fork(asked: socket.socket, descriptors: list[int], streams: list[int]) -> int:
    try:
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            os.setsid()
            asked.close()
            connection, dump, progress, *theirs = descriptors
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            for number, descriptor in zip(streams, theirs, strict=True):
                os.dup2(descriptor, number)
                os.close(descriptor)
            serve(Connection(connection), dump, progress)
            status = 0
        finally:
            os._exit(status)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
