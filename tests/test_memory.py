"""Bounded memory: what does not fit goes to disk, and comes back as if it had stayed."""

import operator
import os
import resource
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import anywhere
import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import tree
from test_combine import AGGREGATES, KEYS, Maybe, grouped

import gaia
import gaia.testing
from gaia.ops import Distinct, GroupBy, InnerJoin, LeftJoin, TopK, WordCount
from gaia.runner import scheduler
from gaia.runner.engine import Worker
from gaia.runner.memory import Budget, budget_of, default_memory, least_memory, parse_size
from gaia.runner.status import Status
from gaia.runner.watch import StageWatch

# With a single byte, a joiner takes a record at a time, and holds one key.
LIMITS = st.sampled_from([1, 4 << 10])


@contextmanager
def room(join: int) -> Iterator[None]:
    """Joiners have so many bytes."""
    budget = Budget(buffers=1 << 20, combine=1 << 20, join=join)
    with mock.patch.object(scheduler, "budget_of", return_value=budget):
        yield


def joined(
    op: Any, key: Any, *inputs: tuple[Any, list[Any]], limit: int = 1
) -> gaia.testing.TestResult:
    """What a joiner makes of tables, given by their types and records; see its table `out`."""
    pipeline = gaia.Pipeline("p")
    tables = []
    for number, (tp, _) in enumerate(inputs):
        table = pipeline.from_records([], type=tp, name=f"input{number}")
        table.write(f"table{number}", gaia.TXT).with_mod_n_sharding(1, key)
        tables.append(table)
    pipeline.join(op, tables, name="joiner").write("out", gaia.TXT)
    given = {f"input{number}": records for number, (_, records) in enumerate(inputs)}
    with room(limit):
        return anywhere.run(pipeline, given, tasks=1)


def groups(
    tp: Any, records: list[Any], key: tuple[str, ...], how: dict[str, Any], limit: int
) -> set[Any]:
    found = joined(GroupBy(key, **how), key, (tp, records), limit=limit)["out"]
    rows = [attrs.astuple(group) for group in found]
    assert len(set(rows)) == len(rows)
    return set(rows)


def class_of(**fields: Any) -> Any:
    return attrs.make_class("Made", {name: attrs.field(type=tp) for name, tp in fields.items()})


