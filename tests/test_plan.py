"""Plans, as users see them by `explain()`, against golden files.

After a wanted change: GAIA_UPDATE_GOLDEN=1 pytest tests/test_plan.py, and read the difference.
"""

import os
import runpy
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

import gaia

TESTS = Path(__file__).parent


@attrs.define
class Visit:
    user: str
    page: str
    seconds: float


@attrs.define
class Total:
    user: str
    seconds: float


class Clean(gaia.Mapper[str, str]):
    def __init__(self, pattern: str, limit: int) -> None: ...

    def do(self, record: str, ctx: gaia.Context[str]) -> None: ...


class Totals(gaia.Joiner[Total]):
    def on_visit(self, record: Visit, ctx: gaia.Context[Total]) -> None: ...

    def on_user(self, record: str, ctx: gaia.Context[Total]) -> None: ...


class Followers(gaia.Joiner[str]):
    def __init__(self, least: int) -> None: ...

    def on_follower(self, record: Visit, ctx: gaia.Context[str]) -> None: ...

    def on_followed(self, record: Visit, ctx: gaia.Context[str]) -> None: ...


class Largest(gaia.Joiner[Total]):
    def on_total(self, record: Total, ctx: gaia.Context[Total]) -> None: ...


def words(line: str) -> Iterator[str]:
    yield from line.split()


def shorten(line: str, size: int) -> str:
    return line[:size]


def first_letter(line: str) -> str:
    return line[0]


def user_of(total: Total) -> str:
    return total.user


def long(line: str) -> bool:
    return len(line) > 80


def read_visits(pipeline: gaia.Pipeline) -> gaia.PTable[Visit]:
    return pipeline.read_jsonl("visits/*.jsonl", type=Visit, name="visits")


def word_count() -> gaia.Pipeline:
    example = runpy.run_path(str(TESTS.parent / "examples" / "word_count.py"))
    return example["build"](["books/**/*.txt"])


def one_read_for_several_consumers() -> gaia.Pipeline:
    pipeline = gaia.Pipeline("consumers")
    lines = pipeline.read_text(["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"], name="lines")
    lines.write("copy", gaia.TXT).with_mod_n_sharding(1)
    lines.write("by_letter", gaia.TXT).with_custom_sharding(first_letter)
    lines.filter(long).write("long", gaia.TXT).with_mod_n_sharding(8)
    lines.map(len, name="length", output=int).write("lengths", gaia.JSONL).with_mod_n_sharding(4)
    return pipeline


def fused_steps() -> gaia.Pipeline:
    pipeline = gaia.Pipeline("fused")
    lines = pipeline.read_text("lines.txt", name="lines")
    clean = lines.map(Clean, r"[^\w\s]", 10_000).filter(long).map(shorten, 100)
    numbers = clean.flat_map(words).as_(int)
    numbers.write("numbers", gaia.TXT).with_mod_n_sharding(16).and_compress(gaia.GZIP)
    lines.as_(Visit, name="parse").write("visits", gaia.JSONL).with_mod_n_sharding(4, "user")
    return pipeline


def native_operators() -> gaia.Pipeline:
    pipeline = gaia.Pipeline("words")
    lines = pipeline.read_text("books/*.txt", name="lines")
    words = lines.map(gaia.ops.Lower()).map(gaia.ops.FindAll(r"\w+"))
    output = words.write("words", gaia.TXT).with_mod_n_sharding(64, "word")
    output.and_combine("word", count="sum")
    counts = pipeline.join(gaia.ops.GroupBy("word", count="sum"), [words], name="counts")
    counts.write("counts", gaia.TXT).and_compress(gaia.ZSTD)
    frequent = counts.map(gaia.ops.Filter("count", ">", 9), name="frequent")
    frequent.write("frequent", gaia.JSONL).with_mod_n_sharding(1, "word")
    return pipeline


def join_of_two_tables() -> gaia.Pipeline:
    pipeline = gaia.Pipeline("totals")
    visits = read_visits(pipeline)
    visits.write("visits", gaia.TXT).with_mod_n_sharding(32, key=("user",))
    users = pipeline.from_records(["ann", "bob"], name="users")
    users.write("users", gaia.TXT).with_mod_n_sharding(32)
    totals = pipeline.join(
        Totals, [users.bind_with(Totals.on_user), visits.bind_with(Totals.on_visit)], name="totals"
    )
    totals.write("kept", gaia.TXT).and_compress(gaia.ZSTD, level=3)
    totals.write("fewer", gaia.JSONL).with_mod_n_sharding(4, key=user_of).with_max_shard_size(1.5)
    totals.write("by_user", gaia.JSONL).with_custom_sharding(user_of)
    return pipeline


