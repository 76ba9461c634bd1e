"""Every decoder withstands its corpus, and a moment of mutations; `make fuzz` goes on longer."""

import subprocess
import sys
from pathlib import Path

import pytest
from targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_a_decoder_refuses_what_it_cannot_read(tmp_path: Path, name: str) -> None:
    run = Path(__file__).parent / "run.py"
    command = [sys.executable, run, "--target", name, "--seconds", "1", "--seed", "1"]

    done = subprocess.run([*command, "--found", tmp_path], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
