"""`gaia run`: a script with the runner's flags added to its own."""

import argparse
import sys
from types import TracebackType

from gaia.cli.command import FAILED, FINE, Command


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("script", help="a Python file that makes a pipeline and runs it")
    parser.add_argument(
        "args",
        nargs=argparse.REMAINDER,
        metavar="...",
        help="flags of the runner, and what the script takes itself",
    )


def _run(given: argparse.Namespace) -> int:
    from gaia.args import run_script

    try:
        run_script(given.script, given.args)
    except SystemExit as end:
        if isinstance(end.code, int | None):
            return end.code or FINE
        print(end.code, file=sys.stderr)
        return FAILED
    except Exception as error:
        of_script = _of_script(error.__traceback__, given.script)
        if of_script is None:
            raise
        sys.excepthook(type(error), error.with_traceback(of_script), of_script)
        return FAILED
    return FINE


def _of_script(frames: TracebackType | None, script: str) -> TracebackType | None:
    """The frames of a traceback from the script's own on."""
    while frames is not None and frames.tb_frame.f_code.co_filename != script:
        frames = frames.tb_next
    return frames


RUN = Command(
    "run",
    "run a script, with the runner's flags added to its own",
    (
        ("gaia run job.py --workers 4", "as python job.py, with four workers"),
        ("gaia run job.py --explain", "print what it would do, and do nothing"),
        ("gaia run job.py --limit 1000 -- --limit 3", "what stands behind -- is the script's"),
    ),
    _arguments,
    _run,
    "Flags of the runner take the place of what the script gives to gaia.LocalRunner:\n"
    "--dest_dir --workers --memory --resume --limit --explain and more; python -c\n"
    "'import gaia; gaia.arg_parser().print_help()' prints them all.",
)
