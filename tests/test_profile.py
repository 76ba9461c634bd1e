"""Where a run spends its time: by step, in users' code or in Gaia, and line by line.

What is to be sampled works until it has been: so shares are known beforehand, however busy the
machine is.
"""

import json
import math
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import gaia
import gaia.testing
from gaia.ops import GroupBy
from gaia.runner import profile

HERE = Path(__file__)


def line_of(text: str) -> int:
    """The line of this file that holds a text, and nothing but that."""
    lines = [line.strip() for line in HERE.read_text().splitlines()]
    (number,) = [number for number, line in enumerate(lines, 1) if line == text]
    return number


def told(step: str) -> float:
    """How many samples have told a line of a step, in the task at hand; any number where nobody
    samples."""
    sampler = getattr(signal.getsignal(profile._SIGNAL), "__self__", None)
    if sampler is None:
        return math.inf
    lines = list(sampler.profile.lines.items())
    return sum(spent.samples for line, spent in lines if line.step == step)


def eight(number: int) -> int:
    end = told("eight") + 8
    while told("eight") < end:
        sum(range(40_000))
    return number


def one(number: int) -> int:
    end = told("one") + 1
    while told("one") < end:
        sum(range(39_999))
    return number


def work(step: str) -> int:
    """Works until a task has a sample of the step."""
    while not told(step):
        sum(range(39_998))
    return 1


@attrs.define
class Pair:
    key: int
    value: int


def profile_of(
    pipeline: gaia.Pipeline, folder: Path, workers: int = 0, profile: bool = True
) -> Any:
    """The profile in a run's record."""
    result = gaia.LocalRunner(folder, workers=workers, profile=profile).run(pipeline)
    return json.loads(Path(result.report).with_name("run.json").read_text())["profile"]


def steps_of(found: Any) -> dict[str, dict[str, Any]]:
    return {step["step"]: step for stage in found["stages"] for step in stage["steps"]}


def burning(count: int = 15) -> gaia.Pipeline:
    pipeline = gaia.Pipeline("burning")
    numbers = pipeline.from_records(range(count), name="numbers")
    burnt = numbers.map(eight, name="eight").map(one, name="one")
    burnt.write("out", gaia.TXT).with_mod_n_sharding(2)
    return pipeline


@pytest.mark.parametrize("workers", [0, 2])
def test_steps_share_the_time_as_they_take_it(tmp_path: Path, workers: int) -> None:
    found = profile_of(burning(), tmp_path, workers)
    steps = steps_of(found)
    assert list(steps) == ["numbers", "eight", "one", "write out"]
    samples = {name: step["samples"] for name, step in steps.items()}
    assert samples["eight"] >= 8 * 15
    assert samples["one"] >= 15
    assert samples["eight"] > samples["one"]
    assert found["samples"] == sum(samples.values())
    for step in ("eight", "one"):
        assert steps[step]["user"] > steps[step]["gaia"]
    assert found["user"] + found["gaia"] == pytest.approx(found["seconds"])
    assert sum(step["share"] for step in steps.values()) == pytest.approx(1)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_hottest_lines_are_named(tmp_path: Path, workers: int) -> None:
    found = profile_of(burning(), tmp_path, workers)
    first, second, *_ = found["lines"]
    for line, function, text in (
        (first, "eight", "sum(range(40_000))"),
        (second, "one", "sum(range(39_999))"),
    ):
        assert line["text"] == text
        assert (line["file"], line["line"]) == (__file__, line_of(text))
        assert (line["stage"], line["step"], line["function"]) == ("numbers", function, function)
    assert first["share"] > second["share"]
    assert len(found["lines"]) <= 20


class Writes(gaia.Mapper[str, Pair]):
    """Does nothing but write."""

    def do(self, line: str, ctx: gaia.Context[Pair]) -> None:
        ctx.write(Pair(len(line), 1))


def test_what_gaia_does_for_records_is_not_laid_to_user_code(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"{number}\n" * 3 for number in range(400_000)))
    pipeline = gaia.Pipeline("writes")
    pairs = pipeline.read_text(str(path), name="lines").map(Writes, name="writes")
    pairs.write("out", gaia.JSONL).with_mod_n_sharding(4, "key").and_compress(gaia.ZSTD, 9)
    found = profile_of(pipeline, tmp_path / "out")
    steps = steps_of(found)
    assert steps["write out"]["gaia"] > 0
    assert steps["lines"]["gaia"] > 0
    assert steps["lines"]["user"] == steps["write out"]["user"] == 0
    assert steps["writes"]["user"] > 0


class Bursts(gaia.Mapper[int, Pair]):
    def do_batch(self, batch: gaia.Batch[int], ctx: gaia.Context[Pair]) -> None:
        kept = work("bursts")
        ctx.write_columns(key=[n % 3 for n in batch.records()], value=kept)


class Last(gaia.Joiner[Pair]):
    def on_pair(self, pair: Pair, ctx: gaia.Context[Pair]) -> None:
        work("last")
        ctx.write(pair)


