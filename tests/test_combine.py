"""Combining before the shuffle: the same result, whatever the keys and aggregates."""

import datetime
import enum
import operator
from collections import defaultdict
from typing import Any

import anywhere
import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gaia
import gaia.testing
from gaia.ops import GroupBy, WordCount, Words
from gaia.runner import scheduler
from gaia.runner.memory import Budget


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.Enum):
    LOW = 1
    HIGH = 2


BERLIN = datetime.timezone(datetime.timedelta(hours=1))
MOMENTS = st.datetimes(
    datetime.datetime(2026, 1, 1), datetime.datetime(2026, 1, 1, 3), timezones=st.none()
).map(lambda moment: moment.replace(minute=0, second=0, microsecond=0))
AWARE = st.builds(
    lambda moment, zone: moment.replace(tzinfo=zone),
    MOMENTS,
    st.sampled_from([datetime.UTC, BERLIN]),
)

KEYS: dict[str, tuple[Any, Any]] = {
    "str": (str, st.text("abé\t\\", max_size=3) | st.just("x" * 15) | st.just("x" * 16)),
    "bytes": (bytes, st.binary(max_size=2)),
    "int": (int, st.integers(-3, 3) | st.integers(4094, 4098) | st.sampled_from([2**63 - 1])),
    "float": (float, st.sampled_from([0.0, -0.0, 1.5, float("inf"), 3.0])),
    "bool": (bool, st.booleans()),
    "datetime": (datetime.datetime, MOMENTS),
    "moment": (datetime.datetime, AWARE),
    "date": (datetime.date, st.dates(datetime.date(2026, 1, 1), datetime.date(2026, 1, 3))),
    "colour": (Colour, st.sampled_from(Colour)),
    "level": (Level, st.sampled_from(Level)),
    "optional": (str | None, st.none() | st.text("a", max_size=1)),
    "optional_int": (int | None, st.none() | st.integers(0, 2)),
}

AGGREGATES: dict[str, tuple[Any, Any, Any]] = {
    "sum": (int, st.integers(-9, 9), operator.add),
    "prod": (int, st.integers(-2, 2), operator.mul),
    "min": (int, st.integers(-9, 9), min),
    "max": (str, st.text("ab", max_size=3), max),
    "any": (bool, st.booleans(), operator.or_),
    "all": (bool, st.booleans(), operator.and_),
}


def grouped(records: list[Any], key: tuple[str, ...], reduce: dict[str, Any]) -> set[Any]:
    """The groups by plain Python."""
    groups: dict[Any, Any] = {}
    for record in records:
        at = tuple(getattr(record, name) for name in key)
        values = tuple(getattr(record, name) for name in reduce)
        if at in groups:
            pairs = zip(reduce.values(), groups[at], values, strict=True)
            values = tuple(function(old, new) for function, old, new in pairs)
        groups[at] = values
    return {(*at, *values) for at, values in groups.items()}


def run(
    table_type: Any, records: list[Any], key: tuple[str, ...], how: dict[str, Any], tasks: int = 2
) -> tuple[set[Any], list[Any]]:
    """The groups that a combined write and a GroupBy make, and the records in between."""
    pipeline = gaia.Pipeline("p")
    table = pipeline.from_records([], type=table_type, name="records")
    written = table.write("between", gaia.TXT).with_mod_n_sharding(3, key)
    written.and_combine(key, **how)
    pipeline.join(GroupBy(key, **how), [table]).write("groups", gaia.TXT)
    result = anywhere.run(pipeline, {"records": records}, tasks=tasks)
    found = [attrs.astuple(group) for group in result["groups"]]
    assert len(set(found)) == len(found)
    return set(found), result["between"]


@pytest.mark.anywhere
@pytest.mark.parametrize("kind", KEYS)
@given(data=st.data())
def test_every_kind_of_key(kind, data):
    tp, values = KEYS[kind]
    record = attrs.make_class("Keyed", {"key": attrs.field(type=tp), "n": attrs.field(type=int)})
    records = [record(key, 1) for key in data.draw(st.lists(values, max_size=20))]
    found, between = run(record, records, ("key",), {"n": "sum"})
    assert found == grouped(records, ("key",), {"n": operator.add})
    assert sum(each.n for each in between) == len(records)


