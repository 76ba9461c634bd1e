"""What a run makes of records, and what user code sees on the way."""

import csv
import functools
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import anywhere
import attrs
import msgspec
import pytest
from records import WordCount

import gaia

pytestmark = pytest.mark.anywhere

LINES = ["a b a", "", "c a", "b"]
COUNTS = {"a": 3, "b": 2, "c": 1}


class Words(gaia.Mapper[str, WordCount]):
    def do(self, line: str, ctx: gaia.Context[WordCount]) -> None:
        ctx.inc("lines")
        for word in line.split():
            ctx.freq_map("words")[word] += 1
            ctx.write(WordCount(word, 1))


class Sum(gaia.Joiner[WordCount]):
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def on_word(self, record: WordCount, ctx: gaia.Context[WordCount]) -> None:
        self.counts[record.word] += record.count

    def on_shard_finish(self, ctx: gaia.Context[WordCount]) -> None:
        for word, count in self.counts.items():
            ctx.write(WordCount(word, count))


@attrs.define
class Squared:
    number: int

    @functools.cached_property
    def square(self) -> int:
        return self.number * self.number


class Squares(gaia.Joiner[int]):
    def on_number(self, record: Squared, ctx: gaia.Context[int]) -> None:
        ctx.write(record.square)


class KeepSome(gaia.Joiner[WordCount]):
    """Keeps every third record, by itself or only by what refers to it."""

    def __init__(self) -> None:
        self.kept: list[WordCount] = []
        self.keepers: list[Callable[[], WordCount]] = []

    def on_word_count(self, record: WordCount, ctx: gaia.Context[WordCount]) -> None:
        if record.count % 3 == 0:
            if record.count % 2:
                self.kept.append(record)
            else:
                self.keepers.append(lambda: record)

    def on_shard_finish(self, ctx: gaia.Context[WordCount]) -> None:
        for record in self.kept + [keeper() for keeper in self.keepers]:
            ctx.write(record)


class Trace(gaia.Mapper[str, str], gaia.Joiner[str]):
    """Writes, as one record, which of its hooks were called, in order."""

    def __init__(self, name: str = "trace") -> None:
        self.calls = [name]

    def setup(self, run: gaia.Run) -> None:
        self.calls.append("setup")

    def on_shard_start(self, shard: Any, ctx: gaia.Context[str]) -> None:
        self.calls.append(f"start({shard})")

    def do(self, record: str, ctx: gaia.Context[str]) -> None:
        self.calls.append(record)

    def on_left(self, record: str, ctx: gaia.Context[str]) -> None:
        self.calls.append("left")

    def on_right(self, record: str, ctx: gaia.Context[str]) -> None:
        self.calls.append("right")

    def on_shard_finish(self, ctx: gaia.Context[str]) -> None:
        ctx.write(" ".join([*self.calls, "finish"]))


@attrs.frozen
class Seen:
    """What a context told of a record."""

    record: str
    file: str
    position: int
    shard: int | None
    metadata: str | None


class See(gaia.Mapper[str, Seen], gaia.Joiner[Seen]):
    def do(self, record: str, ctx: gaia.Context[Seen]) -> None:
        ctx.write(Seen(record, ctx.input_file, ctx.input_pos, ctx.shard, ctx.metadata))


@dataclass
class Data:
    name: str
    size: int


class Tuple(NamedTuple):
    name: str
    size: int


class Struct(msgspec.Struct):
    name: str
    size: int


