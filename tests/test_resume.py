"""Going on with a run that died: what is finished is not done again."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import anywhere
import pytest
from records import OWN, WordCount

import gaia

WORDS = [f"word{number % 97}" for number in range(5000)]
# A task has 1000 bytes, and a little more; so many may be under way when a run stops.
LINES_OF_A_TASK = 160
UNDER_WAY = 14 * LINES_OF_A_TASK

pytestmark = pytest.mark.anywhere


class Count(gaia.Mapper[str, WordCount]):
    """Writes a word, and tells a file of the run of every word that it has seen."""

    def __init__(self, seen: str, stop: str = "") -> None:
        self.seen = file_of_run(seen)
        self.stop = stop

    def do(self, line: str, ctx: gaia.Context[WordCount]) -> None:
        if line == self.stop:
            raise ValueError("stopped")
        with open(self.seen, "a") as file:
            file.write("x")
        ctx.write(WordCount(line, 1))
        ctx.freq_map("letters")[line[-1]] += 1


def file_of_run(seen: str) -> str:
    """What tasks of the run at hand tell; those of an earlier one may still be under way, where
    nobody can end them."""
    runs = os.path.getsize(f"{seen}.runs") if os.path.exists(f"{seen}.runs") else 0
    return f"{seen}.{runs}"


class Sum(gaia.Joiner[WordCount]):
    def __init__(self, stop: str = "") -> None:
        self.counts: Counter[str] = Counter()
        self.stop = stop

    def on_word(self, record: WordCount, ctx: gaia.Context[WordCount]) -> None:
        self.counts[record.word] += record.count

    def on_shard_finish(self, ctx: gaia.Context[WordCount]) -> None:
        if self.stop and os.path.exists(self.stop) and ctx.shard == 2:
            raise ValueError("stopped")
        for word, count in self.counts.items():
            ctx.write(WordCount(word, count))


def build(inputs: str, seen: str, map_stop: str = "", join_stop: str = "") -> gaia.Pipeline:
    pipeline = gaia.Pipeline("resumed")
    words = pipeline.read_text(inputs, name="lines").map(Count, seen, map_stop, name="count")
    words.write("interim", gaia.TXT).with_mod_n_sharding(4, "word").and_compress(gaia.ZSTD)
    sums = pipeline.join(Sum, [words.bind_with(Sum.on_word)], join_stop, name="sum")
    sums.write("sums", gaia.TXT)
    return pipeline


class Job:
    """A job in a folder, whose tasks are small."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen = str(folder / "seen")
        for number in range(8):
            lines = WORDS[number::8]
            (folder / f"in{number}.txt").write_text("".join(f"{word}\n" for word in lines))
        self.inputs = str(folder / "in*.txt")

    def run(self, resume: bool = False, **stops: str) -> gaia.RunResult:
        pipeline = build(self.inputs, self.seen, **stops)
        self.begins()
        return anywhere.Runner(self.folder / "out", resume=resume).run(pipeline)

    def begins(self) -> None:
        """What is mapped from now on is of another run."""
        with open(f"{self.seen}.runs", "a") as file:
            file.write("x")

    def mapped(self) -> int:
        """How many lines the last run has mapped."""
        path = file_of_run(self.seen)
        return os.path.getsize(path) if os.path.exists(path) else 0


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    from gaia.runner import splits

    for name in ("_MIN_SPLIT", "_MAX_SPLIT"):
        monkeypatch.setattr(splits, name, 1000)
    monkeypatch.setattr(splits, "_SLIVER", 0)
    return Job(tmp_path)


def check(result: gaia.RunResult) -> None:
    counted = {record.word: record.count for record in result["sums"].records()}
    assert counted == Counter(WORDS)
    assert result.counters["map-input-lines"] == len(WORDS)
    assert sum(result.freq_maps["letters"].values()) == len(WORDS)


