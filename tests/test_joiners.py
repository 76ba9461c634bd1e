"""Native joiners: the same records as plain Python makes."""

from collections import Counter
from typing import Any

import anywhere
import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gaia
import gaia.testing
from gaia.ops import Distinct, GroupBy, InnerJoin, LeftJoin, Select, TopK, WordCount


@attrs.define
class Fact:
    id: int
    amount: float


@attrs.define
class Dim:
    id: int
    name: str


def joined(joiner: Any, tables: dict[str, tuple[Any, list[Any]]], key: Any) -> list[Any]:
    pipeline = gaia.Pipeline("p")
    made = []
    for name, (tp, _) in tables.items():
        table = pipeline.from_records([], type=tp, name=name)
        table.write(name, gaia.TXT).with_mod_n_sharding(3, key)
        made.append(table)
    pipeline.join(joiner, made, name="joined").write("out", gaia.TXT)
    return anywhere.run(pipeline, {name: records for name, (_, records) in tables.items()})["out"]


WORDS = st.lists(
    st.builds(WordCount, st.text("abé\t", max_size=2), st.integers(-9, 9)), max_size=30
)
FACTS = st.lists(st.builds(Fact, st.integers(0, 9), st.integers(0, 9).map(float)), max_size=20)
DIMS = st.lists(st.builds(Dim, st.integers(0, 9), st.text("xy", max_size=2)), max_size=20)


@pytest.mark.anywhere
class TestGroupBy:
    @given(WORDS)
    def test_new_fields(self, words):
        by = GroupBy("word", total=("count", "sum"), least=("count", "min"), records="count")
        found = joined(by, {"words": (WordCount, words)}, "word")
        expected = Counter()
        for word in {wc.word for wc in words}:
            counts = [wc.count for wc in words if wc.word == word]
            expected[(word, sum(counts), min(counts), len(counts))] += 1
        assert Counter(map(attrs.astuple, found)) == expected

    @given(WORDS, WORDS)
    def test_several_tables(self, left, right):
        tables = {"left": (WordCount, left), "right": (WordCount, right)}
        found = joined(GroupBy("word", count="sum"), tables, "word")
        expected: Counter[str] = Counter()
        for wc in left + right:
            expected[wc.word] += wc.count
        assert {wc.word: wc.count for wc in found} == dict(expected)

    def test_a_class_of_ones_own(self):
        @attrs.define
        class Total:
            total: int
            word: str

        by = GroupBy("word", type=Total, total=("count", "sum"))
        found = joined(by, {"words": (WordCount, [WordCount("a", 2), WordCount("a", 3)])}, "word")
        assert found == [Total(5, "a")]

    def test_only_the_key(self):
        found = joined(GroupBy("word"), {"words": (WordCount, [WordCount("a")] * 2)}, "word")
        assert [attrs.astuple(each) for each in found] == [("a",)]

    def test_a_function(self):
        def longest(a: str, b: str) -> str:
            return max(a, b, key=len)

        by = GroupBy("id", name=longest)
        found = joined(by, {"dims": (Dim, [Dim(1, "a"), Dim(1, "abc"), Dim(2, "")])}, "id")
        gaia.testing.assert_same_records(found, [Dim(1, "abc"), Dim(2, "")])


@pytest.mark.anywhere
class TestDistinct:
    @given(WORDS)
    def test_all_fields(self, words):
        found = joined(Distinct(), {"words": (WordCount, words)}, "word")
        expected = {(wc.word, wc.count) for wc in words}
        assert Counter(map(attrs.astuple, found)) == Counter(expected)

    @given(WORDS)
    def test_by_key(self, words):
        found = joined(Distinct("word"), {"words": (WordCount, words)}, "word")
        assert Counter(wc.word for wc in found) == Counter({wc.word for wc in words})
        assert all(wc in words for wc in found)

    @given(st.lists(st.text("ab", max_size=2)))
    def test_single_values(self, words):
        found = joined(Distinct(), {"words": (str, words)}, None)
        assert Counter(found) == Counter(set(words))


@pytest.mark.anywhere
class TestTopK:
    @given(WORDS, st.integers(1, 5), st.booleans())
    def test_of_every_shard(self, words, n, largest):
        pipeline = gaia.Pipeline("p")
        table = pipeline.from_records([], type=WordCount, name="words")
        table.write("words", gaia.TXT).with_mod_n_sharding(1, "word")
        pipeline.join(TopK(n, "count", largest=largest), [table]).write("out", gaia.TXT)
        found = anywhere.run(pipeline, {"words": words}, shards=1)["out"]
        expected = sorted((wc.count for wc in words), reverse=largest)[:n]
        assert sorted((wc.count for wc in found), reverse=largest) == expected
        assert not Counter(map(attrs.astuple, found)) - Counter(map(attrs.astuple, words))

    def test_of_more_than_it_holds_at_once(self):
        numbers = [i * 7919 % 100_003 for i in range(60_000)]
        pipeline = gaia.Pipeline("p")
        table = pipeline.from_records([], type=int, name="numbers")
        table.write("numbers", gaia.TXT).with_mod_n_sharding(1, lambda number: 0)
        pipeline.join(TopK(5, "value"), [table]).write("out", gaia.TXT)
        found = anywhere.run(pipeline, {"numbers": numbers}, shards=1)["out"]
        assert sorted(found) == sorted(numbers)[-5:]