@attrs.frozen
class Job:
    """A pipeline that reads lines, and where its tables go."""

    dest: Path
    # Of this machine; without a number, they are those of the kind of runner at hand.
    workers: int | None = None
    pipeline: gaia.Pipeline = attrs.field(factory=lambda: gaia.Pipeline("job"))

    def lines(self, *lines: str, name: str = "lines") -> gaia.PTable[str]:
        return self.pipeline.from_records(lines, type=str, name=name)

    def written(self, *lines: str, name: str, shards: int = 3) -> gaia.PTable[str]:
        table = self.lines(*lines, name=name)
        table.write(name, gaia.TXT).with_mod_n_sharding(shards)
        return table

    def word_count(self, lines: gaia.PTable[str]) -> gaia.PTable[WordCount]:
        words = lines.map(Words, name="split")
        words.write("words", gaia.TXT).with_mod_n_sharding(3, "word")
        counts = self.pipeline.join(Sum, [words.bind_with(Sum.on_word)], name="sum")
        counts.write("counts", gaia.TXT)
        return counts

    def run(self) -> gaia.RunResult:
        return self.runner().run(self.pipeline)

    def runner(self) -> Any:
        if self.workers is None:
            return anywhere.Runner(self.dest)
        return gaia.LocalRunner(self.dest, workers=self.workers)

    def records_of(self, table: gaia.PTable[Any]) -> list[Any]:
        """What a run writes of a table."""
        table.write("out", gaia.JSONL).with_mod_n_sharding(1, lambda record: 0)
        return sorted(self.run()["out"].records(), key=repr)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path / "out")


@pytest.fixture(params=[0, 1, 2], ids=lambda workers: f"workers={workers}")
def local_job(request: pytest.FixtureRequest, tmp_path: Path) -> Job:
    return Job(tmp_path / "out", request.param)


def process(record: str) -> int:
    return os.getpid()


def exclaim(text: str, mark: str = "!") -> str:
    return text + mark


def exclaimer(mark: str) -> Callable[[str], str]:
    def closure(text: str) -> str:
        return text + mark

    return closure


class Exclaim(gaia.Mapper[str, str]):
    def __init__(self, mark: str, times: int = 1) -> None:
        self.mark = mark * times

    def do(self, record: str, ctx: gaia.Context[str]) -> None:
        ctx.write(record + self.mark)


class TestRecords:
    def test_they_do_not_depend_on_the_number_of_workers(self, job: Job) -> None:
        job.word_count(job.lines(*LINES))
        counts = job.run()["counts"]
        assert {record.word: record.count for record in counts.records()} == COUNTS
        assert len(counts) == len(COUNTS)

    @pytest.mark.anywhere("inline")
    def test_workers_are_processes_however_small_the_input(self, local_job: Job) -> None:
        processes = set(local_job.records_of(local_job.lines(*"abcdefgh").map(process)))
        assert len(processes) == max(1, local_job.workers)
        assert (os.getpid() in processes) == (local_job.workers == 0)

    @pytest.mark.anywhere("inline")
    def test_small_inputs_need_no_workers(self, tmp_path: Path) -> None:
        pipeline = gaia.Pipeline("small")
        processes = pipeline.from_records("ab", type=str).map(process)
        processes.write("out", gaia.TXT).with_mod_n_sharding(1)
        result = gaia.LocalRunner(tmp_path).run(pipeline)
        assert set(result["out"].records()) == {os.getpid()}

    @pytest.mark.parametrize(
        "step",
        [
            lambda table: table.map(Exclaim, "!"),
            lambda table: table.map(Exclaim, "", 0).map(Exclaim, "!", 1),
            lambda table: table.map(exclaim),
            lambda table: table.map(exclaim, "!"),
            lambda table: table.map(exclaimer("!")),
            lambda table: table.map(lambda text: text + "!", output=str),
            lambda table: table.flat_map(lambda text: [text + "!"], output=str),
            lambda table: table.map(exclaim).filter(lambda text: text.endswith("!")),
        ],
        ids=["class", "arguments", "function", "argument", "closure", "lambda", "flat_map", "fuse"],
    )
    def test_any_code_maps_records(
        self, job: Job, step: Callable[[gaia.PTable[str]], gaia.PTable[str]]
    ) -> None:
        assert job.records_of(step(job.lines("a", "b"))) == ["a!", "b!"]

    def test_a_class_of_a_function_maps_records(self, job: Job) -> None:
        mark = "!"

        class Local(gaia.Mapper[str, str]):
            def do(self, record: str, ctx: gaia.Context[str]) -> None:
                ctx.write(record + mark)

        assert job.records_of(job.lines("a", "b").map(Local)) == ["a!", "b!"]

    def test_a_flat_map_writes_any_number_of_records(self, job: Job) -> None:
        def characters(text: str) -> Iterator[str]:
            yield from text

        assert job.records_of(job.lines("ab", "", "c").flat_map(characters)) == [*"abc"]

    @pytest.mark.parametrize("format", [gaia.TXT, gaia.JSONL])
    @pytest.mark.parametrize(
        "records",
        [
            [WordCount("a\tb", 1), WordCount("", -1)],
            [Data("a\tb", 1), Data("", -1)],
            [Tuple("a\tb", 1), Tuple("", -1)],
            [Struct("a\tb", 1), Struct("", -1)],
            [{"name": "a\tb", "sizes": [1, None]}, {}],
            [0, -(2**70)],
        ],
        ids=["attrs", "dataclass", "NamedTuple", "Struct", "dict", "int"],
    )
    def test_any_type_passes_through_map_write_and_join(
        self, job: Job, records: list[Any], format: Any
    ) -> None:
        tp = type(records[0])

        class Keep(gaia.Mapper[tp, tp], gaia.Joiner[tp]):
            def do(self, record: tp, ctx: gaia.Context[tp]) -> None:
                assert type(record) is tp
                ctx.write(record)

        kept = job.pipeline.from_records(records).map(Keep, name="keep")
        kept.write("kept", format).with_mod_n_sharding(2, repr)
        joined = job.pipeline.join(Keep, [kept.bind_with(Keep.do)], name="join")
        joined.write("joined", format)
        result = job.run()
        for name in ("kept", "joined"):
            assert sorted(result[name].records(), key=repr) == sorted(records, key=repr)

    @pytest.mark.anywhere("inline")
    def test_steps_behind_each_other_pass_record_by_record(self, job: Job) -> None:
        calls = []

        def step(name: str) -> Callable[[str], str]:
            def note(record: str) -> str:
                calls.append(name + record)
                return record

            return note

        job.records_of(job.lines("1", "2").map(step("a"), name="a").map(step("b"), name="b"))
        assert calls == ["a1", "b1", "a2", "b2"]

    def test_an_unwritten_table_never_touches_the_disk(self, job: Job) -> None:
        job.records_of(job.lines("a").map(exclaim, name="one").map(exclaim, name="two"))
        assert sorted(os.listdir(job.dest)) == ["_gaia", "out"]

    def test_one_read_feeds_several_consumers_at_once(self, job: Job) -> None:
        lines = job.lines("a", "b", "c")
        for name in ("one", "two"):
            lines.map(exclaim, name, name=name).write(name, gaia.TXT).with_mod_n_sharding(2)
        lines.write("lines", gaia.TXT).with_mod_n_sharding(2)
        result = job.run()
        assert result.counters["map-input-lines"] == 3
        assert sorted(result["one"].records()) == ["aone", "bone", "cone"]
        assert sorted(result["two"].records()) == ["atwo", "btwo", "ctwo"]
        assert sorted(result["lines"].records()) == ["a", "b", "c"]


