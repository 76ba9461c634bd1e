"""Workers that die: parts of the input are tried again, and records that kill are found."""

import ctypes
import gzip
import io
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywhere
import attrs
import pytest
from records import OWN, tree
from warcio.warcwriter import WARCWriter

import gaia

pytestmark = pytest.mark.anywhere(*anywhere.IN_WORKERS)

GAIA = os.path.dirname(gaia.__file__)
WAYS: dict[str, tuple[Callable[[], Any], str]] = {
    "kill": (lambda: os.kill(os.getpid(), signal.SIGKILL), r"was killed by SIGKILL \("),
    "segfault": (lambda: ctypes.string_at(0), "was killed by SIGSEGV"),
    "exit": (lambda: os._exit(7), "exited with 7"),
    "abort": (os.abort, "was killed by SIGABRT"),
}
"""Ways to die, and what is told of them."""


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def deadly(record: Any) -> Any:
    """Passes a record on; one that holds `deadly` kills the worker."""
    if "deadly" in str(record):
        kill()
    return record


@attrs.frozen
class Line:
    text: str
    number: int


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "dest"


def written(table: gaia.PTable[Any]) -> gaia.PTable[Any]:
    table.write("out", gaia.TXT).with_mod_n_sharding(2, lambda record: 0)
    return table


def run(table: gaia.PTable[Any], dest: Path, **settings: Any) -> gaia.RunResult:
    result: gaia.RunResult = anywhere.Runner(dest, **settings).run(table._pipeline)
    return result


def failure(table: gaia.PTable[Any], dest: Path, **settings: Any) -> str:
    """The message of a run that workers die of, which leaves nothing behind."""
    with pytest.raises(gaia.WorkerError) as caught:
        run(table, dest, **settings)
    assert tree(dest) == {}
    assert set(os.listdir(dest / "_gaia")) <= {"run", *OWN}
    return str(caught.value)


def dies_in_commit(monkeypatch: pytest.MonkeyPatch, marker: Path) -> None:
    """Makes the first worker die that has made a shard."""
    from gaia.io import commit
    from gaia.runner import processes

    # Other tests may have left threads; a worker that is started afresh would not see the patch.
    monkeypatch.setattr(processes, "_single_threaded", lambda: True)
    make_shard = commit._make_shard

    def dies(layout: Any, job: Any) -> Any:
        shard = make_shard(layout, job)
        if not marker.exists():
            marker.touch()
            kill()
        return shard

    monkeypatch.setattr(commit, "_make_shard", dies)


def from_records(records: list[Any]) -> gaia.PTable[Any]:
    return gaia.Pipeline("deadly").from_records(records, name="records")


