"""Progress: how far a run is, on a terminal, in a notebook, or in a line of a log now and then."""

import sys
from collections.abc import Callable
from typing import Any, Protocol

from gaia.io.tell import tell
from gaia.runner.progress_lines import Rates, log_line, stage_lines
from gaia.runner.status import Status
from gaia.runner.terminal import Terminal, as_html, is_terminal

# Seconds between two looks at the run.
_EVERY = 0.2
# In a notebook, all stages stand there, in lines of this width.
_WIDTH, _HEIGHT = 140, 200


class Display(Protocol):
    """Where progress is shown: at first when a run takes `after` seconds, and then every `every`.

    What ends before has been fast enough without.
    """

    after: float
    every: float

    def draw(self, progress: dict[str, Any], rates: Rates) -> None:
        """Shows how far the run is."""

    def close(self, progress: dict[str, Any], rates: Rates) -> None:
        """Shows how the run has ended; is called only after `draw`."""


class Progress:
    """A listener that shows how far a run is (see `Status`).

    It has no thread of its own: workers are forked as long as a process has but one. What it does
    is bounded by time and not by the number of tasks. `after` is there for a run that somebody has
    asked for.
    """

    def __init__(self, display: Display | None = None, *, after: float | None = None) -> None:
        self._display = choose() if display is None else display
        self._rates = Rates()
        self._look = 0.0
        self._draw = self._display.after if after is None else after
        self._drawn = False

    def changed(self, status: Status) -> None:
        """See `Listener.changed`."""
        if status.now >= self._look:
            self.see(status.progress())

    def ended(self, status: Status) -> None:
        """See `Listener.ended`."""
        self.end(status.progress())

    def see(self, progress: dict[str, Any]) -> None:
        """Shows how far a run is, if it is time."""
        now = progress["elapsed"]
        self._look = now + _EVERY
        self._rates.see(progress)
        if now >= self._draw:
            self._draw = now + self._display.every
            self._drawn = True
            self._guarded(self._display.draw, progress)

    def end(self, progress: dict[str, Any]) -> None:
        """Shows how the run has ended, if there was something to see before."""
        if self._drawn:
            self._guarded(self._display.close, progress)

    def _guarded(
        self, show: Callable[[dict[str, Any], Rates], None], progress: dict[str, Any]
    ) -> None:
        try:
            show(progress, self._rates)
        except (OSError, ValueError):
            # Who looked is gone, with the terminal or a pipe, or the stream is closed; the run goes
            # on.
            self._draw = float("inf")


def choose() -> Display:
    """The display that fits where standard error goes."""
    if _in_notebook():
        return NotebookDisplay()
    return TerminalDisplay() if is_terminal(sys.stderr) else LogDisplay()


class TerminalDisplay:
    """A line for every stage, at the bottom of the terminal; they stay there at the end."""

    after = 0.5
    every = 0.2

    def __init__(self) -> None:
        self._terminal: Terminal | None = None

    def draw(self, progress: dict[str, Any], rates: Rates) -> None:
        """See `Display.draw`."""
        if self._terminal is None:
            self._terminal = Terminal(sys.stderr)
        width, height = self._terminal.size
        self._terminal.draw(stage_lines(progress, rates, width, height - 1))

    def close(self, progress: dict[str, Any], rates: Rates) -> None:
        """See `Display.close`."""
        if self._terminal is None:
            return
        width, _ = self._terminal.size
        try:
            self._terminal.draw(stage_lines(progress, rates, width, len(progress["stages"])))
        finally:
            self._terminal.close()


class NotebookDisplay:
    """The same lines, below a notebook's cell."""

    after = 0.5
    every = 0.5

    def __init__(self) -> None:
        self._handle: Any = None

    def draw(self, progress: dict[str, Any], rates: Rates) -> None:
        """See `Display.draw`."""
        from IPython.display import HTML, display

        shown = HTML(as_html(stage_lines(progress, rates, _WIDTH, _HEIGHT)))
        if self._handle is None:
            self._handle = display(shown, display_id=True)
        else:
            self._handle.update(shown)

    def close(self, progress: dict[str, Any], rates: Rates) -> None:
        """See `Display.close`."""
        self.draw(progress, rates)


class LogDisplay:
    """A line on standard error, every ten seconds."""

    after = 10.0
    every = 10.0

    def __init__(self) -> None:
        self._last = ""

    def draw(self, progress: dict[str, Any], rates: Rates) -> None:
        """See `Display.draw`."""
        line = log_line(progress, rates)
        if line != self._last:
            tell(line)
        self._last = line

    def close(self, progress: dict[str, Any], rates: Rates) -> None:
        """See `Display.close`."""
        self.draw(progress, rates)


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    # The shells of terminals have none.
    return shell is not None and hasattr(shell, "kernel")