class TestGroupBy:
    @pytest.mark.parametrize("kind", KEYS)
    @settings(max_examples=30)
    @given(data=st.data(), limit=LIMITS)
    def test_every_kind_of_key(self, kind, data, limit):
        tp, values = KEYS[kind]
        record = class_of(key=tp, n=int)
        records = [record(key, 1) for key in data.draw(st.lists(values, max_size=40))]
        expected = grouped(records, ("key",), {"n": operator.add})
        assert groups(record, records, ("key",), {"n": "sum"}, limit) == expected

    @settings(max_examples=30)
    @given(data=st.data(), limit=LIMITS)
    def test_several_fields_as_key(self, data, limit):
        names = data.draw(
            st.lists(st.sampled_from(list(KEYS)), min_size=2, max_size=4, unique=True)
        )
        record = class_of(**{name: KEYS[name][0] for name in names}, n=int)
        rows = st.tuples(*(KEYS[name][1] for name in names))
        records = [record(*row, 1) for row in data.draw(st.lists(rows, max_size=40))]
        expected = grouped(records, tuple(names), {"n": operator.add})
        assert groups(record, records, tuple(names), {"n": "sum"}, limit) == expected

    @pytest.mark.parametrize("how", AGGREGATES)
    @settings(max_examples=30)
    @given(data=st.data(), limit=LIMITS)
    def test_every_aggregate(self, how, data, limit):
        tp, values, function = AGGREGATES[how]
        record = class_of(key=str, value=tp)
        rows = data.draw(st.lists(st.tuples(st.sampled_from("abcde"), values), max_size=40))
        records = [record(*row) for row in rows]
        expected = grouped(records, ("key",), {"value": function})
        assert groups(record, records, ("key",), {"value": how}, limit) == expected
        assert groups(record, records, ("key",), {"value": function}, limit) == expected

    @given(st.lists(st.tuples(st.sampled_from("abcde"), st.text("xyz")), max_size=40), LIMITS)
    def test_counts_firsts_and_the_order_of_a_keys_values(self, rows, limit):
        record = class_of(key=str, value=str)
        records = [record(*row) for row in rows]
        how = {
            "n": ("value", "count"),
            "first": ("value", "first"),
            "all": ("value", operator.add),
        }
        found = joined(GroupBy("key", **how), "key", (record, records), limit=limit)["out"]
        texts = {key: [text for at, text in rows if at == key] for key, _ in rows}
        assert {attrs.astuple(group) for group in found} == {
            (key, len(values), values[0], "".join(values)) for key, values in texts.items()
        }

    @given(
        st.lists(st.tuples(st.sampled_from("abcd"), st.none() | st.integers(-5, 5)), max_size=40),
        LIMITS,
    )
    def test_none_is_left_out(self, rows, limit):
        records = [Maybe(*row) for row in rows]

        def less(a: int | None, b: int | None) -> int | None:
            return b if a is None else a if b is None else min(a, b)

        expected = grouped(records, ("key",), {"value": less})
        assert groups(Maybe, records, ("key",), {"value": "min"}, limit) == expected
        assert groups(Maybe, records, ("key",), {"value": min}, limit) == expected

    @pytest.mark.parametrize("limit", [1, 1 << 10, 1 << 16, 3 << 19, 1 << 30])
    @pytest.mark.parametrize("width", [1, 16, 40])
    def test_many_words_short_and_long(self, limit, width):
        words = [f"w{i * i % 70_001:0{width if i % 3 else 1}}" for i in range(90_000)]
        if limit == 1:
            words = words[::9]
        records = [WordCount(word, 1) for word in words]
        how: Any = GroupBy("word", count="sum")
        result = joined(how, "word", (WordCount, records), limit=limit)
        assert {wc.word: wc.count for wc in result["out"]} == Counter(words)
        spills = result.counters["spills"]
        if limit <= 1 << 16:
            assert spills > 2  # There are two shards: parts have been parted once more.
        if limit == 1 << 30:
            assert spills == 0

    def test_sums_that_a_short_key_does_not_hold(self):
        words = [f"w{i}" for i in range(40_000)]
        records = [WordCount(word, 2**31) for word in words] * 3
        result = joined(GroupBy("word", count="sum"), "word", (WordCount, records))
        assert {wc.word: wc.count for wc in result["out"]} == dict.fromkeys(words, 3 * 2**31)
        assert result.counters["spills"]

    @pytest.mark.anywhere
    def test_overflow_names_the_key(self):
        records = [WordCount(f"w{i % 50}", 2**62) for i in range(100)]
        with pytest.raises(gaia.StepError, match=r"field `count`, key 'w\d+': .* beyond 64 bits"):
            joined(GroupBy("word", count="sum"), "word", (WordCount, records))

    @pytest.mark.anywhere
    def test_fields_that_nobody_asks_for_do_not_go_to_disk(self):
        record = class_of(key=int, n=int, text=str)
        records = [record(key, 1, "x" * 1000) for key in range(100)]
        result = joined(GroupBy("key", n="sum"), "key", (record, records))
        assert 98 <= result.counters["spilled-bytes"] < 10_000
        assert len(result["out"]) == 100


class TestDistinct:
    @given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from("ab")), max_size=40), LIMITS)
    def test_the_first_of_every_key(self, rows, limit):
        record = class_of(key=int, value=str)
        firsts = dict(reversed(rows))
        given = (record, [record(*row) for row in rows])
        found = joined(Distinct("key"), "key", given, limit=limit)["out"]
        assert sorted(map(attrs.astuple, found)) == sorted(firsts.items())
        found = joined(Distinct(), "key", given, limit=limit)["out"]
        assert sorted(map(attrs.astuple, found)) == sorted(set(rows))

    @pytest.mark.parametrize("limit", [1 << 10, 1 << 16, 1 << 30])
    def test_many(self, limit):
        numbers = [i * i % 50_021 for i in range(100_000)]
        result = joined(Distinct(), None, (int, numbers), limit=limit)
        assert sorted(result["out"]) == sorted(set(numbers))
        assert bool(result.counters["spills"]) == (limit < 1 << 30)


@attrs.frozen
class Left:
    key: int | None
    a: str


@attrs.frozen
class Right:
    key: int | None
    b: float | None
    unused: str = "unused"


@attrs.frozen
class Pair:
    key: int | None
    a: str
    b: float | None


def pairs(lefts: list[Left], rights: list[Right], outer: bool) -> list[Pair]:
    """The join by plain Python."""
    by_key: dict[Any, list[Right]] = {}
    for right in rights:
        by_key.setdefault(right.key, []).append(right)
    alone = [Right(None, None)] if outer else []
    return [
        Pair(left.key, left.a, right.b) for left in lefts for right in by_key.get(left.key, alone)
    ]


