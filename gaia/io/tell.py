"""What is told on standard error beside what a run returns and raises."""

import sys
from contextlib import suppress


def tell(text: str) -> None:
    """Prints it there. Who listened may be gone, with a terminal or a pipe; the run goes on."""
    shown = "".join(f"{escaped(line)}\n" for line in text.split("\n"))
    # It is closed, or there is none, as in programs without a console.
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(shown)
        sys.stderr.flush()


def escaped(text: str) -> str:
    r"""The text with what a terminal would act on escaped.

    >>> escaped("a\x1b[2J")
    'a\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
