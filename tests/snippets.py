"""Runs the snippets of a page of documentation, as its reader does: `python snippets.py PAGE`.

They run in the working directory, from top to bottom; what does not do as the page says is told of.
The language of a block tells what is done with it:

- `python` is a part of one program, that of the page; with `>>>` prompts it is a doctest, and with
  a first line `# name.py` a file that is saved under this name;
- `output` is all that the `python` block before it prints: without one, it prints nothing;
- `console` are commands behind `$ `, and all that they print, on either stream;
- `text` and the like are no code. Others are refused, unless they are not run.

In an output, `...` stands for anything. `<!-- setup`, code and `-->` is Python that readers do not
see, and `<!-- not run: reason -->` leaves the block behind it out.
"""

import contextlib
import doctest
import io
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
from markdown_it import MarkdownIt

NO_CODE = ("text", "json", "toml", "yaml", "{toctree}", "{include}", "{eval-rst}")
CODE = ("python", "output", "console")

_CHECKER = doctest.OutputChecker()
_HIDDEN = re.compile(r"<!--\s*(setup|not run:)\s(.*?)-->\s*", re.DOTALL)
_FILE = re.compile(r"# ([\w/.-]+\.py)\n")


@attrs.frozen
class Snippet:
    """A block of code: its language (`setup` for one that is not shown), the line before it, what
    it prints (of Python), and why it is not run if so."""

    language: str
    text: str
    line: int
    output: str = ""
    not_run: str = ""


class WrongSnippetError(Exception):
    """A snippet that cannot be run, or does not do what its page says."""


def snippets(page: Path) -> list[Snippet]:
    """All of a page's snippets, in their order."""
    found: list[Snippet] = []
    not_run = ""
    for token in MarkdownIt().parse(page.read_text()):
        line = token.map[0] + 1 if token.map else 0
        language = token.info.partition(" ")[0].strip()
        hidden = _HIDDEN.fullmatch(token.content) if token.type == "html_block" else None
        if hidden is not None and hidden[1] == "setup":
            found.append(Snippet("setup", hidden[2], line))
        elif hidden is not None:
            not_run = hidden[2].strip()
        elif token.type == "code_block" or (
            token.type == "fence" and language not in (*CODE, *NO_CODE) and not not_run
        ):
            raise WrongSnippetError(f"{page}:{line}: expected a fence with one of {CODE + NO_CODE}")
        elif token.type == "fence" and language == "output":
            if not found or found[-1].language != "python" or found[-1].output:
                raise WrongSnippetError(f"{page}:{line}: the output of no Python")
            found[-1] = attrs.evolve(found[-1], output=token.content)
        elif token.type == "fence" and language not in NO_CODE:
            found.append(Snippet(language, token.content, line, not_run=not_run))
            not_run = ""
    if not_run:
        raise WrongSnippetError(f"{page}: nothing behind `not run: {not_run}`")
    return found


def run(page: Path, program: dict[str, Any]) -> None:
    """Runs all snippets, the Python ones in a namespace.

    Raises:
        WrongSnippetError: Some do something else than the page says.
    """
    wrong: list[str] = []
    for snippet in snippets(page):
        if snippet.not_run:
            continue
        try:
            if snippet.language == "console":
                _run_console(snippet)
            elif file := _FILE.match(snippet.text):
                Path(file[1]).parent.mkdir(parents=True, exist_ok=True)
                Path(file[1]).write_text(snippet.text)
            elif snippet.text.startswith(">>>"):
                _run_doctest(snippet, program, page)
            else:
                _run_python(snippet, program, page)
        except WrongSnippetError as error:
            wrong.append(f"{page}:{snippet.line}: {error}")
    if wrong:
        raise WrongSnippetError("\n".join(wrong))


def _run_python(snippet: Snippet, program: dict[str, Any], page: Path) -> None:
    code = compile("\n" * snippet.line + snippet.text, str(page), "exec")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            exec(code, program)
        except Exception:
            raise WrongSnippetError(f"it fails:\n{traceback.format_exc()}") from None
    if snippet.language != "setup":
        _compare(snippet.output, printed.getvalue())


def _run_doctest(snippet: Snippet, program: dict[str, Any], page: Path) -> None:
    test = doctest.DocTestParser().get_doctest(
        snippet.text, program, page.name, str(page), snippet.line
    )
    test.globs = program
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    if runner.run(test, out=told.append, clear_globs=False).failed:
        raise WrongSnippetError("".join(told))


def _run_console(snippet: Snippet) -> None:
    for command, expected in _commands(snippet.text):
        done = subprocess.run(
            ["bash", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            _compare(expected, done.stdout)
        except WrongSnippetError as error:
            raise WrongSnippetError(f"$ {command}\n{error}") from None
        if done.returncode and not expected:
            raise WrongSnippetError(f"$ {command}\nends with {done.returncode}")


def _commands(text: str) -> Iterator[tuple[str, str]]:
    """Commands, each with its output. A here-document ends at `END`."""
    lines = iter(text.splitlines(keepends=True))
    command, expected = "", ""
    for line in lines:
        if not line.startswith("$ "):
            expected += line
            continue
        if command:
            yield command, expected
        command, expected = line[2:], ""
        while command.endswith("\\\n") or ("<<" in command and not command.endswith("\nEND\n")):
            command += next(lines)
    if not command:
        raise WrongSnippetError("expected a command behind `$ `")
    yield command, expected


def _compare(expected: str, actual: str) -> None:
    if not _CHECKER.check_output(expected, actual, doctest.ELLIPSIS):
        raise WrongSnippetError(f"the page shows\n{expected}\nbut it prints\n{actual}")


def main() -> None:
    """Runs the page that the command line names, as the program `__main__`."""
    sys.path.insert(0, os.getcwd())
    try:
        run(Path(sys.argv[1]), vars(sys.modules["__main__"]))
    except WrongSnippetError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    # Anew, under its own name: what is in `__main__` is the page's.
    import snippets

    snippets.main()
