"""gaia.testing, which users' own tests of pipelines use."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import gaia
from gaia.testing import TestResult, assert_same_records, run


class Numbered(gaia.Mapper[str, str]):
    """Numbers the records of each task."""

    def __init__(self) -> None:
        self.number = 0

    def do(self, record: str, ctx: gaia.Context[str]) -> None:
        ctx.inc("numbered")
        ctx.freq_map("records")[record] += 1
        ctx.write(f"{self.number} {record}")
        self.number += 1


class Together(gaia.Joiner[str]):
    """Writes the records of a shard as one."""

    def __init__(self) -> None:
        self.records: list[str] = []

    def on_record(self, record: str, ctx: gaia.Context[str]) -> None:
        self.records.append(record)

    def on_shard_finish(self, ctx: gaia.Context[str]) -> None:
        ctx.write("".join(self.records))


@pytest.fixture
def pipeline() -> gaia.Pipeline:
    """Numbers `lines`, which are in no file, and puts them together in what should be one shard."""
    pipeline = gaia.Pipeline("p")
    lines = pipeline.read_text("/missing/*.txt", name="lines")
    lines.map(Numbered).write("numbered", gaia.TXT).with_mod_n_sharding(1)
    lines.write("lines", gaia.TXT).with_mod_n_sharding(1, ord)
    together = pipeline.join(Together, [lines.bind_with(Together.on_record)])
    together.write("together", gaia.TXT)
    return pipeline


def numbered(pipeline: gaia.Pipeline, lines: Iterable[Any] = "abcdefgh", **options: Any) -> Any:
    return sorted(run(pipeline, {"lines": lines}, **options)["numbered"])


class TestRun:
    def test_inputs_are_given_by_the_name_of_their_read(self, pipeline: gaia.Pipeline) -> None:
        result = run(pipeline, {"lines": iter("aba")})
        assert isinstance(result, TestResult)
        assert sorted(result["lines"]) == ["a", "a", "b"]
        assert result.counters["numbered"] == 3
        assert result.freq_maps["records"] == {"a": 2, "b": 1}

    def test_reads_without_inputs_read_their_files(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("from a file\n")
        pipeline = gaia.Pipeline("p")
        for name, read in [
            ("file", pipeline.read_text(tmp_path / "a.txt", name="file")),
            ("records", pipeline.from_records(["from the plan"], name="records")),
            ("given", pipeline.from_records(["other"], name="given")),
        ]:
            read.write(name, gaia.TXT).with_mod_n_sharding(1)
        result = run(pipeline, {"given": ["from the test"]})
        assert (result["file"], result["records"], result["given"]) == (
            ["from a file"],
            ["from the plan"],
            ["from the test"],
        )

    def test_code_that_relies_on_one_task_shows(self, pipeline: gaia.Pipeline) -> None:
        assert numbered(pipeline, "abcd") == ["0 a", "0 c", "1 b", "1 d"]
        assert numbered(pipeline, "abcd", tasks=1) == ["0 a", "1 b", "2 c", "3 d"]
        assert numbered(pipeline, "a", tasks=3) == ["0 a"]

    def test_code_that_relies_on_one_shard_shows(self, pipeline: gaia.Pipeline) -> None:
        result = run(pipeline, {"lines": "abcd"})
        assert result.shards["together"] == {0: ["bd"], 1: ["ac"]}
        result = run(pipeline, {"lines": "abcd"}, shards=1)
        assert result.shards["together"] == {0: ["abcd"]}

    def test_a_seed_shuffles_always_in_the_same_way(self, pipeline: gaia.Pipeline) -> None:
        orders = [tuple(numbered(pipeline, seed=seed)) for seed in (None, 1, 2, 1)]
        assert orders[1] == orders[3]
        assert len(set(orders)) == 3

    @pytest.mark.parametrize("lines", [[], "abc"])
    def test_nothing_is_left_behind(
        self, pipeline: gaia.Pipeline, lines: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("gaia.testing._MEMORY", str(tmp_path))
        run(pipeline, {"lines": lines})
        with pytest.raises(gaia.StepError):
            run(pipeline, {"lines": [*lines, "no character"]})
        assert os.listdir(tmp_path) == []

    def test_an_input_for_an_unknown_read_is_refused(self, pipeline: gaia.Pipeline) -> None:
        with pytest.raises(gaia.PipelineError, match=r"reads \(lines\).* 'line'"):
            run(pipeline, {"line": []})

    def test_an_input_of_another_type_is_refused(self, pipeline: gaia.Pipeline) -> None:
        with pytest.raises(gaia.PipelineError, match="type `str` for `lines`, got `int`"):
            run(pipeline, {"lines": ["a", 1]})

    def test_a_refusal_names_the_line_of_the_test(self, pipeline: gaia.Pipeline) -> None:
        with pytest.raises(gaia.PipelineError, match=f"at {__file__}:"):
            run(pipeline, {"line": []})

    @pytest.mark.parametrize("tasks", [0, -1])
    def test_a_number_of_tasks_below_one_is_refused(
        self, pipeline: gaia.Pipeline, tasks: int
    ) -> None:
        with pytest.raises(gaia.PipelineError, match=f"expected .*tasks.*, got {tasks}"):
            numbered(pipeline, tasks=tasks)

    def test_a_table_that_was_not_written_is_named(self, pipeline: gaia.Pipeline) -> None:
        result = run(pipeline, {"lines": ["a"]})
        with pytest.raises(KeyError, match="no table 'words'; there is lines, numbered, together"):
            result["words"]


class TestAssertSameRecords:
    @pytest.mark.parametrize(
        ("actual", "expected"),
        [
            ([], []),
            ([1, 2, 1], [2, 1, 1]),
            ([{"a": [1]}, {"b": 2}], [{"b": 2}, {"a": [1]}]),
            (iter("ab"), "ba"),
            ([float("nan")], [float("nan")]),
            ([{"a": 1, "b": 2}], [{"b": 2, "a": 1}]),
        ],
        ids=["none", "numbers", "dicts", "iterators", "nan", "order of keys"],
    )
    def test_order_does_not_matter(self, actual: Any, expected: Any) -> None:
        assert_same_records(actual, expected)

    @pytest.mark.parametrize(
        ("actual", "expected", "differences"),
        [
            ([1, 2], [1], ["unexpected: 2"]),
            ([], ["a"], ["missing: 'a'"]),
            ([1, 1], [1], ["unexpected: 1"]),
            (
                [True, 2.0],
                [1, 2],
                ["missing: 1", "missing: 2", "unexpected: 2.0", "unexpected: True"],
            ),
        ],
        ids=["more", "less", "more often", "another type"],
    )
    def test_differences_are_listed(
        self, actual: Any, expected: Any, differences: list[str]
    ) -> None:
        with pytest.raises(AssertionError) as caught:
            assert_same_records(actual, expected)
        assert str(caught.value) == "\n  ".join(["the records differ", *differences])

    def test_many_differences_are_counted(self) -> None:
        with pytest.raises(AssertionError, match=r"missing: 0(.|\n)*and 80 more$"):
            assert_same_records([], range(100))


def test_a_failing_test_shows_none_of_gaias_frames() -> None:
    pipeline = gaia.Pipeline("p")
    fails = pipeline.from_records([0], name="numbers").map(lambda n: 1 // n, output=int)
    fails.write("out", gaia.TXT).with_mod_n_sharding(1)
    with pytest.raises(gaia.StepError) as step:
        run(pipeline)
    with pytest.raises(AssertionError) as same:
        assert_same_records([1], [2])
    for error in (step, same):
        shown = [entry.path for entry in error.traceback if not entry.ishidden(error)]
        assert [Path(path).name for path in shown] == [Path(__file__).name]
