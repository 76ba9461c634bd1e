"""Runs a plan: stages in order, tasks out, reports in, tables committed."""

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, TypeVar

import attrs

from gaia.errors import InputError, OutputError
from gaia.io.bundle import Frame
from gaia.io.commit import Layout, ShardJob, check_replaceable, make_shards, publish
from gaia.io.files import reason
from gaia.io.manifest import Manifest, Shard, suffix, write_counters, write_manifest
from gaia.pipeline.operators import Run
from gaia.pipeline.plan import Plan, Stage, Table
from gaia.pipeline.records import describe
from gaia.runner.arrow import stream_ends
from gaia.runner.engine import Engine
from gaia.runner.inputs import Lines
from gaia.runner.splits import join_tasks, read_tasks
from gaia.runner.task import ParseError, Setup, Task, TaskReport, run_task

X = TypeVar("X")

OWN = "_gaia"
_LOCK = "lock"
_SHOWN_ERRORS = 5


@attrs.frozen
class StageRecord:
    """What a finished stage tells."""

    name: str
    tasks: int
    elapsed: float
    counters: dict[str, int]
    parse_errors: tuple[ParseError, ...]


@attrs.define
class Progress:
    """What is known of a run so far."""

    stages: list[StageRecord] = attrs.field(factory=list)
    counters: Counter[str] = attrs.field(factory=Counter)
    freq_maps: dict[str, Counter[Any]] = attrs.field(factory=lambda: defaultdict(Counter))
    manifests: dict[str, Manifest] = attrs.field(factory=dict)


def plan_reads(plan: Plan, workers: int) -> dict[str, list[Task]]:
    """The tasks of all stages that read, by stage: so that a missing input stops the run before
    it starts."""
    reads = {}
    for stage in plan.stages:
        if stage.source is not None:
            try:
                reads[stage.name] = read_tasks(stage.source, stage.root.type, workers)
            except InputError as error:
                raise InputError(f"step `{stage.name}`: {error}") from None
    return reads


def prepare(plan: Plan, reads: dict[str, list[Task]], dest: str) -> None:
    """Makes the destination, and refuses to write over what is no table, or is read.

    Raises:
        OutputError: The destination cannot be written, or a table's place is taken.
    """
    if os.path.exists(dest) and not os.path.isdir(dest):
        raise OutputError(f"expected a folder as dest_dir, but {dest} is a file")
    try:
        os.makedirs(os.path.join(dest, OWN), exist_ok=True)
        _sweep(os.path.join(dest, OWN))
    except OSError as error:
        raise OutputError(f"cannot write to {dest}: {reason(error)}") from None
    paths = {
        part.path
        for tasks in reads.values()
        for task in tasks
        for source in task.inputs
        if isinstance(source, Lines)
        for part in source.parts
    }
    # A folder is resolved once, however many files of it are read.
    folders = {os.path.dirname(path) for path in paths}
    real = {folder: os.path.realpath(folder) for folder in folders}
    read = {
        os.path.realpath(path)
        if os.path.islink(path)
        else os.path.join(real[os.path.dirname(path)], os.path.basename(path))
        for path in paths
    }
    for stage in plan.stages:
        for table in stage.tables():
            folder = os.path.join(dest, table.name)
            check_replaceable(folder)
            inside = os.path.join(os.path.realpath(folder), "")
            if any(path.startswith(inside) for path in read):
                raise OutputError(
                    f"{folder} is read by this run, which writes table `{table.name}` there; "
                    "choose another dest_dir or name"
                )


def execute(plan: Plan, reads: dict[str, list[Task]], engine: Engine, dest: str) -> Progress:
    """Runs all stages. What a failed run was about to write is removed.

    Raises:
        GaiaError: A task failed, or a table could not be committed.
    """
    begin = time.perf_counter()
    scratch = os.path.join(dest, OWN, f"run-{os.urandom(4).hex()}")
    run = _Execution(plan.pipeline, engine, dest, scratch)
    lock = None
    try:
        os.mkdir(scratch)
        lock = os.open(os.path.join(scratch, _LOCK), os.O_CREAT | os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX)
        for stage in plan.stages:
            run.stage(stage, reads.get(stage.name))
        _write_record(plan, run.progress, time.perf_counter() - begin, dest)
    except OSError as error:
        raise OutputError(f"cannot write to {dest}: {reason(error)}") from None
    finally:
        engine.close()
        if lock is not None:
            os.close(lock)
        shutil.rmtree(scratch, ignore_errors=True)
    return run.progress