class TestAgain:
    @pytest.mark.parametrize(("die", "told"), WAYS.values(), ids=WAYS)
    def test_a_task_whose_worker_died_runs_again(
        self,
        dest: Path,
        tmp_path: Path,
        die: Callable[[], Any],
        told: str,
    ) -> None:
        marker = tmp_path / "died"

        def once(number: int) -> int:
            if number == 50 and not marker.exists():
                marker.touch()
                die()
            return number

        table = written(from_records(list(range(100))).map(once))
        result = run(table, dest)
        assert sorted(result["out"].records()) == list(range(100))
        assert result.counters["map-input-records"] == 100
        assert sorted(os.listdir(dest / "_gaia")) == OWN

    @pytest.mark.parametrize("max_attempts", [1, 2, 4])
    def test_it_is_tried_so_many_times(self, dest: Path, tmp_path: Path, max_attempts: int) -> None:
        tries = tmp_path / "tries"

        class Dies(gaia.Mapper[int, int]):
            def do(self, number: int, ctx: gaia.Context[int]) -> None:
                if number == 0:
                    with tries.open("a") as file:
                        file.write("x")

            def on_shard_finish(self, ctx: gaia.Context[int]) -> None:
                if tries.exists() and len(tries.read_text()) < max_attempts:
                    kill()

        table = written(from_records([0]).map(Dies))
        run(table, dest, max_attempts=max_attempts)
        assert len(tries.read_text()) == max_attempts

    def test_what_a_dead_attempt_wrote_is_not_read(self, dest: Path, tmp_path: Path) -> None:
        marker = tmp_path / "died"
        big = "x" * 100_000

        class WritesAndDies(gaia.Mapper[int, str]):
            def do(self, number: int, ctx: gaia.Context[str]) -> None:
                for _ in range(100):
                    ctx.write(big)
                ctx.close_shard(0)
                if not marker.exists():
                    marker.touch()
                    kill()

        table = written(from_records([0]).map(WritesAndDies))
        result = run(table, dest)
        assert len(result["out"]) == 100

    def test_a_shard_of_a_join_is_joined_again(self, dest: Path, tmp_path: Path) -> None:
        marker = tmp_path / "died"

        class Dies(gaia.Joiner[int]):
            def on_number(self, number: int, ctx: gaia.Context[int]) -> None:
                if number == 7 and not marker.exists():
                    marker.touch()
                    kill()
                ctx.write(number)

        pipeline = gaia.Pipeline("join")
        table = pipeline.from_records(range(20), name="numbers")
        table.write("numbers", gaia.TXT).with_mod_n_sharding(4)
        pipeline.join(Dies, [table.bind_with(Dies.on_number)]).write("out", gaia.TXT)
        assert sorted(run(table, dest)["out"].records()) == list(range(20))

    @pytest.mark.anywhere("processes")
    def test_shards_are_put_together_again(
        self, dest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dies_in_commit(monkeypatch, tmp_path / "died")
        table = written(from_records([*range(20)]))
        assert sorted(run(table, dest)["out"].records()) == list(range(20))
        assert set(os.listdir(dest)) == {"_gaia", "out"}

    @pytest.mark.anywhere("processes")
    def test_shards_are_put_together_as_often_as_told(
        self, dest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dies_in_commit(monkeypatch, tmp_path / "died")
        message = failure(written(from_records([1])), dest, max_attempts=1)
        told = "table `out`: a worker process that put shards together was killed by SIGKILL"
        assert message.startswith(told)

    @pytest.mark.anywhere("inline")
    def test_workers_are_replaced_beside_threads(self, dest: Path, tmp_path: Path) -> None:
        marker = tmp_path / "died"

        def once(number: int) -> int:
            if not marker.exists():
                marker.touch()
                kill()
            return number

        end = threading.Event()
        thread = threading.Thread(target=end.wait)
        thread.start()
        try:
            table = written(from_records([1]).map(once))
            result = gaia.LocalRunner(dest, workers=1).run(table._pipeline)
            assert list(result["out"].records()) == [1]
        finally:
            end.set()
            thread.join()

    @pytest.mark.parametrize("wrong", [0, -1, 1.5, True, None])
    @pytest.mark.anywhere("inline")
    def test_max_attempts_is_checked(self, dest: Path, wrong: Any) -> None:
        with pytest.raises(gaia.PipelineError, match="expected max_attempts of 1 or more, got"):
            gaia.LocalRunner(dest, max_attempts=wrong)


def warc(path: Path, payloads: list[bytes]) -> list[int]:
    """Writes an archive of a record for each payload; returns where they start."""
    starts = []
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=path.suffix == ".gz")
        for payload in payloads:
            starts.append(file.tell())
            uri = f"http://example.com/{payload.decode()}"
            record = writer.create_warc_record(uri, "resource", payload=io.BytesIO(payload))
            writer.write_record(record)
    return starts


def texts(count: int, *killers: int) -> list[str]:
    return [f"{'deadly' if n in killers else 'line'} {n}" for n in range(count)]


class TestCulprits:
    """The record is named exactly, wherever it stands. Whoever tries again does not know where that
    is, so not all formats are tried everywhere."""

    @pytest.mark.parametrize("suffix", ["", ".gz"])
    @pytest.mark.parametrize("killer", [0, 1234, 4999])
    @pytest.mark.anywhere("processes")
    def test_in_text(self, dest: Path, tmp_path: Path, suffix: str, killer: int) -> None:
        lines = texts(5000, killer)
        path = tmp_path / f"lines.txt{suffix}"
        content = "".join(f"{line}\n" for line in lines).encode()
        path.write_bytes(gzip.compress(content) if suffix else content)
        position = content.index(b"deadly")
        pipeline = gaia.Pipeline("deadly")
        table = written(pipeline.read_text(path, name="lines").map(deadly, name="step", output=str))
        message = failure(table, dest)
        assert message.startswith(
            "step `lines` (with `step`): a worker process died in each of 3 attempts; the last was "
            "killed by SIGKILL"
        )
        assert f"\n  input: {path}" in message
        assert f"{path}, position {position}: 'deadly {killer}'" in message

    def test_in_one_of_many_files(self, dest: Path, tmp_path: Path) -> None:
        for number in range(20):
            (tmp_path / f"{number:02}.txt").write_text(f"{texts(20, 13)[number]}\nlast\n")
        pipeline = gaia.Pipeline("deadly")
        table = written(pipeline.read_text(tmp_path / "*.txt").map(deadly, output=str))
        message = failure(table, dest)
        assert f"{tmp_path / '13.txt'}, position 0: 'deadly 13'" in message
        assert "\n  input: and 17 more files\n" in message

    @pytest.mark.anywhere("processes")
    def test_in_utf_16(self, dest: Path, tmp_path: Path) -> None:
        path = tmp_path / "lines.txt"
        path.write_text("é\nb\ndeadly é\nc\n", encoding="utf-16-le")
        pipeline = gaia.Pipeline("deadly")
        lines = pipeline.read_text(path, encoding="utf-16-le")
        message = failure(written(lines.map(deadly, output=str)), dest)
        assert f"{path}, position 5: 'deadly é'" in message

    @pytest.mark.parametrize("suffix", ["", ".gz"])
    @pytest.mark.anywhere("processes")
    def test_in_jsonl(self, dest: Path, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"lines.jsonl{suffix}"
        lines = [json.dumps({"text": text, "number": 1}) for text in texts(100, 60)]
        content = "\n".join(lines).encode()
        path.write_bytes(gzip.compress(content) if suffix else content)
        pipeline = gaia.Pipeline("deadly")
        table = pipeline.read_jsonl(path, type=Line).map(deadly, output=Line)
        message = failure(written(table), dest)
        assert f"position {content.index(lines[60].encode())}: {lines[60]!r}" in message

    @pytest.mark.parametrize("suffix", ["", ".gz"])
    @pytest.mark.anywhere("processes")
    def test_in_csv(self, dest: Path, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"lines.csv{suffix}"
        rows = [f'"{text}\nof ""two"" lines",{number}' for number, text in enumerate(texts(99, 60))]
        content = "\r\n".join(["text,number", *rows]).encode()
        path.write_bytes(gzip.compress(content) if suffix else content)
        pipeline = gaia.Pipeline("deadly")
        table = pipeline.read_csv(path, type=Line).map(deadly, output=Line)
        message = failure(written(table), dest)
        assert f"position {content.index(rows[60].encode())}: {rows[60]!r}" in message

    @pytest.mark.parametrize("suffix", ["", ".gz"])
    @pytest.mark.anywhere("processes")
    def test_in_archives(self, dest: Path, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"pages.warc{suffix}"
        starts = warc(path, [text.replace(" ", "-").encode() for text in texts(50, 31)])
        pipeline = gaia.Pipeline("deadly")
        pages = pipeline.read_warc(path, name="pages")
        table = pages.map(lambda page: deadly(page.url), name="urls", output=str)
        message = failure(written(table), dest)
        assert f"{path}, position {starts[31]}: 'WARC/1.0\\r\\nWARC-Type: resource" in message
        assert "deadly-31" in message

    def test_among_records_of_the_plan(self, dest: Path) -> None:
        table = written(from_records(texts(1000, 777)).map(deadly, output=str))
        message = failure(table, dest)
        assert "\n  record that kills it: 777: 'deadly 777'" in message
        assert "\n  input: records 756 to 818 of the plan\n" in message

    @pytest.mark.anywhere("processes")
    def test_among_batches(self, dest: Path) -> None:
        class Dies(gaia.Mapper[str, str]):
            def do_batch(self, batch: gaia.Batch[str], ctx: gaia.Context[str]) -> None:
                deadly(batch["value"].to_list())

        message = failure(written(from_records(texts(1000, 777)).map(Dies)), dest)
        assert "\n  record that kills it: 777: 'deadly 777'" in message

    @pytest.mark.anywhere("processes")
    def test_a_long_record_is_shown_in_part(self, dest: Path) -> None:
        table = written(from_records(["deadly" + "x" * 10**6]).map(deadly, output=str))
        assert len(failure(table, dest)) < 1000

    def test_none_where_records_kill_together(self, dest: Path, tmp_path: Path) -> None:
        class Adds(gaia.Mapper[str, int]):
            def __init__(self) -> None:
                self.seen = 0

            def do(self, line: str, ctx: gaia.Context[int]) -> None:
                self.seen += 1
                if self.seen == 10:
                    kill()

        path = tmp_path / "lines.txt"
        path.write_text("line\n" * 10)
        message = failure(written(gaia.Pipeline("sum").read_text(path).map(Adds)), dest)
        assert "it may be what adds up, such as memory" in message

    @pytest.mark.parametrize("hook", ["setup", "on_shard_start", "on_shard_finish"])
    @pytest.mark.anywhere("processes")
    def test_none_where_a_hook_kills(self, dest: Path, hook: str) -> None:
        class Dies(gaia.Mapper[int, int]):
            def do(self, number: int, ctx: gaia.Context[int]) -> None:
                ctx.write(number)

        setattr(Dies, hook, lambda *_: kill())
        message = failure(written(from_records([*range(10)]).map(Dies)), dest)
        assert "it dies without any as well, so none is to blame" in message

    def test_a_single_attempt_is_not_searched(self, dest: Path) -> None:
        table = written(from_records(texts(10, 7)).map(deadly, output=str))
        message = failure(table, dest, max_attempts=1)
        assert "a worker process was killed by SIGKILL" in message
        assert "record that kills" not in message

    def test_of_a_join_the_shard_is_named(self, dest: Path) -> None:
        class Dies(gaia.Joiner[str]):
            def on_line(self, line: str, ctx: gaia.Context[str]) -> None:
                deadly(line)

        pipeline = gaia.Pipeline("join")
        table = pipeline.from_records(texts(20, 7), name="lines")
        table.write("lines", gaia.TXT).with_mod_n_sharding(4, lambda line: int(line.split()[1]))
        pipeline.join(Dies, [table.bind_with(Dies.on_line)], name="join").write("out", gaia.TXT)
        with pytest.raises(gaia.WorkerError) as caught:
            run(table, dest)
        size = (dest / "lines" / "lines-00003-of-00004.txt").stat().st_size
        message = str(caught.value)
        assert message.startswith("step `join`: a worker process died in each of 3 attempts")
        assert f"\n  input: shard 3 of table `lines`, {size} bytes" in message

    @pytest.mark.parametrize("way", ["segfault", "abort"])
    def test_the_users_frames_are_shown(self, dest: Path, way: str) -> None:
        die = WAYS[way][0]

        def dies(number: int) -> int:
            die()  # The line that is to be shown.
            return number

        message = failure(written(from_records([1]).map(dies)), dest)
        assert re.search(WAYS[way][1], message)
        assert "\n  in your code:\n" in message
        assert "die()  # The line that is to be shown." in message
        assert GAIA not in message
        assert sys.modules["_pytest"].__file__ not in message  # type: ignore[operator]


class TestTimeouts:
    @pytest.mark.parametrize("max_attempts", [1, 2])
    def test_a_task_that_hangs_is_ended_and_shown(self, dest: Path, max_attempts: int) -> None:
        def hangs(number: int) -> int:
            if number == 1:
                threading.Event().wait()
            return number

        table = written(from_records([0, 1]).map(hangs))
        message = failure(table, dest, max_attempts=max_attempts, task_timeout=0.3)
        assert "took longer than 0.3 s (task_timeout) and was killed" in message
        assert "    threading.Event().wait()\n" in message
        assert GAIA not in message
        assert ("record that kills it: 1: 1" in message) is (max_attempts > 1)

    def test_a_worker_that_cannot_tell_is_ended_too(self, dest: Path) -> None:
        def stops(number: int) -> int:
            os.kill(os.getpid(), signal.SIGSTOP)
            return number

        table = written(from_records([1]).map(stops))
        message = failure(table, dest, max_attempts=1, task_timeout=0.1)
        assert "took longer than 0.1 s (task_timeout) and was killed" in message

    @pytest.mark.anywhere("inline")
    def test_small_inputs_get_workers_that_can_be_ended(self, dest: Path) -> None:
        table = written(from_records([1]).map(lambda number: os.getpid(), output=int))
        result = gaia.LocalRunner(dest, task_timeout=60).run(table._pipeline)
        assert os.getpid() not in result["out"].records()

    @pytest.mark.parametrize("wrong", [0, -1, float("inf"), float("nan"), "1", True])
    @pytest.mark.anywhere("inline")
    def test_it_is_checked(self, dest: Path, wrong: Any) -> None:
        with pytest.raises(gaia.PipelineError, match="expected task_timeout in seconds, above 0"):
            gaia.LocalRunner(dest, task_timeout=wrong)

    @pytest.mark.anywhere("inline")
    def test_it_needs_workers(self, dest: Path) -> None:
        with pytest.raises(gaia.PipelineError, match="for task_timeout, got workers=0"):
            gaia.LocalRunner(dest, workers=0, task_timeout=1)