class Hooks(gaia.Mapper[int, int]):
    """Works when it is made, or in one of its hooks."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.work_in("__init__")

    def work_in(self, where: str) -> None:
        if where == self.where:
            work("hooks")

    def setup(self, run: gaia.Run) -> None:
        self.work_in("setup")

    def on_shard_start(self, shard: Any, ctx: gaia.Context[int]) -> None:
        self.work_in("on_shard_start")

    def do(self, number: int, ctx: gaia.Context[int]) -> None:
        ctx.write(number)

    def on_shard_finish(self, ctx: gaia.Context[int]) -> None:
        self.work_in("on_shard_finish")


def key_of(pair: Pair) -> int:
    return pair.key + 0 * work("write pairs")


def name_of(pair: Pair) -> str:
    return f"s{pair.key % 3 + 0 * work('write named')}"


def added(a: int, b: int) -> int:
    return max(a, b) + 0 * work("write most")


def doubled(pair: Pair) -> Iterator[Pair]:
    for _ in range(2):
        work("double")
        yield pair


def kept(pair: Pair) -> bool:
    return work("kept") > 0


def test_all_that_users_write_counts_as_theirs(tmp_path: Path) -> None:
    pipeline = gaia.Pipeline("all")
    pairs = pipeline.from_records(range(100), name="numbers").map(Bursts, name="bursts")
    pairs.write("pairs", gaia.TXT).with_mod_n_sharding(2, key_of)
    joined = pipeline.join(Last, [pairs.bind_with(Last.on_pair)], name="last")
    joined.flat_map(doubled, name="double").filter(kept, name="kept").write(
        "named", gaia.TXT
    ).with_custom_sharding(name_of)
    others = pairs.filter(lambda pair: True, name="all")
    most = others.write("most", gaia.TXT).with_mod_n_sharding(2, "key")
    most.and_combine("key", value=added)
    found = profile_of(pipeline, tmp_path)
    users = {name: step["user"] for name, step in steps_of(found).items()}
    for step in ("bursts", "write pairs", "write most", "last", "double", "kept", "write named"):
        assert users[step] > 0, step
    assert {line["file"] for line in found["lines"]} == {__file__}
    assert "work" in {line["function"] for line in found["lines"]}


@pytest.mark.parametrize("where", ["__init__", "setup", "on_shard_start", "on_shard_finish"])
def test_hooks_count_as_users(tmp_path: Path, where: str) -> None:
    pipeline = gaia.Pipeline("hooks")
    numbers = pipeline.from_records(range(3), name="numbers").map(Hooks, where, name="hooks")
    numbers.write("out", gaia.TXT).with_mod_n_sharding(2)
    assert steps_of(profile_of(pipeline, tmp_path))["hooks"]["user"] > 0


def test_native_steps_are_gaias(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("a b c d e f g h\n" * 200_000)
    pipeline = gaia.Pipeline("native")
    words = pipeline.read_text(str(path), name="lines").map(gaia.ops.FindAll(r"\w+"))
    words.write("words", gaia.TXT).with_mod_n_sharding(2, "word")
    pipeline.join(GroupBy("word", count="sum"), [words], name="group").write("counts", gaia.TXT)
    found = profile_of(pipeline, tmp_path / "out")
    assert found["user"] == 0
    assert found["gaia"] > 0
    assert found["lines"] == []


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    def state() -> Any:
        handlers = [signal.getsignal(number) for number in sorted(signal.valid_signals())]
        timers = [signal.getitimer(which)[0] for which in (0, 1, 2)]
        threads = threading.active_count()
        found = len(os.listdir("/proc/self/task")) if sys.platform == "linux" else None
        return handlers, timers, threads, found

    before = state()
    assert profile_of(burning(2), tmp_path / "a") is not None
    assert state() == before

    def fails(number: int) -> int:
        raise ValueError(number)

    pipeline = gaia.Pipeline("fails")
    numbers = pipeline.from_records(range(10), name="numbers")
    numbers.map(fails, name="fails").write("out", gaia.TXT).with_mod_n_sharding(1)
    with pytest.raises(gaia.StepError, match="step `fails` failed: ValueError: 0"):
        profile_of(pipeline, tmp_path / "b")
    assert state() == before
    assert profile_of(burning(2), tmp_path / "c", profile=False) is None
    assert profile_of(burning(2), tmp_path / "d") is not None


def test_signals_stay_the_users(tmp_path: Path) -> None:
    rung = []

    def rings(number: int) -> int:
        before = signal.signal(signal.SIGPROF, lambda *_: rung.append(number))
        signal.raise_signal(signal.SIGPROF)
        signal.signal(signal.SIGPROF, before)
        work("rings")
        return number

    pipeline = gaia.Pipeline("rings")
    numbers = pipeline.from_records(range(200), name="numbers")
    numbers.map(rings, name="rings").write("out", gaia.TXT).with_mod_n_sharding(1)
    assert profile_of(pipeline, tmp_path)["user"] > 0
    assert rung == list(range(200))


def test_the_end_of_a_run_tells_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile_of(burning(), tmp_path)
    shown = capsys.readouterr().err
    assert shown.startswith("gaia: profile: ")
    assert "your code" in shown
    assert f"{__file__}:{line_of('sum(range(40_000))')}  eight" in shown
    profile_of(burning(2), tmp_path, profile=False)
    assert capsys.readouterr().err == ""
