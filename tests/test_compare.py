"""`gaia report`: what a run did, and how two of them differ. The text is held by golden files."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

import gaia
from gaia.cli import main
from gaia.compare import compare, compare_lines, summary, summary_lines
from gaia.ops import FindAll, GroupBy

GOLDEN = Path(__file__).parent / "golden"

TABLES = {
    "words": {
        "format": "txt",
        "compression": "zstd",
        "shards": 4,
        "records": 1_000_000,
        "raw_bytes": 40 << 20,
        "bytes": 10 << 20,
        "histogram": [],
        "largest": [{"shard": 2, "records": 400_000, "bytes": 4 << 20}],
    }
}


def stage(name: str, seconds: float, **others: Any) -> dict[str, Any]:
    return {
        "name": name,
        "phase": "done",
        "began": 1.0,
        "ended": 1.0 + seconds,
        "bytes_done": 64 << 20,
        "records": 1_000_000,
        "written": 1_000_000,
        "tasks": 8,
        "retried": 0,
        "source": None,
        **others,
    }


def profile(user: float) -> dict[str, Any]:
    step = {"step": "split", "seconds": user + 1, "user": user, "gaia": 1.0, "samples": 9}
    return {"stages": [{"stage": "read", "steps": [step]}], "lines": []}


BEFORE = {
    "pipeline": "word_count",
    "phase": "done",
    "started": 1_790_000_000.0,
    "elapsed": 130.25,
    "settings": {"workers": 2, "memory": 4_000_000_000, "dest_dir": "/a", "resume": False},
    "versions": {"gaia": "0.1.0", "python": "3.11.7", "cores": 2, "command": ["count.py"]},
    "stages": [stage("read", 100.0, source=["books/*.txt"]), stage("group", 20.0, records=10)],
    "tables": TABLES,
    "counters": {"map-input-read": 1_000_000, "fn-writes": 2_000_000, "parse-errors": 3},
    "errors": [{"kind": "parse error"}],
    "profile": profile(80.0),
}
AFTER = BEFORE | {
    "started": 1_790_003_600.0,
    "elapsed": 40.5,
    "settings": {"workers": 8, "memory": 4_000_000_000, "dest_dir": "/b", "resume": True},
    "versions": {"gaia": "0.1.0", "python": "3.12.1", "cores": 8, "command": ["count.py", "-8"]},
    "stages": [
        stage("read", 25.0, source=["books/*.txt", "more/*.txt"], retried=1),
        stage("group", 0.0, phase="skipped", bytes_done=0, records=0),
        stage("top\x1b[2J", 1.0),
    ],
    "counters": {"map-input-read": 1_000_000, "fn-writes": 8_000_000, "spills": 4},
    "errors": [],
    "profile": profile(20.0),
}


def check(lines: list[str], name: str) -> None:
    actual = "\n".join(lines) + "\n"
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("GAIA_UPDATE_GOLDEN"):
        golden.write_text(actual)
    assert actual == golden.read_text()


def test_a_run_is_summed_up_as_in_the_golden_file() -> None:
    check(list(summary_lines(summary(BEFORE))), "report_of_one_run")


def test_two_runs_are_compared_as_in_the_golden_file() -> None:
    check(list(compare_lines(compare(BEFORE, AFTER))), "report_of_two_runs")


def test_what_is_the_same_does_not_differ() -> None:
    found = compare(BEFORE, BEFORE)
    assert found["counters"] == found["settings"] == found["versions"] == found["inputs"] == {}
    assert found["elapsed"] == {"a": 130.25, "b": 130.25, "change": 0}


def test_changes_are_from_the_first_to_the_second() -> None:
    found = compare(BEFORE, AFTER)
    assert found["stages"]["read"]["seconds"] == {"a": 100.0, "b": 25.0, "change": -0.75}
    assert found["stages"]["top\x1b[2J"]["seconds"] == {"a": None, "b": 1.0, "change": None}
    assert found["counters"]["fn-writes"] == {"a": 2_000_000, "b": 8_000_000, "change": 3.0}
    assert found["counters"]["spills"] == {"a": None, "b": 4, "change": None}
    assert set(found["settings"]) == {"workers"}
    assert set(found["versions"]) == {"python", "cores"}
    assert found["tables"]["words"]["skew"] == {"a": 1.6, "b": 1.6, "change": 0}


def run(folder: Path, lines: int, workers: int = 0) -> Path:
    source = folder.parent / f"{folder.name}.txt"
    source.write_text("a b\n" * lines)
    pipeline = gaia.Pipeline("words")
    words = pipeline.read_text(str(source), name="read").map(FindAll(r"\w+"), name="find")
    words.write("words", gaia.TXT).with_mod_n_sharding(2, "word")
    pipeline.join(GroupBy("word", count="sum"), [words], name="group").write("counts", gaia.TXT)
    gaia.LocalRunner(folder, workers=workers).run(pipeline)
    return folder


def test_folders_and_files_of_runs_are_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = run(tmp_path / "a", 10), run(tmp_path / "b", 30)
    record = b / "_gaia" / "run.json"
    assert main(["report", str(a), str(record)]) == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert ["map-input-read", "10", "30", "x", "3"] in [line.split() for line in told.splitlines()]
    assert main(["report", "--format", "json", str(a), f"file://{b}"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["stages"]["read"]["records"] == {"a": 10, "b": 30, "change": 2.0}
    assert found["inputs"]["read"] == {
        "a": [f"{tmp_path}/a.txt"],
        "b": [f"{tmp_path}/b.txt"],
        "change": None,
    }


def test_one_run_is_summed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = run(tmp_path / "a", 10)
    page = a / "_gaia" / "report.html"
    page.touch()
    assert main(["report", str(a)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("pipeline words: done\n")
    assert f"report: {page}\n" in told
    assert main(["report", "-f", "json", str(a)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["report"] == str(page)
    assert found["tables"]["counts"]["records"] == 2
    page.unlink()
    assert main(["report", str(a)]) == 0
    assert "report:" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no record of a run: there is no "),
        (b"{", "is no record of a run: "),
        (b"[]", "is no record of a run: it has no list of stages"),
        (b'{"stages": [{}]}', "is no record of a run as this version of Gaia writes them"),
        (b"\xff\xfe", "is no record of a run: "),
    ],
)
def test_what_is_no_run_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "_gaia").mkdir()
        (tmp_path / "_gaia" / "run.json").write_bytes(content)
    assert main(["report", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("gaia report: ")
    assert message in told.err
    assert told.err.count("\n") == 1


class FailsAtTwo(gaia.Mapper[int, int]):
    def do(self, number: int, ctx: gaia.Context[int]) -> None:
        ctx.write(1 // (2 - number))


def test_a_run_that_did_not_end_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline = gaia.Pipeline("p")
    numbers = pipeline.from_records([1, 2], name="numbers").map(FailsAtTwo, name="divide")
    numbers.write("out", gaia.TXT).with_mod_n_sharding(1)
    runner = gaia.LocalRunner(tmp_path, workers=0, limit=2)
    with pytest.raises(gaia.StepError):
        runner.run(pipeline)
    (tmp_path / "_gaia" / "run" / "tasks").mkdir(parents=True, exist_ok=True)
    assert main(["report", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "limit   the first 2 of the records of each input\n" in told
    assert "\nstep `divide` failed: ZeroDivisionError" in told
    assert "  record: 2\n" in told
    assert "\n(a run here did not end: resume it)\n" in told
    (tmp_path / "_gaia" / "run.json").unlink()
    assert main(["report", str(tmp_path)]) == 1
    assert "there is no" in (err := capsys.readouterr().err)
    assert err.endswith("; a run here did not end: resume it\n")


def test_memory_by_default_is_no_setting_that_differs() -> None:
    runs = [
        BEFORE | {"settings": {"memory": size, "memory_by_default": default}}
        for size, default in [(16_100_000_000, True), (9_000_000_000, True), (1 << 30, False)]
    ]
    assert compare(runs[0], runs[1])["settings"] == {}
    told = list(compare_lines(compare(runs[0], runs[2])))
    assert "    A  16.1 GB" in told
    assert "    B  1.1 GB" in told


def test_a_step_without_time_has_no_row() -> None:
    idle = {"step": "idle", "seconds": 0.0, "user": 0.0, "gaia": 0.0, "samples": 0}
    run = BEFORE | {"profile": {"stages": [{"stage": "read", "steps": [idle]}], "lines": []}}
    assert not [line for line in compare_lines(compare(run, run)) if "idle" in line]


def test_three_runs_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "a", "b", "c"]) == 2
    assert "expected one run or two, got 3" in capsys.readouterr().err


def test_runs_in_stores_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    store.pipe_file("/kept/_gaia/run.json", json.dumps(BEFORE).encode())
    try:
        assert main(["report", "memory://kept"]) == 0
        assert capsys.readouterr().out.startswith("pipeline word_count: done\n")
        assert main(["report", "memory://lost"]) == 1
    finally:
        store.rm("/kept", recursive=True)


def test_what_another_run_has_read_makes_no_run_faster() -> None:
    resumed = BEFORE | {"stages": [stage("read", 16.0, bytes_resumed=48 << 20)]}
    assert summary(resumed)["stages"]["read"]["bytes_a_second"] == 1 << 20
