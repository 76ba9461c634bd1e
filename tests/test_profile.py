"""Where a run spends its time: by step, in users' code or in Gaia, and line by line.

Shares are of samples in loops of known proportions; a busy machine changes how long they take, not
how they compare.
"""

import json
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

HERE = Path(__file__)


def line_of(text: str) -> int:
    """The line of this file that holds a text, and nothing but that."""
    lines = [line.strip() for line in HERE.read_text().splitlines()]
    (number,) = [number for number, line in enumerate(lines, 1) if line == text]
    return number


def four(number: int) -> int:
    return number + 0 * sum(range(40_000))


def one(number: int) -> int:
    return number + 0 * sum(range(10_000))


def work(count: int) -> int:
    return sum(range(count))


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


def steps_of(profile: Any) -> dict[str, dict[str, Any]]:
    return {step["step"]: step for stage in profile["stages"] for step in stage["steps"]}


def burning(count: int = 1_000) -> gaia.Pipeline:
    pipeline = gaia.Pipeline("burning")
    numbers = pipeline.from_records(range(count), name="numbers")
    numbers.map(four, name="four").map(one, name="one").write("out", gaia.TXT).with_mod_n_sharding(
        2
    )
    return pipeline


@pytest.mark.parametrize("workers", [0, 2])
def test_steps_share_the_time_as_they_take_it(tmp_path: Path, workers: int) -> None:
    profile = profile_of(burning(), tmp_path, workers)
    steps = steps_of(profile)
    assert list(steps) == ["numbers", "four", "one", "write out"]
    both = steps["four"]["user"] + steps["one"]["user"]
    assert 0.6 < steps["four"]["user"] / both < 0.95
    assert both / profile["seconds"] > 0.8
    assert profile["samples"] == sum(step["samples"] for step in steps.values()) > 50
    assert profile["user"] + profile["gaia"] == pytest.approx(profile["seconds"])
    assert sum(step["share"] for step in steps.values()) == pytest.approx(1)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_hottest_lines_are_named(tmp_path: Path, workers: int) -> None:
    profile = profile_of(burning(), tmp_path, workers)
    first, second, *_ = profile["lines"]
    for found, function, text in (
        (first, "four", "return number + 0 * sum(range(40_000))"),
        (second, "one", "return number + 0 * sum(range(10_000))"),
    ):
        assert found["text"] == text
        assert (found["file"], found["line"]) == (__file__, line_of(text))
        assert (found["stage"], found["step"], found["function"]) == ("numbers", function, function)
    assert first["share"] > 0.5
    assert len(profile["lines"]) <= 20


class Writes(gaia.Mapper[str, Pair]):
    """Does nothing but write."""

    def do(self, line: str, ctx: gaia.Context[Pair]) -> None:
        ctx.write(Pair(len(line), 1))


def test_what_gaia_does_for_records_is_not_laid_to_user_code(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"{number}\n" * 3 for number in range(200_000)))
    pipeline = gaia.Pipeline("writes")
    pairs = pipeline.read_text(str(path), name="lines").map(Writes, name="writes")
    pairs.write("out", gaia.JSONL).with_mod_n_sharding(4, "key").and_compress(gaia.ZSTD, 9)
    profile = profile_of(pipeline, tmp_path / "out")
    steps = steps_of(profile)
    assert steps["write out"]["gaia"] > 0
    assert steps["lines"]["gaia"] > 0
    assert steps["lines"]["user"] == steps["write out"]["user"] == 0
    assert profile["gaia"] / profile["seconds"] > 0.3


class Bursts(gaia.Mapper[int, Pair]):
    def __init__(self) -> None:
        self.made = work(500_000)

    def do_batch(self, batch: gaia.Batch[int], ctx: gaia.Context[Pair]) -> None:
        kept = work(500_000)
        ctx.write_columns(key=[n % 3 for n in batch.records()], value=kept)


class Last(gaia.Joiner[Pair]):
    def on_pair(self, pair: Pair, ctx: gaia.Context[Pair]) -> None:
        work(20_000)
        ctx.write(pair)

    def on_shard_finish(self, ctx: gaia.Context[Pair]) -> None:
        work(500_000)


def key_of(pair: Pair) -> int:
    return pair.key + 0 * work(20_001)


def name_of(pair: Pair) -> str:
    return f"s{pair.key % 3 + 0 * work(20_002)}"


def added(a: int, b: int) -> int:
    return max(a, b) + 0 * work(500_003)


def doubled(pair: Pair) -> Iterator[Pair]:
    for _ in range(2):
        work(20_004)
        yield pair


def kept(pair: Pair) -> bool:
    return work(20_005) > 0


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
    profile = profile_of(pipeline, tmp_path)
    users = {name: step["user"] for name, step in steps_of(profile).items()}
    for step in ("bursts", "write pairs", "write most", "last", "double", "kept", "write named"):
        assert users[step] > 0, step
    assert {line["file"] for line in profile["lines"]} == {__file__}
    assert profile["lines"][0]["function"] == "work"


def test_native_steps_are_gaias(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("a b c d e f g h\n" * 200_000)
    pipeline = gaia.Pipeline("native")
    words = pipeline.read_text(str(path), name="lines").map(gaia.ops.FindAll(r"\w+"))
    words.write("words", gaia.TXT).with_mod_n_sharding(2, "word")
    pipeline.join(GroupBy("word", count="sum"), [words], name="group").write("counts", gaia.TXT)
    profile = profile_of(pipeline, tmp_path / "out")
    assert profile["user"] == 0
    assert profile["gaia"] > 0
    assert profile["lines"] == []


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    def state() -> Any:
        handlers = [signal.getsignal(number) for number in sorted(signal.valid_signals())]
        timers = [signal.getitimer(which)[0] for which in (0, 1, 2)]
        threads = threading.active_count()
        found = len(os.listdir("/proc/self/task")) if sys.platform == "linux" else None
        return handlers, timers, threads, found

    before = state()
    assert profile_of(burning(100), tmp_path / "a") is not None
    assert state() == before

    def fails(number: int) -> int:
        raise ValueError(number)

    pipeline = gaia.Pipeline("fails")
    numbers = pipeline.from_records(range(10), name="numbers")
    numbers.map(fails, name="fails").write("out", gaia.TXT).with_mod_n_sharding(1)
    with pytest.raises(gaia.StepError, match="step `fails` failed: ValueError: 0"):
        profile_of(pipeline, tmp_path / "b")
    assert state() == before
    assert profile_of(burning(100), tmp_path / "c", profile=False) is None
    assert profile_of(burning(100), tmp_path / "d") is not None


def test_signals_stay_the_users(tmp_path: Path) -> None:
    rung = []

    def rings(number: int) -> int:
        before = signal.signal(signal.SIGPROF, lambda *_: rung.append(number))
        signal.raise_signal(signal.SIGPROF)
        signal.signal(signal.SIGPROF, before)
        return number + 0 * work(100_000)

    pipeline = gaia.Pipeline("rings")
    numbers = pipeline.from_records(range(200), name="numbers")
    numbers.map(rings, name="rings").write("out", gaia.TXT).with_mod_n_sharding(1)
    assert profile_of(pipeline, tmp_path)["user"] > 0
    assert rung == list(range(200))


def test_the_end_of_a_run_tells_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile_of(burning(), tmp_path)
    told = capsys.readouterr().err
    assert told.startswith("gaia: profile: ")
    assert "your code" in told
    assert f"{__file__}:{line_of('return number + 0 * sum(range(40_000))')}  four" in told
    profile_of(burning(10), tmp_path, profile=False)
    assert capsys.readouterr().err == ""