JOIN_KEYS = st.none() | st.integers(0, 5) | st.just(5000)


class TestJoins:
    @pytest.mark.parametrize("op", [InnerJoin, LeftJoin])
    @given(
        st.lists(st.builds(Left, JOIN_KEYS, st.text("xy\t", max_size=2)), max_size=20),
        st.lists(st.builds(Right, JOIN_KEYS, st.none() | st.just(0.5)), max_size=40),
        LIMITS,
    )
    def test_as_plain_python_does(self, op, lefts, rights, limit):
        found = joined(op("key", type=Pair), "key", (Left, lefts), (Right, rights), limit=limit)
        gaia.testing.assert_same_records(found["out"], pairs(lefts, rights, op is LeftJoin))

    @pytest.mark.parametrize("op", [InnerJoin, LeftJoin])
    @pytest.mark.parametrize("limit", [1, 1 << 12, 1 << 15, 1 << 30])
    def test_a_key_with_more_rows_than_fit(self, op, limit):
        lefts = [Left(i % 3 or i, str(i)) for i in range(300)]
        rights = [Right(1 if i % 2 else i, i / 2) for i in range(60 if limit == 1 else 3000)]
        result = joined(op("key", type=Pair), "key", (Left, lefts), (Right, rights), limit=limit)
        gaia.testing.assert_same_records(result["out"], pairs(lefts, rights, op is LeftJoin))
        assert bool(result.counters["spills"]) == (limit < 1 << 30)

    @pytest.mark.anywhere
    def test_texts_and_keys_of_several_fields(self):
        left = class_of(day=str, key=float, text=str)
        right = class_of(day=str, key=float, data=bytes)
        lefts = [left(f"{i % 7}", float(i % 11), "é\n" * i) for i in range(100)]
        rights = [right(f"{i % 7}", -0.0 if i % 11 == 0 else i % 11, bytes([i])) for i in range(77)]
        on = ("day", "key")
        found = joined(InnerJoin(on), on, (left, lefts), (right, rights))["out"]
        data = {(each.day, each.key): each.data for each in rights}
        assert sorted((pair.text, pair.data) for pair in found) == sorted(
            (each.text, data[each.day, each.key]) for each in lefts
        )


@pytest.mark.anywhere
def test_nothing_is_written_where_all_fits():
    records = [WordCount(f"w{i}", i) for i in range(1000)]
    how: Any = GroupBy("word", count="sum")
    counters = joined(how, "word", (WordCount, records), limit=1 << 20).counters
    assert not {"spills", "spilled-bytes"} & set(counters)
    top = joined(TopK(3, "count"), "word", (WordCount, records), limit=1)
    assert "spills" not in top.counters


class TestDisk:
    """What goes wrong with the files; the joiner's function of two values does it."""

    def run(self, dest: Path, spoil: Callable[[], None], keys: int = 1000) -> gaia.RunResult:
        def add(a: int, b: int) -> int:
            spoil()
            return a + b

        pipeline = gaia.Pipeline("p")
        # The first two have one key.
        records = [WordCount("w1"), *(WordCount(f"w{i}") for i in range(1, keys))]
        words = pipeline.from_records(records, name="words")
        words.write("words", gaia.TXT).with_mod_n_sharding(1, "word")
        pipeline.join(GroupBy("word", count=add), [words], name="joiner").write("out", gaia.TXT)
        with room(1):
            return anywhere.Runner(dest).run(pipeline)

    def test_no_file_is_ever_seen(self, tmp_path):
        seen: list[str] = []

        def look() -> None:
            seen.extend(path for path in tree(tmp_path) if path.endswith(".spill"))

        result = self.run(tmp_path, look)
        assert result.counters["spills"]
        assert seen == []

    def test_a_scratch_folder_that_is_gone(self, tmp_path):
        def remove() -> None:
            for folder in tmp_path.glob("_gaia/run/tasks/*-*"):
                shutil.rmtree(folder)

        with pytest.raises(gaia.OutputError) as caught:
            self.run(tmp_path, remove)
        assert str(caught.value).startswith(f"cannot spill to {tmp_path}/_gaia/run/tasks/")
        assert str(caught.value).endswith("/spill: No such file or directory")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("keys", [100, 10_000])
    def test_a_file_that_cannot_grow(self, tmp_path, keys):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            with pytest.raises(gaia.OutputError, match=r"cannot spill to .*: File too large"):
                self.run(
                    tmp_path,
                    lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1])),
                    keys,
                )
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    @pytest.mark.anywhere
    def test_a_function_that_fails_is_to_blame(self, tmp_path):
        def fail() -> None:
            raise OSError(28, "not of the disk")

        with pytest.raises(gaia.StepError, match="step `joiner` failed: OSError"):
            self.run(tmp_path, fail)
        assert sorted(os.listdir(tmp_path / "_gaia")) == ["report.html", "run", "run.json"]


