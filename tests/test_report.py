"""What every run leaves of itself, whatever its end; and what it tells of skew."""

import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import gaia


@attrs.frozen
class Word:
    word: str
    number: int


def record(dest: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((dest / "_gaia" / "run.json").read_text())
    return content


def job(fail: bool) -> gaia.Pipeline:
    def step(number: int) -> int:
        if fail:
            raise ValueError("a bad day")
        return number

    pipeline = gaia.Pipeline("job")
    numbers = pipeline.from_records(range(10), name="numbers").map(step, name="step")
    numbers.write("out", gaia.TXT).with_mod_n_sharding(2)
    return pipeline


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_fails_leaves_a_report_with_its_error(tmp_path: Path, workers: int) -> None:
    with pytest.raises(gaia.StepError, match="a bad day"):
        gaia.LocalRunner(tmp_path, workers=workers).run(job(fail=True))
    told = record(tmp_path)
    assert told["phase"] == "failed"
    assert [stage["phase"] for stage in told["stages"]] == ["failed"]
    error = told["errors"][-1]
    assert (error["kind"], error["step"]) == ("failed", "numbers")
    assert "ValueError: a bad day" in error["text"]
    assert "ValueError: a bad day" in (tmp_path / "_gaia" / "report.html").read_text()


def test_a_run_that_fails_keeps_what_the_last_good_one_has_left(tmp_path: Path) -> None:
    gaia.LocalRunner(tmp_path).run(job(fail=False))
    kept = record(tmp_path)["resume"]
    with pytest.raises(gaia.StepError):
        gaia.LocalRunner(tmp_path).run(job(fail=True))
    assert record(tmp_path)["phase"] == "failed"
    assert record(tmp_path)["resume"] == kept


def test_a_run_fails_in_its_own_way_where_no_report_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from gaia.io import destination

    def full(source: str, target: str) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as context:
        context.setattr(destination.os, "replace", full)
        with pytest.raises(gaia.StepError, match="a bad day"):
            gaia.LocalRunner(tmp_path).run(job(fail=True))
    assert os.listdir(tmp_path / "_gaia") == []
    (told,) = [line for line in capsys.readouterr().err.splitlines() if "report" in line]
    assert told.startswith(f"gaia: cannot write the report to {tmp_path}: No space left on device")


def test_a_run_is_good_where_no_report_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from gaia.io import destination

    write = destination.LocalDestination.write_own

    def full(place: Any, name: str, content: bytes) -> None:
        if name == "report.html":
            raise OSError(28, os.strerror(28))
        write(place, name, content)

    monkeypatch.setattr(destination.LocalDestination, "write_own", full)
    result = gaia.LocalRunner(tmp_path).run(job(fail=False))
    assert sorted(result["out"].records()) == list(range(10))
    assert record(tmp_path)["phase"] == "done"
    told = capsys.readouterr().err
    assert told == f"gaia: cannot write the report to {tmp_path}: No space left on device\n"


def left(dest: Path) -> Iterator[str]:
    for name in ("run.json", "report.html"):
        yield (dest / "_gaia" / name).read_text()


def test_credentials_do_not_stand_in_what_a_run_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    url = "memory://me:hunter2@host/in.txt?X-Amz-Signature=hunter3&part=4"
    fsspec.filesystem("memory").pipe_file(url, b"a\n")
    command = ["job.py", "--password", "hunter4", "--api_key=hunter5", url, "--workers", "2"]
    monkeypatch.setattr(sys, "argv", command)

    def step(line: str) -> str:
        raise ValueError(f"no {url}")

    pipeline = gaia.Pipeline("job")
    lines = pipeline.read_text(url, name="lines").map(step, name="step")
    lines.write("out", gaia.TXT).with_mod_n_sharding(2)
    with pytest.raises(gaia.StepError, match="hunter2"):
        gaia.LocalRunner(tmp_path).run(pipeline)
    for content in left(tmp_path):
        assert "hunter" not in content
    hidden = "memory://***@host/in.txt?X-Amz-Signature=***&part=4"
    told = record(tmp_path)
    assert told["stages"][0]["source"] == [hidden]
    assert hidden in told["errors"][-1]["text"]
    shown = ["job.py", "--password", "***", "--api_key=***", hidden, "--workers", "2"]
    assert told["versions"]["command"] == shown


def test_what_a_run_leaves_is_small_however_long_its_errors_are(tmp_path: Path) -> None:
    def step(number: int) -> int:
        raise ValueError("x" * 10_000_000)

    pipeline = gaia.Pipeline("job")
    numbers = pipeline.from_records(range(10), name="numbers")
    good = numbers.map(step, name="step", on_error=gaia.skip())
    good.write("out", gaia.TXT).with_mod_n_sharding(2)
    gaia.LocalRunner(tmp_path).run(pipeline)
    assert record(tmp_path)["stages"][0]["skipped"]["step"]["count"] == 10
    for content in left(tmp_path):
        assert len(content) < 1_000_000


@pytest.mark.parametrize(
    ("format", "compression"),
    [
        (gaia.TXT, gaia.NONE),
        (gaia.TXT, gaia.ZSTD),
        (gaia.JSONL, gaia.GZIP),
        (gaia.CSV, gaia.NONE),
        (gaia.ARROW, gaia.NONE),
    ],
)
def test_the_hottest_keys_of_large_shards_are_found(
    tmp_path: Path, format: Any, compression: Any
) -> None:
    def word(number: int) -> Word:
        return Word("the" if number % 2 else f"word{number}", number)

    pipeline = gaia.Pipeline("skew")
    words = pipeline.from_records(range(100_000), name="numbers").map(word, name="word")
    written = words.write("words", format).with_mod_n_sharding(8, "word")
    written.and_compress(compression)
    words.write("even", format).with_mod_n_sharding(8, "number").and_compress(compression)
    result = gaia.LocalRunner(tmp_path, workers=2).run(pipeline)

    tables = record(tmp_path)["tables"]
    assert tables["even"]["hottest"] == []
    (found,) = tables["words"]["hottest"]
    largest = max(result["words"].shards, key=lambda shard: shard.records)
    assert (found["shard"], found["records"]) == (largest.key, largest.records)
    assert 16 <= found["sampled"] <= 20_000
    (key,) = found["keys"]
    real = 50_000 / largest.records
    assert key["key"] == "the"
    assert key["share"] == pytest.approx(real, abs=0.05)


def test_a_key_function_that_fails_where_keys_are_looked_at_is_told(tmp_path: Path) -> None:
    here = os.getpid()

    def key(word: Word) -> str:
        if os.getpid() == here:
            raise RuntimeError("not in this process")
        return word.word

    pipeline = gaia.Pipeline("skew")
    numbers = pipeline.from_records([Word("the", n) for n in range(40_000)], name="words")
    numbers.write("words", gaia.JSONL).with_mod_n_sharding(8, key)
    gaia.LocalRunner(tmp_path, workers=2).run(pipeline)
    (found,) = record(tmp_path)["tables"]["words"]["hottest"]
    assert found["error"] == "its keys could not be read: RuntimeError: not in this process"


def test_a_run_whose_warnings_nobody_hears_is_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    (tmp_path / "in.jsonl").write_text('{"word": "a", "number": 1}\nno JSON\n')
    pipeline = gaia.Pipeline("job")
    words = pipeline.read_jsonl(tmp_path / "in.jsonl", type=Word, name="words")
    words.write("out", gaia.TXT).with_mod_n_sharding(2, key="word")
    with io.FileIO(theirs, "w") as raw, monkeypatch.context() as context:
        context.setattr(sys, "stderr", io.TextIOWrapper(raw, write_through=True))
        runner = gaia.LocalRunner(tmp_path / "out", profile=True, http_port=0)
        result = runner.run(pipeline)
    assert list(result["out"].records()) == [Word("a", 1)]
    assert result.counters["parse-errors"] == 1
