"""Progress: what is told of a run while it works, and how it is shown."""

import io
import json
import os
import random
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from terminals import on_terminal

import gaia
import gaia.testing
import gaia.top
from gaia.runner.prints import Prints
from gaia.runner.progress import LogDisplay, Progress
from gaia.runner.progress_lines import Rates, done_part, log_line, stage_lines
from gaia.runner.status import Status
from gaia.runner.terminal import _Above, as_html

MB = 10**6


def stage(number: int, name: str, phase: str, **known: Any) -> dict[str, Any]:
    """What `Status.progress` tells of a stage."""
    blank: dict[str, Any] = {
        "number": number,
        "name": name,
        "phase": phase,
        "began": 0.0 if phase not in ("waiting", "skipped") else None,
        "ended": None,
        **dict.fromkeys(
            ("tasks", "resumed", "finished", "retried", "queued", "bytes", "bytes_done"), 0
        ),
        **dict.fromkeys(("bytes_resumed", "bytes_read", "records", "records_resumed"), 0),
        **dict.fromkeys(("records_read", "written", "shards", "shards_done"), 0),
        "running": [],
        "slowest": None,
    }
    return blank | known


def running(task: int, began: float, shard: int | None = None) -> dict[str, Any]:
    return {"task": task, "shard": shard, "began": began}


def progress(elapsed: float, *stages: dict[str, Any], phase: str = "running") -> dict[str, Any]:
    return {"elapsed": elapsed, "phase": phase, "stages": list(stages)}


def shown(told: dict[str, Any], rates: Rates | None = None, width: int = 150) -> list[str]:
    lines = stage_lines(told, rates or Rates(), width, 40)
    return ["".join(text for text, _ in line) for line in lines]


READING = stage(
    0,
    "lines",
    "running",
    tasks=14,
    finished=3,
    queued=9,
    retried=1,
    bytes=2_000 * MB,
    bytes_read=500 * MB,
    records_read=7_100_000,
    running=[running(3, 1.0), running(4, 4.0)],
    slowest={"task": 0, "shard": None, "took": 3.0},
)
MIDDLE = progress(10.0, READING, stage(1, "group_by", "waiting"))


def rates_of(*told: dict[str, Any]) -> Rates:
    rates = Rates()
    for each in told:
        rates.see(each)
    return rates


def test_a_stage_that_runs_tells_bytes_records_rate_eta_and_tasks() -> None:
    assert shown(MIDDLE, rates_of(MIDDLE)) == [
        "lines     ━━━━━───────────────  25%  0.5/2.0 GB  7.1M records  50.0 MB/s  ETA 0:30  "
        "2 running, 9 queued, 1 retried  slowest: task 3 0:09",
        "group_by  waiting",
    ]


def test_tables_that_are_put_together_are_no_full_bar() -> None:
    first = stage(0, "lines", "done", ended=21.0, tasks=14, bytes=2_000 * MB, bytes_read=2_000 * MB)
    second = stage(
        1,
        "group_by",
        "committing",
        began=21.0,
        tasks=8,
        finished=8,
        bytes=900 * MB,
        bytes_read=900 * MB,
        records_read=12_345,
        shards=64,
        shards_done=12,
        slowest={"task": 7, "shard": 7, "took": 12.0},
    )
    assert shown(progress(60.0, first, second)) == [
        "lines     ━━━━━━━━━━━━━━━━━━━━  100%          2.0 GB      0 records  95.2 MB/s  in 0:21  "
        "14 tasks",
        "group_by  ━━━━━━━━━━━━━━━━━━━─   99%  900.0/900.0 MB  12.3k records             0:39     "
        "shards put together: 12 of 64  slowest: shard 7 0:12",
    ]


def test_the_end_of_a_run_that_resumed_and_failed() -> None:
    half = {"tasks": 4, "bytes": 100 * MB, "bytes_read": 80 * MB, "bytes_resumed": 40 * MB}
    told = progress(
        9.0,
        stage(0, "lines", "skipped"),
        stage(1, "words", "failed", began=1.0, ended=9.0, finished=2, resumed=1, **half),
        stage(2, "group_by", "waiting"),
        phase="failed",
    )
    assert shown(told) == [
        "lines     skipped: an earlier run has finished it",
        "words     ━━━━━━━━━━━━━━━━────  80%  80.0/100.0 MB  0 records  5.0 MB/s  "
        "failed after 0:08  4 tasks",
        "group_by  waiting",
    ]


