"""Runs a plan: stages in order, tasks out, reports in, tables committed."""

import os
import time
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from typing import Any

import attrs

from gaia.errors import GaiaError, InputError, OutputError
from gaia.io.bundle import Bundle
from gaia.io.commit import Layout
from gaia.io.destination import Destination
from gaia.io.folder import Folder
from gaia.io.grouped import Shipped
from gaia.io.manifest import Manifest, Shard, suffix, write_counters, write_manifest
from gaia.io.stores import explain
from gaia.io.tell import tell
from gaia.pipeline.graph import Format
from gaia.pipeline.operators import Run
from gaia.pipeline.plan import Plan, Stage, Table
from gaia.pipeline.records import describe
from gaia.runner.attempts import Attempts, run_all
from gaia.runner.columns import ends
from gaia.runner.engine import Engine
from gaia.runner.identity import Identity, identity_of
from gaia.runner.inputs import Slice
from gaia.runner.journal import Committed
from gaia.runner.limit import limited_tasks
from gaia.runner.memory import budget_of, share_of
from gaia.runner.report import leave, leave_failed
from gaia.runner.resume import Resume, open_resume, tell_of_unfinished
from gaia.runner.shuffle import LocalShuffle, Shuffle
from gaia.runner.skew import hottest_keys
from gaia.runner.skips import Skipped
from gaia.runner.splits import join_tasks, read_tasks
from gaia.runner.status import Status
from gaia.runner.tally import Tally
from gaia.runner.task import ParseError, Setup, Task
from gaia.runner.watch import CommitWatch, StageWatch


@attrs.frozen
class StageRecord:
    """What a finished stage tells."""

    name: str
    tasks: int
    elapsed: float
    counters: dict[str, int]
    parse_errors: tuple[ParseError, ...]
    skipped: dict[str, Skipped]


@attrs.define
class Progress:
    """What is known of a run so far."""

    stages: list[StageRecord] = attrs.field(factory=list)
    counters: Counter[str] = attrs.field(factory=Counter)
    freq_maps: dict[str, Counter[Any]] = attrs.field(factory=lambda: defaultdict(Counter))
    manifests: dict[str, Manifest] = attrs.field(factory=dict)


@attrs.frozen
class Settings:
    """How a run is done: how often tasks are tried, in how many bytes, whether it goes on with what
    an earlier one has left, whether the checksums of shards are verified before they are read, how
    shards are put together, and whether tasks are profiled. Without `report` it leaves nothing but
    its tables."""

    attempts: Attempts
    memory: int
    resume: bool = False
    verify: bool = False
    shuffle: Shuffle = attrs.field(factory=LocalShuffle)
    profile: bool = False
    report: bool = True


def plan_reads(
    plan: Plan, workers: int, verify: bool = False, limit: int | None = None
) -> dict[str, list[Task]]:
    """The tasks of all stages that read, by stage: so that a missing input stops the run before
    it starts. With a `limit`, they read so many records of each input."""
    reads = {}
    for stage in plan.stages:
        if stage.source is not None:
            source, tp = stage.source, stage.root.type
            try:
                if limit is None:
                    reads[stage.name] = read_tasks(source, tp, workers, verify)
                else:
                    reads[stage.name] = limited_tasks(source, tp, limit, verify)
            except InputError as error:
                raise InputError(f"step `{stage.name}`: {error}") from None
    return reads


def prepare(plan: Plan, reads: dict[str, list[Task]], place: Destination) -> None:
    """Makes the destination, and refuses to write over what is no table, or is read.

    Raises:
        OutputError: The destination cannot be written, or a table's place is taken.
    """
    parts = [
        part
        for tasks in reads.values()
        for task in tasks
        for source in task.inputs
        if not isinstance(source, Slice)
        for part in source.parts
    ]
    tables = [table.name for stage in plan.stages for table in stage.tables()]
    place.prepare(tables, {part.path for part in parts})


def execute(
    plan: Plan,
    reads: dict[str, list[Task]],
    engine: Engine,
    place: Destination,
    settings: Settings,
    status: Status,
) -> Progress:
    """Runs all stages. What a failed run was about to write is removed; what its tasks have done
    stays for a run that goes on with it.

    Raises:
        GaiaError: A task failed, or a table could not be committed.
    """
    with status.told():
        return _executed(plan, reads, engine, place, settings, status)


def _executed(
    plan: Plan,
    reads: dict[str, list[Task]],
    engine: Engine,
    place: Destination,
    settings: Settings,
    status: Status,
) -> Progress:
    state: Resume | None = None
    finished = False
    try:
        work = place.open(settings.resume, tell_of_unfinished)
        state = open_resume(place, work, settings.resume)
        run = _Execution(plan, engine, place, settings, state, status)
        for stage in plan.stages:
            run.stage(stage, reads.get(stage.name))
        status.end()
        if settings.report:
            leave(place, status, state.packed())
        finished = True
    except BaseException as error:
        engine.close()
        shown = _shown(error, place)
        status.fail(shown)
        if state is not None and settings.report:
            leave_failed(place, status)
        if shown is error:
            raise
        raise shown from None
    finally:
        engine.close()
        keep = not finished and state is not None and state.worth_keeping
        if state is not None:
            state.kept.close()
        place.close(keep)
        if keep:
            tell("gaia: what is finished is kept; run again with resume=True to go on from there")
    return run.progress