class TestHooks:
    def test_a_mapper_is_set_up_started_fed_and_finished(self, job: Job) -> None:
        path = job.dest.with_name("in.txt")
        path.write_text("one\ntwo\n")
        calls = job.records_of(job.pipeline.read_text(path).map(Trace))
        assert calls == ["trace setup start(None) one two finish"]

    def test_a_mapper_behind_another_gets_what_that_one_writes_at_its_end(self, job: Job) -> None:
        calls = job.records_of(
            job.lines("one").map(Trace, "first", name="first").map(Trace, "second", name="second")
        )
        assert calls == [
            "second setup start(None) first setup start(None) one finish finish",
        ]

    def test_a_mapper_is_made_anew_for_every_task(self, job: Job) -> None:
        calls = job.records_of(job.lines(*"abcdefgh").map(Trace))
        assert len(calls) > 1
        assert all(re.fullmatch(r"trace setup start\(None\)( \w)+ finish", call) for call in calls)

    @pytest.mark.parametrize("order", [("left", "right"), ("right", "left")])
    def test_a_joiner_of_each_shard_gets_input_after_input(
        self, job: Job, order: tuple[str, str]
    ) -> None:
        numbers = [str(number) for number in range(30)]
        handlers = {"left": Trace.on_left, "right": Trace.on_right}
        inputs = [job.written(*numbers, name=name).bind_with(handlers[name]) for name in order]
        job.pipeline.join(Trace, inputs, "join", name="join").write("calls", gaia.TXT)
        result = job.run()
        first, second = (result[name].shards for name in order)
        for shard in range(3):
            counts = first[shard].records, second[shard].records
            handled = [order[0]] * counts[0] + [order[1]] * counts[1]
            (calls,) = result["calls"].records(shard)
            assert calls.split() == ["join", "setup", f"start({shard})", *handled, "finish"]

    def test_a_joiner_runs_for_empty_shards_too(self, job: Job) -> None:
        table = job.written(name="empty")
        job.pipeline.join(Trace, [table.bind_with(Trace.on_left)]).write("calls", gaia.TXT)
        calls = [f"trace setup start({shard}) finish" for shard in range(3)]
        assert sorted(job.run()["calls"].records()) == calls


