"""Real programs on a terminal of their own, and what stands on its screen."""

import fcntl
import os
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pyte


@attrs.define
class Program:
    """A program on a terminal. What it draws goes to `screen`."""

    process: "subprocess.Popen[bytes]"
    descriptor: int
    screen: pyte.HistoryScreen
    output: bytes = b""
    _stream: pyte.ByteStream = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._stream = pyte.ByteStream(self.screen)

    @property
    def lines(self) -> list[str]:
        """The lines of the screen, also those that have scrolled away, without blank ones at the
        end."""
        above = ["".join(row[x].data for x in range(self.screen.columns)) for row in self._history]
        return (
            "\n".join(line.rstrip() for line in [*above, *self.screen.display]).rstrip().split("\n")
        )

    @property
    def _history(self) -> list[object]:
        return list(self.screen.history.top)

    def see(self) -> bool:
        """Waits for more output; False when the program has ended."""
        try:
            block = os.read(self.descriptor, 1 << 16)
        except OSError:  # Nobody holds the other side any more.
            return False
        self.output += block
        self._stream.feed(block)
        return bool(block)

    def wait(self) -> int:
        """Waits for the end of the program, and returns its exit code."""
        while self.see():
            pass
        return self.process.wait()


@contextmanager
def on_terminal(
    command: list[str | Path],
    columns: int = 120,
    lines: int = 40,
    env: dict[str, str] | None = None,
    stdout: int | None = None,
) -> Iterator[Program]:
    """Starts a program on a terminal of that size; `stdout` may go somewhere else."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", **(env or {})}
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        if name not in (env or {}):
            environment.pop(name, None)
    process = subprocess.Popen(
        [str(part) for part in command],
        stdin=theirs,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs,
        env=environment,
        start_new_session=True,
        # A shell that runs tests in the background has it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    os.close(theirs)
    screen = pyte.HistoryScreen(columns, lines, history=10_000)
    screen.set_mode(pyte.modes.LNM)
    try:
        yield Program(process, ours, screen)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
