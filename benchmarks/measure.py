"""Running a command as a user would and measuring the whole of it: every process it starts."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import attrs

PR_SET_CHILD_SUBREAPER = 36
ORPHANS_MAY_TAKE = 10.0


@attrs.frozen
class Measurement:
    """Wall and CPU time in seconds, and the peak memory of the process tree in MB (10^6 bytes).

    Memory is the proportional set size: pages that processes share count once. It is zero where it
    was not asked for, or cannot be known.
    """

    wall: float
    cpu: float
    peak_mb: float


class CommandError(Exception):
    """A command failed; the message is what it said of it."""


def measure(command: list[str], memory_every: float | None = None) -> Measurement:
    """Runs a command to its end; looks at its memory so often, in seconds.

    Looking stops the process for a moment, so time and memory are best measured in different runs.

    Raises:
        CommandError: It failed.
    """
    _adopt_orphans()
    with tempfile.TemporaryFile() as output:
        before = os.times()
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        sampler = _Sampler(process.pid, memory_every)
        patience = 0.0
        try:
            process.wait()
            patience = ORPHANS_MAY_TAKE
        except BaseException:
            process.kill()
            raise
        finally:
            wall = time.perf_counter() - begin
            sampler.finish()
            _end_descendants(patience)
        after = os.times()
        if process.returncode:
            output.seek(0)
            raise CommandError(_error(output.read().decode(errors="replace"), process.returncode))
    cpu = (after.children_user + after.children_system) - (
        before.children_user + before.children_system
    )
    return Measurement(wall, cpu, sampler.peak / 1e6)


def _error(output: str, status: int) -> str:
    """The last line that looks like an error, or else the last."""
    lines = output.strip().splitlines() or [f"exit status {status}"]
    errors = [line for line in lines if re.match(r"\S*(Error|Exception)\b", line)]
    return [*lines, *errors][-1]


class _Sampler(threading.Thread):
    def __init__(self, root: int, every: float | None) -> None:
        super().__init__(daemon=True)
        self.root = root
        self.every = every
        self.peak = 0
        self.ended = threading.Event()
        if every is not None:
            self.start()

    def run(self) -> None:
        while not self.ended.wait(self.every):
            self.peak = max(self.peak, sum(map(_memory, _tree(self.root))))

    def finish(self) -> None:
        self.ended.set()
        if self.every is not None:
            self.join()


def _adopt_orphans() -> None:
    """Lets processes that outlive their parents (a JVM) become ours, so that their time counts."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def _end_descendants(patience: float) -> None:
    """Waits for what the command left running, and kills what takes longer than so many seconds."""
    deadline = time.monotonic() + patience
    try:
        while True:
            if os.waitpid(-1, os.WNOHANG) != (0, 0):
                continue
            if time.monotonic() >= deadline:
                for pid in _tree(os.getpid())[1:]:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
    except ChildProcessError:
        pass


def _tree(pid: int) -> list[int]:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = [
            int(child) for thread in threads for child in (thread / "children").read_text().split()
        ]
    except OSError:
        return []
    return [pid, *(each for child in children for each in _tree(child))]


def _memory(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