def chained_joins() -> gaia.Pipeline:
    pipeline = gaia.Pipeline("chained")
    visits = read_visits(pipeline)
    visits.write("visits", gaia.TXT).with_mod_n_sharding(32, "user")
    totals = pipeline.join(Totals, [visits.bind_with(Totals.on_visit)], name="totals")
    totals.write("totals", gaia.TXT)
    kept = pipeline.join(Largest, [totals.bind_with(Largest.on_total)], name="largest_by_user")
    kept.write("largest_by_user", gaia.TXT).with_mod_n_sharding(1, "user")
    largest = pipeline.join(Largest, [kept.bind_with(Largest.on_total)], name="largest")
    largest.map(user_of).write("largest", gaia.TXT)
    return pipeline


def self_join_by_two_methods() -> gaia.Pipeline:
    pipeline = gaia.Pipeline("followers")
    visits = read_visits(pipeline)
    visits.write("visits", gaia.TXT).with_mod_n_sharding(32, "page")
    followers = pipeline.join(
        Followers,
        [visits.bind_with(Followers.on_followed), visits.bind_with(Followers.on_follower)],
        2,
        name="followers",
    )
    followers.write("followers", gaia.TXT)
    return pipeline


def records_that_may_fail() -> gaia.Pipeline:
    pipeline = gaia.Pipeline("forgiving")
    to_errors = gaia.dead_letter("errors", max=100, shards=4)
    visits = pipeline.read_jsonl("visits/*", type=Visit, name="visits", on_error=to_errors)
    users = visits.map(lambda visit: visit.user, name="users", output=str, on_error=to_errors)
    users.filter(long, on_error=gaia.skip()).write("long", gaia.TXT).with_mod_n_sharding(8)
    visits.write("visits", gaia.TXT).with_mod_n_sharding(32, "page")
    joined = pipeline.join(
        Followers,
        [visits.bind_with(Followers.on_follower)],
        2,
        name="followers",
        on_error=gaia.dead_letter("lost"),
    )
    joined.write("followers", gaia.TXT)
    return pipeline


def shards_of_the_input_files() -> gaia.Pipeline:
    pipeline = gaia.Pipeline("sharded_inputs")
    specs = [gaia.FileSpec(f"day-{day}/*.txt", shard=day, metadata=day) for day in range(7)]
    lines = pipeline.read_text(specs, name="lines")
    lines.filter(long).write("long", gaia.TXT)
    return pipeline


@pytest.mark.parametrize(
    "build",
    [
        word_count,
        one_read_for_several_consumers,
        fused_steps,
        native_operators,
        join_of_two_tables,
        chained_joins,
        self_join_by_two_methods,
        records_that_may_fail,
        shards_of_the_input_files,
    ],
)
def test_explain_is_as_in_the_golden_file(build):
    golden = TESTS / "golden" / f"{build.__name__}.txt"
    actual = build().explain() + "\n"
    if os.environ.get("GAIA_UPDATE_GOLDEN"):
        golden.write_text(actual)
    assert actual == golden.read_text()


def test_planning_is_pure():
    pipeline = join_of_two_tables()
    assert pipeline.plan() == pipeline.plan()
    assert pipeline.explain() == pipeline.explain()


def test_a_read_without_consumers_is_left_out():
    pipeline = gaia.Pipeline("reads")
    read_visits(pipeline)
    lines = pipeline.read_text("lines.txt", name="lines")
    lines.write("copy", gaia.TXT).with_mod_n_sharding(1)

    assert [stage.name for stage in pipeline.plan().stages] == ["lines"]


def test_an_empty_pipeline_has_no_stages():
    assert gaia.Pipeline("nothing").plan().stages == ()


def test_steps_without_a_name_are_named_after_their_code():
    pipeline = gaia.Pipeline("names")
    lines = pipeline.read_text("lines.txt")
    cleaned = [lines.map(Clean, pattern, 1) for pattern in "ab"]
    steps = [lines, *cleaned, lines.filter(lambda line: True), lines.as_(Visit)]

    assert [step.name for step in steps] == ["read_text", "clean", "clean_2", "lambda", "as_visit"]


def test_a_join_without_a_name_is_named_as_a_map_is():
    class TakesAll(gaia.Joiner[str]):
        def on_visit(self, record: Visit, ctx: gaia.Context[str]) -> None: ...

    pipeline = gaia.Pipeline("names")
    visits = read_visits(pipeline)
    visits.write("visits", gaia.TXT).with_mod_n_sharding(1, "user")
    join = pipeline.join(TakesAll, [visits.bind_with(TakesAll.on_visit)])

    assert join.name == "takes_all"
