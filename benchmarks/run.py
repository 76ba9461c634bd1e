"""Measures Gaia and its peers, each as a whole process, and writes RESULTS.md and results.svg.

python benchmarks/run.py --jobs words,group --systems gaia,duckdb --scale 0.01
"""

import argparse
import os
import shutil
import sys
from datetime import date
from pathlib import Path

from machine import machine, versions
from make_data import make
from race import Race
from report import write
from results import Results, save
from suite import SUITE


def main() -> int:
    args = _arguments()
    args.data.mkdir(parents=True, exist_ok=True)
    results = Results(
        date=str(date.today()),
        machine=machine(),
        versions=versions(),
        workers=args.workers,
        repeats=args.repeats,
        jobs=[],
    )
    for job in SUITE:
        if args.jobs and job.name not in args.jobs:
            continue
        systems = [
            system
            for system in job.systems
            if (system.is_named_by(args.systems) if args.systems else args.all or not system.extra)
        ]
        names = {name for system in systems for name in system.inputs or job.inputs}
        inputs = {name: _input(name, args) for name in names}
        results.jobs.append(Race(job, systems, inputs, args.data, args.workers).run(args.repeats))
        save(results, args.data / "results.json")
        write(results, args.report)
    print(f"wrote {args.report / 'RESULTS.md'} and {args.report / 'results.svg'}")
    outcomes = [outcome for job in results.jobs for outcome in job.outcomes]
    return int(any(outcome.is_wrong for outcome in outcomes))


def _input(name: str, args: argparse.Namespace) -> Path:
    if args.text is None or not name.startswith("text"):
        return make(name, args.data, args.scale, args.mib)
    if name == "text":
        return args.text
    four = args.data / f"4x-{args.text.name}"
    with four.open("wb") as file:
        for _ in range(4):
            with args.text.open("rb") as text:
                shutil.copyfileobj(text, file, 1 << 20)
    return four


def _arguments() -> argparse.Namespace:
    def names(text: str) -> set[str]:
        return set(filter(None, text.split(",")))

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    jobs = ",".join(job.name for job in SUITE)
    add("--jobs", type=names, default=set(), help=f"of {jobs}; all unless given")
    add("--systems", type=names, default=set(), help="gaia,duckdb,..., or scripts: words_gaia_raw")
    add("--all", action="store_true", help="also the word counts of Gaia that are of less interest")
    add("--text", type=Path, help="count the words of this file")
    add("--mib", type=int, default=1024, help="how much text to make otherwise")
    add("--scale", type=float, default=1.0, help="of the 10 million rows and of --mib")
    add("--repeats", type=int, default=3)
    add("--workers", type=int, default=os.cpu_count(), help="and threads of the others")
    add("--data", type=Path, default=Path("out/bench"), help="where inputs and outputs go")
    add("--report", type=Path, default=Path("out/bench"), help="where RESULTS.md goes")
    args = parser.parse_args()
    if unknown := args.jobs - {job.name for job in SUITE}:
        parser.error(f"no such job: {', '.join(sorted(unknown))}; there are {jobs}")
    return args


if __name__ == "__main__":
    sys.exit(main())
