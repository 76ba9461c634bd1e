"""The column tier: mappers and joiners that take batches, and columns that are written."""

from collections import Counter
from typing import Any

import anywhere
import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gaia
import gaia.testing
from gaia.ops import GroupBy, WordCount, Words


@attrs.define
class Point:
    x: float
    name: str


class Half(gaia.Mapper[Point, Point]):
    def do_batch(self, batch: gaia.Batch[Point], ctx: gaia.Context[Point]) -> None:
        ctx.inc("batches")
        ctx.inc(f"rows-{len(batch)}")
        ctx.write_columns(x=[x / 2 for x in batch["x"]], name=batch["name"])


def run(mapper: Any, records: list[Any], *, batch_size: int = 8192, tasks: int = 1) -> Any:
    pipeline = gaia.Pipeline("p")
    points = pipeline.from_records([], type=Point, name="points")
    halves = points.map(mapper, batch_size=batch_size, name="halves")
    halves.write("halves", gaia.TXT).with_mod_n_sharding(2, "name")
    return anywhere.run(pipeline, {"points": records}, tasks=tasks)


@pytest.mark.anywhere
@given(
    st.lists(st.builds(Point, st.integers(-99, 99).map(float), st.text(max_size=3)), max_size=30),
    st.integers(1, 40),
)
def test_the_records_of_the_record_tier(points, batch_size):
    result = run(Half, points, batch_size=batch_size)
    gaia.testing.assert_same_records(result["halves"], [Point(p.x / 2, p.name) for p in points])
    assert result.counters["batches"] == -(-len(points) // batch_size)
    if len(points) >= batch_size:
        assert result.counters[f"rows-{batch_size}"] == len(points) // batch_size


@pytest.mark.anywhere
def test_batches_of_a_file(tmp_path):
    class Lengths(gaia.Mapper[str, int]):
        def do_batch(self, batch: gaia.Batch[str], ctx: gaia.Context[int]) -> None:
            ctx.inc("batches")
            ctx.write_columns(value=[len(line) for line in batch["value"]])

    (tmp_path / "lines.txt").write_text("".join(f"{'é' * (i % 7)}\n" for i in range(10_000)))
    pipeline = gaia.Pipeline("p")
    lengths = pipeline.read_text(tmp_path / "lines.txt").map(Lengths, batch_size=3000)
    lengths.write("lengths", gaia.TXT).with_mod_n_sharding(2)
    result = anywhere.Runner(tmp_path / "out").run(pipeline)
    assert Counter(result["lengths"].records()) == Counter(i % 7 for i in range(10_000))
    assert result.counters["batches"] == 4


@pytest.mark.anywhere
def test_a_mapper_with_both_gets_batches():
    class Both(Half):
        def do(self, record: Point, ctx: gaia.Context[Point]) -> None:
            raise AssertionError("not called")

    assert run(Both, [Point(4.0, "a")])["halves"] == [Point(2.0, "a")]


@pytest.mark.anywhere
def test_batches_behind_native_and_python_steps():
    class Count(gaia.Mapper[WordCount, str]):
        def do_batch(self, batch: gaia.Batch[WordCount], ctx: gaia.Context[str]) -> None:
            assert batch.column_names == ("word", "count")
            for record in batch.records():
                ctx.write(record.word * record.count)

    pipeline = gaia.Pipeline("p")
    lines = pipeline.from_records([], type=str, name="lines")
    words = lines.filter(lambda line: True, name="all").map(Words()).map(Count)
    words.map(str.upper, output=str).write("out", gaia.TXT).with_mod_n_sharding(2)
    result = anywhere.run(pipeline, {"lines": ["a b", "", "c"]})
    assert sorted(result["out"]) == ["A", "B", "C"]


class Sum(gaia.Joiner[WordCount]):
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.seen: set[str] = set()

    def on_stop(self, word: str, ctx: gaia.Context[WordCount]) -> None:
        self.seen.add(word)

    def on_counts(self, batch: gaia.Batch[WordCount], ctx: gaia.Context[WordCount]) -> None:
        for word, count in zip(batch["word"], batch["count"], strict=True):
            self.counts[word] += count

    def on_shard_finish(self, ctx: gaia.Context[WordCount]) -> None:
        words = [word for word in self.counts if word not in self.seen]
        ctx.write_columns(word=words, count=[self.counts[word] for word in words])


@pytest.mark.anywhere
@given(st.lists(st.sampled_from("abcd")), st.lists(st.sampled_from("cd"), unique=True))
def test_joiners_take_batches(words, stops):
    pipeline = gaia.Pipeline("p")
    counts = pipeline.from_records([], type=WordCount, name="counts")
    counts.write("counts", gaia.TXT).with_mod_n_sharding(2, "word")
    stop = pipeline.from_records([], type=str, name="stop")
    stop.write("stop", gaia.TXT).with_mod_n_sharding(2)
    inputs = [stop.bind_with(Sum.on_stop), counts.bind_with(Sum.on_counts, batch_size=3)]
    pipeline.join(Sum, inputs).write("out", gaia.TXT)
    assert "counts by on_counts, 3 records at a time" in pipeline.explain()
    given_ = {"counts": [WordCount(word, 1) for word in words], "stop": stops}
    found = anywhere.run(pipeline, given_)["out"]
    assert {wc.word: wc.count for wc in found} == Counter(w for w in words if w not in stops)


@pytest.mark.anywhere
class TestWriteColumns:
    @given(st.lists(st.lists(st.text("ab\té", max_size=4), max_size=8), max_size=20))
    def test_lists_and_single_values(self, lines):
        class Split(gaia.Mapper[str, WordCount]):
            def do(self, line: str, ctx: gaia.Context[WordCount]) -> None:
                ctx.write_columns(word=line.split(","), count=2)

        expected = Counter(word for line in lines for word in ",".join(line).split(","))
        pipeline = gaia.Pipeline("p")
        words = pipeline.from_records([], type=str, name="lines").map(Split)
        words.write("plain", gaia.TXT).with_mod_n_sharding(2, "word")
        combined = words.write("combined", gaia.TXT).with_mod_n_sharding(2, "word")
        combined.and_combine("word", count="sum")
        pipeline.join(GroupBy("word", count="sum"), [words], name="sum").write("out", gaia.TXT)
        result = anywhere.run(pipeline, {"lines": [",".join(line) for line in lines]})
        assert Counter(wc.word for wc in result["plain"]) == expected
        assert {wc.word: wc.count for wc in result["out"]} == {
            word: 2 * count for word, count in expected.items()
        }

    def test_the_shard_that_is_set(self):
        class Set(gaia.Mapper[str, int]):
            def do(self, line: str, ctx: gaia.Context[int]) -> None:
                ctx.write_columns(value=[1, 2])
                ctx.set_output_shard(1)
                ctx.write_columns(value=[4, 6])
                ctx.set_output_shard(None)
                ctx.write_columns(value=8)

        pipeline = gaia.Pipeline("p")
        numbers = pipeline.from_records([], type=str, name="lines").map(Set)
        numbers.write("out", gaia.TXT).with_mod_n_sharding(2)
        shards = anywhere.run(pipeline, {"lines": ["x"]}).shards["out"]
        assert (sorted(shards[0]), sorted(shards[1])) == ([2, 8], [1, 4, 6])

    @pytest.mark.parametrize(
        ("columns", "why"),
        [
            ({"word": ["a"]}, "expected the fields word, count of `WordCount`, got word"),
            ({"word": ["a"], "n": 1}, "expected the fields word, count of `WordCount`"),
            ({"word": ["a"], "count": [1, 2]}, "`word` has 1 values, `count` has 2"),
            ({"word": ["a", 1], "count": 1}, "row 1: field `word`: expected `str`, got `int`"),
            ({"word": ["a"], "count": "x"}, "field `count`: expected `int`, got `str`"),
            ({"word": ["a"], "count": [2**64]}, "64 bits"),
            ({"word": ["a"], "count": None}, "field `count`: expected `int`, got `NoneType`"),
        ],
    )
    def test_what_does_not_fit(self, columns, why):
        class Write(gaia.Mapper[str, WordCount]):
            def do(self, line: str, ctx: gaia.Context[WordCount]) -> None:
                ctx.write_columns(**columns)

        pipeline = gaia.Pipeline("p")
        words = pipeline.from_records([], type=str, name="lines").map(Write, name="write_them")
        words.write("out", gaia.TXT).with_mod_n_sharding(2, "word")
        with pytest.raises(gaia.StepError) as caught:
            anywhere.run(pipeline, {"lines": ["x"]})
        assert "step `write_them` failed" in str(caught.value)
        assert why in str(caught.value)

    def test_what_was_refused_leaves_nothing_behind(self):
        class Write(gaia.Mapper[str, WordCount]):
            def do(self, line: str, ctx: gaia.Context[WordCount]) -> None:
                for columns in (
                    {"word": ["a", "b"], "count": [1, None]},
                    {"word": "c", "count": 3},
                ):
                    try:
                        ctx.write_columns(**columns)
                    except TypeError:
                        ctx.inc("refused")

        pipeline = gaia.Pipeline("p")
        words = pipeline.from_records([], type=str, name="lines").map(Write)
        words.write("out", gaia.TXT).with_mod_n_sharding(2, "word")
        result = anywhere.run(pipeline, {"lines": ["x", "y"]})
        assert result["out"] == [WordCount("c", 3)] * 2
        assert result.counters["refused"] == 2


@pytest.mark.anywhere
def test_an_error_that_takes_other_records_with_it_cannot_be_caught():
    class Catch(gaia.Mapper[str, str]):
        def do(self, line: str, ctx: gaia.Context[str]) -> None:
            try:
                ctx.write_columns(value=[line, f"{line}\n", "c"] * 500)
            except ValueError:
                ctx.inc("caught")

    pipeline = gaia.Pipeline("p")
    caught = pipeline.from_records([], type=str, name="lines").map(Catch)
    caught.write("out", gaia.TXT).with_mod_n_sharding(1)
    with pytest.raises(gaia.StepError, match="a record holds a newline"):
        anywhere.run(pipeline, {"lines": ["a"] * 9})


class TestWiring:
    def test_a_batch_of_other_records(self):
        class Other(gaia.Mapper[Any, int]):
            def do_batch(self, batch: gaia.Batch[WordCount], ctx: gaia.Context[int]) -> None: ...

        points = gaia.Pipeline("p").from_records([Point(1.0, "a")], name="points")
        with pytest.raises(
            gaia.PipelineError, match=r"Other.do_batch` takes `WordCount`, but table"
        ):
            points.map(Other)

    def test_dicts_have_no_columns(self):
        class Dicts(gaia.Mapper[dict[str, Any], int]):
            def do_batch(self, batch: Any, ctx: gaia.Context[int]) -> None: ...

        dicts = gaia.Pipeline("p").from_records([{"a": 1}], name="dicts")
        with pytest.raises(gaia.PipelineError, match="expected records with fields, got `dict`"):
            dicts.map(Dicts)

    @pytest.mark.parametrize("size", [0, -1, 1.5])
    def test_a_size_that_is_none(self, size):
        points = gaia.Pipeline("p").from_records([Point(1.0, "a")], name="points")
        with pytest.raises(gaia.PipelineError, match="expected a batch_size of 1 record or more"):
            points.map(Half, batch_size=size)

    @pytest.mark.anywhere
    def test_an_error_names_the_step(self):
        class Fail(gaia.Mapper[Point, Point]):
            def do_batch(self, batch: gaia.Batch[Point], ctx: gaia.Context[Point]) -> None:
                raise ValueError("no")

        with pytest.raises(gaia.StepError, match=r"step `halves` failed: ValueError: no"):
            run(Fail, [Point(1.0, "a")])
