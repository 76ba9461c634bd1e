"""What a run of the suite found, and keeping it in a file."""

from pathlib import Path
from statistics import median

import attrs
import msgspec
from measure import Measurement
from suite import System


@attrs.frozen
class Outcome:
    """What one system did: its timed runs, if any, and what was wrong with it.

    `peak_mb` is of a run of its own, before the timed ones; `written` are the bytes that it left,
    `found` tells of its result.
    """

    system: System
    inputs: list[str]
    runs: list[Measurement]
    peak_mb: float
    written: int
    found: str
    problem: str | None

    @property
    def best(self) -> float:
        return min(run.wall for run in self.runs)

    @property
    def median(self) -> float:
        return median(run.wall for run in self.runs)

    @property
    def cpu(self) -> float:
        return min(run.cpu for run in self.runs)

    @property
    def is_gaia(self) -> bool:
        return self.system.family == "gaia"

    @property
    def is_wrong(self) -> bool:
        return self.problem is not None and not self.problem.startswith("not installed")


@attrs.frozen
class JobOutcome:
    """One job: the sizes of its inputs in bytes, and what the systems did."""

    name: str
    inputs: dict[str, int]
    outcomes: list[Outcome]

    @property
    def measured(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.runs]

    def best_peer(self, outcome: Outcome) -> Outcome | None:
        """The faster of DuckDB and polars on the same inputs."""
        peers = [
            each
            for each in self.measured
            if each.system.family in ("duckdb", "polars")
            and each.system.comparable
            and each.inputs == outcome.inputs
        ]
        return min(peers, key=lambda peer: peer.best, default=None)


@attrs.frozen
class Results:
    date: str
    machine: str
    versions: dict[str, str]
    workers: int
    repeats: int
    jobs: list[JobOutcome]


def save(results: Results, path: Path) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results)))


def load(path: Path) -> Results:
    return msgspec.json.decode(path.read_bytes(), type=Results)
