"""Running a command as a user would and measuring the whole of it: every process it starts."""

import os
import subprocess
import threading
import time
from pathlib import Path

import attrs


@attrs.frozen
class Measurement:
    """Wall and CPU time in seconds, and the peak memory of the process tree in MB (10^6 bytes).

    Memory is the proportional set size: pages that processes share count once. It is sampled four
    times a second and not more often, because reading it stops the process.
    """

    wall: float
    cpu: float
    peak_mb: float
    output: str


def measure(command: list[str]) -> Measurement:
    """Runs a command to its end.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    before = os.times()
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    sampler = _Sampler(process.pid)
    sampler.start()
    output, _ = process.communicate()
    wall = time.perf_counter() - begin
    sampler.finish()
    after = os.times()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    cpu = (after.children_user + after.children_system) - (
        before.children_user + before.children_system
    )
    return Measurement(wall, cpu, sampler.peak / 1e6, output)


class _Sampler(threading.Thread):
    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root = root
        self.peak = 0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.25):
            self.peak = max(self.peak, sum(map(_memory, _tree(self.root))))

    def finish(self) -> None:
        self.ended.set()
        self.join()


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