@pytest.mark.anywhere
@given(data=st.data())
def test_several_fields_as_key(data):
    names = data.draw(st.lists(st.sampled_from(list(KEYS)), min_size=2, max_size=4, unique=True))
    fields = {name: attrs.field(type=KEYS[name][0]) for name in names}
    record = attrs.make_class("Keyed", {"n": attrs.field(type=int), **fields})
    rows = st.tuples(*(KEYS[name][1] for name in names))
    records = [record(1, *row) for row in data.draw(st.lists(rows, max_size=20))]
    key = tuple(names)
    found, _ = run(record, records, key, {"n": "sum"})
    expected = grouped(records, key, {"n": operator.add})
    assert {(row[0], *row[1:]) for row in found} == {(row[-1], *row[:-1]) for row in expected}


@pytest.mark.anywhere
@pytest.mark.parametrize("how", AGGREGATES)
@given(data=st.data())
def test_every_aggregate(how, data):
    tp, values, function = AGGREGATES[how]
    record = attrs.make_class(
        "Valued", {"key": attrs.field(type=str), "value": attrs.field(type=tp)}
    )
    rows = data.draw(st.lists(st.tuples(st.sampled_from("ab"), values), max_size=20))
    records = [record(*row) for row in rows]
    expected = grouped(records, ("key",), {"value": function})
    assert run(record, records, ("key",), {"value": how})[0] == expected
    # A function of two values does the same, one by one.
    assert run(record, records, ("key",), {"value": function})[0] == expected


@attrs.define
class Sale:
    city: str
    price: float
    count: int
    first: str


@pytest.mark.anywhere
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(-99, 99)), max_size=20))
def test_floats_counts_and_firsts(rows):
    records = [Sale(city, price / 4, 7, city * 2) for city, price in rows]
    how = {"price": "max", "count": "count", "first": "first"}
    pipeline = gaia.Pipeline("p")
    sales = pipeline.from_records([], type=Sale, name="records")
    sales.write("sales", gaia.TXT).with_mod_n_sharding(2, "city").and_combine("city", **how)
    merged = {"price": "max", "count": "sum", "first": "first"}
    pipeline.join(GroupBy("city", **merged), [sales]).write("groups", gaia.TXT)
    found = anywhere.run(pipeline, {"records": records}, tasks=3)["groups"]
    groups = defaultdict(list)
    for record in records:
        groups[record.city].append(record.price)
    expected = {(city, max(ps), len(ps), city * 2) for city, ps in groups.items()}
    assert {attrs.astuple(group) for group in found} == expected


@attrs.define
class Maybe:
    key: str
    value: int | None


@pytest.mark.anywhere
@given(st.lists(st.tuples(st.sampled_from("ab"), st.none() | st.integers(-5, 5)), max_size=20))
def test_none_is_left_out(rows):
    def less(a: int | None, b: int | None) -> int | None:
        return b if a is None else a if b is None else min(a, b)

    records = [Maybe(*row) for row in rows]
    found, _ = run(Maybe, records, ("key",), {"value": "min"})
    assert found == grouped(records, ("key",), {"value": less})


@pytest.mark.anywhere
@pytest.mark.parametrize("limit", [1 << 16, 3 << 20])
def test_a_full_table_is_written_out(limit, monkeypatch):
    budget = Budget(buffers=64 << 20, combine=limit, join=64 << 20)
    monkeypatch.setattr(scheduler, "budget_of", lambda *_: budget)
    lines = [" ".join(f"w{i * j % 70_001}" for j in range(40)) for i in range(1, 4000)]
    counts: dict[str, int] = defaultdict(int)
    for line in lines:
        for word in line.split():
            counts[word] += 1
    pipeline = gaia.Pipeline("p")
    words = pipeline.from_records([], type=str, name="lines").map(Words())
    words.write("words", gaia.TXT).with_mod_n_sharding(2, "word").and_combine("word", count="sum")
    pipeline.join(GroupBy("word", count="sum"), [words]).write("counts", gaia.TXT)
    result = anywhere.run(pipeline, {"lines": lines}, tasks=1)
    assert {wc.word: wc.count for wc in result["counts"]} == counts
    assert len(result["words"]) > len(counts) or limit > 1 << 20