@pytest.mark.parametrize("width", range(1, 200, 3))
def test_lines_fit_into_any_width(width: int) -> None:
    lines = shown(MIDDLE, rates_of(MIDDLE), width)
    assert max(map(len, lines)) <= width
    if width >= 60:
        assert "25%" in lines[0]
        assert "ETA 0:30" in lines[0]


def test_of_more_stages_than_lines_those_around_the_one_that_runs_are_shown() -> None:
    done = [stage(n, f"stage-{n}", "skipped") for n in range(20)]
    told = progress(1.0, *done, stage(20, "now", "running"), stage(21, "next", "waiting"))
    lines = stage_lines(told, Rates(), 80, 4)
    assert [line[0][0].strip() for line in lines] == ["stage-18", "stage-19", "now", "next"]


def test_rates_are_those_of_the_last_seconds() -> None:
    rates = Rates()
    for second in range(61):
        # Fast at first, then slow.
        read = min(second, 30) * 100 * MB + max(0, second - 30) * MB
        rates.see(progress(float(second), READING | {"bytes_read": read, "records_read": second}))
    assert rates.bytes(0) == pytest.approx(MB)
    assert rates.records(0) == pytest.approx(1)


def test_what_was_read_before_a_resume_is_not_in_the_rate() -> None:
    resumed = READING | {"began": 2.0, "bytes_resumed": 450 * MB}
    rates = rates_of(progress(7.0, resumed))
    assert rates.bytes(0) == pytest.approx(10 * MB)


def test_a_rate_takes_half_a_second() -> None:
    rates = rates_of(progress(0.25, READING))
    assert rates.bytes(0) is None
    assert "ETA" not in shown(progress(0.25, READING), rates)[0]


def test_a_line_of_a_log() -> None:
    assert log_line(MIDDLE, rates_of(MIDDLE)) == (
        "gaia: stage 1 of 2, lines: 25%, 0.5/2.0 GB, 7.1M records, 50.0 MB/s, ETA 0:30, "
        "2 running, 9 queued, 1 retried, slowest: task 3 0:09"
    )
    over = progress(71.0, stage(0, "lines", "skipped"), stage(1, "group_by", "done", ended=71.0))
    assert log_line(over, Rates()) == "gaia: 2 of 2 stages done in 1:11"


def test_a_log_has_a_line_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    listener = Progress(LogDisplay())
    for quarter in range(100):  # 25 seconds.
        listener.see(progress(quarter / 4, READING))
    listener.end(progress(25.0, READING | {"phase": "done", "ended": 25.0}, phase="done"))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert [line.split(",")[0] for line in printed.err.splitlines()] == [
        "gaia: stage 1 of 1",
        "gaia: stage 1 of 1",
        "gaia: 1 of 1 stages done in 0:25",
    ]


def test_a_log_of_a_short_run_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    listener = Progress(LogDisplay())
    listener.see(progress(9.9, READING))
    listener.end(progress(9.9, READING))
    assert capsys.readouterr() == ("", "")


def test_a_reader_of_the_log_that_is_gone_does_not_stop_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with io.FileIO(theirs, "w") as raw:
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw))  # type: ignore[arg-type]
        listener = Progress(LogDisplay())
        listener.see(progress(10.0, READING))
        listener.see(progress(20.0, READING))
        monkeypatch.undo()


def test_a_log_that_is_closed_does_not_stop_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (io.StringIO(), None):
        if stream is not None:
            stream.close()
        monkeypatch.setattr(sys, "stderr", stream)
        listener = Progress(LogDisplay())
        listener.see(progress(10.0, READING))
        listener.end(progress(20.0, READING))
    monkeypatch.undo()


def test_names_cannot_act_on_the_terminal() -> None:
    named = READING | {"name": "a\x1b[2Jb"}
    rates = rates_of(progress(10.0, named))
    shown = "".join(
        text for line in stage_lines(progress(10.0, named), rates, 100, 9) for text, _ in line
    )
    for text in (shown, log_line(progress(10.0, named), rates)):
        assert "\x1b" not in text
        assert r"a\x1b[2Jb" in text


def test_who_prints_without_end_keeps_nobody_waiting(capsys: pytest.CaptureFixture[str]) -> None:
    prints = Prints()
    endless = subprocess.Popen(["yes", "a line"], stdout=prints.theirs)
    os.close(prints.theirs)
    try:
        select.select([prints.ours], [], [])
        prints.pass_on()
    finally:
        endless.kill()
        endless.wait()
        prints.close()
    assert set(capsys.readouterr().err.split("\n")) <= {"a line", ""}


