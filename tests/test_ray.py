"""Tasks on the nodes of a Ray cluster."""

import itertools
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from ancestors import ancestors
from clusters import Nodes
from records import WordCount, tree

import gaia

WORDS = [f"word{number % 97}" for number in range(6000)]


def strike(marker: str) -> None:
    """Kills the node, the first time."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    # Of ours the server that has forked this one; of Ray's the worker, and who is in charge.
    _, worker, node, *_ = ancestors(os.getpid())
    os.kill(node, signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    signal.pause()  # This process ends with those that it is of.


class Count(gaia.Mapper[str, WordCount]):
    """Writes a word, and tells a file of every word that it has seen."""

    def __init__(self, seen: str, marker: str = "") -> None:
        self.seen = seen
        self.marker = marker

    def do(self, line: str, ctx: gaia.Context[WordCount]) -> None:
        if self.marker and line == "word50":
            strike(self.marker)
        with open(self.seen, "a") as file:
            file.write("x")
        ctx.write(WordCount(line, 1))
        ctx.freq_map("letters")[line[-1]] += 1


class Sum(gaia.Joiner[WordCount]):
    def __init__(self, marker: str = "") -> None:
        self.counts: Counter[str] = Counter()
        self.marker = marker

    def on_word(self, record: WordCount, ctx: gaia.Context[WordCount]) -> None:
        self.counts[record.word] += record.count

    def on_shard_finish(self, ctx: gaia.Context[WordCount]) -> None:
        if self.marker and ctx.shard == 2:
            strike(self.marker)
        for word, count in self.counts.items():
            ctx.write(WordCount(word, count))


def build(folder: Path, map_marker: str = "", join_marker: str = "") -> gaia.Pipeline:
    pipeline = gaia.Pipeline("words")
    lines = pipeline.read_text(f"{folder}/in*.txt", name="lines")
    words = lines.map(Count, str(folder / "seen"), map_marker, name="count")
    words.write("interim", gaia.TXT).with_mod_n_sharding(4, "word").and_compress(gaia.ZSTD)
    sums = pipeline.join(Sum, [words.bind_with(Sum.on_word)], join_marker, name="sum")
    sums.write("sums", gaia.TXT)
    named = words.write("named", gaia.JSONL)
    named.with_custom_sharding(lambda record: f"by/{record.word[-1]}")
    return pipeline


def check(result: gaia.RunResult) -> None:
    counted = {record.word: record.count for record in result["sums"].records()}
    assert counted == Counter(WORDS)
    assert result.counters["map-input-lines"] == len(WORDS)
    assert sum(result.freq_maps["letters"].values()) == len(WORDS)
    named = result["named"]
    assert {shard.key for shard in named.shards} == {f"by/{digit}" for digit in range(10)}
    for shard in named.shards:
        words = Counter(record.word for record in named.records(shard.key))
        assert words == Counter(word for word in WORDS if f"by/{word[-1]}" == shard.key)


@pytest.fixture
def nodes(ray_nodes: Nodes) -> Iterator[Nodes]:
    """The cluster, whole before and after."""
    yield ray_nodes
    ray_nodes.whole()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of inputs that make many tasks."""
    from gaia.runner import splits

    for name in ("_MIN_SPLIT", "_MAX_SPLIT"):
        monkeypatch.setattr(splits, name, 4000)
    monkeypatch.setattr(splits, "_SLIVER", 0)
    for number in range(4):
        lines = WORDS[number::4]
        (tmp_path / f"in{number}.txt").write_text("".join(f"{word}\n" for word in lines))
    return tmp_path


def mapped(folder: Path) -> int:
    """How many lines were mapped since the last time."""
    size = os.path.getsize(folder / "seen")
    os.remove(folder / "seen")
    return size


def test_it_writes_what_the_local_runner_writes(nodes: Nodes, folder: Path) -> None:
    here = gaia.LocalRunner(folder / "here", workers=0).run(build(folder))
    there = gaia.RayRunner(folder / "there").run(build(folder))
    check(here)
    check(there)
    assert there.counters == here.counters
    assert sorted(os.listdir(folder / "there" / "_gaia")) == ["report.html", "run.json"]
    for name in ("interim", "sums", "named"):
        counts = [
            {shard.key: shard.records for shard in result[name].shards} for result in (here, there)
        ]
        assert counts[0] == counts[1]


def test_tables_go_to_a_store(nodes: Nodes, folder: Path, gcs: Any) -> None:
    result = gaia.RayRunner(gcs.url("out")).run(build(folder))
    check(result)
    names = {name for name in gcs.objects() if "_gaia" in name}
    assert names == {"out/_gaia/report.html", "out/_gaia/run.json"}
    # Once more: the old tables are replaced.
    check(gaia.RayRunner(gcs.url("out")).run(build(folder)))


