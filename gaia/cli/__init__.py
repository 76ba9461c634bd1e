"""The command line: `gaia COMMAND ...`, or `python -m gaia COMMAND ...`.

A command is a module here with a `Command`, and a line in `COMMANDS`.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from gaia.cli.cat import CAT, HEAD
from gaia.cli.command import FAILED, FINE, USAGE, Command, UsageError, one_line
from gaia.cli.completion import COMPLETION
from gaia.cli.report import REPORT
from gaia.cli.run import RUN
from gaia.cli.stat import STAT
from gaia.cli.top import TOP
from gaia.cli.verify import VERIFY
from gaia.errors import GaiaError

COMMANDS: tuple[Command, ...] = (RUN, TOP, REPORT, CAT, HEAD, STAT, VERIFY, COMPLETION)

_EXIT_CODES = "exit codes: 0 all is well, 1 something is missing, damaged or failed, 2 wrong usage"


def main(args: Sequence[str] | None = None) -> int:
    """Runs a command, by default the one that the process was started with.

    Returns its exit code: 0 if all went well, 1 if something is missing, damaged or failed, 2 for
    wrong usage. Errors are one line on standard error.
    """
    try:
        code = _run(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        return _end_by(signal.SIGPIPE, args is None)
    except KeyboardInterrupt:
        return _end_by(signal.SIGINT, args is None)
    except OSError as error:  # Those of reading are errors of Gaia's.
        print(f"gaia: cannot write: {error.strerror or error}", file=sys.stderr)
        if args is None:
            os._exit(FAILED)  # Or else Python would try to write the rest once more.
        return FAILED


def _run(args: Sequence[str] | None) -> int:
    try:
        given = build_parser().parse_args(args)
    except SystemExit as end:  # Help, the version, and wrong usage end there.
        return end.code if isinstance(end.code, int) else FINE
    try:
        code: int = given.run(given)
        return code
    except UsageError as error:
        _complain(given.command, f"{error} (see gaia {given.command} --help)")
        return USAGE
    except (GaiaError, ImportError) as error:
        _complain(given.command, str(error))
        return FAILED


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    from gaia import __version__

    parser = _Parser(
        prog="gaia",
        description="Looks into tables and files of records, and after runs of Gaia.",
        epilog=f"gaia COMMAND --help shows examples.\n\n{_EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"gaia {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for command in COMMANDS:
        wide = max(len(example) for example, _ in command.examples)
        shown = [f"  {example:{wide}}  {what}" for example, what in command.examples]
        notes = f"{command.notes}\n\n" if command.notes else ""
        added = commands.add_parser(
            command.name,
            help=command.summary,
            description=f"{command.summary[0].upper()}{command.summary[1:]}.",
            epilog="\n".join([f"{notes}examples:", *shown, "", _EXIT_CODES]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.arguments(added)
        added.set_defaults(run=command.run)
    return parser


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {one_line(message)} (see {self.prog} --help)\n")


def _complain(command: str, message: str) -> None:
    print(f"gaia {command}: {one_line(message)}", file=sys.stderr)


def _end_by(number: signal.Signals, whole_process: bool) -> int:
    """Ends as a Unix tool does that does not handle the signal: silently, and by the signal itself,
    so that a shell sees it."""
    if whole_process:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    return 128 + number