@attrs.define
class _Execution:
    """A run on its way: `scratch` holds what nobody is to see yet."""

    pipeline: str
    engine: Engine
    dest: str
    scratch: str
    progress: Progress = attrs.field(factory=Progress)

    def stage(self, stage: Stage, tasks: list[Task] | None) -> None:
        """Runs a stage's tasks (of a join, those for the shards as they were written) and commits
        its tables."""
        begin = time.perf_counter()
        progress = self.progress
        if tasks is None:
            tasks = join_tasks(stage, progress.manifests, self.dest)
        bundles = tempfile.mkdtemp(prefix="bundles-", dir=self.scratch)
        setup = Setup(
            # The source stays here: it may be large, and tasks carry their parts of it.
            stage=attrs.evolve(stage, source=None),
            run=Run(self.pipeline, progress.freq_maps.copy(), progress.counters.copy()),
            folder=bundles,
        )
        reports = sorted(self.engine.map(run_task, setup, tasks), key=lambda report: report.task)
        counters: Counter[str] = Counter()
        for report in reports:
            counters.update(report.counters)
        made = {table: self.commit(table, reports, dict(counters)) for table in stage.tables()}
        for table, manifest in made.items():
            publish(os.path.join(self.scratch, table.name), os.path.join(self.dest, table.name))
            progress.manifests[table.name] = manifest
        shutil.rmtree(bundles)
        progress.counters.update(counters)
        for report in reports:
            for name, counts in report.freq_maps.items():
                progress.freq_maps[name].update(counts)
        errors = [error for report in reports for error in report.parse_errors]
        progress.stages.append(
            StageRecord(
                name=stage.name,
                tasks=len(tasks),
                elapsed=time.perf_counter() - begin,
                counters=dict(counters),
                parse_errors=tuple(errors[:_SHOWN_ERRORS]),
            )
        )

    def commit(self, table: Table, reports: list[TaskReport], counters: dict[str, int]) -> Manifest:
        """Turns the bundles of a stage's tasks into the table's folder, still in scratch."""
        folder = os.path.join(self.scratch, table.name)
        os.mkdir(folder)
        bundles = (bundle for report in reports for bundle in report.bundles)
        head, tail = stream_ends(table, (b for b in bundles if b.table == table.name))
        layout = Layout(
            table=table.name,
            folder=folder,
            suffix=suffix(table.format.value, table.compression.value),
            compression=table.compression.value,
            level=table.level,
            shards=table.shards,
            max_shard_bytes=table.max_shard_bytes,
            head=head,
            tail=tail,
        )
        batches = list(_batches(_shard_jobs(table, reports), 4 * self.engine.workers))
        made = self.engine.map(make_shards, layout, batches)
        shards = sorted((shard for batch in made for shard in batch), key=_by_key)
        manifest = Manifest(
            table=table.name,
            format=table.format.value,
            compression=table.compression.value,
            sharding="custom" if table.shards is None else "mod",
            record=describe(table.type),
            shards=tuple(shards),
        )
        write_counters(folder, counters)
        write_manifest(folder, manifest)
        return manifest


def _shard_jobs(table: Table, reports: list[TaskReport]) -> list[ShardJob]:
    frames: dict[int | str, list[Frame]] = {}
    if table.shards is not None:
        frames = {number: [] for number in range(table.shards)}
    # The bundles that hold a single shard can become that shard's file as they are.
    alone: set[str] = set()
    for report in reports:
        for bundle in report.bundles:
            if bundle.table != table.name:
                continue
            found = bundle.frames()
            if len(found) == 1:
                alone.add(bundle.path)
            for key, shard_frames in found.items():
                frames.setdefault(key, []).extend(shard_frames)
    jobs = []
    for key, shard_frames in frames.items():
        paths = {frame.path for frame in shard_frames}
        whole = paths.pop() if len(paths) == 1 else None
        jobs.append(ShardJob(key, tuple(shard_frames), whole if whole in alone else None))
    return jobs


def _batches(items: list[X], count: int) -> Iterator[tuple[X, ...]]:
    size = max(1, -(-len(items) // count))
    for start in range(0, len(items), size):
        yield tuple(items[start : start + size])


def _by_key(shard: Shard) -> tuple[int, str]:
    return (0, shard.key) if isinstance(shard.key, str) else (shard.key, "")


def _sweep(folder: str) -> None:
    """Removes what killed runs left: scratch folders whose lock nobody holds any more."""
    for name in os.listdir(folder):
        try:
            lock = os.open(os.path.join(folder, name, _LOCK), os.O_RDWR)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
        except BlockingIOError:
            pass  # That run goes on.
        finally:
            os.close(lock)


def _write_record(plan: Plan, progress: Progress, elapsed: float, dest: str) -> None:
    """The run's own record, `_gaia/run.json`: what ran, how long, what was counted."""
    content = {
        "pipeline": plan.pipeline,
        "elapsed": elapsed,
        "counters": dict(progress.counters),
        "stages": [attrs.asdict(stage) for stage in progress.stages],
        "tables": {
            name: {
                "shards": len(manifest.shards),
                "records": sum(shard.records for shard in manifest.shards),
            }
            for name, manifest in progress.manifests.items()
        },
    }
    path = run_record(dest)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.write("\n")
    os.replace(f"{path}.new", path)


def run_record(dest: str) -> str:
    """The path of a run's own record."""
    return os.path.join(dest, OWN, "run.json")
