"""Native operators: the same records as plain Python makes, on any data and in any mixture."""

import datetime
import enum
import operator
import re
from collections import Counter
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import gaia
import gaia.testing
from gaia.ops import (
    Filter,
    FindAll,
    Grep,
    Lower,
    ParseCsv,
    ParseJson,
    Replace,
    Select,
    Split,
    WordCount,
    Words,
)

SPACES = (
    " \t\x0b\x0c\r\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
TEXT = st.text(st.sampled_from("aB7_,;é\u0130Σßяあ😀-" + SPACES) | st.characters(codec="utf-8"))
LINES = st.lists(TEXT.map(lambda text: text.replace("\n", " ").replace("\r", " ")), max_size=20)


def outcome(step: Any, lines: list[Any], *, type: Any = str) -> list[Any]:
    """What a step makes of records, through a real run."""
    pipeline = gaia.Pipeline("p")
    table = step(pipeline.from_records([], type=type, name="lines"))
    table.write("out", gaia.JSONL).with_mod_n_sharding(3, lambda record: 0)
    return gaia.testing.run(pipeline, {"lines": lines})["out"]


def through_a_file(step: Any, lines: list[str], folder: Any) -> list[Any]:
    """The same of lines that come in blocks out of a file."""
    (folder / "lines.txt").write_text("".join(line + "\n" for line in lines), newline="")
    pipeline = gaia.Pipeline("p")
    table = step(pipeline.read_text(folder / "lines.txt"))
    table.write("out", gaia.JSONL).with_mod_n_sharding(3, lambda record: 0)
    return list(gaia.LocalRunner(folder / "out", workers=0).run(pipeline)["out"].records())


class TestWords:
    @given(LINES)
    @example([" ".join("ab"), "", "   "])
    def test_as_str_split(self, lines):
        expected = [word for line in lines for word in line.split()]
        gaia.testing.assert_same_records(
            outcome(lambda table: table.map(Words(type=str)), lines), expected
        )

    @settings(max_examples=30)
    @given(lines=LINES)
    def test_as_str_split_in_blocks(self, lines, tmp_path_factory):
        expected = [word for line in lines for word in line.split()]
        found = through_a_file(
            lambda table: table.map(Words(type=str)), lines, tmp_path_factory.mktemp("words")
        )
        gaia.testing.assert_same_records(found, expected)

    @given(LINES, st.sampled_from([",", ", ", "é", "aa"]))
    def test_with_a_separator(self, lines, separator):
        expected = [word for line in lines for word in line.split(separator)]
        found = outcome(lambda table: table.map(Words(separator, type=str)), lines)
        gaia.testing.assert_same_records(found, expected)

    def test_words_are_counted_one_each(self):
        assert outcome(lambda table: table.map(Words()), ["a"]) == [WordCount("a", 1)]

    def test_a_class_of_ones_own(self):
        @attrs.define
        class Seen:
            word: str
            times: int
            files: int

        assert outcome(lambda table: table.map(Words(type=Seen)), ["a"]) == [Seen("a", 1, 1)]

    @pytest.mark.parametrize("separator", ["", r"\w+", 3])
    def test_what_is_no_separator(self, separator):
        lines = gaia.Pipeline("p").from_records(["a"])
        with pytest.raises(gaia.PipelineError, match="separator"):
            lines.map(Words(separator))

    def test_only_of_lines(self):
        numbers = gaia.Pipeline("p").from_records([1], name="numbers")
        with pytest.raises(
            gaia.PipelineError, match="step `words`: Words: expected a table of `str`"
        ):
            numbers.map(Words())


class TestRegex:
    # Letters, digits and marks on which Rust's classes and Python's agree.
    lines = st.lists(st.text("ab7_ ,;.éßяあ@-", max_size=40), max_size=20)
    patterns = st.sampled_from(
        [
            r"\w+",
            r"[a-z]+",
            r"[^,;]+",
            r"\d",
            r"a*",
            r"(a)b",
            r"\w+@\w+",
            r"\b\w{2,}\b",
            r"é|я",
            r"b?",
        ]
    )

    @given(lines, patterns)
    def test_find_all(self, lines, pattern):
        expected = [found for line in lines for found in re.findall(pattern, line)]
        found = outcome(lambda table: table.map(FindAll(pattern, type=str)), lines)
        gaia.testing.assert_same_records(found, expected)

    @settings(max_examples=30)
    @given(lines=lines, pattern=patterns)
    def test_find_all_in_blocks(self, lines, pattern, tmp_path_factory):
        expected = [found for line in lines for found in re.findall(pattern, line)]
        found = through_a_file(
            lambda table: table.map(FindAll(pattern, type=str)),
            lines,
            tmp_path_factory.mktemp("find"),
        )
        gaia.testing.assert_same_records(found, expected)

    @given(lines, patterns)
    def test_grep(self, lines, pattern):
        expected = [line for line in lines if re.search(pattern, line)]
        found = outcome(lambda table: table.map(Grep(pattern)), lines)
        gaia.testing.assert_same_records(found, expected)

    @given(lines, st.sampled_from([(r"\w+", r"<\g<0>>"), ("(a)(b)", r"\2\1"), ("b?", "-")]))
    def test_replace(self, lines, change):
        expected = [re.sub(*change, line) for line in lines]
        found = outcome(lambda table: table.map(Replace(*change)), lines)
        gaia.testing.assert_same_records(found, expected)

    def test_lines_are_searched_one_by_one(self, tmp_path):
        found = through_a_file(
            lambda table: table.map(FindAll("[^,]+", type=str)), ["a,b", "c"], tmp_path
        )
        assert sorted(found) == ["a", "b", "c"]

    def test_carriage_returns_at_line_ends_are_no_text(self, tmp_path):
        (tmp_path / "lines.txt").write_bytes(b"a,b\r\nc\r\n")
        pipeline = gaia.Pipeline("p")
        lines = pipeline.read_text(tmp_path / "lines.txt")
        lines.map(FindAll("[^,]+", type=str)).write("out", gaia.JSONL).with_mod_n_sharding(1)
        found = gaia.LocalRunner(tmp_path, workers=0).run(pipeline)["out"].records()
        assert sorted(found) == ["a", "b", "c"]

    @pytest.mark.parametrize("pattern", ["(", r"(?=a)", r"(a)\1"])
    def test_a_pattern_that_is_none_is_refused_at_once(self, pattern):
        lines = gaia.Pipeline("p").from_records(["a"], name="lines")
        with pytest.raises(
            gaia.PipelineError, match=r"(?s)step `find_all`: FindAll: .*test_ops\.py"
        ):
            lines.map(FindAll(pattern))

    def test_several_groups_are_refused(self):
        lines = gaia.Pipeline("p").from_records(["a"], name="lines")
        with pytest.raises(gaia.PipelineError, match="at most one group"):
            lines.map(FindAll("(a)(b)"))

    @given(LINES)
    def test_lower(self, lines):
        found = outcome(lambda table: table.map(Lower()), lines)
        gaia.testing.assert_same_records(found, [line.lower() for line in lines])


@attrs.define(eq=True, order=False, hash=True)
class Row:
    key: int
    name: str
    price: float
    good: bool | None
    day: datetime.date | None


ROWS = st.lists(
    st.builds(
        Row,
        st.integers(-(2**63), 2**63 - 1),
        st.text(st.characters(codec="utf-8", exclude_characters="\r\n")),
        st.floats(allow_nan=False, allow_infinity=False),
        st.none() | st.booleans(),
        st.none() | st.dates(),
    ),
    max_size=20,
)


def csv_line(row: Row) -> str:
    name = row.name
    if any(mark in name for mark in '",') or name != name.strip():
        name = '"' + name.replace('"', '""') + '"'
    good = "" if row.good is None else str(row.good).lower()
    day = "" if row.day is None else row.day.isoformat()
    return f"{row.key},{name},{row.price!r},{good},{day}"


class TestParse:
    @given(ROWS)
    def test_csv(self, rows):
        found = outcome(lambda table: table.map(ParseCsv(Row)), [csv_line(row) for row in rows])
        gaia.testing.assert_same_records(found, rows)

    def test_rows_that_do_not_fit_are_counted(self):
        pipeline = gaia.Pipeline("p")
        lines = pipeline.from_records([], type=str, name="lines")
        rows = lines.map(ParseCsv(WordCount))
        rows.write("rows", gaia.TXT).with_mod_n_sharding(1, "word")
        given = ["a,1", "b", "c,x", "d,4,5", '"e"",",6', "f,99999999999999999999"]
        result = gaia.testing.run(pipeline, {"lines": given})
        gaia.testing.assert_same_records(result["rows"], [WordCount("a", 1), WordCount('e",', 6)])
        assert result.counters["parse-errors"] == 4

    @given(st.lists(st.tuples(st.text("ab c"), st.integers(-9, 9)), max_size=9))
    def test_split(self, rows):
        found = outcome(
            lambda table: table.map(Split(WordCount, separator="; ")),
            [f"{word}; {count}" for word, count in rows],
        )
        gaia.testing.assert_same_records(found, [WordCount(*row) for row in rows])

    @given(
        ROWS,
        st.lists(st.sampled_from(['{"key": 1}', "", "null", "[1]", '{"key": 1.5}']), max_size=3),
    )
    def test_json_as_read_jsonl(self, rows, others):
        lines = [msgspec.json.encode(attrs.asdict(row)).decode() for row in rows]
        found = outcome(lambda table: table.map(ParseJson(Row)), lines + others)
        gaia.testing.assert_same_records(found, rows)


class TestSelectAndFilter:
    @given(ROWS, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]))
    def test_filter(self, rows, comparison):
        compare = {
            "==": operator.eq,
            "!=": operator.ne,
            "<": operator.lt,
            "<=": operator.le,
            ">": operator.gt,
            ">=": operator.ge,
        }[comparison]
        for field, value in [("key", 0), ("name", "m"), ("price", 0.5)]:
            expected = [row for row in rows if compare(getattr(row, field), value)]
            found = outcome(
                lambda table, f=field, v=value: table.map(Filter(f, comparison, v)), rows, type=Row
            )
            gaia.testing.assert_same_records(found, expected)

    @given(ROWS)
    def test_filter_on_none_and_dates(self, rows):
        found = outcome(lambda table: table.map(Filter("good", "==", None)), rows, type=Row)
        gaia.testing.assert_same_records(found, [row for row in rows if row.good is None])
        day = datetime.date(2000, 1, 1)
        found = outcome(lambda table: table.map(Filter("day", ">=", day)), rows, type=Row)
        expected = [row for row in rows if row.day is not None and row.day >= day]
        gaia.testing.assert_same_records(found, expected)

    @given(ROWS)
    def test_select(self, rows):
        found = outcome(lambda table: table.map(Select("price", type=float)), rows, type=Row)
        gaia.testing.assert_same_records(found, [row.price for row in rows])

    def test_select_makes_a_class(self):
        rows = [Row(1, "a", 0.5, None, None)]
        [found] = outcome(lambda table: table.map(Select("name", "key")), rows, type=Row)
        assert attrs.asdict(found) == {"name": "a", "key": 1}

    @pytest.mark.parametrize(
        ("op", "why"),
        [
            (Select("nope"), "expected a field of `Row`"),
            (Select(), "at least one field"),
            (Filter("nope", "==", 1), "expected a field of `Row`"),
            (Filter("key", "~", 1), "expected one of =="),
            (Filter("key", "==", "x"), "expected `int`, got `str`"),
            (Filter("key", "==", None), "never true"),
            (Lower("key"), "expected a field that is `str`"),
        ],
    )
    def test_what_does_not_fit_is_refused_at_once(self, op, why):
        rows = gaia.Pipeline("p").from_records([], type=Row, name="rows")
        with pytest.raises(gaia.PipelineError, match=re.escape(why)):
            rows.map(op)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.Enum):
    LOW = 1
    HIGH = 2


