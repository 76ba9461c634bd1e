"""Lines that stay at the bottom of a terminal, below whatever is printed meanwhile."""

import io
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

from gaia.io.undisturbed import undisturbed
from gaia.runner.progress_lines import Line

# What is printed is held until its line ends, but no more than so many characters.
_LONGEST = 1 << 16


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream leads to a terminal on which lines can be drawn again."""
    if os.environ.get("TERM", "") in ("dumb", "unknown"):
        return False
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False  # It is closed.


class Terminal:
    """Draws lines on a terminal, again and again.

    As long as it does, what this process prints there goes through it, line by line. Processes that
    are forked meanwhile print as if it were not there. Ctrl-C waits until something is drawn: what
    is half drawn would be drawn again.
    """

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=stream, highlight=False)
        # What it redirects, it would wrap, and write to the console even if it goes to a file.
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with undisturbed():
            self._live.start()
        self._redirected = [
            (name, _Above(getattr(sys, name), self._print))
            for name in ("stdout", "stderr")
            if is_terminal(getattr(sys, name))
        ]
        for name, above in self._redirected:
            setattr(sys, name, above)
        _shown.append(self)

    @property
    def size(self) -> tuple[int, int]:
        """Its width and height, in characters."""
        return self._console.size

    def draw(self, lines: list[Line]) -> None:
        """Draws these lines in place of the last.

        Raises:
            OSError: The terminal is gone.
        """
        with undisturbed():
            self._live.update(_rendered(lines), refresh=True)

    def close(self) -> None:
        """The lines drawn last stay there.

        Raises:
            OSError: The terminal is gone.
        """
        try:
            for _, above in self._redirected:
                above.flush()
        finally:
            self.let_go()
            with undisturbed():
                self._live.stop()

    def _print(self, text: str) -> None:
        with undisturbed():
            self._console.out(text)

    def let_go(self) -> None:
        """What is printed goes where it went before."""
        for name, above in self._redirected:
            if getattr(sys, name) is above:
                setattr(sys, name, above.stream)
        if self in _shown:
            _shown.remove(self)


_shown: list[Terminal] = []


def _in_child() -> None:
    for terminal in list(_shown):
        terminal.let_go()


os.register_at_fork(after_in_child=_in_child)


def _rendered(lines: list[Line]) -> Any:
    from rich.console import Group
    from rich.text import Text

    return Group(*(Text.assemble(*line, no_wrap=True, overflow="crop") for line in lines))


def as_html(lines: list[Line]) -> str:
    """The lines, for a notebook."""
    from rich.console import Console

    width = max((sum(len(text) for text, _ in line) for line in lines), default=0)
    console = Console(
        file=io.StringIO(), record=True, width=max(1, width), force_jupyter=False, highlight=False
    )
    console.print(_rendered(lines))
    style = "white-space:pre;overflow-x:auto;line-height:normal;font-family:monospace"
    return console.export_html(
        inline_styles=True, code_format=f'<pre style="{style}">{{code}}</pre>'
    )


class _Above(io.TextIOBase):
    """Prints whole lines above those that are drawn, with nothing wrapped or coloured."""

    def __init__(self, stream: TextIO, out: Callable[[str], None]) -> None:
        self.stream = stream
        self._out = out
        self._held = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self.stream.errors

    def isatty(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.stream.fileno()

    def write(self, text: str) -> int:
        whole, newline, last = (self._held + text).rpartition("\n")
        self._held = _left(last)
        if newline:
            self._out("\n".join(map(_left, whole.split("\n"))))
        if len(self._held) > _LONGEST:
            self.flush()
        return len(text)

    def flush(self) -> None:
        if self._held:
            held, self._held = self._held, ""
            self._out(held)


def _left(line: str) -> str:
    r"""What is left to be seen of a line in which a carriage return starts anew.

    >>> _left("10 %\r20 %"), _left("as Windows ends lines\r")
    ('20 %', 'as Windows ends lines\r')
    """
    end = "\r" if line.endswith("\r") else ""
    return line.removesuffix("\r").rpartition("\r")[2] + end