def test_two_tables_are_joined_as_by_the_local_runner(
    nodes: Nodes, tmp_path: Path, gcs: Any
) -> None:
    """The example, whose module is not there on the nodes."""
    example = runpy.run_path(str(Path(__file__).parents[1] / "examples" / "movies_join.py"))
    pipeline = example["build"](*example["make_movies"](tmp_path / "inputs"))
    here = gaia.LocalRunner(tmp_path / "here").run(pipeline)
    there = gaia.RayRunner(gcs.url("out")).run(pipeline)
    assert there.counters == here.counters
    assert len(here["movies"]) == 100

    def joined(result: gaia.RunResult, audience: str) -> list[dict[str, Any]]:
        movies = [attrs.asdict(movie) for movie in result["movies"].records(audience)]
        return sorted(
            [movie | {"cast": sorted(movie["cast"])} for movie in movies],
            key=lambda movie: movie["id"],
        )

    for audience in ("adult", "family"):
        assert joined(there, audience) == joined(here, audience)


def test_tasks_tell_where_they_ran(nodes: Nodes, folder: Path) -> None:
    gaia.RayRunner(folder / "out").run(build(folder))
    with open(folder / "out" / "_gaia" / "run.json") as file:
        stages = json.load(file)["stages"]
    workers = {task["worker"] for stage in stages for task in stage["done"]}
    assert {worker.rpartition(":")[0] for worker in workers} == {socket.gethostname()}
    assert len(workers) >= 2
    for stage in stages:
        # Two can run at once, and one may end before others that were sent earlier; those that
        # wait in Ray, ten more, do not count.
        changes = [(task["began"], 1) for task in stage["done"]]
        changes += [(task["ended"], -1) for task in stage["done"]]
        assert max(itertools.accumulate(change for _, change in sorted(changes))) <= 3