class TestBudget:
    @pytest.mark.parametrize(
        ("size", "expected"),
        [
            (1, 1),
            (10**12, 10**12),
            ("4096", 4096),
            ("500MB", 500 * 10**6),
            ("1GB", 10**9),
            ("1.5GiB", 3 << 29),
            (" .5 gib ", 1 << 29),
            ("2kB", 2000),
            ("2KiB", 2048),
            ("1TB", 10**12),
            ("7 B", 7),
        ],
    )
    def test_sizes(self, size, expected):
        assert parse_size(size) == expected

    @pytest.mark.parametrize(
        "size", [0, -1, True, 1.5, "", "GB", "1G B", "1 GB 2", "-1GB", "1e9", "1PB", "0MB", b"1"]
    )
    def test_what_is_no_size(self, size, tmp_path):
        with pytest.raises(gaia.PipelineError, match="expected a size such as") as caught:
            gaia.LocalRunner(tmp_path, memory=size)
        assert "test_memory.py" in str(caught.value)

    def test_enough_memory_changes_nothing(self):
        for total in (8 << 30, 24 << 30, 1 << 40):
            found = budget_of(total, 2)
            assert (found.buffers, found.combine) == (64 << 20, 128 << 20)

    @given(st.integers(1, 1 << 42), st.integers(1, 256), st.integers(0, 9))
    def test_all_workers_keep_within_the_memory(self, total, workers, tables):
        budget = budget_of(total, workers, tables)
        tables_use = tables * (2 * budget.buffers + 1.5 * budget.combine)
        worker = tables_use + 1.5 * budget.join + (64 << 20)
        assert (64 << 20) + workers * worker <= max(total, least_memory(workers))
        assert min(budget.buffers, budget.combine, budget.join) > 100_000

    def test_too_little_is_refused(self, tmp_path):
        pipeline = gaia.Pipeline("p")
        pipeline.from_records([1]).write("out", gaia.TXT).with_mod_n_sharding(1)
        with pytest.raises(
            gaia.PipelineError, match=r"memory of 403 MB or more for workers=4, got"
        ):
            gaia.LocalRunner(tmp_path, workers=4, memory="300MB").run(pipeline)
        result = gaia.LocalRunner(tmp_path, workers=2, memory="300MB").run(pipeline)
        assert list(result["out"].records()) == [1]

    @pytest.mark.anywhere
    def test_steps_that_write_nothing(self):
        class Count(gaia.Mapper[int, int]):
            def do(self, number: int, ctx: gaia.Context[int]) -> None:
                ctx.inc("seen")

        pipeline = gaia.Pipeline("p")
        pipeline.from_records([1, 2], name="numbers").map(Count)
        words = pipeline.from_records(["a"], name="words")
        words.write("words", gaia.TXT).with_mod_n_sharding(1)
        assert anywhere.run(pipeline).counters["seen"] == 2

    @pytest.mark.parametrize("memory", [240_000_000, None])
    @pytest.mark.anywhere
    def test_a_run_in_little_memory(self, tmp_path, memory):
        words = [f"w{i % 70_000}" for i in range(200_000)]
        pipeline = gaia.Pipeline("p")
        table = pipeline.from_records([WordCount(word) for word in words], name="words")
        table.write("words", gaia.TXT).with_mod_n_sharding(1, "word")
        pipeline.join(GroupBy("word", count="sum"), [table]).write("out", gaia.TXT)
        result = anywhere.Runner(tmp_path, memory=memory).run(pipeline)
        assert {wc.word: wc.count for wc in result["out"].records()} == Counter(words)


def system(root: Path, files: dict[str, str]) -> str:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return str(root)


MEMINFO = "MemTotal: 32000 kB\nMemFree: 9 kB\nMemAvailable:   10000 kB\nHugePages_Total:  0\n"
V2 = "sys/fs/cgroup/"
V1 = "sys/fs/cgroup/memory/"


