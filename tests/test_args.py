"""Flags that scripts share: in a script of one's own, and added to any other."""

import os
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

import gaia
from gaia.args import run_script, split_args

SCRIPT = """
import argparse
import sys
from collections import Counter
from dataclasses import dataclass

import gaia


@dataclass
class Count:
    word: str
    count: int


class Split(gaia.Mapper[str, Count]):
    def do(self, line: str, ctx: gaia.Context[Count]) -> None:
        for word in line.split():
            ctx.write(Count(word, SCALE))


SCALE = 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("inputs", nargs="+")
    parser.add_argument("--num_shards", type=int, default=2)
    args = parser.parse_args()
    pipeline = gaia.Pipeline("job")
    words = pipeline.read_text(args.inputs, name="lines").map(Split)
    words.write("words", gaia.TXT).with_mod_n_sharding(args.num_shards, "word")
    result = gaia.LocalRunner("made", workers=0).run(pipeline)
    words = result["words"]
    print(__name__, len(words.shards), sorted(r.word for r in words.records()), words.path)


if __name__ == "__main__":
    main()
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.txt").write_text("a b\nc\nd\n")
    (tmp_path / "job.py").write_text(SCRIPT)
    return "job.py"


def parsed(*given: str) -> gaia.LocalRunner:
    return gaia.runner_from_args(gaia.arg_parser().parse_args(given))


def test_without_flags_the_runners_own_defaults_hold():
    runner, plain = parsed(), gaia.LocalRunner("out")

    assert vars(runner) == vars(plain)
    assert type(runner) is gaia.LocalRunner


def test_every_flag_comes_to_the_runner(tmp_path):
    runner = parsed(
        *("--dest_dir", f"{tmp_path}/dest", "--workers=3", "--memory", "1.5GB", "--resume"),
        *("--scratch_dir", f"{tmp_path}/scratch", "--verify", "--max_attempts", "5"),
        *("--task_timeout", "1.5", "--limit=10", "--profile", "--explain"),
        *("--runner", "local"),
    )
    same = gaia.LocalRunner(
        tmp_path / "dest",
        3,
        memory=1_500_000_000,
        scratch_dir=tmp_path / "scratch",
        resume=True,
        verify=True,
        max_attempts=5,
        task_timeout=1.5,
        limit=10,
        profile=True,
        explain=True,
    )

    assert vars(runner) == vars(same)


def test_a_script_has_defaults_and_flags_of_its_own():
    parser = gaia.arg_parser("Does a thing.", dest_dir="out/mine", epilog="And that is all.")
    parser.add_argument("--num_shards", type=int, default=8)
    parser.set_defaults(workers=2)
    args = parser.parse_args(["--num_shards", "4"])

    assert args.num_shards == 4
    assert gaia.runner_from_args(args).workers == 2
    assert gaia.runner_from_args(args).dest_dir == os.path.abspath("out/mine")
    shown = " ".join(parser.format_help().split())
    assert shown.startswith("usage:")
    assert "Does a thing." in shown
    assert "And that is all." in shown


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--workers", "two"], "argument --workers: expected a whole number, got 'two'"),
        (["--runner", "dask"], "argument --runner: invalid choice: 'dask'"),
    ],
)
def test_what_is_no_value_is_refused_by_the_parser(given, message, capsys):
    with pytest.raises(SystemExit) as ended:
        parsed(*given)

    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--limit", "0"], "expected a limit of 1 record or more, got 0"),
        (["--memory", "much"], 'expected a size such as "500MB"'),
        (["--workers", "-1"], "expected a number of workers, 0 or more, got -1"),
    ],
)
def test_what_the_runner_does_not_take_is_its_error(given, message):
    with pytest.raises(gaia.PipelineError, match=message):
        parsed(*given)


def test_a_runner_that_is_not_installed_tells_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    pipeline = gaia.Pipeline("p")
    numbers = pipeline.from_records([1], name="numbers")
    numbers.write("numbers", gaia.TXT).with_mod_n_sharding(1)
    runner = parsed("--runner", "ray", "--dest_dir", str(tmp_path))
    with pytest.raises(gaia.PipelineError, match=r"pip install 'gaia-mr\[ray\]'"):
        runner.run(pipeline)


def test_another_runner_is_made_with_the_same_arguments(monkeypatch):
    @attrs.define
    class RayRunner:
        dest_dir: str
        limit: int

    monkeypatch.setattr(gaia, "RayRunner", RayRunner, raising=False)

    assert parsed("--runner", "ray", "--limit", "3") == RayRunner("out", 3)


def test_the_flags_of_the_runner_are_told_from_those_of_the_script():
    given = ["in.txt", "--num_shards", "8", "--workers=2", "-v", "--limit", "3", "--", "--explain"]
    flags, rest = split_args(given)

    assert flags == {"workers": 2, "limit": 3}
    assert rest == ["in.txt", "--num_shards", "8", "-v", "--explain"]


def test_a_flag_of_the_script_that_only_begins_like_one_of_ours_is_the_scripts():
    assert split_args(["--work", "3", "--help"]) == ({}, ["--work", "3", "--help"])


def test_a_script_runs_as_it_does_by_itself(script, capsys):
    run_script(script, ["in.txt", "--num_shards", "3"])

    made = os.path.abspath("made")
    assert capsys.readouterr().out == f"__main__ 3 ['a', 'b', 'c', 'd'] {made}/words\n"


@pytest.mark.parametrize("workers", ["0", "2"])
def test_flags_win_over_what_the_script_says(script, capsys, workers):
    run_script(script, ["in.txt", "--limit", "2", "--dest_dir", "other", "--workers", workers])

    assert capsys.readouterr().out == (
        f"__main__ 2 ['a', 'b', 'c'] {os.path.abspath('other')}/words\n"
    )
    assert not os.path.exists("made")


def test_a_script_is_explained(script, capsys):
    with pytest.raises(SystemExit) as ended:
        run_script(script, ["--explain", "in.txt"])

    assert ended.value.code == 0
    assert "input: 1 file of 8 bytes, in 1 task" in capsys.readouterr().out
    assert not os.path.exists("made")


def test_nothing_of_it_stays(script):
    before = sys.modules["__main__"], sys.argv, list(sys.path)
    run_script(script, ["in.txt", "--limit=1"])

    assert (sys.modules["__main__"], sys.argv, sys.path) == before
    assert gaia.LocalRunner("made").limit is None


def test_flags_reach_runners_that_are_made_in_threads(tmp_path, capsys):
    script = tmp_path / "threads.py"
    script.write_text(
        "import threading\n"
        "import gaia\n"
        "thread = threading.Thread(target=lambda: print(gaia.LocalRunner('made').limit))\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    run_script(str(script), ["--limit", "7"])

    assert capsys.readouterr().out == "7\n"


def test_a_script_that_leaves_the_runner_open(tmp_path, monkeypatch, capsys):
    class RayRunner:
        def __init__(self, dest_dir: str) -> None:
            self.dest_dir = dest_dir

    monkeypatch.setattr(gaia, "RayRunner", RayRunner, raising=False)
    script = tmp_path / "open.py"
    script.write_text(
        "import gaia\n"
        "runner = gaia.runner_from_args(gaia.arg_parser(dest_dir='mine').parse_args())\n"
        "print(type(runner).__name__, runner.dest_dir)\n"
    )
    run_script(str(script), ["--runner", "ray"])

    assert capsys.readouterr().out == "RayRunner mine\n"


def test_a_script_that_makes_a_local_runner_runs_on_no_cluster(script):
    with pytest.raises(gaia.PipelineError, match=r"but it makes a .*LocalRunner itself"):
        run_script(script, ["in.txt", "--runner", "ray"])


def test_a_script_that_is_not_there(tmp_path):
    with pytest.raises(gaia.InputError, match=r"cannot read the script none\.py: No such file"):
        run_script("none.py", [])


def test_a_script_imports_from_its_own_folder(tmp_path, capsys):
    (tmp_path / "beside_it.py").write_text("NAME = 'beside'\n")
    script = tmp_path / "imports.py"
    script.write_text("import beside_it\nprint(beside_it.NAME, __file__)\n")

    run_script(str(script), [])

    assert capsys.readouterr().out == f"beside {script}\n"


def test_an_error_names_the_line_of_the_script(tmp_path):
    script = tmp_path / "wrong.py"
    script.write_text("import gaia\n\ngaia.LocalRunner('out', workers=-1)\n")
    command = "import sys, gaia.args; gaia.args.run_script(sys.argv[1], [])"
    ended = subprocess.run(
        [sys.executable, "-c", command, script], capture_output=True, text=True, cwd=tmp_path
    )

    assert ended.returncode == 1
    assert ended.stderr.endswith(f"got -1\n  at {script}:3\n")
    assert os.path.dirname(gaia.__file__) not in ended.stderr


def test_the_reference_tells_of_all_flags() -> None:
    told = set(re.findall(r"`(--[a-z_]+)`", gaia.arg_parser.__doc__ or ""))
    group = gaia.arg_parser()._action_groups[-1]
    assert told - {"--help"} == {
        name for action in group._group_actions for name in action.option_strings
    }
