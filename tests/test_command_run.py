"""`gaia run`: scripts run as Python runs them, with the runner's flags."""

import subprocess
import sys
from pathlib import Path

import pytest

import gaia

SCRIPT = """
import sys, gaia

def inverse(number: int) -> float:
    return 1 / number

if __name__ == "__main__":
    print(sys.argv[1:])
    if "boom" in sys.argv:
        raise ValueError("boom")
    if "exit" in sys.argv:
        sys.exit("enough")
    start = 0 if "zero" in sys.argv else 1
    pipeline = gaia.Pipeline("inverses")
    numbers = pipeline.from_records(range(start, 5), name="numbers").map(inverse)
    numbers.write("inverses", gaia.TXT).with_mod_n_sharding(2)
    gaia.LocalRunner(sys.argv[1], workers=0).run(pipeline)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "job.py"
    path.write_text(SCRIPT)
    return path


def run(script: Path, *args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gaia", "run", script, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True)


def test_flags_are_the_runners_and_the_rest_is_the_scripts(script: Path, tmp_path: Path) -> None:
    ended = run(script, "--limit", 2, tmp_path / "out", "--", "--limit", 9)
    own = [f"{tmp_path}/out", "--limit", "9"]
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{own}\n", "")
    assert len(gaia.read_table(tmp_path / "out" / "inverses")) == 2


def test_explain_runs_nothing(script: Path, tmp_path: Path) -> None:
    ended = run(script, tmp_path / "out", "--explain")
    assert ended.returncode == 0
    assert "read numbers: 4 records -> int" in ended.stdout
    assert not (tmp_path / "out").exists()


def test_errors_of_steps_show_the_users_code_alone(script: Path, tmp_path: Path) -> None:
    ended = run(script, tmp_path / "out", "zero")
    assert ended.returncode == 1
    assert "gaia.errors.StepError: step `inverse` failed: ZeroDivisionError" in ended.stderr
    assert "record: 0" in ended.stderr
    assert "/gaia/" not in ended.stderr


def test_errors_of_the_script_show_its_frames_alone(script: Path) -> None:
    ended = run(script, "boom")
    assert ended.returncode == 1
    frames = [line for line in ended.stderr.splitlines() if line.startswith("  File")]
    assert len(frames) == 1
    assert str(script) in frames[0]
    assert ended.stderr.endswith("ValueError: boom\n")


def test_the_script_ends_itself(script: Path) -> None:
    ended = run(script, "exit")
    assert (ended.returncode, ended.stderr) == (1, "enough\n")


def test_a_script_that_is_not_there(tmp_path: Path) -> None:
    ended = run(tmp_path / "none.py")
    message = f"gaia run: cannot read the script {tmp_path}/none.py: No such file or directory\n"
    assert (ended.returncode, ended.stderr) == (1, message)
