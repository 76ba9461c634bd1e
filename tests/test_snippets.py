"""What runs the snippets of the documentation notices whatever does not do as the page says."""

from pathlib import Path

import pytest
from snippets import WrongSnippetError, run, snippets


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "page.md"


def check(page: Path, text: str) -> None:
    """Runs a page, in which fences are of `~~~`."""
    page.write_text(text)
    run(page, {})


def test_blocks_are_one_program(page: Path) -> None:
    check(page, "~~~python\nn = 1\n~~~\n\n~~~python\n>>> n\n1\n~~~\n\n~~~python\nassert n\n~~~\n")


def test_output(page: Path) -> None:
    check(page, "~~~python\nprint(1)\nprint(2)\n~~~\n\n~~~output\n1\n...\n~~~\n")


def test_hidden_code(page: Path) -> None:
    check(page, "<!-- setup\nn = 2\n-->\n\n~~~python\nprint(n)\n~~~\n~~~output\n2\n~~~\n")


def test_files_and_commands(page: Path) -> None:
    program = "~~~python\n# a/b.py\nimport sys\nprint(sys.stdin.read())\n~~~\n"
    command = "~~~console\n$ cat > in <<END\nx\nEND\n$ python3 a/b.py \\\n  < in\nx\n\n~~~\n"
    check(page, program + command)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("~~~python\nprint(1)\n~~~\n", "the page shows"),
        ("~~~python\nprint(1)\n~~~\n~~~output\n2\n~~~\n", "but it prints\n1"),
        ("~~~python\n1 / 0\n~~~\n", "ZeroDivisionError"),
        ("~~~python\n>>> 1\n2\n~~~\n", "Expected:\n    2"),
        ("~~~console\n$ echo a\nb\n~~~\n", "but it prints\na"),
        ("~~~console\n$ exit 3\n~~~\n", "ends with 3"),
        ("~~~console\necho a\n~~~\n", "expected a command"),
        ("~~~sh\necho a\n~~~\n", "expected a fence"),
        ("    indented()\n", "expected a fence"),
        ("~~~output\n1\n~~~\n", "the output of no Python"),
        ("<!-- not run: because -->\n", "nothing behind"),
    ],
)
def test_what_is_wrong(page: Path, text: str, message: str) -> None:
    with pytest.raises(WrongSnippetError, match=message):
        check(page, text)


def test_what_is_not_run(page: Path) -> None:
    check(page, "<!-- not run: because -->\n~~~sh\nexit 1\n~~~\n")
    assert [snippet.not_run for snippet in snippets(page)] == ["because"]
