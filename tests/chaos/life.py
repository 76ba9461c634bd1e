"""One life of a run, in a process of its own: python life.py JOB TEXT DEST --resume"""

import os
import sys
from collections.abc import Callable
from typing import Any

import moments
from jobs import JOBS, TASKS

import gaia
from gaia.io import commit
from gaia.io.destination import LocalDestination
from gaia.runner import attempts, splits
from gaia.runner.journal import FileJournal

WORKERS = 2

_run_task = attempts.run_task


def run_task(setup: Any, task: Any) -> Any:
    """In a worker: a task begins."""
    moments.reached("task")
    return _run_task(setup, task)


def _around(function: Callable[..., Any], before: str = "", after: str = "") -> Callable[..., Any]:
    def called(*args: Any, **named: Any) -> Any:
        if before:
            moments.reached(before)
        result = function(*args, **named)
        if after:
            moments.reached(after)
        return result

    return called


def main(job: str, text: str, dest: str, *options: str) -> None:
    """Runs the job in many tasks. Exits with 1, and the message, where Gaia says what is wrong."""
    os.environ["CHAOS_DRIVER"] = str(os.getpid())
    splits._MIN_SPLIT = splits._MAX_SPLIT = JOBS[job].size // TASKS
    attempts.run_task = run_task
    FileJournal.write = _around(FileJournal.write, after="journal")
    commit._make_shard = _around(commit._make_shard, before="shard")
    LocalDestination.publish = _around(LocalDestination.publish, "publish", "publish")
    runner = gaia.LocalRunner(dest, workers=WORKERS, resume="--resume" in options)
    try:
        runner.run(JOBS[job].build(text))
    except gaia.GaiaError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