@pytest.mark.anywhere
def test_sums_beyond_what_a_short_key_holds():
    records = [WordCount("a", 2**31), WordCount("b", 1), WordCount("a", 2**33), WordCount("a", -1)]
    found, _ = run(WordCount, records, ("word",), {"count": "sum"}, tasks=1)
    assert found == {("a", 2**31 + 2**33 - 1), ("b", 1)}


@pytest.mark.anywhere
@pytest.mark.parametrize("word", ["the", "a longer word than fits"])
def test_overflow_names_the_key(word):
    records = [WordCount(word, 2**62), WordCount(word, 2**62)]
    with pytest.raises(gaia.StepError, match=rf"field `count`, key '{word}': .* beyond 64 bits"):
        run(WordCount, records, ("word",), {"count": "sum"}, tasks=1)


@pytest.mark.anywhere
def test_an_int_beyond_64_bits_is_refused():
    with pytest.raises(gaia.StepError, match=r"field `count`: .*64 bits"):
        run(WordCount, [WordCount("a", 2**63)], ("word",), {"count": "sum"})


@pytest.mark.anywhere
def test_functions_of_the_record_shard_combined_tables():
    records = [WordCount(word, 1) for word in "abcabcaab"]
    pipeline = gaia.Pipeline("p")
    words = pipeline.from_records([], type=WordCount, name="records")
    by_function = words.write("by_function", gaia.TXT)
    by_function.with_mod_n_sharding(2, lambda wc: ord(wc.word)).and_combine("word", count="sum")
    named = words.write("named", gaia.TXT).with_custom_sharding(lambda wc: wc.word)
    named.and_combine("word", count="sum")
    shards = anywhere.run(pipeline, {"records": records}, tasks=1).shards
    assert [wc.count for wc in shards["named"]["a"]] == [4]
    assert {wc.word for wc in shards["by_function"][0]} == {"b"}
    assert {wc.word for wc in shards["by_function"][1]} == {"a", "c"}


@pytest.mark.anywhere
def test_a_shard_cannot_be_chosen():
    class Choose(gaia.Mapper[str, WordCount]):
        def do(self, word: str, ctx: gaia.Context[WordCount]) -> None:
            ctx.write(WordCount(word, 1), shard=0)

    pipeline = gaia.Pipeline("p")
    words = pipeline.from_records(["a"], name="words").map(Choose)
    words.write("out", gaia.TXT).with_mod_n_sharding(2, "word").and_combine("word", count="sum")
    with pytest.raises(gaia.StepError, match="is combined"):
        anywhere.run(pipeline)


@pytest.mark.anywhere
def test_json_lines():
    pipeline = gaia.Pipeline("p")
    words = pipeline.from_records([], type=WordCount, name="words")
    words.write("out", gaia.JSONL).with_mod_n_sharding(2, "word").and_combine("word", count="sum")
    given = {"words": [WordCount("a"), WordCount("a")]}
    assert anywhere.run(pipeline, given, tasks=1)["out"] == [WordCount("a", 2)]


