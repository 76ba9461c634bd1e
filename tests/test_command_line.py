"""The command line as a process: help, exit codes, pipes, completion."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from records import WordCount, write_table

import gaia
from gaia.cli import COMMANDS, main

GAIA = [sys.executable, "-m", "gaia"]
HEAVY = {"fastwarc", "fsspec", "isal", "msgspec", "numpy", "pyarrow", "rich", "statistics"}


def run(*args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*GAIA, *args], capture_output=True, text=True, **options)


def test_the_script_that_is_installed() -> None:
    script = Path(sys.executable).parent / "gaia"

    ended = subprocess.run([script, "--version"], capture_output=True, text=True)

    assert (ended.returncode, ended.stdout) == (0, f"gaia {gaia.__version__}\n")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_has_examples_and_exit_codes(command: Any, capsys: Any) -> None:
    assert main(["--help"]) == 0
    assert command.summary.split(":")[0] in " ".join(capsys.readouterr().out.split())
    assert main([command.name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "\nexamples:\n" in shown
    assert "\nexit codes: 0 " in shown
    for example, _ in command.examples:
        assert f"  {example}  " in shown
        assert "gaia" in example


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_examples_are_command_lines_that_parse(command: Any) -> None:
    import re
    import shlex

    from gaia.cli import build_parser

    for example, _ in command.examples:
        own = re.search(r"gaia ([^|)&>]*)", example)
        assert own is not None
        given = build_parser().parse_args(shlex.split(own[1]))
        assert given.command == command.name


@pytest.mark.parametrize("args", [["--help"], ["cat", "--help"], ["completion", "bash"]])
def test_help_imports_nothing_heavy(args: list[str]) -> None:
    code = f"import sys, gaia.cli; gaia.cli.main({args}); print(*sys.modules, file=sys.stderr)"

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert ended.stdout
    assert HEAVY.isdisjoint(ended.stderr.split())


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "the following arguments are required: COMMAND (see gaia --help)"),
        (["dog"], "invalid choice: 'dog'"),
        (["cat"], "the following arguments are required: TABLE|FILE (see gaia cat --help)"),
        (["head", "-n", "x", "a"], "expected a number of records, got 'x'"),
        (["stat", "--limit", "3", "a"], "unrecognized arguments: --limit"),
        (["completion", "cmd.exe"], "invalid choice: 'cmd.exe'"),
    ],
)
def test_wrong_usage_is_one_line_and_2(args: list[str], said: str) -> None:
    ended = run(*args)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("gaia")
    assert said in ended.stderr


@pytest.mark.parametrize("command", ["cat", "head", "stat", "verify"])
def test_what_is_not_there_is_one_line_and_1(tmp_path: Path, command: str) -> None:
    ended = run(command, str(tmp_path / "no\nway\x1b[2J"))

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"gaia {command}: ")
    assert ended.stderr.count("\n") == 1
    assert ended.stderr[:-1].isprintable()


def test_an_unknown_kind_of_url_is_one_line_and_1() -> None:
    for command in ("cat", "stat", "verify"):
        ended = run(command, "nosuch://bucket/x")
        assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
        assert "nosuch" in ended.stderr


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> gaia.Table[Any]:
    words = [WordCount(f"word{number:0100}", number) for number in range(20_000)]
    folder = tmp_path_factory.mktemp("big")
    return write_table(
        folder,
        words,
        lambda output: output.with_mod_n_sharding(2, "word"),
        compression=gaia.ZSTD,
    )


@pytest.mark.parametrize("form", ["text", "json", "csv"])
def test_a_reader_that_has_enough_ends_it_silently(big: gaia.Table[Any], form: str) -> None:
    with subprocess.Popen(
        [*GAIA, "cat", big.path, "-f", form], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == -signal.SIGPIPE


def test_standard_input_without_end_is_read_as_far_as_needed() -> None:
    with subprocess.Popen(
        [*GAIA, "head", "-n", "3", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"line\n" * 100)  # And it stays open.
        process.stdin.flush()
        assert process.stdout.read() == b"line\n" * 3
        assert process.wait() == 0


def test_ctrl_c_ends_it_silently() -> None:
    with subprocess.Popen(
        [*GAIA, "cat", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell that runs tests in the background has it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"x" * 99 + b"\n")
        process.stdin.flush()
        assert process.stdout.readline()  # So it runs.
        process.send_signal(signal.SIGINT)
        _, error = process.communicate()
        assert (process.returncode, error) == (-signal.SIGINT, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_is_one_line_and_1(big: gaia.Table[Any]) -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run([*GAIA, "cat", big.path], stdout=full, stderr=subprocess.PIPE)

    assert ended.returncode == 1
    assert ended.stderr == b"gaia: cannot write: No space left on device\n"


JOB = """
import sys
import gaia
pipeline = gaia.Pipeline("job")
lines = pipeline.from_records(sys.argv[1:], name="lines")
lines.write("lines", gaia.TXT).with_mod_n_sharding(1)
gaia.LocalRunner("out").run(pipeline)
if "exit" in sys.argv:
    sys.exit(7)
