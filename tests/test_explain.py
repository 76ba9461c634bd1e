"""The plan with sizes, before anything runs.

After a wanted change of the text: GAIA_UPDATE_GOLDEN=1 pytest tests/test_explain.py.
"""

import os
from pathlib import Path

import pytest

import gaia

TESTS = Path(__file__).parent


class Never(gaia.Mapper[str, str]):
    def do(self, record: str, ctx: gaia.Context[str]) -> None:
        raise AssertionError("this was run")


class Joined(gaia.Joiner[str]):
    def on_line(self, record: str, ctx: gaia.Context[str]) -> None: ...


def job(inputs: str) -> gaia.Pipeline:
    pipeline = gaia.Pipeline("job")
    lines = pipeline.read_text(inputs, name="lines", errors="replace")
    words = lines.map(gaia.ops.Words(), name="words")
    output = words.write("words", gaia.TXT).with_mod_n_sharding(8, "word")
    output.and_combine("word", count="sum")
    counts = pipeline.join(gaia.ops.GroupBy("word", count="sum"), [words], name="counts")
    counts.write("counts", gaia.TXT)
    never = lines.map(Never, name="never")
    never.write("never", gaia.TXT).with_mod_n_sharding(5)
    joined = pipeline.join(Joined, [never.bind_with(Joined.on_line)], name="joined")
    joined.write("joined", gaia.TXT)
    return pipeline


@pytest.fixture
def lines(tmp_path: Path) -> str:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.txt").write_text("0123456789abcde\n" * 100_000)
    return f"{folder}/*.txt"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("with_workers", {"workers": 4}),
        ("in_this_process", {"workers": 0}),
        ("limited", {"workers": 2, "limit": 1000}),
    ],
)
def test_the_text_is_as_in_the_golden_file(tmp_path, lines, name, arguments):
    runner = gaia.LocalRunner(tmp_path / "out", memory="1GB", **arguments)
    actual = runner.explain(job(lines)).replace(str(tmp_path), "FOLDER") + "\n"

    golden = TESTS / "golden" / f"explained_{name}.txt"
    if os.environ.get("GAIA_UPDATE_GOLDEN"):
        golden.write_text(actual)
    assert actual == golden.read_text()


def test_nothing_runs_and_nothing_is_written(tmp_path, lines, capsys):
    dest, scratch = tmp_path / "out", tmp_path / "scratch"
    runner = gaia.LocalRunner(dest, scratch_dir=scratch, explain=True, memory="1GB")

    with pytest.raises(SystemExit) as ended:
        runner.run(job(lines))

    assert ended.value.code == 0
    assert capsys.readouterr().out == runner.explain(job(lines)) + "\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_the_numbers_of_tasks_are_those_of_the_run(tmp_path, lines):
    pipeline = gaia.Pipeline("p")
    kept = pipeline.read_text(lines, name="lines")
    kept.write("kept", gaia.TXT).with_mod_n_sharding(8)
    runner = gaia.LocalRunner(tmp_path / "out", workers=2)
    text = runner.explain(pipeline)

    record = Path(runner.run(pipeline).report).with_name("run.json").read_text()

    tasks = int(record.split('"tasks": ')[1].split(",")[0])
    assert f"input: 3 files of 5 MB, in {tasks} tasks" in text


def test_inputs_and_destination_in_a_store(gcs):
    for number in range(12):
        gcs.write(f"in/{number}.txt", b"x" * 99 + b"\n")
    before = gcs.objects()
    pipeline = gaia.Pipeline("p")
    lines = pipeline.read_text(gcs.url("in/*.txt"), name="lines")
    lines.write("lines", gaia.TXT).with_mod_n_sharding(2)

    text = gaia.LocalRunner(gcs.url("out"), workers=2, memory="1GB").explain(pipeline)

    assert f"into {gcs.url('out')}, by 2 workers, with 1.0 GB of memory" in text
    assert "input: 12 files of 1 kB, in 1 task" in text
    assert gcs.objects() == before


def test_stored_tables_and_records(tmp_path):
    first = gaia.Pipeline("first")
    numbers = first.from_records(range(100), name="numbers")
    numbers.write("numbers", gaia.TXT).with_mod_n_sharding(4)
    gaia.LocalRunner(tmp_path).run(first)
    second = gaia.Pipeline("second")
    stored = second.read_table(tmp_path / "numbers", type=int, name="stored")
    stored.write("again", gaia.TXT).with_mod_n_sharding(1)
    given = second.from_records(["one"], name="given")
    given.write("given", gaia.TXT).with_mod_n_sharding(1)

    text = gaia.LocalRunner(tmp_path / "out").explain(second)

    assert "input: 4 files of 290 bytes, in 4 tasks" in text
    assert "input: 1 record, in 1 task" in text


@pytest.mark.parametrize("pattern", ["{folder}/none-*.txt", "{bucket}none-*.txt"])
def test_a_glob_that_matches_nothing_is_the_same_error_as_in_a_run(tmp_path, gcs, pattern):
    pattern = pattern.format(folder=tmp_path, bucket=gcs.url())
    pipeline = gaia.Pipeline("p")
    lines = pipeline.read_text(pattern, name="lines")
    lines.write("lines", gaia.TXT).with_mod_n_sharding(2)
    runner = gaia.LocalRunner(tmp_path / "out")

    with pytest.raises(gaia.InputError) as explained:
        runner.explain(pipeline)
    with pytest.raises(gaia.InputError) as run:
        runner.run(pipeline)

    assert str(explained.value) == str(run.value)
    assert "step `lines`: no file matches" in str(run.value)
    assert not (tmp_path / "out").exists()


def test_too_little_memory_is_the_same_error_as_in_a_run(tmp_path, lines):
    runner = gaia.LocalRunner(tmp_path / "out", workers=8, memory="100MB")

    for run in (runner.explain, runner.run):
        with pytest.raises(gaia.PipelineError, match="expected memory of 738 MB or more"):
            run(job(lines))
