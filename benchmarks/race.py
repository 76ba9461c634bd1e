"""One job, done by all systems in turns."""

import os
import shutil
from pathlib import Path

import attrs
from check import UNREADABLE, Fingerprint, fingerprint
from measure import CommandError, Measurement, measure
from results import JobOutcome, Outcome
from suite import Job, System, missing

MEMORY_EVERY = 0.05


@attrs.define
class Lane:
    """A system, and what is known of it so far; `is_out` when it is not run any more."""

    system: System
    inputs: list[Path]
    problem: str | None
    is_out: bool
    runs: list[Measurement] = attrs.Factory(list)
    peak_mb: float = 0.0
    written: int = 0
    result: Fingerprint | None = None


class Race:
    """Every system once, to warm up and to look at its memory; then all of them in turns, timed.

    A system that fails is out; one whose result is not that of the others stays, and is told of.
    """

    def __init__(
        self, job: Job, systems: list[System], inputs: dict[str, Path], folder: Path, workers: int
    ) -> None:
        self.job = job
        self.dest = folder / "run"
        self.workers = workers
        self.lanes = []
        for system in systems:
            files = [inputs[name] for name in system.inputs or job.inputs]
            absent = missing(system.family)
            problem = f"not installed: {absent}" if absent else None
            self.lanes.append(Lane(system, files, problem, is_out=absent is not None))

    def run(self, repeats: int) -> JobOutcome:
        for turn in ["warm-up", *(f"{number}/{repeats}" for number in range(1, repeats + 1))]:
            for lane in self.lanes:
                if not lane.is_out:
                    said = self._run(lane, is_warm_up=turn == "warm-up")
                    print(f"{self.job.name:8} {turn:8} {lane.system.title:32} {said}", flush=True)
        return JobOutcome(
            self.job.name,
            {path.name: path.stat().st_size for lane in self.lanes for path in lane.inputs},
            [self._outcome(lane) for lane in self.lanes],
        )

    def _run(self, lane: Lane, is_warm_up: bool) -> str:
        command = lane.system.command(lane.inputs, self.dest, self.workers)
        shutil.rmtree(self.dest, ignore_errors=True)
        os.sync()
        try:
            measured = measure(command, memory_every=MEMORY_EVERY if is_warm_up else None)
            lane.result = fingerprint(self.dest / "result", self.job.columns)
            lane.written = sum(p.stat().st_size for p in self.dest.rglob("*") if p.is_file())
        except CommandError as error:
            return self._drop(lane, f"failed: {error}")
        except UNREADABLE as error:
            return self._drop(lane, f"its result cannot be read: {error}")
        finally:
            shutil.rmtree(self.dest, ignore_errors=True)
        if not self._agrees(lane):
            lane.problem = f"its result differs: {self._found(lane)}"
        said = f"{measured.wall:7.2f} s"
        if is_warm_up:
            lane.peak_mb = measured.peak_mb
            said += f" {measured.peak_mb:7,.0f} MB"
        else:
            lane.runs.append(measured)
        return f"{said}  {lane.problem}" if lane.problem else said

    def _drop(self, lane: Lane, problem: str) -> str:
        lane.is_out, lane.problem = True, problem
        return problem

    def _agrees(self, lane: Lane) -> bool:
        """Whether the result is that of the first peer with these inputs, or else of the first."""
        others = [
            other
            for other in self.lanes
            if other.result and other.inputs == lane.inputs and other.system.comparable
        ]
        reference = min(
            others, key=lambda other: other.system.family == "gaia", default=lane
        ).result
        return (
            not lane.system.comparable
            or lane.result is None
            or reference is None
            or lane.result.same_as(reference)
        )

    def _outcome(self, lane: Lane) -> Outcome:
        return Outcome(
            system=lane.system,
            inputs=[path.name for path in lane.inputs],
            runs=[] if lane.is_out else lane.runs,
            peak_mb=lane.peak_mb,
            written=lane.written,
            found=self._found(lane),
            problem=lane.problem,
        )

    def _found(self, lane: Lane) -> str:
        if lane.result is None:
            return ""
        return self.job.found.format(rows=lane.result.rows, **lane.result.sums)
