"""What a worker prints to the terminal, on its way through the process that draws on it."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress

_BLOCK = 1 << 16


class Prints:
    """A pipe that takes the place of the terminal in a worker process.

    Two processes that draw on one terminal would draw over each other. Lines arrive whole, and
    before the result of the task that printed them.
    """

    def __init__(self) -> None:
        self.ours, self.theirs = os.pipe()
        os.set_blocking(self.ours, False)
        self._held = b""

    def streams(self) -> dict[int, int]:
        """For standard output and error, as far as they are a terminal, what takes its place."""
        return {number: self.theirs for number in (1, 2) if _is_terminal(number)}

    def redirect(self) -> None:
        """In the worker: has it print into the pipe."""
        for number, descriptor in self.streams().items():
            os.dup2(descriptor, number)
        os.close(self.theirs)
        os.close(self.ours)

    def pass_on(self) -> None:
        """Prints the lines that have come."""
        for block in self._blocks():
            lines, newline, self._held = (self._held + block).rpartition(b"\n")
            _print(lines + newline)
            if len(self._held) > _BLOCK:
                self._end_line()

    def close(self) -> None:
        """Prints what has come last. Whoever still holds the pipe prints into nothing."""
        self.pass_on()
        self._end_line()
        os.close(self.ours)

    def _end_line(self) -> None:
        if self._held:
            _print(self._held + b"\n")
            self._held = b""

    def _blocks(self) -> Iterator[bytes]:
        # No more than a pipe holds: who prints without end keeps nobody waiting.
        left = _BLOCK
        with suppress(BlockingIOError):
            while left > 0 and (block := os.read(self.ours, left)):
                left -= len(block)
                yield block


def _print(lines: bytes) -> None:
    # A terminal that is gone, or a stream that is closed, stops no run.
    with suppress(OSError, ValueError):
        sys.stderr.write(lines.decode(errors="replace"))
        sys.stderr.flush()


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False
