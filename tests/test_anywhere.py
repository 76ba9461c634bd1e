"""Tests that are to run on all kinds of runners do."""

import json
import os
from pathlib import Path

import anywhere
import pytest

import gaia

pytestmark = pytest.mark.anywhere

RUNNERS = {"executor": "ExecutorRunner", "ray": "RayRunner"}


def processes() -> gaia.Pipeline:
    """Tells which processes run its tasks."""
    pipeline = gaia.Pipeline("processes")
    pids = pipeline.from_records(range(8), name="n").map(
        lambda n: os.getpid(), name="p", output=int
    )
    pids.write("pids", gaia.TXT).with_mod_n_sharding(1)
    return pipeline


def test_a_run_is_one_of_the_kind(tmp_path: Path, kind_of_runner: str) -> None:
    result = anywhere.Runner(tmp_path).run(processes())
    record = json.loads(Path(result.report).with_name("run.json").read_text())
    assert record["settings"]["runner"] == RUNNERS.get(kind_of_runner, "LocalRunner")
    assert (set(result["pids"].records()) == {os.getpid()}) == (kind_of_runner == "inline")


def test_a_run_in_memory_is_one_of_the_kind(kind_of_runner: str) -> None:
    pids = anywhere.run(processes())["pids"]
    assert (set(pids) == {os.getpid()}) == (kind_of_runner == "inline")
