"""What workers print to the terminal, on its way through the process that draws on it."""

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import suppress

_BLOCK = 1 << 16


class Prints:
    """A pipe that takes the place of the terminal in worker processes.

    Two processes that draw on one terminal would draw over each other. Lines arrive whole, as far
    as they are short, and before the result of the task that printed them.
    """

    def __init__(self) -> None:
        self.ours, self._theirs = os.pipe()
        os.set_blocking(self.ours, False)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def streams(self) -> dict[int, int]:
        """For standard output and error, as far as they are a terminal, what takes its place."""
        return {number: self._theirs for number in (1, 2) if _is_terminal(number)}

    def redirect(self) -> None:
        """In a worker: has it print into the pipe."""
        for number, descriptor in self.streams().items():
            os.dup2(descriptor, number)
        os.close(self.ours)

    def pass_on(self) -> None:
        """Prints what has come."""
        for block in self._blocks():
            sys.stderr.write(self._decoder.decode(block))

    def close(self) -> None:
        """Prints what has come last. Whoever still holds the pipe prints into nothing."""
        self.pass_on()
        if rest := self._decoder.decode(b"", True):
            sys.stderr.write(rest)
        os.close(self.ours)
        os.close(self._theirs)

    def _blocks(self) -> Iterator[bytes]:
        with suppress(BlockingIOError):
            while block := os.read(self.ours, _BLOCK):
                yield block


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False