def test_a_long_line_is_printed_in_no_time() -> None:
    printed: list[str] = []
    above = _Above(io.StringIO(), printed.append)
    text = "x" * 4_000_000
    above.write(f"10 %\r20 %\n{text}\nWindows\r\n50 %\r")
    above.write("60 %")
    above.flush()
    assert printed == [f"20 %\n{text}\nWindows\r", "60 %"]


PHASES = st.sampled_from(["running", "committing", "failed"])


@given(PHASES, st.integers(0, 10**13), st.integers(0, 10**13), st.integers(1, 9), st.integers(0, 9))
@settings(deadline=None)
def test_nothing_but_the_end_is_everything(
    phase: str, read: int, size: int, tasks: int, finished: int
) -> None:
    known = {"bytes": size, "bytes_read": min(read, size), "tasks": tasks}
    told = stage(0, "s", phase, ended=1.0, finished=min(finished, tasks), **known)
    lines = shown(progress(1.0, told))
    assert done_part(told) < 1
    assert "100%" not in lines[0]
    assert "─" in lines[0]


@attrs.define
class Recorder:
    """A listener that keeps what it was told."""

    told: list[dict[str, Any]] = attrs.field(factory=list)

    def changed(self, status: Status) -> None:
        self.told.append(json.loads(json.dumps(status.progress())))

    def ended(self, status: Status) -> None:
        self.changed(status)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Is told what happens in the next runs."""
    recorder = Recorder()
    monkeypatch.setattr("gaia.runner.runner.Progress", lambda display: recorder)
    return recorder


def upper(line: str) -> str:
    return line.upper()


def pipeline_of(paths: str) -> gaia.Pipeline:
    pipeline = gaia.Pipeline("job")
    lines = pipeline.read_text(paths, name="lines")
    words = lines.map(upper, name="upper")
    words.write("words", gaia.TXT).with_mod_n_sharding(4, lambda line: len(line)).and_compress(
        gaia.ZSTD
    )
    pipeline.join(gaia.ops.Distinct(), [words], name="distinct").write("distinct", gaia.TXT)
    return pipeline


def texts(folder: Path, lines: int = 200_000) -> str:
    folder.mkdir()
    for number in range(3):
        text = "".join(f"line {number} {i}\n" for i in range(lines))
        (folder / f"{number}.txt").write_text(text)
    return f"{folder}/*.txt"


@pytest.mark.parametrize("workers", [0, 2])
def test_progress_of_a_run_only_grows_and_ends_with_the_run(
    tmp_path: Path, recorder: Recorder, workers: int
) -> None:
    paths = texts(tmp_path / "in")
    gaia.LocalRunner(tmp_path / "out", workers=workers).run(pipeline_of(paths))
    for number in range(2):
        stages = [told["stages"][number] for told in recorder.told]
        parts = [done_part(stage) for stage in stages]
        assert parts == sorted(parts)
        assert all(
            (part == 1) == (s["phase"] == "done") for part, s in zip(parts, stages, strict=True)
        )
        assert all(stage["bytes_read"] <= stage["bytes"] for stage in stages)
        assert all(len(stage["running"]) <= max(1, workers) for stage in stages)
        assert stages[-1]["bytes_read"] == stages[-1]["bytes"] > 0
        assert stages[-1]["records_read"] == 600_000
    assert recorder.told[-1]["phase"] == "done"


def test_all_who_listen_hear_of_the_end(tmp_path: Path) -> None:
    class Stopped(Recorder):
        def ended(self, status: Status) -> None:
            raise KeyboardInterrupt

    pipeline = gaia.Pipeline("job")
    pipeline.from_records([1], name="numbers").write("out", gaia.TXT).with_mod_n_sharding(1)
    last = Recorder()
    status = Status(pipeline.plan(), {}, [Stopped(), last])
    with pytest.raises(KeyboardInterrupt), status.told():
        status.end()
    assert [told["phase"] for told in last.told] == ["done"]


class Blocking(gaia.Mapper[str, str]):
    """Goes on at line 100000 when somebody has seen how far it is."""

    def __init__(self, seen: str) -> None:
        self.seen = seen
        self.lines = 0

    def do(self, line: str, ctx: gaia.Context[str]) -> None:
        self.lines += 1
        if self.lines == 100_000:
            while not os.path.exists(self.seen):
                time.sleep(0.01)


@attrs.define
class Releasing(Recorder):
    """Lets go on what waits for somebody who has seen something of it."""

    seen: str = ""

    def changed(self, status: Status) -> None:
        super().changed(status)
        if any(task["records"] > 89_000 for task in self.told[-1]["stages"][0]["running"]):
            Path(self.seen).touch()


@pytest.mark.parametrize("fresh", [False, True], ids=["forked", "fresh"])
@pytest.mark.parametrize(
    "how",
    ["txt", "gz", "zst", "bz2", "utf-16", "csv"]
    + [pytest.param(how, marks=pytest.mark.libraries) for how in ("arrow", "parquet")],
)
def test_a_task_tells_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, fresh: bool
) -> None:
    recorder = Releasing(seen=str(tmp_path / "seen"))
    monkeypatch.setattr("gaia.runner.runner.Progress", lambda display: recorder)
    if fresh:
        monkeypatch.setattr("gaia.runner.processes._single_threaded", lambda: False)
    pipeline = gaia.Pipeline("job")
    lines = _input(pipeline, tmp_path, how)
    kept = lines.map(Blocking, recorder.seen, name="blocking")
    kept.write("kept", gaia.TXT).with_mod_n_sharding(1)
    gaia.LocalRunner(tmp_path / "out", workers=1).run(pipeline)
    tasks = [task for told in recorder.told for task in told["stages"][0]["running"]]
    within = [task["read"] / task["bytes"] for task in tasks if task["records"] > 89_000]
    assert within
    # It stands between a third and a half; blocks are read ahead.
    assert 0.25 < min(within) < 0.9
    assert max(within) <= 1


def _input(pipeline: gaia.Pipeline, folder: Path, how: str) -> gaia.PTable[str]:
    # Not so regular that a compressed file is read at once.
    seeded = random.Random(0)
    numbers = [seeded.randbytes(30).hex() for _ in range(300_000)]
    text = "".join(f"{number}\n" for number in numbers)
    path = folder / f"input.{how}"
    if how in ("arrow", "parquet"):
        import pyarrow
        import pyarrow.feather
        import pyarrow.parquet

        table = pyarrow.table({"value": numbers})
        if how == "parquet":
            pyarrow.parquet.write_table(table, path)
            return pipeline.read_parquet(path, type=Value, name="in").map(value, name="value")
        pyarrow.feather.write_feather(table, path, compression="uncompressed", chunksize=10_000)
        return pipeline.read_arrow(path, type=Value, name="in").map(value, name="value")
    if how == "csv":
        path.write_text("value\n" + text)
        return pipeline.read_csv(path, type=Value, name="in").map(value, name="value")
    if how == "utf-16":
        path.write_text(text, encoding="utf-16")
        return pipeline.read_text(path, encoding="utf-16", name="in")
    path.write_bytes(_compressed(text.encode(), how))
    return pipeline.read_text(path, name="in")


def _compressed(data: bytes, how: str) -> bytes:
    import bz2
    import gzip

    import zstandard

    pack: dict[str, Callable[[bytes], bytes]] = {
        "txt": bytes,
        "gz": gzip.compress,
        "zst": zstandard.compress,
        "bz2": bz2.compress,
    }
    return pack[how](data)


@attrs.frozen
class Value:
    value: str


def value(record: Value) -> str:
    return record.value


def test_stages_that_are_skipped_and_tasks_that_had_finished(
    tmp_path: Path, recorder: Recorder
) -> None:
    paths = texts(tmp_path / "in", 1000)
    gaia.LocalRunner(tmp_path / "out").run(pipeline_of(paths))
    recorder.told.clear()
    gaia.LocalRunner(tmp_path / "out", resume=True).run(pipeline_of(paths))
    assert [stage["phase"] for stage in recorder.told[-1]["stages"]] == ["skipped"] * 2
    assert shown(recorder.told[-1]) == [
        "lines     skipped: an earlier run has finished it",
        "distinct  skipped: an earlier run has finished it",
    ]


# A job that waits in its workers until a file is there, or for ever.
JOB = """
import logging, os, sys, time
import gaia