class TestMixtures:
    @given(LINES)
    def test_python_before_and_after(self, lines):
        def shout(line: str) -> str:
            return line.upper()

        def length(word: str) -> int:
            return len(word)

        def steps(table: Any) -> Any:
            words = table.map(shout).map(Lower()).map(Words(type=str)).filter(lambda word: True)
            return words.map(Grep("a")).map(length)

        expected = [
            len(word) for line in lines for word in line.upper().lower().split() if "a" in word
        ]
        gaia.testing.assert_same_records(outcome(steps, lines), expected)

    def test_one_table_to_native_and_python_steps(self, tmp_path):
        (tmp_path / "lines.txt").write_text("a b\nb\n" * 1000)
        pipeline = gaia.Pipeline("p")
        lines = pipeline.read_text(tmp_path / "lines.txt", name="lines")
        lines.map(Words(type=str)).write("words", gaia.TXT).with_mod_n_sharding(2)
        lines.map(len, output=int).write("lengths", gaia.TXT).with_mod_n_sharding(2)
        lines.write("lines", gaia.TXT).with_mod_n_sharding(2)
        result = gaia.LocalRunner(tmp_path / "out", workers=0).run(pipeline)
        assert Counter(result["words"].records()) == {"a": 1000, "b": 2000}
        assert Counter(result["lengths"].records()) == {3: 1000, 1: 1000}
        assert Counter(result["lines"].records()) == {"a b": 1000, "b": 1000}

    def test_positions_are_known_behind_native_steps(self, tmp_path):
        (tmp_path / "lines.txt").write_text("alpha beta\ngamma\n")

        @attrs.define
        class Found:
            word: str
            position: int

        class Locate(gaia.Mapper[str, Found]):
            def do(self, word: str, ctx: gaia.Context[Found]) -> None:
                ctx.write(Found(word, ctx.input_pos))

        pipeline = gaia.Pipeline("p")
        words = pipeline.read_text(tmp_path / "lines.txt", name="lines").map(Words(type=str))
        words.map(Locate).write("found", gaia.TXT).with_mod_n_sharding(1, "word")
        found = gaia.LocalRunner(tmp_path / "out", workers=0).run(pipeline)["found"].records()
        assert {record.word: record.position for record in found} == {
            "alpha": 0,
            "beta": 6,
            "gamma": 11,
        }

    def test_an_error_behind_a_native_step_names_step_and_record(self, tmp_path):
        (tmp_path / "lines.txt").write_text("alpha beta\n")

        def fail(word: str) -> str:
            raise ValueError(word)

        pipeline = gaia.Pipeline("p")
        words = pipeline.read_text(tmp_path / "lines.txt", name="lines").map(Words(type=str))
        words.map(fail).write("found", gaia.TXT).with_mod_n_sharding(1)
        with pytest.raises(
            gaia.StepError, match=r"step `fail` failed: ValueError: alpha(?s:.*)record: 'alpha'"
        ):
            gaia.LocalRunner(tmp_path / "out", workers=0).run(pipeline)

    def test_dicts_are_refused(self):
        table = gaia.Pipeline("p").from_records([{"a": 1}], name="dicts")
        with pytest.raises(gaia.PipelineError, match="expected records with fields, got `dict`"):
            table.map(Filter("a", "==", 1))