@pytest.mark.anywhere
class TestMatch:
    @given(FACTS, DIMS)
    def test_inner(self, facts, dims):
        found = joined(InnerJoin("id"), {"facts": (Fact, facts), "dims": (Dim, dims)}, "id")
        expected = Counter(
            (fact.id, fact.amount, dim.name) for fact in facts for dim in dims if fact.id == dim.id
        )
        assert Counter(map(attrs.astuple, found)) == expected

    @given(FACTS, DIMS)
    def test_left(self, facts, dims):
        found = joined(LeftJoin("id"), {"facts": (Fact, facts), "dims": (Dim, dims)}, "id")
        expected: Counter[Any] = Counter()
        for fact in facts:
            names = [dim.name for dim in dims if dim.id == fact.id] or [None]
            expected.update((fact.id, fact.amount, name) for name in names)
        assert Counter(map(attrs.astuple, found)) == expected

    def test_a_class_of_ones_own(self):
        @attrs.define
        class Named:
            name: str
            amount: float

        tables = {"facts": (Fact, [Fact(1, 2.5)]), "dims": (Dim, [Dim(1, "a")])}
        assert joined(InnerJoin("id", type=Named), tables, "id") == [Named("a", 2.5)]


class TestWiring:
    def tables(self) -> tuple[gaia.Pipeline, Any, Any]:
        pipeline = gaia.Pipeline("p")
        facts = pipeline.from_records([Fact(1, 1.0)], name="facts")
        dims = pipeline.from_records([Dim(1, "a")], name="dims")
        facts.write("facts", gaia.TXT).with_mod_n_sharding(2, "id")
        dims.write("dims", gaia.TXT).with_mod_n_sharding(2, "id")
        return pipeline, facts, dims

    @pytest.mark.parametrize(
        ("joiner", "why"),
        [
            (GroupBy("nope"), "expected tables of one type, got Fact, Dim"),
            (InnerJoin("nope"), "expected a field of `Fact` (id, amount), got 'nope'"),
            (InnerJoin("id", type=WordCount), "to be some of (id: int, amount: float, name: str)"),
            (Distinct(), "expected tables of one type"),
            (TopK(0, "id"), "expected a number of records"),
        ],
    )
    def test_what_does_not_fit(self, joiner, why):
        pipeline, facts, dims = self.tables()
        with pytest.raises(gaia.PipelineError) as caught:
            pipeline.join(joiner, [facts, dims], name="joined")
        assert "step `joined`" in str(caught.value)
        assert why in str(caught.value)
        assert "test_joiners.py" in str(caught.value)

    def test_no_methods_are_bound(self):
        pipeline, facts, dims = self.tables()

        class Facts(gaia.Joiner[Fact]):
            def on_fact(self, fact: Fact, ctx: gaia.Context[Fact]) -> None: ...

        with pytest.raises(gaia.PipelineError, match="needs no method to be bound"):
            pipeline.join(InnerJoin("id"), [facts.bind_with(Facts.on_fact), dims])  # type: ignore

    def test_fields_of_one_name(self):
        pipeline, facts, _ = self.tables()
        same = facts.map(Select("id", "amount", type=Fact), name="same")
        same.write("same", gaia.TXT).with_mod_n_sharding(2, "id")
        with pytest.raises(gaia.PipelineError, match="both tables have a field `amount`"):
            pipeline.join(InnerJoin("id"), [facts, same])

    def test_an_unwritten_table(self):
        pipeline, facts, _ = self.tables()
        unwritten = facts.map(Select("id"))
        with pytest.raises(gaia.PipelineError, match="expected written tables as inputs"):
            pipeline.join(Distinct(), [unwritten])

    def test_in_the_plan(self):
        pipeline, facts, dims = self.tables()
        pipeline.join(InnerJoin("id"), [facts, dims]).write("out", gaia.TXT)
        assert "join inner_join: InnerJoin('id') over 2 shards" in pipeline.explain()


