"""RESULTS.md, from what was measured: python benchmarks/report.py RESULTS.JSON FOLDER"""

import sys
from pathlib import Path
from textwrap import fill

from picture import draw
from results import JobOutcome, Outcome, Results, load
from suite import SUITE, Job

HEAD = """\
# Results

![Seconds of every job](results.svg)

Every time is that of a whole process, from its start to the last file on disk. The systems of a
job take turns, so ratios within a table hold; seconds drift from run to run by 10 to 30 % on shared
machines. The first turn is not timed: it warms the page cache, and memory is looked at in it. Every
result of every turn is read back and compared with that of the others: all that is not a decimal
must be equal, and decimals to nine digits.

{setting}

    make bench                    # all of it: text of 1 GiB, and tables of 10 million rows
    make bench BENCH_TEXT=FILE    # the words of another text
    python benchmarks/run.py --jobs words --systems gaia,duckdb --scale 0.1

Seconds are the least of all turns, and their median; CPU seconds are the least. Memory is the peak
of the process tree, a shared page counted once. Written is what is on disk at the end: for Gaia, 64
zstd shards of the result and those of every table on the way to it. DuckDB and polars write one or
two zstd files, PySpark its partitions as plain text (its text writer comes without zstd), the
others one plain file. The last column is the time over that of the faster of DuckDB and polars.
"""

TABLE = """\
| system | seconds, min (median) | CPU s | peak MB | written MB | to best peer |
| --- | --- | --- | --- | --- | --- |
"""


def write(results: Results, folder: Path) -> None:
    """Makes RESULTS.md and results.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "RESULTS.md").write_text(report(results))
    (folder / "results.svg").write_text(draw(results))


def report(results: Results) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    setting = (
        f"{results.date}. {results.machine}. {results.workers} workers or threads for each system, "
        f"{results.repeats} timed turns. {versions}."
    )
    jobs = {job.name: job for job in SUITE}
    sections = [_section(jobs[each.name], each) for each in results.jobs]
    return "\n".join([HEAD.format(setting=fill(setting, 100)), *sections])


def _section(job: Job, outcome: JobOutcome) -> str:
    inputs = ", ".join(f"{name} ({size:,} bytes)" for name, size in outcome.inputs.items())
    found = "; ".join(dict.fromkeys(each.found for each in outcome.measured)) or "no result"
    rows = "".join(_row(each, outcome.best_peer(each)) for each in outcome.outcomes)
    about = fill(f"{job.about} Here: {inputs}; {found}.", 100)
    notes = "".join(
        f"\n{note}\n" for note in [*_verdict(outcome), *_pairs(job, outcome), *_doubts(outcome)]
    )
    return f"## {job.title}\n\n{about}\n\n{TABLE}{rows}{notes}"


def _row(outcome: Outcome, best_peer: Outcome | None) -> str:
    title = f"[{outcome.system.title}](jobs/{outcome.system.script})"
    if not outcome.runs:
        return f"| {title} | {_cell(outcome.problem or 'not run')} | | | | |\n"
    ratio = f"{outcome.best / best_peer.best:.2f}" if best_peer else ""
    if outcome.is_gaia:
        title, ratio = f"**{title}**", ratio and f"**{ratio}**"
    return (
        f"| {title} | {outcome.best:.2f} ({outcome.median:.2f}) | {outcome.cpu:.1f} "
        f"| {outcome.peak_mb:,.0f} | {outcome.written / 1e6:,.1f} | {ratio} |\n"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")[:120]


def _verdict(job: JobOutcome) -> list[str]:
    gaia = next((each for each in job.measured if each.is_gaia), None)
    peer = job.best_peer(gaia) if gaia else None
    if not gaia or not peer:
        return []
    return [f"{gaia.system.title} takes {gaia.best / peer.best:.2f} of {peer.system.title}'s time."]


def _pairs(job: Job, outcome: JobOutcome) -> list[str]:
    by_title = {each.system.title: each for each in outcome.measured}
    return [
        f"{one} against {other}: {by_title[one].best / by_title[other].best:.2f} x the time, "
        f"{by_title[one].peak_mb / max(by_title[other].peak_mb, 1):.2f} x the memory."
        for one, other in job.pairs
        if one in by_title and other in by_title
    ]


def _doubts(job: JobOutcome) -> list[str]:
    return [f"**{x.system.title}: {_cell(x.problem)}.**" for x in job.measured if x.problem]


if __name__ == "__main__":
    write(load(Path(sys.argv[1])), Path(sys.argv[2]))
