"""Runs with a live page, as child processes that wait at a gate until a test opens it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SCRIPT = Path(__file__).with_name("live_job.py")


class LiveRun:
    """A run whose page is served by now; its task that waits is left when the gate is opened."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.dest = folder / "out"
        self.gate = folder / "gate"
        os.mkfifo(self.gate)
        command = [sys.executable, str(SCRIPT), str(self.dest), str(self.gate), kind]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        self.url = line.removeprefix("gaia: live page at ").strip()
        assert self.url.startswith("http://127.0.0.1:"), line

    def open_gate(self) -> None:
        """Lets who waits go on; waits for them to be there."""
        with open(self.gate, "w"):
            pass

    def end(self) -> tuple[int, str]:
        """Waits for the end; the exit code and what was written to stderr."""
        assert self.process.stderr is not None
        told = self.process.stderr.read()
        return self.process.wait(), told


@contextmanager
def live_run(folder: Path, kind: str = "plain") -> Iterator[LiveRun]:
    run = LiveRun(folder, kind)
    try:
        yield run
    finally:
        run.process.terminate()
        # A worker that still waits would never hear that the run is over.
        with suppress(OSError):
            os.close(os.open(run.gate, os.O_WRONLY | os.O_NONBLOCK))
        run.end()
        assert run.process.stderr is not None
        run.process.stderr.close()