if "fail" in sys.argv:
    lines.map(lambda line: line)
"""


def test_a_script_is_run_with_flags(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(JOB)

    ended = run("run", "job.py", "--dest_dir", "new", "--workers=0", "a", "b", cwd=tmp_path)

    assert ended.returncode == 0
    assert sorted(gaia.read_table(tmp_path / "new/lines").records()) == ["a", "b"]
    assert not (tmp_path / "out").exists()


def test_a_script_ends_as_it_does_by_itself(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(JOB)

    left = run("run", "job.py", "--workers", "0", "exit", cwd=tmp_path)
    failed = run("run", "job.py", "--workers", "0", "fail", cwd=tmp_path)
    missing = run("run", "no.py", cwd=tmp_path)

    assert left.returncode == 7
    assert failed.returncode == 1
    assert 'job.py", line 11' in failed.stderr
    assert "gaia.errors.PipelineError" in failed.stderr
    assert str(Path(gaia.__file__).parent) not in failed.stderr
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    assert missing.stderr.startswith("gaia run: cannot read the script no.py")


def completed(folder: Path, *words: str) -> list[str]:
    """What bash offers for the last of the words, besides files."""
    script = run("completion", "bash").stdout
    (folder / "gaia.bash").write_text(script)
    code = (
        'source gaia.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gaia; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    ended = subprocess.run(
        ["bash", "-c", code, "bash", *words], capture_output=True, text=True, cwd=folder
    )
    assert ended.stderr == ""
    return ended.stdout.split()


def test_bash_completes(tmp_path: Path) -> None:
    names = [command.name for command in COMMANDS]
    assert completed(tmp_path, "gaia", "") == [*names, "-h", "--help", "--version"]
    assert completed(tmp_path, "gaia", "ve") == ["verify"]
    assert completed(tmp_path, "gaia", "cat", "--f") == ["--format", "--from"]
    assert completed(tmp_path, "gaia", "cat", "--format", "") == ["json", "text", "csv"]
    assert completed(tmp_path, "gaia", "cat", "x", "-f", "c") == ["csv"]
    assert completed(tmp_path, "gaia", "completion", "z") == ["zsh"]
    # Where it has no words, bash goes on with files.
    assert completed(tmp_path, "gaia", "cat", "") == []
    assert completed(tmp_path, "gaia", "cat", "--limit", "") == []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_know_all_commands_and_options(shell: str) -> None:
    script = run("completion", shell).stdout

    for command in COMMANDS:
        assert command.name in script
    long = "--" if shell == "zsh" else "-l "
    for option in ("shard", "format", "limit", "from", "version"):
        assert f"{long}{option}" in script
    for form in ("json", "text", "csv"):
        assert form in script
