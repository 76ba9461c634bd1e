"""Records that fail: what `on_error` makes of them."""

import gzip
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anywhere
import attrs
import pytest
from records import tree

import gaia
import gaia.testing

pytestmark = pytest.mark.anywhere

GAIA = os.path.dirname(gaia.__file__)


class BadError(Exception):
    pass


def check(text: Any) -> Any:
    """Fails for a record that holds `bad`, and kills the worker for one that holds `deadly`."""
    if "bad" in str(text):
        raise BadError(f"no {text}")
    if "deadly" in str(text):
        os.kill(os.getpid(), signal.SIGKILL)
    return text


def checked_items(text: str) -> Iterator[str]:
    yield "first"
    yield check(text)


class Check(gaia.Mapper[str, str]):
    def do(self, text: str, ctx: gaia.Context[str]) -> None:
        ctx.write(check(text))


class WritesFirst(gaia.Mapper[str, str]):
    def do(self, text: str, ctx: gaia.Context[str]) -> None:
        ctx.write("first")
        ctx.write(check(text))


class WritesWrong(gaia.Mapper[str, str]):
    def do(self, text: str, ctx: gaia.Context[str]) -> None:
        ctx.write(5 if "bad" in text else text)  # type: ignore[arg-type]


class CheckJoined(gaia.Joiner[str]):
    def on_text(self, text: str, ctx: gaia.Context[str]) -> None:
        ctx.write(check(text))


def join(table: gaia.PTable[str], on_error: Any) -> gaia.PTable[str]:
    table.write("texts", gaia.TXT).with_mod_n_sharding(2)
    inputs = [table.bind_with(CheckJoined.on_text)]
    return table._pipeline.join(CheckJoined, inputs, name="step", on_error=on_error)


STEPS: dict[str, Callable[[gaia.PTable[str], Any], gaia.PTable[str]]] = {
    "do": lambda table, on_error: table.map(Check, name="step", on_error=on_error),
    "map": lambda table, on_error: table.map(check, name="step", output=str, on_error=on_error),
    "filter": lambda table, on_error: table.filter(check, name="step", on_error=on_error),
    "flat_map": lambda table, on_error: table.flat_map(
        lambda text: [check(text)], name="step", output=str, on_error=on_error
    ),
    "wrong type": lambda table, on_error: table.map(WritesWrong, name="step", on_error=on_error),
    "behind": lambda table, on_error: table.map(str, name="before").map(
        Check, name="step", on_error=on_error
    ),
    "before": lambda table, on_error: table.map(Check, name="step", on_error=on_error).map(
        gaia.ops.Lower(), name="after"
    ),
    "join": join,
}

TEXTS = ["one", "bad two", "three", "bad four", "five"]
GOOD = ["five", "one", "three"]


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "dest"


@pytest.fixture
def texts(tmp_path: Path) -> gaia.PTable[str]:
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"{text}\n" for text in TEXTS))
    return gaia.Pipeline("failing").read_text(path, name="texts")


def run(table: gaia.PTable[Any], dest: Path) -> gaia.RunResult:
    table.write("out", gaia.TXT).with_mod_n_sharding(1, lambda record: 0)
    result: gaia.RunResult = anywhere.Runner(dest).run(table._pipeline)
    return result


def letters(result: gaia.RunResult, table: str = "errors") -> list[gaia.DeadLetter]:
    return sorted(result[table].records(), key=lambda letter: letter.position)


