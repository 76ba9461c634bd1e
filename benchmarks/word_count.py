"""Word count, whole process from start to the last file on disk, beside a plain Python loop.

    python benchmarks/word_count.py --tier records FILE [--repeats 3] [--workers 2]

Runs are interleaved, every result is checked against the others, and the table is printed as it
stands in RESULTS.md. Shards go to a temporary folder beside FILE.
"""

import argparse
import platform
import statistics
import sys
import tempfile
from datetime import date
from pathlib import Path

from measure import Measurement, measure

import gaia

JOBS = Path(__file__).parent / "jobs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", help="the text to count")
    parser.add_argument("--tier", choices=["records"], default="records")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()

    with tempfile.TemporaryDirectory(dir=Path(args.file).parent) as folder:
        commands = {
            "plain Python loop": [sys.executable, str(JOBS / "plain_loop.py"), args.file],
            **{
                title: [
                    sys.executable,
                    str(JOBS / "gaia_records.py"),
                    variant,
                    args.file,
                    f"{folder}/{variant}",
                    str(args.workers),
                ]
                for title, variant in [
                    ("Gaia, a dict in the mapper", "combine"),
                    ("Gaia, every (word, 1) shuffled", "pairs"),
                ]
            },
        }
        runs: dict[str, list[Measurement]] = {title: [] for title in commands}
        counts = set()
        for _ in range(args.repeats):
            for title, command in commands.items():
                runs[title].append(measure(command))
            counts.add(runs["plain Python loop"][-1].output.strip())
            counts |= {_counts(f"{folder}/{variant}/counts") for variant in ("combine", "pairs")}
    assert len(counts) == 1, f"the results differ: {counts}"
    _print(args, runs, counts.pop())


def _counts(table: str) -> str:
    records = list(gaia.read_table(table).records())
    return f"{sum(record.count for record in records)} {len(records)}"


def _print(args: argparse.Namespace, runs: dict[str, list[Measurement]], counts: str) -> None:
    words, distinct = map(int, counts.split())
    size = Path(args.file).stat().st_size
    print(f"{date.today()}, {platform.machine()}, Python {platform.python_version()},")
    print(f"{size:,} bytes, {words:,} words, {distinct:,} distinct, 64 shards, zstd 1,")
    print(f"{args.workers} workers, {args.repeats} interleaved runs\n")
    print("| job | seconds, min (median) | ratio of min | CPU s | peak MB |")
    print("| --- | --- | --- | --- | --- |")
    unit = min(run.wall for run in runs["plain Python loop"])
    for title, measured in runs.items():
        walls = [run.wall for run in measured]
        cpu = min(run.cpu for run in measured)
        peak = max(run.peak_mb for run in measured)
        print(
            f"| {title} | {min(walls):.1f} ({statistics.median(walls):.1f}) "
            f"| {min(walls) / unit:.2f} | {cpu:.0f} | {peak:,.0f} |"
        )


if __name__ == "__main__":
    main()
