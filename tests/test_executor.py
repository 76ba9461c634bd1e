"""Tasks in the workers of executors."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from ancestors import ancestors
from records import WordCount, tree

import gaia


@pytest.fixture(scope="module")
def dask() -> Iterator[Executor]:
    """The executor of a cluster of two processes."""
    import dask
    from distributed import Client, LocalCluster

    dask.config.set({"distributed.worker.memory.terminate": False})
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client.get_executor()


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.fixture(params=["threads", "processes", "dask"])
def executor(request: pytest.FixtureRequest) -> Executor:
    found: Executor = request.getfixturevalue(request.param)
    return found


class Words(gaia.Mapper[str, WordCount]):
    def do(self, line: str, ctx: gaia.Context[WordCount]) -> None:
        for word in line.split():
            ctx.inc("words")
            ctx.write(WordCount(word, 1))


class Sum(gaia.Joiner[WordCount]):
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def on_word(self, record: WordCount, ctx: gaia.Context[WordCount]) -> None:
        self.counts[record.word] += record.count

    def on_shard_finish(self, ctx: gaia.Context[WordCount]) -> None:
        for word, count in self.counts.items():
            ctx.write(WordCount(word, count))


def word_count(folder: Path) -> gaia.Pipeline:
    for number in range(4):
        (folder / f"{number}.txt").write_text(f"a b{number} c\na\n" * 50)
    pipeline = gaia.Pipeline("words")
    words = pipeline.read_text(f"{folder}/*.txt", name="lines").map(Words)
    words.write("interim", gaia.ARROW).with_mod_n_sharding(4, "word")
    counts = pipeline.join(Sum, [words.bind_with(Sum.on_word)])
    counts.write("counts", gaia.TXT)
    return pipeline


def test_it_counts_words(executor: Executor, tmp_path: Path) -> None:
    runner = gaia.ExecutorRunner(tmp_path / "out", executor, max_tasks=2)
    result = runner.run(word_count(tmp_path))
    counted = {record.word: record.count for record in result["counts"].records()}
    assert counted == {"a": 400, "c": 200, "b0": 50, "b1": 50, "b2": 50, "b3": 50}
    assert result.counters["words"] == 800
    assert sorted(os.listdir(tmp_path / "out" / "_gaia")) == ["report.html", "run.json"]


def test_the_executor_outlives_user_code_that_kills(executor: Executor, tmp_path: Path) -> None:
    def deadly(number: int) -> int:
        if number == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    pipeline = gaia.Pipeline("deadly")
    numbers = pipeline.from_records(list(range(20)), name="numbers").map(deadly)
    numbers.write("out", gaia.TXT).with_mod_n_sharding(2, lambda number: number)
    with pytest.raises(gaia.WorkerError, match=r"SIGKILL(.|\n)*kills it: 7: 7"):
        gaia.ExecutorRunner(tmp_path / "out", executor, max_tasks=2).run(pipeline)
    assert tree(tmp_path / "out") == {}
    result = gaia.ExecutorRunner(tmp_path / "good", executor, max_tasks=2).run(word_count(tmp_path))
    assert result.counters["words"] == 800


def test_what_all_tasks_share_travels_once_for_each_that_asks(tmp_path: Path) -> None:
    sent: list[int] = []

    class Counting(ThreadPoolExecutor):
        def submit(self, function: Any, /, *args: Any, **named: Any) -> Any:
            sent.append(sum(len(arg) for arg in args if isinstance(arg, bytes)))
            return super().submit(function, *args, **named)

    large = os.urandom(1 << 20)
    pipeline = gaia.Pipeline("large")
    (tmp_path / "in").mkdir()
    for number in range(16):
        (tmp_path / "in" / f"{number}.txt").write_text(f"{'x' * 999}\n" * 800)
    lines = pipeline.read_text(f"{tmp_path}/in/*.txt")
    lines.filter(lambda line: line == str(len(large))).write("out", gaia.TXT).with_mod_n_sharding(2)
    with Counting(2) as pool:
        gaia.ExecutorRunner(tmp_path / "out", pool, max_tasks=2).run(pipeline)
    assert sum(size > 1 << 20 for size in sent) == 2
    assert len(sent) > 6


def test_a_lost_worker_of_the_executor_is_a_death(tmp_path: Path) -> None:
    """The process that has the task is killed, and not ours in it: the pool is of no use then."""

    def kill_host(number: int) -> int:
        os.kill(ancestors(os.getpid())[1], signal.SIGKILL)
        return number

    pipeline = gaia.Pipeline("lost")
    numbers = pipeline.from_records([1, 2], name="numbers").map(kill_host)
    numbers.write("out", gaia.TXT).with_mod_n_sharding(2, lambda number: number)
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(gaia.WorkerError, match="the executor takes no more tasks"),
    ):
        gaia.ExecutorRunner(tmp_path / "out", pool, max_tasks=1).run(pipeline)
    assert tree(tmp_path / "out") == {}


def test_a_lost_worker_of_dask_is_replaced(dask: Executor, tmp_path: Path) -> None:
    marker = tmp_path / "died"

    def once(number: int) -> int:
        if number == 3 and not marker.exists():
            marker.touch()
            os.kill(ancestors(os.getpid())[1], signal.SIGKILL)
        return number

    pipeline = gaia.Pipeline("lost")
    numbers = pipeline.from_records(list(range(8)), name="numbers").map(once)
    numbers.write("out", gaia.TXT).with_mod_n_sharding(2, lambda number: number)
    result = gaia.ExecutorRunner(tmp_path / "out", dask, max_tasks=2).run(pipeline)
    assert sorted(result["out"].records()) == list(range(8))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"max_tasks": 0}, "expected max_tasks of 1 or more, got 0"),
        ({"executor": print}, "expected an executor with `submit`, got <built-in"),
        ({"task_timeout": 0}, "expected task_timeout in seconds"),
    ],
)
def test_wrong_settings(given: dict[str, Any], told: str, threads: Executor) -> None:
    with pytest.raises(gaia.PipelineError, match=told):
        gaia.ExecutorRunner(**{"dest_dir": "out", "executor": threads, **given})


def test_files_of_this_process_alone_are_refused(threads: Executor) -> None:
    pipeline = gaia.Pipeline("memory")
    pipeline.from_records(["a"], name="a").write("out", gaia.TXT).with_mod_n_sharding(1)
    with pytest.raises(gaia.PipelineError, match="expected files that all workers see"):
        gaia.ExecutorRunner("memory://out", threads).run(pipeline)


def test_workers_end_with_their_thread(tmp_path: Path) -> None:
    script = (
        "import concurrent.futures, gaia, os\n"
        "pipeline = gaia.Pipeline('pids')\n"
        "pids = pipeline.from_records([1], name='one').flat_map(\n"
        "    lambda _: [os.getpid(), os.getppid()], output=int\n"
        ")\n"
        "pids.write('out', gaia.TXT).with_mod_n_sharding(1)\n"
        "with concurrent.futures.ThreadPoolExecutor(1) as pool:\n"
        "    result = gaia.ExecutorRunner('out', pool).run(pipeline)\n"
        "pids = set(result['out'].records())\n"
        "print(len(pids - {os.getpid()}), *filter(os.path.exists, map('/proc/{}'.format, pids)))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert (ended.stdout, ended.stderr) == ("2\n", "")


@pytest.mark.parametrize("pool", ["threads", "processes"])
def test_a_task_that_is_late_is_begun_twice_and_counts_once(
    pool: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt at it waits until the run has ended, and longer."""
    from gaia.runner import stragglers

    executor: Executor = request.getfixturevalue(pool)

    monkeypatch.setattr(stragglers, "_LEAST", 0.0)
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    os.mkfifo(ended)

    class Late(gaia.Mapper[int, int]):
        def do(self, number: int, ctx: gaia.Context[int]) -> None:
            ctx.write(number)
            ctx.inc("numbers")
            if number == 39 and not begun.exists():
                begun.touch()
                ended.read_text()

    pipeline = gaia.Pipeline("late")
    numbers = pipeline.from_records(list(range(40)), name="numbers").map(Late)
    numbers.write("out", gaia.TXT).with_mod_n_sharding(3, lambda number: number)
    result = gaia.ExecutorRunner(tmp_path / "out", executor, max_tasks=2).run(pipeline)
    # What goes on reading gives up its worker; that of threads and of pools cannot be ended.
    os.close(os.open(ended, os.O_RDWR | os.O_NONBLOCK))
    assert begun.exists()
    assert sorted(result["out"].records()) == list(range(40))
    assert result.counters["numbers"] == 40
    assert sorted(os.listdir(tmp_path / "out" / "_gaia")) == ["report.html", "run.json"]
