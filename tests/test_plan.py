"""Plans, as users see them by `explain()` and as drawings, against golden files.

After a wanted change: GAIA_UPDATE_GOLDEN=1 pytest tests/test_plan.py, and read the difference.
"""

import itertools
import os
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import attrs
import pytest

import gaia

TESTS = Path(__file__).parent
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</text><script>`#quot;\\&\"'"


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


def table_passes_stages() -> gaia.Pipeline:
    """A table that is joined again, two stages further down."""
    pipeline = gaia.Pipeline("passes")
    visits = read_visits(pipeline)
    visits.write("visits", gaia.TXT).with_mod_n_sharding(4, "user")
    first = pipeline.join(Totals, [visits.bind_with(Totals.on_visit)], name="first")
    first.write("first", gaia.TXT).and_compress(gaia.ZSTD)
    second = pipeline.join(Largest, [first.bind_with(Largest.on_total)], name="second")
    second.write("second", gaia.TXT)
    users = second.map(user_of, name="users")
    users.write("users", gaia.TXT).with_mod_n_sharding(4)
    last = pipeline.join(
        Totals, [users.bind_with(Totals.on_user), visits.bind_with(Totals.on_visit)], name="last"
    )
    last.write("last", gaia.TXT)
    return pipeline


def hostile_names() -> gaia.Pipeline:
    pipeline = gaia.Pipeline(HOSTILE)
    lines = pipeline.read_text(f"{HOSTILE}\n\x00.txt", name=HOSTILE)
    longest = lines.map(shorten, 100, name='"]; click stage1 "x')
    longest.write("end", gaia.TXT).with_mod_n_sharding(4)
    longest.write("a--b.x-o", gaia.TXT).with_custom_sharding(lambda line: line)
    return pipeline


def shards_of_the_input_files() -> gaia.Pipeline:
    pipeline = gaia.Pipeline("sharded_inputs")
    specs = [gaia.FileSpec(f"day-{day}/*.txt", shard=day, metadata=day) for day in range(7)]
    lines = pipeline.read_text(specs, name="lines")
    lines.filter(long).write("long", gaia.TXT)
    return pipeline


GRAPHS = [
    word_count,
    one_read_for_several_consumers,
    fused_steps,
    native_operators,
    join_of_two_tables,
    chained_joins,
    self_join_by_two_methods,
    records_that_may_fail,
    shards_of_the_input_files,
]


@pytest.mark.parametrize("build", GRAPHS)
def test_explain_is_as_in_the_golden_file(build):
    compare(f"{build.__name__}.txt", build().explain())


@pytest.mark.parametrize("build", [*GRAPHS, hostile_names, gaia.Pipeline])
def test_mermaid_is_as_in_the_golden_file(build):
    pipeline = build("nothing") if build is gaia.Pipeline else build()
    compare(
        f"{pipeline.name}.mmd" if build is gaia.Pipeline else f"{build.__name__}.mmd",
        pipeline.to_mermaid(),
    )


@pytest.mark.parametrize(
    "build", [word_count, join_of_two_tables, chained_joins, table_passes_stages]
)
def test_svg_is_as_in_the_golden_file(build):
    compare(f"{build.__name__}.svg", build().to_svg())


def compare(name, actual):
    golden = TESTS / "golden" / name
    if os.environ.get("GAIA_UPDATE_GOLDEN"):
        golden.write_text(actual + "\n", "utf-8")
    assert actual + "\n" == golden.read_text("utf-8")


@pytest.mark.parametrize("build", [*GRAPHS, hostile_names, table_passes_stages])
def test_svg_is_xml_with_a_place_for_every_stage_step_and_table(build):
    pipeline = build()
    plan = pipeline.plan()
    root = ElementTree.fromstring(pipeline.to_svg())
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    tables = [table.name for stage in plan.stages for table in stage.tables()]
    stages = [f"stage-{number}" for number in range(1, len(plan.stages) + 1)]

    assert len(ids) == len(set(ids))
    assert {*stages, *(f"table-{name}" for name in tables)} <= set(ids)
    assert {e.get("data-stage") for e in root.iter()} - {None} == {s.name for s in plan.stages}
    assert {e.get("data-table") for e in root.iter()} - {None} == set(tables)
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text == root.get("aria-label")


@pytest.mark.parametrize("build", [*GRAPHS, hostile_names, table_passes_stages])
def test_nothing_in_the_svg_lies_over_another_or_outside(build):
    root = ElementTree.fromstring(build().to_svg())
    width, height = float(root.get("width")), float(root.get("height"))
    boxes = [box_of(group) for group in root.findall(f"{SVG}g")]

    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
    for one, other in itertools.combinations(boxes, 2):
        apart = one[2] < other[0] or other[2] < one[0] or one[3] < other[1] or other[3] < one[1]
        assert apart


def box_of(group):
    """Left, top, right and bottom of a stage or a table."""
    if (rect := group.find(f"{SVG}rect")) is not None:
        x, y, width, height = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
        return x, y, x + width, y + height
    drawn = group.find(f"{SVG}path").get("d")
    x, y, radius, curve, right, bottom = map(
        float, re.match(r"M(\S+) (\S+)a(\S+) (\d+) 0 0 1 (\S+) 0V([\d.]+)a", drawn).groups()
    )
    assert radius == pytest.approx(right / 2, abs=0.1)
    return x, y - curve, x + right, bottom + curve


def test_no_name_gets_out_of_its_label():
    pipeline = hostile_names()
    root = ElementTree.fromstring(pipeline.to_svg())
    texts = {element.text for element in root.iter(f"{SVG}text")}

    assert any(f"{HOSTILE}  .txt" in (text or "") for text in texts)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
        *("svg", "title", "style", "rect", "g", "text", "path")
    }
    quoted = r'"[^"<>`]*(<br>[^"<>`]*)?"'
    node = rf"\w+(\[{quoted}\]|\[\({quoted}\)\])"
    edge = rf"\w+ -->(\|{quoted}\|)? \w+"
    for line in pipeline.to_mermaid().splitlines():
        assert re.fullmatch(rf" *(flowchart TB|end|subgraph {node}|{node}|{edge})", line)


def test_notebooks_show_the_drawing():
    pipeline = word_count()

    assert pipeline._repr_html_() == pipeline.to_svg()


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
