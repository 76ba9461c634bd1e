"""`gaia top`: how far a run is."""

import argparse

from gaia.cli.command import Command


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("page", metavar="PAGE", help="the address of a run's page, or its port")


def _top(given: argparse.Namespace) -> int:
    from gaia.top import top

    return top(given.page)


TOP = Command(
    "top",
    "show how far a run is, until it ends",
    (
        ("gaia top 8080", "the run of this machine whose page is at that port"),
        ("gaia top http://10.0.0.7:8080 && echo done", "exit code 1 if it fails"),
    ),
    _arguments,
    _top,
)
