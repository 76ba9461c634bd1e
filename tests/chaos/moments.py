"""Moments of a run, counted over all of its processes, and what strikes at one of them.

The folder `CHAOS` holds a file for each kind of moment, which grows by a byte with each, and
`misfortunes.json`. What user code sees of this is the same in every life of a run: it takes part in
the identity of stages.
"""

import functools
import json
import os
import random
import signal
from pathlib import Path

import attrs


@attrs.frozen
class Misfortune:
    """What happens at a moment: the `number`-th of its kind, over all processes of a run."""

    moment: str
    number: int
    # A worker or the run is killed; or the disk is full, stays full, or is broken, and the process
    # that writes is killed.
    what: str


def reached(moment: str) -> None:
    """Counts a moment; if misfortune is to strike at it, does not always return."""
    number = count(moment)
    struck = misfortunes().get(moment)
    if struck is not None and struck.number == number:
        _kill_run() if struck.what == "run" else _kill_worker(number)


def count(moment: str) -> int:
    """Which moment of its kind this is, the first being 1."""
    # Of an appending write, the position tells which one it was, also among processes.
    file = os.open(Path(os.environ["CHAOS"], moment), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(file, b"x")
        return os.lseek(file, 0, os.SEEK_CUR)
    finally:
        os.close(file)


@functools.cache
def misfortunes() -> dict[str, Misfortune]:
    """What is to happen in this life of the run, by moment."""
    found = json.loads(Path(os.environ["CHAOS"], "misfortunes.json").read_text())
    return {each["moment"]: Misfortune(**each) for each in found}


def _kill_run() -> None:
    """Kills the driver with its process group; it is the head of that."""
    os.killpg(int(os.environ["CHAOS_DRIVER"]), signal.SIGKILL)


def _kill_worker(seed: int) -> None:
    """Kills this worker; or any, if this is the driver."""
    driver = int(os.environ["CHAOS_DRIVER"])
    victim = os.getpid()
    if victim == driver:
        children = Path(f"/proc/{driver}/task/{driver}/children").read_text().split()
        victim = int(random.Random(seed).choice(children))
    os.kill(victim, signal.SIGKILL)
