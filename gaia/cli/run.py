"""`gaia run`: a script, with the runner's flags."""

import argparse
import sys

from gaia.cli.command import FAILED, FINE, Command
from gaia.errors import GaiaError, users_part

_NOTES = """\
flags, behind the script, take the place of what it gives to its runners: --dest_dir, --workers,
--memory, --scratch_dir, --resume, --verify, --max_attempts, --task_timeout, --http_port,
--http_host, --address, --max_tasks, --limit, --no_progress, --profile, --explain and --runner. All
other arguments are the script's, and so are all behind a --. The exit code is the script's."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("script", metavar="SCRIPT", help="a script of Python's")
    parser.add_argument(
        "args", nargs=argparse.REMAINDER, metavar="...", help="flags, and the script's arguments"
    )


def _run(given: argparse.Namespace) -> int:
    from gaia.args import run_script

    try:
        run_script(given.script, given.args)
    except Exception as error:
        users = users_part(error.__traceback__)
        if users is None and isinstance(error, GaiaError):
            raise  # The script has not begun.
        # As Python shows it where the script is run without this command.
        sys.excepthook(type(error), error.with_traceback(users), users)
        return FAILED
    return FINE


RUN = Command(
    "run",
    "run a script with the runner's flags added to its own",
    (
        ("gaia run job.py --workers 4 --dest_dir /tmp/out", "on four cores, to another folder"),
        ("gaia run job.py --limit 1000", "a try with a thousand records of each input"),
        ("gaia run job.py --resume", "go on with a run that died"),
        ("gaia run job.py in/*.gz -- --limit 3", "what is behind -- goes to the script"),
    ),
    _arguments,
    _run,
    _NOTES,
)