@pytest.mark.parametrize("add", STEPS.values(), ids=STEPS)
class TestEveryStep:
    def test_fail_stops_the_run(self, texts: Any, dest: Path, add: Any) -> None:
        with pytest.raises(gaia.StepError, match=r"bad (two|four)"):
            run(add(texts, gaia.fail), dest)

    def test_skip_leaves_records_out_and_counts_them(
        self, texts: Any, dest: Path, add: Any, capsys: Any
    ) -> None:
        result = run(add(texts, gaia.skip()), dest)
        assert sorted(result["out"].records()) == GOOD
        assert result.counters["skipped-records"] == 2
        assert result.counters["skipped-step"] == 2
        told = capsys.readouterr().err
        assert "gaia: step: records that failed and were left out: 2; the last:\n" in told
        assert "\n    record: 'bad " in told
        assert GAIA not in told

    def test_a_dead_letter_tells_what_failed(
        self, texts: Any, dest: Path, tmp_path: Path, add: Any
    ) -> None:
        result = run(add(texts, gaia.dead_letter("errors", shards=3)), dest)
        assert sorted(result["out"].records()) == GOOD
        found = letters(result)
        assert {letter.step for letter in found} == {"step"}
        assert {letter.record for letter in found} == {"'bad two'", "'bad four'"}
        assert all(letter.file.startswith(str(tmp_path)) for letter in found)
        assert all(GAIA not in letter.traceback for letter in found)
        assert all(f'File "{__file__}", line ' in letter.traceback for letter in found)
        assert result.counters["skipped-records"] == 2
        assert len(list((dest / "errors").glob("errors-*-of-00003.jsonl"))) == 3

    def test_more_than_max_stop_the_run(self, texts: Any, dest: Path, add: Any) -> None:
        with pytest.raises(gaia.StepError) as caught:
            run(add(texts, gaia.skip(max=1)), dest)
        message = str(caught.value)
        assert message.startswith(
            "step `step` was to leave out 1 records that fail at most, but 2 failed; the last of "
            "them:\nstep `step` failed: "
        )
        assert "\n  record: 'bad " in message

    def test_max_itself_does_not(self, texts: Any, dest: Path, add: Any) -> None:
        result = run(add(texts, gaia.dead_letter("errors", max=2)), dest)
        assert len(result["errors"]) == 2


def test_the_whole_of_a_dead_letter(texts: Any, dest: Path, tmp_path: Path) -> None:
    table = texts.map(Check, name="step", on_error=gaia.dead_letter("errors"))
    letter = letters(run(table, dest))[0]
    assert attrs.evolve(letter, traceback="") == gaia.DeadLetter(
        step="step",
        file=str(tmp_path / "texts.txt"),
        position=4,
        record="'bad two'",
        error="test_on_error.BadError: no bad two",
        traceback="",
    )
    assert re.fullmatch(
        rf'  File "{__file__}", line \d+, in do\n'
        r"    ctx\.write\(check\(text\)\)\n(?:[ ~^]+\n)?"
        rf'  File "{__file__}", line \d+, in check\n'
        r'    raise BadError\(f"no \{text\}"\)',
        letter.traceback,
    )


def test_of_a_long_record_so_much_is_kept(dest: Path) -> None:
    pipeline = gaia.Pipeline("long")
    records = pipeline.from_records(["bad" * 10**6], name="records")
    result = run(records.map(check, output=str, on_error=gaia.dead_letter("errors")), dest)
    assert len(letters(result)[0].record) == 10_000


def test_max_counts_over_all_tasks(dest: Path) -> None:
    pipeline = gaia.Pipeline("many")
    records = pipeline.from_records([f"bad {n}" for n in range(100)], name="records")
    table = records.map(check, output=str, name="step", on_error=gaia.skip(max=50))
    with pytest.raises(gaia.StepError, match=r"leave out 50 records that fail at most, but 5[1-9]"):
        run(table, dest)
    assert tree(dest) == {}


def test_user_code_cannot_catch_the_last_one(texts: Any, dest: Path) -> None:
    class Catches(gaia.Mapper[str, str]):
        def do(self, text: str, ctx: gaia.Context[str]) -> None:
            try:
                ctx.write(text)
            except gaia.StepError:
                ctx.inc("caught")

    table = texts.map(Catches).map(Check, name="step", on_error=gaia.skip(max=1))
    with pytest.raises(gaia.StepError, match="at most, but 2 failed"):
        run(table, dest)


@pytest.mark.parametrize("step", [WritesFirst, checked_items])
def test_what_was_written_before_stays(texts: Any, dest: Path, step: Any) -> None:
    add = texts.map if step is WritesFirst else texts.flat_map
    result = run(add(step, on_error=gaia.skip()), dest)
    assert sorted(result["out"].records()) == sorted([*GOOD, *["first"] * 5])