class TestWiring:
    def output(self) -> gaia.Output[WordCount]:
        words = gaia.Pipeline("p").from_records([WordCount("a")], name="words")
        return words.write("words", gaia.TXT)

    @pytest.mark.parametrize(
        ("key", "how", "why"),
        [
            ("nope", {"count": "sum"}, "expected a field of `WordCount` (word, count), got 'nope'"),
            ("word", {}, "expected field `count` of `WordCount` to be part of the key"),
            ("word", {"count": "avg"}, "expected an aggregate (sum, min, max"),
            ("word", {"count": "any"}, "`any` does not take field `count`: `int`"),
            ("word", {"count": "sum", "word": "max"}, "`word` is the key"),
            ("word", {"count": lambda a: a}, "expected a function of two values"),
            (3, {"count": "sum"}, "expected a field's name or a tuple of names"),
            (("word", "word"), {"count": "sum"}, "expected different fields"),
        ],
    )
    def test_what_does_not_fit(self, key, how, why):
        with pytest.raises(gaia.PipelineError) as caught:
            self.output().and_combine(key, **how)
        assert why in str(caught.value)
        assert "test_combine.py" in str(caught.value)

    def test_records_of_one_shard_would_be_torn_apart(self):
        output = self.output().with_mod_n_sharding(2, "count")
        with pytest.raises(gaia.PipelineError, match="sharded by `count`, which is no part of"):
            output.and_combine("word", count="sum")

    def test_dicts_have_no_fields(self):
        dicts = gaia.Pipeline("p").from_records([{"a": 1}], name="dicts")
        with pytest.raises(gaia.PipelineError, match="expected records with fields, got `dict`"):
            dicts.write("dicts", gaia.JSONL).and_combine("a")


@pytest.mark.anywhere
@pytest.mark.parametrize("how", ["min", "max"])
@given(rows=st.lists(st.tuples(st.sampled_from("ab"), MOMENTS | st.datetimes()), max_size=20))
def test_least_and_latest_datetimes(how, rows):
    record = attrs.make_class(
        "At", {"key": attrs.field(type=str), "when": attrs.field(type=datetime.datetime)}
    )
    records = [record(*row) for row in rows]
    function = {"min": min, "max": max}[how]
    found, _ = run(record, records, ("key",), {"when": how})
    assert found == grouped(records, ("key",), {"when": function})


@pytest.mark.anywhere
def test_every_nan_is_one_key():
    record = attrs.make_class("Keyed", {"key": attrs.field(type=float), "n": attrs.field(type=int)})
    nan = float("nan")
    pipeline = gaia.Pipeline("p")
    table = pipeline.from_records([], type=record, name="records")
    table.write("between", gaia.TXT).with_mod_n_sharding(16, "key")
    pipeline.join(GroupBy("key", n="sum"), [table]).write("out", gaia.TXT)
    found = anywhere.run(pipeline, {"records": [record(nan, 1), record(-nan, 2)]})["out"]
    assert [group.n for group in found] == [3]


@pytest.mark.anywhere
def test_functions_do_not_get_none():
    add = operator.add
    records = [Maybe("a", None), Maybe("a", 1), Maybe("a", None), Maybe("a", 2), Maybe("b", None)]
    found, _ = run(Maybe, records, ("key",), {"value": add})
    assert found == {("a", 3), ("b", None)}


@pytest.mark.anywhere
def test_a_function_that_fails_fails_the_task_caught_or_not():
    def boom(a: int, b: int) -> int:
        if b == 7:
            raise ValueError("seven")
        return a + b

    class Catch(gaia.Mapper[int, WordCount]):
        def do(self, n: int, ctx: gaia.Context[WordCount]) -> None:
            try:
                ctx.write(WordCount(f"k{n % 3}", n))
            except ValueError:
                ctx.inc("caught")

    pipeline = gaia.Pipeline("p")
    written = pipeline.from_records([], type=int, name="numbers").map(Catch)
    written.write("out", gaia.TXT).with_mod_n_sharding(2, "word").and_combine("word", count=boom)
    with pytest.raises(gaia.StepError, match="step `write out` failed: ValueError: seven"):
        anywhere.run(pipeline, {"numbers": list(range(4000))}, tasks=1)


@pytest.mark.anywhere
def test_long_texts_count_towards_the_limit(monkeypatch):
    budget = Budget(buffers=64 << 20, combine=1 << 20, join=64 << 20)
    monkeypatch.setattr(scheduler, "budget_of", lambda *_: budget)

    @attrs.define
    class Page:
        url: int
        text: str

    pages = [Page(5000 + i, "x" * 1000) for i in range(4000)] * 2
    pipeline = gaia.Pipeline("p")
    table = pipeline.from_records([], type=Page, name="pages")
    table.write("out", gaia.TXT).with_mod_n_sharding(2, "url").and_combine("url", text="max")
    assert len(anywhere.run(pipeline, {"pages": pages}, tasks=1)["out"]) == 8000