def test_a_folder_that_nodes_do_not_see_is_refused(
    nodes: Nodes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that is another folder on each of them."""
    monkeypatch.chdir(folder)
    with pytest.raises(gaia.OutputError) as caught:
        gaia.RayRunner("/proc/self/cwd/out").run(build(folder))
    told = str(caught.value)
    assert told.startswith("dest_dir is a path, but /proc/self/cwd/out/_gaia/run/")
    assert f" is not seen on {socket.gethostname()}; expected a folder that all nodes share" in told
    assert tree(folder / "out") == {}


def test_what_a_killed_worker_leaves_is_removed(nodes: Nodes, folder: Path) -> None:
    """In the folder for temporary files, by the worker that takes its place."""
    scratch = folder / "scratch"
    died = folder / "died"

    class Dies(gaia.Mapper[str, str]):
        def do(self, line: str, ctx: gaia.Context[str]) -> None:
            ctx.write(line)
            if line == "word50" and not died.exists():
                died.write_text(" ".join(os.listdir(scratch)))
                os.kill(os.getpid(), signal.SIGKILL)

    pipeline = gaia.Pipeline("dies")
    lines = pipeline.read_text(f"{folder}/in*.txt", name="lines").map(Dies)
    lines.write("out", gaia.TXT).with_mod_n_sharding(3)
    result = gaia.RayRunner(folder / "out", scratch_dir=scratch).run(pipeline)
    assert Counter(result["out"].records()) == Counter(WORDS)
    assert died.read_text()
    assert os.listdir(scratch) == []


@pytest.mark.parametrize("step", ["map", "join"])
def test_a_killed_node_does_not_show(nodes: Nodes, folder: Path, gcs: Any, step: str) -> None:
    marker = str(folder / "struck")
    pipeline = build(folder, **{f"{step}_marker": marker})
    result = gaia.RayRunner(gcs.url("out")).run(pipeline)
    assert os.path.exists(marker)
    check(result)


def test_a_killed_driver_goes_on_elsewhere(nodes: Nodes, folder: Path, gcs: Any) -> None:
    """All that the second run knows of the first is in the store."""
    script = textwrap.dedent(
        f"""
        import os, pathlib, signal, sys, tempfile
        import gaia
        from gaia.runner import journal, splits
        from test_ray import build, check
        splits._MIN_SPLIT = splits._MAX_SPLIT = 4000
        splits._SLIVER = 0
        resume = sys.argv[1:] == ["resume"]
        if not resume:
            done = 0
            write = journal.StoreJournal.write
            def counted(self, entry):
                global done
                write(self, entry)
                done += isinstance(entry, journal.Finished)
                if done == 6:
                    self._flush()
                    os.kill(os.getpid(), signal.SIGKILL)
            journal.StoreJournal.write = counted
        runner = gaia.RayRunner(
            {gcs.url("out")!r}, {nodes.address!r}, 2, resume=resume
        )
        check(runner.run(build(pathlib.Path({str(folder)!r}))))
        """
    )
    first = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert first.returncode == -signal.SIGKILL, first.stderr
    before = mapped(folder)
    second = subprocess.run(
        [sys.executable, "-c", script, "resume"], capture_output=True, text=True
    )
    assert second.returncode == 0, second.stderr
    assert "gaia: resume: `lines`: 6 of " in second.stderr
    # Those that were under way when it was killed were begun twice.
    assert before + mapped(folder) <= len(WORDS) * 1.5
    assert {name for name in gcs.objects() if "_gaia" in name} == {
        "out/_gaia/report.html",
        "out/_gaia/run.json",
    }


def test_a_task_that_is_late_is_begun_twice_and_counts_once(
    nodes: Nodes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gaia.runner import stragglers

    monkeypatch.setattr(stragglers, "_LEAST", 0.0)
    begun = folder / "begun"

    class Late(gaia.Mapper[str, str]):
        """Of the last task, the first attempt never ends."""

        def do(self, line: str, ctx: gaia.Context[str]) -> None:
            ctx.write(line)
            if ctx.input_pos == 0 and ctx.input_file.endswith("in3.txt") and not begun.exists():
                begun.touch()
                signal.pause()

    pipeline = gaia.Pipeline("late")
    lines = pipeline.read_text(f"{folder}/in*.txt", name="lines").map(Late)
    lines.write("out", gaia.TXT).with_mod_n_sharding(3)
    result = gaia.RayRunner(folder / "out", max_tasks=2).run(pipeline)
    assert begun.exists()
    assert Counter(result["out"].records()) == Counter(WORDS)
    assert result.counters["map-input-lines"] == len(WORDS)


def test_what_is_under_way_ends_with_a_run_that_fails(nodes: Nodes, tmp_path: Path) -> None:
    from ray.experimental.internal_kv import _internal_kv_list

    before = _internal_kv_list("", namespace="gaia")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

    def fails_or_hangs(number: int) -> int:
        if number == 0:
            os.write(os.open(fifo, os.O_WRONLY), b"x")
            signal.pause()
        with open(fifo, "rb") as file:
            file.read(1)  # The other is there, and holds on to the pipe.
        raise ValueError("enough")

    pipeline = gaia.Pipeline("fails")
    numbers = pipeline.from_records([0, 1], name="numbers").map(fails_or_hangs)
    numbers.write("out", gaia.TXT).with_mod_n_sharding(2, lambda number: number)
    with pytest.raises(gaia.StepError, match="enough"):
        gaia.RayRunner(tmp_path / "out").run(pipeline)
    assert select.select([held], [], [], 60)[0]
    assert os.read(held, 1) == b""
    os.close(held)
    assert _internal_kv_list("", namespace="gaia") == before


def test_a_deadly_record_is_found(nodes: Nodes, tmp_path: Path) -> None:
    def deadly(number: int) -> int:
        if number == 7:
            os.kill(os.getpid(), signal.SIGSEGV)
        return number

    pipeline = gaia.Pipeline("deadly")
    numbers = pipeline.from_records(list(range(20)), name="numbers").map(deadly)
    numbers.write("out", gaia.TXT).with_mod_n_sharding(2, lambda number: number)
    with pytest.raises(gaia.WorkerError, match=r"SIGSEGV(.|\n)*kills it: 7: 7"):
        gaia.RayRunner(tmp_path / "out").run(pipeline)
    assert tree(tmp_path / "out") == {}


def test_code_that_nodes_cannot_import_is_told(nodes: Nodes, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").write_text("def f(line: str) -> str:\n    return line\n")
    script = (
        "import gaia, elsewhere\n"
        "pipeline = gaia.Pipeline('p')\n"
        "lines = pipeline.from_records(['a'], name='lines').map(elsewhere.f)\n"
        "lines.write('out', gaia.TXT).with_mod_n_sharding(1)\n"
        f"gaia.RayRunner({str(tmp_path / 'out')!r}, {nodes.address!r}).run(pipeline)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.append({str(tmp_path)!r})\n{script}"],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert "No module named 'elsewhere'" in ended.stderr
    assert "has to be there wherever workers run" in ended.stderr


def test_a_cluster_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    pipeline = gaia.Pipeline("p")
    pipeline.from_records(["a"], name="a").write("out", gaia.TXT).with_mod_n_sharding(1)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # Nobody listens.
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(gaia.PipelineError, match=f"no Ray cluster answers at {address}: "):
            gaia.RayRunner(tmp_path / "out", address).run(pipeline)