OUT, GO = sys.argv[1], sys.argv[2]
LOG = logging.getLogger("job")
logging.basicConfig(format="%(message)s")

class Talks(gaia.Mapper[int, str]):
    def do(self, number: int, ctx: gaia.Context[str]) -> None:
        # In one piece, also where Python is told not to buffer: the other worker prints too.
        print(f"worker prints {number} {'x' * 150}\\n", end="")
        os.write(2, b"and writes past Python\\n")
        LOG.warning("and logs")
        while not os.path.exists(GO):
            time.sleep(0.05)
        ctx.write(str(number))

pipeline = gaia.Pipeline("job")
numbers = pipeline.from_records(range(2), name="numbers")
talk = numbers.map(Talks, name="talk")
talk.write("talk", gaia.TXT).with_mod_n_sharding(1)
print("before the run")
options = eval(sys.argv[3]) if len(sys.argv) > 3 else {}
result = gaia.LocalRunner(OUT, workers=2, **options).run(pipeline)
print("after the run", sorted(result["talk"].records()))
"""


@pytest.fixture
def job(tmp_path: Path) -> list[str | Path]:
    script = tmp_path / "job.py"
    script.write_text(JOB)
    return [sys.executable, script, tmp_path / "out", tmp_path / "go"]


def test_on_a_terminal_lines_stay_below_what_is_printed(tmp_path: Path, job: list[Any]) -> None:
    with on_terminal(job, columns=130) as program:
        while "running" not in program.lines[-1] or program.output.count(b"and logs") < 2:
            assert program.see()
        assert program.lines[0] == "before the run"
        assert program.lines[-1].startswith("numbers  ─")
        assert program.screen.cursor.hidden
        (tmp_path / "go").touch()
        assert program.wait() == 0
        assert not program.screen.cursor.hidden
        text = "\n".join(program.lines)
    # Whole, as they were printed: the terminal alone wraps them.
    for number in range(2):
        printed = f"worker prints {number} {'x' * 150}"
        assert f"{printed[:130]}\n{printed[130:]}\n" in text
    assert text.count("and writes past Python\n") == text.count("and logs\n") == 2
    assert text.count("numbers  ") == 1
    last, after = program.lines[-2:]
    assert last.startswith(f"numbers  {'━' * 20}  100%  2 records  in 0:0")
    assert after == "after the run ['0', '1']"


def test_only_what_leads_to_the_terminal_goes_above_the_lines(
    tmp_path: Path, job: list[Any]
) -> None:
    with open(tmp_path / "stdout", "wb") as stdout, on_terminal(job, stdout=stdout.fileno()) as p:
        while not p.lines[-1].startswith("numbers"):
            assert p.see()
        (tmp_path / "go").touch()
        assert p.wait() == 0
    printed = (tmp_path / "stdout").read_text()
    assert sorted(line.split(" x")[0] for line in printed.splitlines()) == [
        "after the run ['0', '1']",
        "before the run",
        "worker prints 0",
        "worker prints 1",
    ]
    assert "worker prints" not in "\n".join(p.lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_gives_the_cursor_back(job: list[Any], number: int) -> None:
    with on_terminal(job) as program:
        while not program.screen.cursor.hidden or not program.lines[-1].startswith("numbers"):
            assert program.see()
        program.process.send_signal(number)
        assert program.wait() != 0
        assert not program.screen.cursor.hidden
        lines = [line for line in program.lines if line.startswith("numbers  ")]
        assert len(lines) == 1
        assert "failed after" in lines[0]


def test_progress_false_prints_nothing(tmp_path: Path, job: list[Any]) -> None:
    (tmp_path / "go").touch()
    with on_terminal([*job, "dict(progress=False)"]) as program:
        assert program.wait() == 0
    assert "numbers" not in "\n".join(program.lines)
    assert b"\x1b" not in program.output


def test_a_run_that_ends_at_once_shows_nothing(tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(JOB.replace("while not os.path.exists(GO):", "while False:"))
    with on_terminal([sys.executable, script, tmp_path / "out", ""]) as program:
        assert program.wait() == 0
    if "numbers" not in program.output.decode():  # It may take longer on a machine that is busy.
        assert b"\x1b" not in program.output


def test_no_color(tmp_path: Path, job: list[Any]) -> None:
    for colors in (True, False):
        (tmp_path / "go").unlink(missing_ok=True)
        env = {} if colors else {"NO_COLOR": "1"}
        with on_terminal(job, env=env) as program:
            while not program.lines[-1].startswith("numbers"):
                assert program.see()
            (tmp_path / "go").touch()
            assert program.wait() == 0
        assert (re.search(rb"\x1b\[(\d+;)*3\dm", program.output) is not None) == colors


def test_a_dumb_terminal_is_a_log(tmp_path: Path, job: list[Any]) -> None:
    (tmp_path / "go").touch()
    with on_terminal(job, env={"TERM": "dumb"}) as program:
        assert program.wait() == 0
    assert b"\x1b" not in program.output


def test_without_a_terminal_short_runs_are_silent(tmp_path: Path, job: list[Any]) -> None:
    (tmp_path / "go").touch()
    done = subprocess.run(job, capture_output=True, check=True)
    assert done.stderr.replace(b"and writes past Python\n", b"").replace(b"and logs\n", b"") == b""


def test_runs_in_memory_are_silent(capfd: pytest.CaptureFixture[str]) -> None:
    pipeline = gaia.Pipeline("job")
    numbers = pipeline.from_records(range(10), name="numbers")
    numbers.write("numbers", gaia.TXT).with_mod_n_sharding(1)
    gaia.testing.run(pipeline)
    assert capfd.readouterr() == ("", "")


def test_lines_as_html() -> None:
    html = as_html(stage_lines(MIDDLE, rates_of(MIDDLE), 150, 10))
    text = re.sub(r"<[^>]*>", "", html)
    assert text.splitlines() == shown(MIDDLE, rates_of(MIDDLE))


@contextmanager
def page_of(*told: dict[str, Any]) -> Iterator[str]:
    """A page that gives these one after the other, and is then gone."""
    left = list(told)

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not left or self.path != "/status.json":
                self.send_error(404)
                return
            content = json.dumps(left.pop(0)).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield str(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


PLACE = {"started": 1.0, "settings": {"dest_dir": "/nowhere"}}
OVER = progress(12.0, READING | {"phase": "done", "ended": 12.0, "queued": 0}, phase="done")


def test_top_shows_a_run_until_it_has_finished(capsys: pytest.CaptureFixture[str]) -> None:
    with page_of(MIDDLE | PLACE, OVER | PLACE) as port:
        assert gaia.top.top(port) == 0
    assert capsys.readouterr().err.splitlines() == [
        log_line(MIDDLE, rates_of(MIDDLE)),
        "gaia: 1 of 1 stages done in 0:12",
    ]


def test_top_tells_why_a_run_has_failed(capsys: pytest.CaptureFixture[str]) -> None:
    failed = MIDDLE | PLACE | {"phase": "failed", "errors": [{"text": "step `x`: no"}]}
    with page_of(failed) as port:
        assert gaia.top.top(f"http://127.0.0.1:{port}/") == 1
    assert capsys.readouterr().err.splitlines()[-1] == "gaia: the run has failed: step `x`: no"


def test_top_of_what_is_not_understood(capsys: pytest.CaptureFixture[str]) -> None:
    named = MIDDLE | PLACE | {"phase": "failed", "errors": [{"text": "\x1b[2J\nno"}]}
    for told in (named, {"phase": "running", "elapsed": 1.0, "stages": [{}]}):
        with page_of(told) as port:
            assert gaia.top.top(port) == 1
    *_, first, second, last = capsys.readouterr().err.splitlines()
    assert (first, second) == (r"gaia: the run has failed: \x1b[2J", "no")
    assert last.endswith("is not understood; is it of another version of Gaia?")


def test_top_of_a_run_whose_page_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = {"started": 1.0, "settings": {"dest_dir": str(tmp_path)}}
    with page_of(MIDDLE | place) as port:
        assert gaia.top.top(port) == 1
    assert "is gone, and has not finished" in capsys.readouterr().err
    (tmp_path / "_gaia").mkdir()
    (tmp_path / "_gaia" / "run.json").write_text(json.dumps(OVER | place))
    with page_of(MIDDLE | place) as port:
        assert gaia.top.top(port) == 0
    # It may be that of another run.
    with page_of(MIDDLE | place | {"started": 2.0}) as port:
        assert gaia.top.top(port) == 1


def test_top_where_there_is_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    with page_of() as port:
        assert gaia.top.top(port) == 1
    with page_of({"no": "run"}) as port:
        assert gaia.top.top(port) == 1
    assert gaia.top.top(port) == 1
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 3
    assert all(line.startswith("gaia: no run is shown at http://127.0.0.1:") for line in printed)
