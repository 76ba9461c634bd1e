"""What a command of the command line is."""

import argparse
import re
from collections.abc import Callable

import attrs

from gaia.io.tell import escaped

FINE, FAILED, USAGE = 0, 1, 2


@attrs.frozen
class Command:
    """A subcommand: what `gaia --help` says of it in a line, examples as pairs of a command and
    what it does, and what it does: `run` returns the exit code.

    A module of a command imports what is heavy when it runs, so that help and completion are quick.
    """

    name: str
    summary: str
    examples: tuple[tuple[str, str], ...]
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    notes: str = ""


class UsageError(Exception):
    """The command line asks for what does not exist; the exit code is 2."""


def one_line(text: str) -> str:
    r"""The text on one line, which a terminal shows as it is.

    >>> one_line("a\n  at b.py\x1b[2J")
    'a at b.py\\x1b[2J'
    """
    return escaped(re.sub(r"\s*\n\s*", " ", text.strip()))