def _shown(error: BaseException, place: Destination) -> BaseException:
    """What the user is to see of an error."""
    # Clients of stores raise whatever they like.
    ours = isinstance(error, GaiaError) or not isinstance(error, Exception)
    if ours or not (isinstance(error, OSError) or "://" in place.url):
        return error
    return OutputError(explain(error, "write to", place.url))


@attrs.define
class _Execution:
    """A run on its way: `place` holds what nobody is to see yet."""

    plan: Plan
    engine: Engine
    place: Destination
    settings: Settings
    resume: Resume
    status: Status
    progress: Progress = attrs.field(factory=Progress)
    # Of the stage that writes each table.
    identities: dict[str, Identity] = attrs.field(factory=dict)

    @property
    def joined(self) -> set[str]:
        """The tables that stages of this run read."""
        return {entry.table for stage in self.plan.stages for entry in stage.inputs}

    def stage(self, stage: Stage, tasks: list[Task] | None) -> None:
        """Runs a stage's tasks (of a join, those for the shards as they were written) and commits
        its tables; or takes it as an earlier run has left it."""
        begin = time.perf_counter()
        number = len(self.progress.stages)
        identity = identity_of(stage, tasks, self.identities)
        self.identities |= {table.name: identity for table in stage.tables()}
        committed = self.resume.finished(stage, identity)
        if committed is None:
            committed = self._done(stage, number, tasks, identity, begin)
        else:
            self.status.stage_skipped(number, committed.counters)
        progress = self.progress
        progress.manifests |= committed.manifests
        progress.counters.update(committed.counters)
        for name, counts in committed.freq_maps.items():
            progress.freq_maps[name].update(counts)
        progress.stages.append(committed.record)
        record = committed.record
        self.status.stage_done(number, committed.manifests, record.parse_errors, record.skipped)

    def _done(
        self,
        stage: Stage,
        number: int,
        tasks: list[Task] | None,
        identity: Identity,
        begin: float,
    ) -> Committed:
        progress = self.progress
        if tasks is None:
            sources = {name: self.place.source(name) for name in progress.manifests}
            tasks = join_tasks(stage, progress.manifests, sources, self.settings.verify)
        folder = f"{number:03}-{os.urandom(3).hex()}"
        tasks, reports, folder = self.resume.begin(stage, identity, tasks, folder)
        bundles = self.resume.work.below(folder)
        setup = Setup(
            # The source stays here: it may be large, and tasks carry their parts of it.
            stage=attrs.evolve(stage, source=None),
            run=Run(self.plan.pipeline, progress.freq_maps.copy(), progress.counters.copy()),
            folder=bundles.url,
            budget=budget_of(self.settings.memory, self.engine.workers, len(list(stage.tables()))),
            shipping=self.settings.shuffle.shipping(bundles),
            profile=self.settings.profile,
        )
        finished = {report.task for report in reports}
        left = [task for task in tasks if task.number not in finished]
        self.status.stage_began(number, tasks, reports)
        attempts = self.settings.attempts
        tally = Tally(deque(sorted(task.number for task in tasks)))
        for report in reports:
            tally.add(report)
        for report in run_all(self.engine, setup, left, attempts, self.watch(stage, number)):
            self.resume.task_done(stage, report)
            self.status.task_done(number, report)
            tally.add(report)
        skipped = tally.skipped(stage)
        counters, freq_maps = dict(tally.counters), dict(tally.freq_maps)
        made = {
            table.name: self.commit(table, number, tally.bundles(table.name), bundles, counters)
            for table in stage.tables()
        }
        for name, manifest in made.items():
            self.place.publish(name, manifest, durable=name not in self.joined)
        for table in stage.tables():
            hot = hottest_keys(table, made[table.name], *self.place.source(table.name))
            self.status.keys_found(table.name, hot)
        record = StageRecord(
            name=stage.name,
            tasks=len(tasks),
            elapsed=time.perf_counter() - begin,
            counters=counters,
            parse_errors=tally.parse_errors(),
            skipped=skipped,
        )
        committed = Committed(stage.name, identity, made, counters, freq_maps, record)
        self.resume.stage_done(committed)
        # Until then, a run that goes on with this one would have to make them anew.
        self.resume.work.remove(folder)
        return committed

    def watch(self, stage: Stage, number: int) -> StageWatch:
        """Tells of what workers do in a stage."""
        advice = "use fewer workers, or keep less in its steps"
        if stage.joiner is not None:
            advice = "keep less in the joiner, or use more shards"
        memory = self.settings.memory
        share = share_of(memory, self.engine.workers)
        return StageWatch(self.status, number, advice, share, memory)

    def commit(
        self,
        table: Table,
        number: int,
        own: Sequence[Bundle | Shipped],
        bundles: Folder,
        counters: dict[str, int],
    ) -> Manifest:
        """Turns the bundles of a stage's tasks into a table that nobody sees yet."""
        folder, upload = self.place.begin(table.name, keep=table.name in self.joined)
        head, tail = ends(table, own)
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
            parquet=table.format is Format.PARQUET,
            upload=upload,
        )
        made = self.settings.shuffle.shards(
            self.engine,
            layout,
            own,
            bundles,
            self.settings.attempts.max_attempts,
            CommitWatch(self.status),
            lambda count: self.status.committing(number, count),
        )
        shards: list[Shard] = []
        for some in made:
            shards += some
            self.status.shards_made(number, len(some))
        shards.sort(key=_by_key)
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


def _by_key(shard: Shard) -> tuple[int, str]:
    return (0, shard.key) if isinstance(shard.key, str) else (shard.key, "")
