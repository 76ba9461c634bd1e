"""For tests of pipelines: run one on given records, and compare tables without regard to order.

>>> import gaia, gaia.testing
>>> pipeline = gaia.Pipeline("lengths")
>>> lines = pipeline.read_text("/data/*.txt", name="lines")
>>> lengths = lines.map(len, name="length", output=int)
>>> _ = lengths.write("lengths", gaia.TXT).with_mod_n_sharding(1)
>>> result = gaia.testing.run(pipeline, {"lines": ["a", "bcd", "ef"]})
>>> gaia.testing.assert_same_records(result["lengths"], [1, 2, 3])
"""

import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pprint import saferepr
from typing import Any

import attrs

from gaia.errors import GaiaError, PipelineError
from gaia.io.destination import LocalDestination
from gaia.pipeline.graph import ModN
from gaia.pipeline.names import type_name
from gaia.pipeline.pipeline import Pipeline
from gaia.pipeline.plan import Branch, Plan, Stage, Table
from gaia.pipeline.signatures import accepts
from gaia.runner import scheduler
from gaia.runner.attempts import Attempts
from gaia.runner.engine import Engine, InlineEngine
from gaia.runner.inputs import Slice
from gaia.runner.result import Table as StoredTable
from gaia.runner.shuffle import LocalShuffle, Shuffle
from gaia.runner.splits import read_tasks
from gaia.runner.status import Status
from gaia.runner.task import Task

_MEMORY = "/dev/shm"
_BUDGET = 1 << 30


@attrs.frozen
class TestResult:
    """What a pipeline wrote: `result[table]` is a list of records, `result.shards[table]` the same
    by shard; and what it counted."""

    __test__ = False

    shards: Mapping[str, Mapping[int | str, list[Any]]]
    counters: Counter[str]
    freq_maps: Mapping[str, Counter[Any]]

    def __getitem__(self, table: str) -> list[Any]:
        if table not in self.shards:
            raise KeyError(f"no table {table!r}; there is {', '.join(self.shards) or 'none'}")
        return [record for records in self.shards[table].values() for record in records]


def run(
    pipeline: Pipeline,
    inputs: Mapping[str, Iterable[Any]] | None = None,
    *,
    tasks: int = 2,
    shards: int = 2,
    seed: int | None = None,
) -> TestResult:
    """Runs a pipeline in this process, through the same steps, bundles and shards as a real run.

    Nothing stays behind: the tables are read back, and the temporary folder (in memory where the
    system has such) is removed.

    Args:
        inputs: Records for reads, by the names of the reads; others read their files.
        tasks: Into how many tasks each of these is cut.
        shards: Tables sharded by number get at least so many, so that code that relies on a single
            shard, or a single task, shows.
        seed: Shuffles the inputs; None leaves them in their order.

    Raises:
        PipelineError: There is no read of that name, or a record is not of its type.
        GaiaError: As `LocalRunner.run`.
    """
    __tracebackhide__ = True
    if tasks < 1:
        raise PipelineError(f"expected a number of tasks, 1 or more, got {tasks}")
    plan = _with_shards(pipeline._plan_to_run(), shards)
    given = {name: list(records) for name, records in (inputs or {}).items()}
    sources = {stage.name: stage for stage in plan.stages if stage.source is not None}
    for name in given:
        if name not in sources:
            known = ", ".join(sources) or "none"
            raise PipelineError(f"expected inputs for reads ({known}), got some for {name!r}")
    reads = {
        name: _tasks(stage, given[name], tasks, seed)
        if name in given
        else read_tasks(stage.source, stage.root.type, tasks)
        for name, stage in sources.items()
        if stage.source is not None
    }
    memory = _MEMORY if os.path.isdir(_MEMORY) and os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="gaia-test-", dir=memory) as folder:
        place = LocalDestination(folder)
        scheduler.prepare(plan, reads, place)
        engine, shuffle = _engine()
        settings = scheduler.Settings(Attempts(), _BUDGET, shuffle=shuffle, report=False)
        status = Status(plan, {})
        try:
            progress = scheduler.execute(plan, reads, engine, place, settings, status)
        except GaiaError as error:
            raise error.with_traceback(None) from None
        types = {table.name: table.type for stage in plan.stages for table in stage.tables()}
        written = {}
        for name, manifest in progress.manifests.items():
            table: StoredTable[Any] = StoredTable(os.path.join(folder, name), types[name], manifest)
            written[name] = {shard.key: list(table.records(shard.key)) for shard in table.shards}
    return TestResult(written, progress.counters, progress.freq_maps)


def _engine() -> tuple[Engine, Shuffle]:
    return InlineEngine(), LocalShuffle()


def assert_same_records(actual: Iterable[Any], expected: Iterable[Any]) -> None:
    """Asserts that two collections hold the same records equally often, in whatever order.

    Raises:
        AssertionError: They do not; the message lists what is missing and what is unexpected.

    >>> assert_same_records([2, 1, 2], [2, 2, 1])
    >>> assert_same_records([2, 1], [2, 2])
    Traceback (most recent call last):
    ...
    AssertionError: the records differ
      missing: 2
      unexpected: 1
    """
    __tracebackhide__ = True
    # By their text, because records need not be hashable; it tells 1 from 1.0 and True as well.
    left, right = Counter(map(saferepr, actual)), Counter(map(saferepr, expected))
    if left == right:
        return
    lines = [f"missing: {text}" for text in sorted((right - left).elements())]
    lines += [f"unexpected: {text}" for text in sorted((left - right).elements())]
    more = f"\n  and {len(lines) - 20} more" if len(lines) > 20 else ""
    raise AssertionError("\n  ".join(["the records differ", *lines[:20]]) + more)


def _tasks(stage: Stage, records: list[Any], tasks: int, seed: int | None) -> list[Task]:
    __tracebackhide__ = True
    for record in records:
        if not accepts(stage.root.type, type(record)):
            raise PipelineError(
                f"expected records of type `{type_name(stage.root.type)}` for `{stage.name}`, "
                f"got `{type_name(type(record))}`"
            )
    if seed is not None:
        random.Random(f"{seed} {stage.name}").shuffle(records)
    cuts = [len(records) * i // tasks for i in range(tasks + 1)]
    return [
        Task(number, (Slice(tuple(records[cuts[number] : cuts[number + 1]]), cuts[number]),))
        for number in range(tasks)
    ]


def _with_shards(plan: Plan, least: int) -> Plan:
    """The plan with at least so many shards in every table that is sharded by number."""

    def table(old: Table) -> Table:
        if old.shards is None:
            return old
        shards = max(old.shards, least)
        sharding = old.sharding
        if isinstance(sharding, ModN):
            sharding = attrs.evolve(sharding, shards=shards)
        return attrs.evolve(old, shards=shards, sharding=sharding)

    def branch(old: Branch) -> Branch:
        return attrs.evolve(
            old,
            tables=tuple(map(table, old.tables)),
            branches=tuple(map(branch, old.branches)),
        )

    def stage(old: Stage) -> Stage:
        shards = None if old.shards is None else max(old.shards, least)
        letters = tuple(map(table, old.letters))
        return attrs.evolve(old, root=branch(old.root), shards=shards, letters=letters)

    return attrs.evolve(plan, stages=tuple(map(stage, plan.stages)))
