"""`gaia report`: what a run did, and how two of them differ."""

import argparse
import json
import os
import sys
from typing import Any

from gaia.cli.command import FINE, Command, UsageError
from gaia.errors import InputError
from gaia.io.tell import escaped

_NOTES = """\
A run is its destination, with its record in _gaia/run.json, or such a file. Of a destination that
is written again and again, keep copies of that file to compare.

change is that from A to B: -25% is a quarter less, x 3 three times as much, = the same. bytes are
those that a stage read, decompressed; skew is the largest shard over the mean."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a destination, or its run.json")
    parser.add_argument(
        "--format",
        "-f",
        choices=("text", "json"),
        default="text",
        help="text for people, json for scripts (default: text)",
    )


def _report(given: argparse.Namespace) -> int:
    from gaia.compare import compare, compare_lines, summary, summary_lines

    if len(given.runs) > 2:
        raise UsageError(f"expected one run or two, got {len(given.runs)}")
    paths, runs = zip(*map(_run_at, given.runs), strict=True)
    try:
        found = summary(*runs) if len(runs) == 1 else compare(*runs)
        lines = summary_lines if len(runs) == 1 else compare_lines
        shown = list(lines(found, _bold if _is_terminal() else str))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(
            f"{' or '.join(paths)} is no record of a run as this version of Gaia writes them"
        ) from None
    page = _page(paths[0])
    if given.format == "json":
        print(json.dumps(found | ({"report": page} if len(runs) == 1 else {}), indent=1))
        return FINE
    print(*shown, sep="\n")
    if len(runs) == 1 and _did_not_end(paths[0]):
        print("\n(a run here did not end: resume it)")
    if len(runs) == 1 and page is not None:
        print(f"\nreport: {escaped(page)}")
    return FINE


def _run_at(path: str) -> tuple[str, dict[str, Any]]:
    """A run's record: where it is, and what it holds."""
    from gaia.io.destination import RECORD, own_file
    from gaia.io.stores import explain, local_path, store_of, url_of

    store = store_of(path)
    place = local_path(path) if store is None else url_of(path, store)
    if not place.endswith(".json"):
        place = own_file(place, RECORD)
    try:
        if store is None:
            with open(place, "rb") as file:
                content = file.read()
        else:
            content = bytes(store.call("cat_file", place))
    except (FileNotFoundError, NotADirectoryError):
        why = "expected a destination in which a run has ended"
        if _did_not_end(place):
            why = "a run here did not end: resume it"
        raise InputError(f"{path} has no record of a run: there is no {place}; {why}") from None
    except Exception as error:  # Clients of stores raise whatever they like.
        raise InputError(explain(error, "read", place)) from None
    try:
        run = json.loads(content)
        if not isinstance(run, dict) or not isinstance(run.get("stages"), list):
            raise ValueError("it has no list of stages")
    except ValueError as error:
        raise InputError(f"{place} is no record of a run: {error}") from None
    return place, run


def _did_not_end(record: str) -> bool:
    """Whether a later run than that of a record died where the record is, or would be."""
    from gaia.io.destination import OWN, did_not_end

    own = os.path.dirname(record)
    return os.path.basename(own) == OWN and did_not_end(os.path.dirname(own))


def _page(record: str) -> str | None:
    """The page beside a record, if there is one."""
    from gaia.io.stores import join, store_of

    page = join(os.path.dirname(record), "report.html")
    store = store_of(page)
    there = os.path.exists(page) if store is None else store.call("exists", page)
    return page if there else None


def _is_terminal() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m"


REPORT = Command(
    "report",
    "tell what a run did, or how two runs differ",
    (
        ("gaia report out", "a summary of the last run into out, and where its report is"),
        ("gaia report before after", "two runs side by side: time, throughput, counters, skew"),
        ("gaia report -f json old.json out | jq .elapsed", "for scripts"),
    ),
    _arguments,
    _report,
    _NOTES,
)