class TestDefault:
    @pytest.mark.parametrize(
        ("files", "left"),
        [
            ({}, 10_240_000),
            # Version 2: our own group has no limit, but the one above it.
            (
                {
                    "proc/self/cgroup": "0::/user/job\n",
                    f"{V2}user/job/memory.max": "max\n",
                    f"{V2}user/memory.max": "5000000\n",
                    f"{V2}user/memory.current": "2000000\n",
                    f"{V2}user/memory.stat": "anon 500000\nfile 1500000\n",
                },
                4_500_000,
            ),
            # In a container: the path is that of the world outside.
            (
                {
                    "proc/self/cgroup": "0::/docker/0123\n",
                    f"{V2}memory.max": "3000000\n",
                },
                3_000_000,
            ),
            # Version 1, beside a version 2 without memory.
            (
                {
                    "proc/self/cgroup": "5:devices:/\n4:cpu,memory:/a:b\n0::/\n",
                    f"{V1}a:b/memory.limit_in_bytes": "4000000\n",
                    f"{V1}a:b/memory.usage_in_bytes": "3000000\n",
                    f"{V1}a:b/memory.stat": "cache 1\ntotal_cache 2500000\n",
                    f"{V1}memory.limit_in_bytes": "9223372036854771712\n",
                },
                3_500_000,
            ),
            ({"proc/self/cgroup": "0::/\n", f"{V2}memory.max": "99999999999\n"}, 10_240_000),
            (
                {
                    "proc/self/cgroup": "0::/\n",
                    f"{V2}memory.max": "10\n",
                    f"{V2}memory.current": "20\n",
                },
                0,
            ),
        ],
    )
    def test_what_the_system_leaves(self, tmp_path, files, left):
        root = system(tmp_path, {"proc/meminfo": MEMINFO, **files})
        assert default_memory(root) == int(left * 0.7)

    def test_a_system_without_such_files(self, tmp_path):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        assert default_memory(str(tmp_path)) == int(total * 0.7)

    def test_of_this_machine(self):
        assert 0 < default_memory() < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="needs Linux's files")
class TestWatch:
    @staticmethod
    def watch(share: int, memory: int) -> StageWatch:
        pipeline = gaia.Pipeline("p")
        pipeline.from_records(["a"], name="group_by").write("t", gaia.TXT).with_mod_n_sharding(1)
        return StageWatch(Status(pipeline.plan(), {}), 0, "keep less", share, memory)

    def test_a_worker_beyond_its_share_is_told_of_once(self, capsys):
        watch = self.watch(1_000_000, 3_000_000_000)
        watch.look([])
        with mock.patch("time.monotonic", side_effect=[10**9, 2 * 10**9]):
            watch.look([Worker("worker 1", os.getpid())])
            watch.look([Worker("worker 1", os.getpid())])
        told = capsys.readouterr().err
        assert told.startswith("gaia: step `group_by`: a worker uses ")
        assert told.endswith(" of its share of 1 MB (memory=3.0 GB); keep less\n")
        assert told.count("\n") == 1

    def test_others_and_the_dead_are_not(self, capsys):
        watch = self.watch(1 << 50, 1 << 50)
        watch.look([Worker("worker 1", os.getpid()), Worker("worker 2", 2**22 + 1)])
        assert not watch.told
        assert capsys.readouterr().err == ""

    def test_a_run_whose_joiner_holds_too_much(self, tmp_path, capsys):
        # A worker need not be forked, so it finds the pipe by its name.
        path = str(tmp_path / "noticed")
        os.mkfifo(path)
        pipe = os.open(path, os.O_RDWR)

        class Hoard(gaia.Joiner[str]):
            def take(self, record: str, ctx: gaia.Context[str]) -> None:
                self.held = bytearray(b"x") * (200 << 20)
                with open(path, "rb", buffering=0) as noticed:
                    noticed.read(1)

        class Noticing(StageWatch):
            def look(self, workers: Any) -> None:
                super().look(workers)
                if self.told:
                    os.write(pipe, b"x" * 9)

        pipeline = gaia.Pipeline("p")
        table = pipeline.from_records(["a"], name="lines")
        table.write("lines", gaia.TXT).with_mod_n_sharding(1)
        joiner = pipeline.join(Hoard, [table.bind_with(Hoard.take)], name="hoard")
        joiner.write("out", gaia.TXT)
        try:
            with mock.patch.object(scheduler, "StageWatch", Noticing):
                gaia.LocalRunner(tmp_path, workers=1, memory="250MB").run(pipeline)
        finally:
            os.close(pipe)
        told = capsys.readouterr().err
        assert told.count("gaia: step `hoard`: a worker uses ") == 1
        assert "of its share of 183 MB (memory=250 MB); keep less in the joiner" in told