def test_a_policy_is_that_of_its_step_alone(texts: Any, dest: Path) -> None:
    table = texts.map(Check, name="before", on_error=gaia.skip())
    with pytest.raises(gaia.StepError, match="step `behind` failed: ZeroDivisionError"):
        run(table.map(lambda text: 1 // 0, name="behind", output=int), dest)


def test_a_failing_write_is_no_mistake_of_the_step(texts: Any, dest: Path) -> None:
    table = texts.map(str, name="step", on_error=gaia.skip())
    table.write("sharded", gaia.TXT).with_custom_sharding(check)
    with pytest.raises(gaia.StepError, match="step `write sharded` failed"):
        run(table, dest)


def test_steps_of_one_stage_share_a_table(texts: Any, dest: Path) -> None:
    to_errors = gaia.dead_letter("errors")
    table = texts.filter(lambda text: text != "one" or 1 // 0, name="first", on_error=to_errors)
    result = run(table.map(Check, name="second", on_error=to_errors), dest)
    assert sorted(result["out"].records()) == ["five", "three"]
    assert [letter.step for letter in letters(result)] == ["first", "second", "second"]
    assert result.counters["skipped-records"] == 3
    assert result.counters["skipped-first"] == 1


def test_no_failures_leave_an_empty_table(dest: Path) -> None:
    pipeline = gaia.Pipeline("fine")
    table = pipeline.from_records(["fine"]).map(Check, on_error=gaia.dead_letter("errors"))
    result = run(table, dest)
    assert letters(result) == []
    assert result.counters["skipped-records"] == 0


def test_under_test_there_are_dead_letters_too(texts: Any) -> None:
    table = texts.map(Check, name="step", on_error=gaia.dead_letter("errors"))
    table.write("out", gaia.TXT).with_mod_n_sharding(1)
    result = anywhere.run(texts._pipeline, {"texts": TEXTS})
    assert sorted(result["out"]) == GOOD
    assert sorted(letter.position for letter in result["errors"]) == [1, 3]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_exits_are_not_errors(
    texts: Any, dest: Path, error: type[BaseException], kind_of_runner: str
) -> None:
    def leave(text: str) -> str:
        raise error

    table = texts.map(leave, on_error=gaia.skip())
    if error is KeyboardInterrupt and kind_of_runner == "inline":  # As if somebody had pressed it.
        # Ctrl-C may be ignored where the tests run.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt, match="the run was stopped"):
                run(table, dest)
        finally:
            signal.signal(signal.SIGINT, before)
        return
    with pytest.raises(gaia.StepError, match=f"^step `leave` failed: {error.__name__}\n") as caught:
        run(table, dest)
    assert GAIA not in str(caught.value)


def test_errors_of_gaias_own_are_not_skipped(texts: Any, dest: Path) -> None:
    def refuse(text: str) -> str:
        raise gaia.InputError("the model is missing")

    with pytest.raises(gaia.StepError, match="the model is missing"):
        run(texts.map(refuse, on_error=gaia.skip()), dest)


@pytest.mark.anywhere("inline", "processes")
def test_a_full_disk_is_no_mistake_in_a_record(texts: Any, dest: Path) -> None:
    resource = pytest.importorskip("resource")

    class WritesMuch(gaia.Mapper[str, str]):
        def do(self, text: str, ctx: gaia.Context[str]) -> None:
            for _ in range(100):
                ctx.write(os.urandom(500_000).hex())

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(gaia.OutputError, match=r"cannot write .*out.bundle"):
            run(texts.map(WritesMuch, name="much", on_error=gaia.skip()), dest)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


class TestParsing:
    @pytest.fixture
    def numbers(self, tmp_path: Path) -> gaia.PTable[str]:
        path = tmp_path / "numbers.txt"
        path.write_text("1\ntwo\n3\n")
        return gaia.Pipeline("numbers").read_text(path, name="numbers")

    def test_as_counts_parse_errors_by_default(self, numbers: Any, dest: Path) -> None:
        result = run(numbers.as_(int), dest)
        assert sorted(result["out"].records()) == [1, 3]
        assert result.counters["parse-errors"] == 1
        assert result.counters["skipped-records"] == 0

    def test_as_can_fail(self, numbers: Any, dest: Path) -> None:
        with pytest.raises(gaia.StepError, match=r"(?s)step `as_int` failed.*record: 'two'"):
            run(numbers.as_(int, on_error=gaia.fail), dest)

    def test_as_has_dead_letters(self, numbers: Any, dest: Path) -> None:
        result = run(numbers.as_(int, on_error=gaia.dead_letter("errors")), dest)
        assert sorted(result["out"].records()) == [1, 3]
        assert [(letter.position, letter.record) for letter in letters(result)] == [(2, "'two'")]

    def test_as_of_dicts_has_dead_letters(self, dest: Path) -> None:
        pipeline = gaia.Pipeline("dicts")
        dicts = pipeline.from_records([{"n": 1}, {"n": "x"}], name="dicts")
        table = dicts.as_(Numbered, on_error=gaia.dead_letter("errors"))
        assert [letter.record for letter in letters(run(table, dest))] == ["{'n': 'x'}"]

    @pytest.mark.parametrize("batches", [False, True])
    def test_lines_that_do_not_parse_are_kept(
        self, dest: Path, tmp_path: Path, batches: bool
    ) -> None:
        path = tmp_path / "numbered.jsonl"
        path.write_text('{"n": 1}\n{"n": \n{"n": 3}\n')
        pipeline = gaia.Pipeline("numbered")
        to_errors = gaia.dead_letter("errors")
        table: Any = pipeline.read_jsonl(path, type=Numbered, name="read", on_error=to_errors)
        table = table.map(gaia.ops.Filter("n", ">", 0)) if batches else table.filter(bool)
        result = run(table, dest)
        assert sorted(record.n for record in result["out"].records()) == [1, 3]
        (letter,) = letters(result)
        assert (letter.step, letter.file, letter.position) == ("read", str(path), 9)
        assert letter.record == repr('{"n": ')
        assert letter.error
        assert result.counters["parse-errors"] == result.counters["skipped-read"] == 1

    def test_rows_that_do_not_parse_are_kept(self, dest: Path, tmp_path: Path) -> None:
        path = tmp_path / "numbered.csv"
        path.write_text("n\n1\nx\n3\n")
        pipeline = gaia.Pipeline("numbered")
        table = pipeline.read_csv(path, type=Numbered, on_error=gaia.dead_letter("errors"))
        result = run(table, dest)
        assert [(letter.position, letter.record) for letter in letters(result)] == [(4, "'x'")]
        assert result.counters["parse-errors-int"] == 1

    def test_damage_is_told_of(self, dest: Path, tmp_path: Path) -> None:
        path = tmp_path / "texts.txt.gz"
        path.write_bytes(gzip.compress(os.urandom(1 << 16).hex().encode())[:-1000])
        pipeline = gaia.Pipeline("damaged")
        table = pipeline.read_text(path, on_error=gaia.dead_letter("errors"))
        (letter,) = letters(run(table, dest))
        assert (letter.file, letter.record) == (str(path), "")
        assert "ends early" in letter.error

    def test_too_many_stop_the_run(self, dest: Path, tmp_path: Path) -> None:
        path = tmp_path / "numbered.jsonl"
        path.write_text("x\ny\nz\n")
        pipeline = gaia.Pipeline("numbered")
        table = pipeline.read_jsonl(path, name="read", on_error=gaia.skip(max=2))
        with pytest.raises(gaia.StepError, match=r"step `read` was to leave out 2 .* but 3 failed"):
            run(table, dest)


@attrs.frozen
class Numbered:
    n: int


@pytest.mark.anywhere(*anywhere.IN_WORKERS)
class TestKillers:
    """Records that kill workers are left out as well."""

    def lines(self, *killers: int) -> list[str]:
        return [f"{'deadly' if n in killers else 'line'} {n}" for n in range(200)]

    @pytest.mark.parametrize("kind", ["txt", "txt.gz", "csv", "csv.gz", "records"])
    @pytest.mark.anywhere("processes")
    def test_several_in_one_part(self, dest: Path, tmp_path: Path, kind: str) -> None:
        killers = (0, 7, 8, 199)
        lines = self.lines(*killers)
        pipeline = gaia.Pipeline("deadly")
        path = tmp_path / f"lines.{kind}"
        head = "value\r\n" if "csv" in kind else ""
        content = (head + "".join(f"{line}\r\n" for line in lines)).encode()
        path.write_bytes(gzip.compress(content) if kind.endswith("gz") else content)
        table: gaia.PTable[str]
        if "csv" in kind:
            table = pipeline.read_csv(path, type=str, name="lines")
        elif "txt" in kind:
            table = pipeline.read_text(path, name="lines")
        else:
            table = pipeline.from_records(lines, name="lines")
        table = table.map(Check, name="step", on_error=gaia.dead_letter("errors", max=4))
        result = run(table, dest)
        assert sorted(result["out"].records()) == sorted(
            line for number, line in enumerate(lines) if number not in killers
        )
        found = letters(result)
        assert [letter.record for letter in found] == [f"'deadly {n}'" for n in killers]
        if kind == "records":
            assert [letter.position for letter in found] == list(killers)
        else:
            assert [letter.position for letter in found] == [
                content.index(f"deadly {n}\r".encode()) for n in killers
            ]
        assert all("was killed by SIGKILL" in letter.error for letter in found)
        assert result.counters["skipped-records"] == 4
        assert result.counters["map-input-lines"] == 196

    def test_more_than_max_stop_the_run(self, dest: Path) -> None:
        pipeline = gaia.Pipeline("deadly")
        table = pipeline.from_records(self.lines(3, 50, 150), name="lines")
        table = table.map(Check, name="step", on_error=gaia.skip(max=2))
        with pytest.raises(gaia.StepError, match=r"(?s)leave out 2 .* but 3 .*killed by SIGKILL"):
            run(table, dest)
        assert tree(dest) == {}

    def test_killers_beside_failures(self, dest: Path) -> None:
        pipeline = gaia.Pipeline("both")
        table = pipeline.from_records(["one", "bad", "deadly", "two"], name="lines")
        result = run(table.map(Check, name="step", on_error=gaia.skip()), dest)
        assert sorted(result["out"].records()) == ["one", "two"]
        assert result.counters["skipped-step"] == 2


class TestWiring:
    @pytest.mark.parametrize(
        ("wrong", "got"),
        [
            ("skip", "'skip'"),
            (None, "None"),
            (gaia.skip, "<function skip .*; call it"),
            (ValueError, "ValueError"),
        ],
    )
    def test_something_else_is_refused(self, texts: Any, wrong: Any, got: str) -> None:
        with pytest.raises(gaia.PipelineError, match=rf"expected on_error to be .*, got .*{got}"):
            texts.map(Check, on_error=wrong)

    @pytest.mark.parametrize("most", [-1, 1.5, "3", True])
    def test_max_is_a_number(self, texts: Any, most: Any) -> None:
        with pytest.raises(gaia.PipelineError, match="expected max of 0 or more records, got"):
            texts.map(Check, on_error=gaia.skip(most))

    @pytest.mark.parametrize("shards", [0, 1.5, None])
    def test_shards_are_a_number(self, texts: Any, shards: Any) -> None:
        with pytest.raises(gaia.PipelineError, match="expected a number of shards from 1"):
            texts.map(Check, on_error=gaia.dead_letter("errors", shards=shards))

    @pytest.mark.parametrize("name", ["", "../errors", 5])
    def test_the_table_has_a_name(self, texts: Any, name: Any) -> None:
        with pytest.raises(gaia.PipelineError, match="expected a table name"):
            texts.map(Check, on_error=gaia.dead_letter(name))

    def test_the_name_is_new(self, texts: Any) -> None:
        texts.write("errors", gaia.TXT).with_mod_n_sharding(1)
        with pytest.raises(gaia.PipelineError, match=rf"new name .* at {__file__}:\d+ is called"):
            texts.map(Check, on_error=gaia.dead_letter("errors"))

    def test_the_name_stays_taken(self, texts: Any) -> None:
        texts.map(Check, on_error=gaia.dead_letter("errors"))
        with pytest.raises(gaia.PipelineError, match=rf"new name .* at {__file__}:\d+ is called"):
            texts.write("errors", gaia.TXT)

    def test_no_other_stage_has_the_table(self, texts: Any) -> None:
        texts.map(Check, name="one", on_error=gaia.dead_letter("errors"))
        other = texts._pipeline.from_records(["a"], name="other")
        with pytest.raises(gaia.PipelineError, match="is that of step `one` behind `texts`"):
            other.map(Check, on_error=gaia.dead_letter("errors"))

    def test_one_table_has_one_number_of_shards(self, texts: Any) -> None:
        texts.map(Check, name="one", on_error=gaia.dead_letter("errors"))
        with pytest.raises(gaia.PipelineError, match=r"expected 1 shards .* `one` has it, got 2"):
            texts.map(Check, on_error=gaia.dead_letter("errors", shards=2))

    def test_steps_that_take_many_at_once_have_none(self, texts: Any) -> None:
        class Batches(gaia.Mapper[str, str]):
            def do_batch(self, batch: gaia.Batch[str], ctx: gaia.Context[str]) -> None: ...

        for step in (Batches, gaia.ops.Lower()):
            with pytest.raises(gaia.PipelineError, match="takes many at once"):
                texts.map(step, on_error=gaia.skip())

    def test_joins_that_take_many_at_once_have_none(self, texts: Any) -> None:
        class Batches(gaia.Joiner[str]):
            def on_texts(self, batch: gaia.Batch[str], ctx: gaia.Context[str]) -> None: ...

        texts.write("texts", gaia.TXT).with_mod_n_sharding(1)
        join: Any = texts._pipeline.join
        for joiner, inputs in [
            (Batches, [texts.bind_with(Batches.on_texts)]),
            (gaia.ops.Distinct(), [texts]),
        ]:
            with pytest.raises(gaia.PipelineError, match="takes many at once"):
                join(joiner, inputs, on_error=gaia.skip())