def test_a_finished_run_is_not_done_again(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    check(job.run())
    assert job.mapped() == len(WORDS)

    check(job.run(resume=True))

    assert job.mapped() == 0
    told = capsys.readouterr().err
    assert "`lines` is finished, and skipped" in told
    assert "`sum` is finished, and skipped" in told


def test_without_resume_all_is_done_again(job: Job) -> None:
    job.run()

    check(job.run())

    assert job.mapped() == len(WORDS)


def test_finished_tasks_of_a_map_stage_are_kept(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = stop_after(20)
    with pytest.raises(gaia.StepError, match="stopped"):
        job.run()
    before = job.mapped()
    stopped.undo()

    check(job.run(resume=True))

    # Those that were under way are done twice.
    assert 0 < before < len(WORDS) <= before + job.mapped() <= len(WORDS) + UNDER_WAY
    assert "20 of" in (told := capsys.readouterr().err)
    assert "run again with resume=True" in told
    assert sorted(os.listdir(job.folder / "out" / "_gaia")) == OWN


def stop_after(tasks: int) -> pytest.MonkeyPatch:
    """Makes the run stop when it has noted so many tasks."""
    from gaia.runner.resume import Resume

    context = pytest.MonkeyPatch()
    task_done = Resume.task_done
    left = iter(range(tasks))

    def noted(*args: Any) -> None:
        if next(left, None) is None:
            raise gaia.StepError("stopped")
        task_done(*args)

    context.setattr(Resume, "task_done", noted)
    return context


def test_finished_tasks_of_a_join_are_kept(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    marker = job.folder / "stop"
    marker.touch()
    with pytest.raises(gaia.StepError, match="stopped"):
        job.run(join_stop=str(marker))
    assert job.mapped() == len(WORDS)
    marker.unlink()

    check(job.run(resume=True, join_stop=str(marker)))

    assert job.mapped() == 0
    told = capsys.readouterr().err
    assert "`lines` is finished, and skipped" in told
    assert "of 4 tasks are finished, and skipped" in told


def test_changed_input_is_read_again(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.run()
    (job.folder / "in3.txt").write_text("other\n")

    result = job.run(resume=True)

    assert job.mapped() == len(WORDS) - len(WORDS[3::8]) + 1
    assert "other" in {record.word for record in result["sums"].records()}
    assert "`lines` is done anew: the input has changed" in capsys.readouterr().err


def test_changed_arguments_of_a_step_make_it_anew(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    job.run()

    check(job.run(resume=True, map_stop="never"))

    assert job.mapped() == len(WORDS)
    assert "`lines` is done anew: the code of `count` has changed" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["tasks", "tables", "parts", "holder", "run", "journal"])
def test_no_name_of_a_table_is_in_the_way(tmp_path: Path, name: str) -> None:
    pipeline = gaia.Pipeline("p")
    lines = pipeline.from_records(["a"], name="lines")
    lines.write(name, gaia.TXT).with_mod_n_sharding(1)

    assert list(anywhere.Runner(tmp_path).run(pipeline)[name].records()) == ["a"]


def test_a_version_stands_for_the_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(function: Any, version: str) -> list[str]:
        pipeline = gaia.Pipeline("p")
        lines = pipeline.from_records(["a"], name="lines")
        changed = lines.map(function, name="change", output=str, version=version)
        changed.write("t", gaia.TXT).with_mod_n_sharding(1)
        return list(anywhere.Runner(tmp_path, resume=True).run(pipeline)["t"].records())

    assert run(lambda line: line + "1", "1") == ["a1"]
    assert run(lambda line: line + "2", "1") == ["a1"]
    assert run(lambda line: line + "2", "2") == ["a2"]
    assert "`lines` is done anew: the code of `change` has changed" in capsys.readouterr().err


def test_only_what_depends_on_a_change_is_done_again(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    job.run()

    check(job.run(resume=True, join_stop="never"))

    assert job.mapped() == 0
    assert "`sum` is done anew: the code of `sum` has changed" in capsys.readouterr().err


def test_a_table_that_was_replaced_is_made_anew(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    job.run()
    other = gaia.Pipeline("other")
    table = other.from_records([WordCount("x", 1)], name="x")
    table.write("interim", gaia.TXT).with_mod_n_sharding(4, "word").and_compress(gaia.ZSTD)
    # A run of another pipeline leaves another record.
    record = (job.folder / "out" / "_gaia" / "run.json").read_text()
    anywhere.Runner(job.folder / "out").run(other)
    (job.folder / "out" / "_gaia" / "run.json").write_text(record)

    check(job.run(resume=True))

    assert job.mapped() == len(WORDS)
    assert "table `interim` was written by another run since" in capsys.readouterr().err


def test_with_nothing_to_go_on_with_all_is_done(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    check(job.run(resume=True))
    assert "there is nothing to go on with" in capsys.readouterr().err


def test_a_journal_that_was_cut_off_is_used_as_far_as_it_goes(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = stop_after(20)
    with pytest.raises(gaia.StepError):
        job.run()
    stopped.undo()
    before = job.mapped()
    path = anywhere.journal_of(job.folder / "out")
    path.write_bytes(path.read_bytes()[:-7])

    check(job.run(resume=True))

    after = job.mapped()
    assert len(WORDS) < before + after <= len(WORDS) + UNDER_WAY + LINES_OF_A_TASK


def fail_before(monkeypatch: pytest.MonkeyPatch, method: str, number: int) -> pytest.MonkeyPatch:
    """Makes the run fail when it is about to call a method of `Resume` for the n-th time."""
    from gaia.runner.resume import Resume

    context = pytest.MonkeyPatch()
    original = getattr(Resume, method)
    calls = iter(range(1, number + 1))

    def failing(*args: Any) -> Any:
        if next(calls) == number:
            raise gaia.StepError("stopped")
        return original(*args)

    context.setattr(Resume, method, failing)
    return context


def test_no_task_is_done_again_whose_table_was_just_published(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = fail_before(monkeypatch, "stage_done", 1)
    with pytest.raises(gaia.StepError, match="stopped"):
        job.run()
    assert job.mapped() == len(WORDS)
    stopped.undo()

    check(job.run(resume=True))

    assert job.mapped() == 0


@pytest.mark.anywhere("inline")
def test_bundles_that_have_become_shards_are_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Keep(gaia.Joiner[str]):
        def on_text(self, text: str, ctx: gaia.Context[str]) -> None:
            ctx.write(text)

    pipeline = gaia.Pipeline("frames")
    # More than a frame for each shard, so that there are seek tables.
    texts = pipeline.from_records([f"{number:0100}" for number in range(10_000)], name="texts")
    texts.write("texts", gaia.TXT).with_mod_n_sharding(2)
    kept = pipeline.join(Keep, [texts.bind_with(Keep.on_text)], name="keep")
    kept.write("kept", gaia.TXT).and_compress(gaia.ZSTD)
    stopped = fail_before(monkeypatch, "stage_done", 2)
    with pytest.raises(gaia.StepError, match="stopped"):
        anywhere.Runner(tmp_path).run(pipeline)
    stopped.undo()
    before = {path: path.stat() for path in (tmp_path / "kept").glob("*.zst")}

    result = anywhere.Runner(tmp_path, resume=True).run(pipeline)

    assert "`keep`: 2 of 2 tasks are finished, and skipped" in capsys.readouterr().err
    assert len(result["kept"]) == 10_000
    # The files are those that readers may have had open all the while.
    for path, status in before.items():
        assert path.stat().st_ino == status.st_ino
        assert path.stat().st_mtime_ns == status.st_mtime_ns


def test_a_record_that_could_not_be_written_leaves_the_last(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gaia.io import destination

    def full(source: str, target: str) -> None:
        raise OSError(28, os.strerror(28))

    job.run()
    own = job.folder / "out" / "_gaia"
    before = (own / "run.json").read_bytes()
    with monkeypatch.context() as context:
        context.setattr(destination.os, "replace", full)
        with pytest.raises(gaia.OutputError, match="No space left on device"):
            job.run()
    assert set(os.listdir(own)) == {"run", *OWN}
    assert (own / "run.json").read_bytes() == before

    check(job.run(resume=True))

    assert job.mapped() == 0


def test_a_lock_that_could_not_be_written_is_given_back(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gaia.io import locks

    def full(token: str) -> bytes:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as context:
        context.setattr(locks, "_content", full)
        with pytest.raises(gaia.OutputError, match="No space left on device"):
            job.run()

    check(job.run())


SCRIPT = """
import sys
sys.path[:0] = {paths}
import gaia
from gaia.runner import splits
splits._MIN_SPLIT = splits._MAX_SPLIT = 1000
splits._SLIVER = 0
import test_resume
resume = "--resume" in sys.argv
pipeline = test_resume.build({inputs!r}, {seen!r})
gaia.LocalRunner({dest!r}, workers=2, resume=resume).run(pipeline)
"""


@pytest.mark.parametrize("tasks", [1, 10, 30])
@pytest.mark.anywhere("inline")
def test_a_run_that_is_killed_goes_on(job: Job, tasks: int) -> None:
    script = textwrap.dedent(SCRIPT).format(
        paths=[str(Path(__file__).parent)],
        inputs=job.inputs,
        seen=job.seen,
        dest=str(job.folder / "out"),
    )
    killed = f"""
from gaia.runner import journal
done = 0
write = journal.FileJournal.write
def counted(self, entry):
    global done
    write(self, entry)
    done += isinstance(entry, journal.Finished)
    if done == {tasks}:
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
journal.FileJournal.write = counted
"""
    first = subprocess.run([sys.executable, "-c", killed + script])
    assert first.returncode == -signal.SIGKILL
    before = job.mapped()
    job.begins()

    subprocess.run([sys.executable, "-c", script, "--resume"], check=True)

    # Tasks that were under way when it was killed were begun twice.
    assert before + job.mapped() <= len(WORDS) * 1.1
    table = gaia.read_table(job.folder / "out" / "sums", WordCount)
    assert {record.word: record.count for record in table.records()} == Counter(WORDS)
    record = json.loads((job.folder / "out" / "_gaia" / "run.json").read_text())
    assert record["counters"]["map-input-lines"] == len(WORDS)
    assert sorted(os.listdir(job.folder / "out" / "_gaia")) == OWN


def test_a_store_is_gone_on_with(gcs: Any, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(resume: bool) -> gaia.RunResult:
        runner = anywhere.Runner(gcs.url("out"), resume=resume, scratch_dir=job.folder / "scratch")
        job.begins()
        return runner.run(build(job.inputs, job.seen))

    stopped = stop_after(20)
    with pytest.raises(gaia.StepError):
        run(False)
    stopped.undo()
    if anywhere.is_local():
        assert set(gcs.objects()) == {f"out/_gaia/{name}" for name in OWN}
    before = job.mapped()

    check(run(True))
    assert len(WORDS) <= before + job.mapped() <= len(WORDS) + UNDER_WAY
    check(run(True))

    assert job.mapped() == 0
    assert list((job.folder / "scratch").iterdir()) == []


def test_a_store_in_use_is_refused(gcs: Any, job: Job) -> None:
    import socket
    import time

    held = {"host": socket.gethostname(), "pid": os.getpid(), "time": time.time(), "token": "x"}
    gcs.write("out/_gaia/lock", json.dumps(held).encode())

    with pytest.raises(gaia.OutputError, match=rf"is in use by process {os.getpid()} on"):
        anywhere.Runner(gcs.url("out")).run(build(job.inputs, job.seen))
    # A lock of a process that is no more is stale, and so is an old one of another machine.
    for stale in ({"pid": 2**22 + 1}, {"host": "elsewhere", "time": time.time() - 3600}):
        gcs.write("out/_gaia/lock", json.dumps(held | stale).encode())
        check(anywhere.Runner(gcs.url("out")).run(build(job.inputs, job.seen)))
    assert "out/_gaia/lock" not in gcs.objects()


def test_a_stage_whose_tasks_were_not_all_told_is_done_anew(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal tells of tasks bit by bit."""
    monkeypatch.setattr("gaia.runner.resume._PLANNED", 1)
    stopped = stop_after(20)
    with pytest.raises(gaia.StepError):
        job.run()
    stopped.undo()
    path = anywhere.journal_of(job.folder / "out")
    content = path.read_bytes()
    end = 0
    for _ in range(3):  # That the stage has begun, and two of its tasks.
        end += 20 + int.from_bytes(content[end : end + 4], "little")
    path.write_bytes(content[:end])

    check(job.run(resume=True))

    assert job.mapped() == len(WORDS)


class FailsAtSeven(gaia.Mapper[int, int]):
    def __init__(self, fine: str) -> None:
        self.fine = fine

    def do(self, number: int, ctx: gaia.Context[int]) -> None:
        if number == 7 and not os.path.exists(self.fine):
            raise ValueError("stopped")
        ctx.write(number)


def test_what_could_be_gone_on_with_is_not_thrown_away_silently(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dest = tmp_path / "out"
    fine = tmp_path / "fine"
    pipeline = gaia.Pipeline("p")
    lines = pipeline.from_records(range(8), name="lines").map(FailsAtSeven, str(fine))
    lines.write("lines", gaia.TXT).with_mod_n_sharding(1)
    # Some others may still be under way when the last task fails.
    told = re.compile(
        r"gaia: an unfinished run was here \([1-7] of \d tasks of `lines` were finished\); "
        r"resume=True would have gone on with it\n"
    )
    for resume, expected in [(False, False), (True, False), (False, True)]:
        with pytest.raises(gaia.StepError):
            anywhere.Runner(dest, resume=resume).run(pipeline)
        assert bool(told.search(capsys.readouterr().err)) is expected
    fine.touch()
    anywhere.Runner(dest, resume=True).run(pipeline)
    capsys.readouterr()
    anywhere.Runner(dest).run(pipeline)
    assert capsys.readouterr().err == ""