class TestEdges:
    def test_a_field_of_a_stored_table_is_all_that_is_searched(self, tmp_path):
        @attrs.define
        class Two:
            a: str
            b: str

        first = gaia.Pipeline("first")
        table = first.from_records([Two("x1 x2", "y1 y2")], name="two")
        table.write("two", gaia.TXT).with_mod_n_sharding(1, "a")
        gaia.LocalRunner(tmp_path, workers=0).run(first)
        second = gaia.Pipeline("second")
        stored = second.read_table(tmp_path / "two", type=Two)
        words = stored.map(Select("a", type=str)).map(Words(type=str))
        words.write("words", gaia.TXT).with_mod_n_sharding(1)
        found = gaia.LocalRunner(tmp_path, workers=0).run(second)["words"].records()
        assert sorted(found) == ["x1", "x2"]

    def test_filter_on_what_is_the_same_in_every_row(self):
        words = outcome(lambda table: table.map(Words()).map(Filter("count", "==", 1)), ["a b"])
        assert [wc.word for wc in words] == ["a", "b"]

    def test_naive_datetimes_are_not_compared_with_moments(self):
        @attrs.define
        class At:
            when: datetime.datetime

        naive = datetime.datetime(2026, 1, 1, 12)
        rows = [At(naive.replace(hour=1)), At(naive.replace(hour=1, tzinfo=datetime.UTC))]
        found = outcome(lambda table: table.map(Filter("when", "<", naive)), rows, type=At)
        assert found == rows[:1]

    def test_the_file_is_known_behind_steps_that_take_batches(self, tmp_path):
        for name in "abc":
            (tmp_path / f"{name}.txt").write_text(f"{name}\n")

        class Where(gaia.Mapper[str, str]):
            def do(self, word: str, ctx: gaia.Context[str]) -> None:
                ctx.write(f"{word} {ctx.input_file[-5:]}")

        def same(line: str) -> str:
            return line

        pipeline = gaia.Pipeline("p")
        lines = pipeline.read_text(tmp_path / "*.txt").map(same).map(Words(type=str))
        lines.map(Where).write("out", gaia.TXT).with_mod_n_sharding(1)
        found = gaia.LocalRunner(tmp_path / "out", workers=0).run(pipeline)["out"].records()
        assert sorted(found) == ["a a.txt", "b b.txt", "c c.txt"]

    def test_ints_beyond_64_bits_are_parse_errors(self):
        pipeline = gaia.Pipeline("p")
        rows = pipeline.from_records([], type=str, name="lines").map(ParseJson(WordCount))
        rows.write("rows", gaia.TXT).with_mod_n_sharding(1, "word")
        lines = ['{"word": "a", "count": 9223372036854775808}', '{"word": "b", "count": 1}']
        result = gaia.testing.run(pipeline, {"lines": lines})
        assert result["rows"] == [WordCount("b", 1)]
        assert result.counters["parse-errors"] == 1