class Collects(gaia.Mapper[str, int]):
    """Writes how many records there are in a list that it was given empty."""

    def __init__(self, seen: list[str]) -> None:
        self.seen = seen

    def do(self, record: str, ctx: gaia.Context[int]) -> None:
        self.seen.append(record)

    def on_shard_finish(self, ctx: gaia.Context[int]) -> None:
        ctx.write(len(self.seen))


def test_what_a_task_does_to_its_arguments_no_other_task_sees(job: Job) -> None:
    given: list[str] = []
    counts = job.records_of(job.lines(*"abcdefgh").map(Collects, given))
    assert sum(counts) == 8
    assert given == []


def test_a_table_that_the_run_reads_is_not_replaced(job: Job) -> None:
    job.records_of(job.lines("old"))
    again = attrs.evolve(job, pipeline=gaia.Pipeline("again"))
    with pytest.raises(gaia.OutputError, match="is read by this run"):
        again.records_of(again.pipeline.read_table(job.dest / "out", type=str))


class TestJoins:
    def test_a_table_joins_itself_by_two_methods(self, job: Job) -> None:
        class Both(gaia.Joiner[str]):
            def __init__(self) -> None:
                self.known: set[str] = set()

            def on_first(self, record: str, ctx: gaia.Context[str]) -> None:
                self.known.add(record)

            def on_again(self, record: str, ctx: gaia.Context[str]) -> None:
                ctx.write(f"{record} {record in self.known}")

        table = job.written("a", "b", "c", name="letters")
        inputs = [table.bind_with(Both.on_first), table.bind_with(Both.on_again)]
        joined = job.pipeline.join(Both, inputs)
        assert job.records_of(joined) == ["a True", "b True", "c True"]

    def test_what_a_joiner_writes_stays_in_its_shard(self, job: Job) -> None:
        table = job.written(*"abcdefgh", name="letters")
        joined = job.pipeline.join(Trace, [table.bind_with(Trace.on_left)]).map(exclaim)
        joined.write("kept", gaia.TXT)
        joined.write("spread", gaia.TXT).with_mod_n_sharding(5, lambda text: 4)
        result = job.run()
        for shard in range(3):
            (calls,) = result["kept"].records(shard)
            assert f"start({shard})" in calls
        assert [shard.records for shard in result["spread"].shards] == [0, 0, 0, 0, 3]

    def test_joins_follow_each_other(self, job: Job) -> None:
        class Doubled(Sum):
            def on_word(self, record: WordCount, ctx: gaia.Context[WordCount]) -> None:
                ctx.write(WordCount(record.word, 2 * record.count))

        counts = job.word_count(job.lines(*LINES))
        for name in ("twice", "fourfold"):
            counts = job.pipeline.join(Doubled, [counts.bind_with(Doubled.on_word)], name=name)
            counts.write(name, gaia.TXT)
        records = job.run()["fourfold"].records()
        assert {record.word: record.count // 4 for record in records} == COUNTS

    def test_tables_of_given_shards_join_those_sharded_by_key(self, job: Job) -> None:
        specs = []
        for shard in range(3):
            path = job.dest.with_name(f"{shard}.txt")
            path.write_text("line\n" * shard)
            specs.append(gaia.FileSpec(str(path), shard=shard))
        given = job.pipeline.read_text(specs, name="files").map(exclaim)
        given.write("given", gaia.TXT)
        spread = job.written(name="spread")
        inputs = [given.bind_with(Trace.on_left), spread.bind_with(Trace.on_right)]
        job.pipeline.join(Trace, inputs).write("calls", gaia.TXT)
        calls = job.run()["calls"]
        for shard in range(3):
            assert [call.count("left") for call in calls.records(shard)] == [shard]

    def test_records_that_a_joiner_keeps_stay_as_they_are(self, job: Job) -> None:
        counts = [WordCount(f"w{number}", number) for number in range(100)]
        table = job.pipeline.from_records(counts)
        table.write("counts", gaia.TXT).with_mod_n_sharding(2, "word")
        kept = job.pipeline.join(KeepSome, [table.bind_with(KeepSome.on_word_count)])
        assert sorted(job.records_of(kept), key=lambda wc: wc.count) == counts[::3]


class TestCounts:
    def test_counters_are_summed_over_workers(self, job: Job) -> None:
        job.word_count(job.lines(*LINES))
        counters = job.run().counters
        assert counters["lines"] == counters["map-input-lines"] == len(LINES)
        # Four lines are split; each of the six words that come out is given to the joiner.
        assert counters["fn-calls"] == 4 + 6
        # Six words and the three sums of them.
        assert counters["fn-writes"] == 6 + 3
        assert counters["nobody's"] == 0

    def test_a_table_lies_beside_the_counters_of_its_stage(self, job: Job) -> None:
        job.word_count(job.lines(*LINES))
        job.run()
        with open(job.dest / "words" / "counter_map.csv", newline="") as file:
            assert list(csv.reader(file)) == [
                ["counter", "value"],
                ["fn-calls", "4"],
                ["fn-writes", "6"],
                ["lines", "4"],
                ["map-input-lines", "4"],
            ]

    def test_frequencies_are_summed_over_workers(self, job: Job) -> None:
        job.word_count(job.lines(*LINES))
        freq_maps = job.run().freq_maps
        assert freq_maps["words"] == COUNTS
        assert freq_maps["nobody's"] == {}

    def test_later_stages_see_what_was_counted(self, job: Job) -> None:
        class Told(gaia.Joiner[str]):
            def setup(self, run: gaia.Run) -> None:
                words, lines = run.freq_maps["words"], run.counters["lines"]
                nothing = run.freq_maps["nobody's"], run.counters["nobody's"]
                self.told = f"{run.pipeline} {sorted(words.items())} {lines} {nothing}"

            def on_count(self, record: WordCount, ctx: gaia.Context[str]) -> None: ...

            def on_shard_finish(self, ctx: gaia.Context[str]) -> None:
                ctx.write(self.told)

        counts = job.word_count(job.lines(*LINES))
        told = job.pipeline.join(Told, [counts.bind_with(Told.on_count)])
        expected = f"job {sorted(COUNTS.items())} 4 {(Counter(), 0)}"
        assert job.records_of(told) == [expected] * 3


class TestContext:
    def test_it_knows_file_position_shard_and_metadata(self, job: Job) -> None:
        paths = []
        for name in ("a", "b"):
            paths.append(str(job.dest.with_name(name)))
            Path(paths[-1]).write_text("one\ntwo\n")
        specs = [gaia.FileSpec(paths[0], shard=5, metadata="first"), paths[1]]
        assert job.records_of(job.pipeline.read_text(specs).map(See)) == [
            Seen("one", paths[0], 0, 5, "first"),
            Seen("one", paths[1], 0, None, None),
            Seen("two", paths[0], 4, 5, "first"),
            Seen("two", paths[1], 4, None, None),
        ]

    def test_records_of_the_plan_have_their_number_as_position(self, job: Job) -> None:
        letters = "abcdefghijklmnopqrst"
        assert job.records_of(job.lines(*letters).map(See)) == [
            Seen(letter, "", number, None, None) for number, letter in enumerate(letters)
        ]

    def test_a_joiner_knows_its_shard_and_the_shards_file(self, job: Job) -> None:
        table = job.written(*"abcdefgh", name="letters")
        seen = job.records_of(job.pipeline.join(See, [table.bind_with(See.do)]))
        assert [one.record for one in seen] == [*"abcdefgh"]
        for one in seen:
            file = job.dest / "letters" / f"letters-0000{one.shard}-of-00003.txt"
            assert one.file == str(file)
            assert file.read_text()[one.position] == one.record


UNGUARDED = """
import sys, threading
import gaia

print("started", flush=True)
stop = threading.Event()
threading.Thread(target=stop.wait).start()

class Tell(gaia.Mapper[int, str]):
    def do(self, number, ctx):
        ctx.write(f"{sys.argv[0]} {number}")

pipeline = gaia.Pipeline("p")
told = pipeline.from_records([1, 2, 3], name="numbers").map(Tell)
told.write("told", gaia.TXT).with_mod_n_sharding(2)
result = gaia.LocalRunner(sys.argv[1], workers=2).run(pipeline)
stop.set()
print(sorted(result["told"].records()))
"""


def argv_0(record: str) -> str:
    """The name of this worker's program, which is its own only if it was started afresh."""
    return sys.argv[0]


@pytest.fixture
def thread() -> Iterator[None]:
    """A live thread beside the test's own."""
    stop = threading.Event()
    waiting = threading.Thread(target=stop.wait)
    waiting.start()
    yield
    stop.set()
    waiting.join()


class TestWorkers:
    """Workers are forked, unless other threads live, which may hold locks: then started afresh."""

    @pytest.mark.anywhere("inline")
    def test_they_are_forked_from_a_process_of_one_thread(self, tmp_path: Path) -> None:
        script = tmp_path / "script.py"
        script.write_text(UNGUARDED.replace("threading.Thread(target=stop.wait).start()", ""))
        done = subprocess.run(
            [sys.executable, script, tmp_path / "out"], capture_output=True, text=True, timeout=60
        )
        told = [f"{script} {number}" for number in (1, 2, 3)]
        assert (done.stdout, done.stderr) == (f"started\n{told}\n", "")

    @pytest.mark.anywhere("inline")
    def test_they_are_started_afresh_beside_a_thread(self, job: Job, thread: None) -> None:
        job = attrs.evolve(job, workers=2)
        job.word_count(job.lines(*LINES))
        assert set(job.records_of(job.lines("a", "b", name="more").map(argv_0))) == {"-c"}
        counts = gaia.read_table(job.dest / "counts").records()
        assert {record.word: record.count for record in counts} == COUNTS

    @pytest.mark.anywhere("inline")
    def test_a_script_beside_a_thread_is_not_run_again_by_its_workers(self, tmp_path: Path) -> None:
        script = tmp_path / "script.py"
        script.write_text(UNGUARDED)
        done = subprocess.run(
            [sys.executable, script, tmp_path / "out"], capture_output=True, text=True, timeout=60
        )
        assert (done.stdout, done.stderr) == ("started\n['-c 1', '-c 2', '-c 3']\n", "")

    def test_a_runner_runs_in_a_thread(self, job: Job) -> None:
        job.word_count(job.lines(*LINES))
        with ThreadPoolExecutor(1) as pool:
            counts = pool.submit(job.run).result()["counts"].records()
        assert {record.word: record.count for record in counts} == COUNTS

    @pytest.mark.anywhere("inline")
    def test_runners_run_beside_each_other(self, tmp_path: Path) -> None:
        def run(folder: str) -> list[str]:
            job = Job(tmp_path / folder, workers=2)
            return job.records_of(job.lines("a", "b").map(exclaim, folder))

        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(run, ["x", "y"])) == [["ax", "bx"], ["ay", "by"]]

    def test_a_runner_runs_again(self, job: Job) -> None:
        runner = job.runner()
        job.written("a", "b", name="letters")
        first, second = runner.run(job.pipeline), runner.run(job.pipeline)
        assert sorted(second["letters"].records()) == sorted(first["letters"].records())
        other = Job(job.dest, pipeline=gaia.Pipeline("other"))
        other.written("c", name="others")
        assert list(runner.run(other.pipeline)["others"].records()) == ["c"]
        assert sorted(os.listdir(job.dest)) == ["_gaia", "letters", "others"]


def test_records_of_a_class_with_more_than_its_fields_do_not_share_it(job: Job) -> None:
    table = job.pipeline.from_records([Squared(number) for number in range(10)])
    table.write("squared", gaia.TXT).with_mod_n_sharding(1, "number")
    squares = job.pipeline.join(Squares, [table.bind_with(Squares.on_number)])
    assert sorted(job.records_of(squares)) == [number * number for number in range(10)]