@pytest.mark.anywhere
class TestNone:
    @attrs.define
    class Left:
        id: int | None
        amount: float

    def test_none_has_no_match_among_values(self):
        left = [self.Left(None, 1.0), self.Left(0, 2.0)]
        tables = {"left": (self.Left, left), "right": (Dim, [Dim(0, "zero")])}
        found = joined(InnerJoin("id"), tables, "id")
        assert [attrs.astuple(each) for each in found] == [(0, 2.0, "zero")]

    def test_a_key_with_very_many_pairs(self):
        tables = {
            "facts": (Fact, [Fact(1, float(i)) for i in range(400)]),
            "dims": (Dim, [Dim(1, str(i)) for i in range(400)]),
        }
        found = joined(InnerJoin("id"), tables, "id")
        assert len({(each.amount, each.name) for each in found}) == len(found) == 160_000


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"n": lambda a: a}, "expected a function of two values"),
        ({"n": ["count", "sum"]}, "expected"),
        ({"a b": "count"}, "cannot be the name of a field"),
        ({"class": "count"}, "cannot be the name of a field"),
    ],
)
def test_what_is_no_aggregate(how, why):
    pipeline = gaia.Pipeline("p")
    counts = pipeline.from_records([WordCount("a")], name="counts")
    counts.write("counts", gaia.TXT).with_mod_n_sharding(2, "word")
    how = {("count" if name == "n" else name): value for name, value in how.items()}
    with pytest.raises(gaia.PipelineError, match=why):
        pipeline.join(GroupBy("word", **how), [counts])


class Halve(gaia.Joiner[Fact]):
    def on_fact(self, fact: Fact, ctx: gaia.Context[Fact]) -> None:
        ctx.write(Fact(fact.id // 2, fact.amount))


class TestMeeting:
    def table(self, key: str, shards: int = 2) -> tuple[gaia.Pipeline, Any]:
        pipeline = gaia.Pipeline("p")
        facts = pipeline.from_records([Fact(1, 1.0)], name="facts")
        facts.write("facts", gaia.TXT).with_mod_n_sharding(shards, key)
        return pipeline, facts

    @pytest.mark.parametrize("joiner", [GroupBy("id", amount="sum"), Distinct("id")])
    def test_records_that_would_not_meet(self, joiner):
        pipeline, facts = self.table("amount")
        with pytest.raises(gaia.PipelineError, match="table `facts` is sharded by `amount`"):
            pipeline.join(joiner, [facts])

    def test_one_shard_holds_all(self):
        pipeline, facts = self.table("amount", shards=1)
        pipeline.join(GroupBy("id", amount="sum"), [facts])

    def test_a_part_of_the_key_is_enough(self):
        pipeline, facts = self.table("id")
        pipeline.join(Distinct(("id", "amount")), [facts])
        pipeline.join(TopK(3, "amount"), [facts])

    def test_a_joiner_in_python_may_have_changed_the_key(self):
        pipeline, facts = self.table("id")
        halved = pipeline.join(Halve, [facts.bind_with(Halve.on_fact)], name="halve")
        above = halved.filter(lambda fact: fact.id > 0, name="above")
        above.write("above", gaia.TXT).with_mod_n_sharding(2, "id")
        kept = halved.filter(lambda fact: fact.id > 0, name="kept")
        kept.write("kept", gaia.TXT)
        with pytest.raises(gaia.PipelineError) as told:
            pipeline.join(GroupBy("id", amount="sum"), [kept])
        assert (
            "table `kept` keeps the shards that `facts` had before `halve`, which may have changed "
            "that: equal keys would be in different shards; shard `kept` anew with "
            '.with_mod_n_sharding(2, "id")'
        ) in str(told.value)
        pipeline.join(TopK(3, "amount"), [kept])
        pipeline.join(Distinct("id"), [above])

    def test_a_step_behind_an_operator_may_have_changed_the_key(self):
        pipeline, facts = self.table("id")
        sums = pipeline.join(GroupBy("id", amount="sum"), [facts])
        moved = sums.map(lambda fact: Fact(fact.id + 1, 0.0), name="moved", output=Fact)
        moved.write("moved", gaia.TXT)
        with pytest.raises(gaia.PipelineError, match="before `moved`, which may have changed"):
            pipeline.join(Distinct("id"), [moved])

    def test_operators_and_filters_keep_the_key(self):
        pipeline, facts = self.table("id")
        sums = pipeline.join(GroupBy("id", amount="sum"), [facts])
        large = sums.filter(lambda fact: fact.amount > 1, name="large")
        large.write("large", gaia.TXT)
        pipeline.join(Distinct("id"), [large])
        with pytest.raises(gaia.PipelineError, match="`large` is sharded by `id`"):
            pipeline.join(Distinct("amount"), [large])

    def test_the_class_of_an_operator(self):
        pipeline, facts = self.table("id")
        with pytest.raises(gaia.PipelineError, match=r"`GroupBy\(...\)`, got the class"):
            pipeline.join(GroupBy, [facts])  # type: ignore[call-overload]
        with pytest.raises(gaia.PipelineError, match=r"`Select\(...\)`, got the class"):
            facts.map(Select)
