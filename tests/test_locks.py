"""Processes that users fork while a run has its folder, and that outlive it."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

import gaia

started: list[BaseProcess] = []


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    yield
    for process in started:
        process.kill()
        process.join()
    started.clear()


def forks(number: int) -> int:
    process = get_context("fork").Process(target=signal.pause)
    process.start()
    started.append(process)
    return number


def numbers() -> gaia.Pipeline:
    pipeline = gaia.Pipeline("numbers")
    table = pipeline.from_records([1], name="numbers").map(forks)
    table.write("out", gaia.TXT).with_mod_n_sharding(1, lambda number: number)
    return pipeline


def test_the_next_run_has_the_folder(tmp_path: Path) -> None:
    for _ in range(2):
        assert list(gaia.LocalRunner(tmp_path, workers=0).run(numbers())["out"].records()) == [1]
        assert started[-1].is_alive()


def test_a_run_has_it_whose_driver_was_killed(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import os, signal, sys
        import gaia

        def dies(number):
            pid = os.fork()
            if pid == 0:
                signal.pause()
            print(pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

        pipeline = gaia.Pipeline("numbers")
        table = pipeline.from_records([1], name="numbers").map(dies, output=int)
        table.write("out", gaia.TXT).with_mod_n_sharding(1, lambda number: number)
        gaia.LocalRunner(sys.argv[1], workers=0).run(pipeline)
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout is not None
        forked = int(driver.stdout.readline())
        try:
            assert driver.wait() == -signal.SIGKILL
            os.kill(forked, 0)
            result = gaia.LocalRunner(tmp_path, workers=0).run(numbers())
            assert list(result["out"].records()) == [1]
        finally:
            os.kill(forked, signal.SIGKILL)
