"""What a run would do, in words: the plan with sizes, tasks and memory."""

from collections.abc import Iterator, Mapping

import attrs

from gaia.pipeline.explain import counted, explain
from gaia.pipeline.native import NativeJoiner
from gaia.pipeline.plan import Plan, Stage
from gaia.runner.inputs import Slice
from gaia.runner.memory import budget_of, most_held, shown
from gaia.runner.task import Task


@attrs.frozen
class Means:
    """What a run has: where its tables go, how many workers (0: it is done in the calling process),
    how many bytes of memory."""

    dest: str
    workers: int
    memory: int
    limit: int | None = None


def explanation(plan: Plan, reads: Mapping[str, list[Task]], means: Means) -> str:
    """The plan as text, with what is known before it runs."""
    by = counted(means.workers, "worker") if means.workers else "this process alone"
    about = [f"into {means.dest}, by {by}, with {shown(means.memory)} of memory"]
    if means.limit is not None:
        about.append(f"of each input the first {counted(means.limit, 'record')}")
    notes = {stage.name: list(_notes(stage, reads.get(stage.name), means)) for stage in plan.stages}
    return explain(plan, about, notes)


def _notes(stage: Stage, tasks: list[Task] | None, means: Means) -> Iterator[str]:
    number = (stage.shards or 0) if tasks is None else len(tasks)
    does = f" in {counted(number, 'task')}"
    yield f"input: {_shards(stage) if tasks is None else _input(tasks)},{does}"
    tables = list(stage.tables())
    workers = max(1, means.workers)
    budget = budget_of(means.memory, workers, len(tables))
    native = isinstance(stage.joiner, NativeJoiner)
    combined = sum(table.combine is not None for table in tables)
    most = shown(most_held(budget, len(tables), combined, native))
    busy = min(workers, number)
    each = f" in each of {counted(busy, 'worker')}" if busy > 1 else ""
    yield f"memory: at most {most}{each}, and what your code keeps"


def _shards(stage: Stage) -> str:
    return f"{counted(stage.shards or 0, 'shard')} of {counted(len(stage.inputs), 'table')}"


def _input(tasks: list[Task]) -> str:
    sources = [source for task in tasks for source in task.inputs]
    records = sum(len(source.records) for source in sources if isinstance(source, Slice))
    files = {
        part.path: part.file.size
        for source in sources
        if not isinstance(source, Slice)
        for part in source.parts
    }
    if not files:
        return counted(records, "record")
    sizes = [size for size in files.values() if size is not None]
    unknown = len(files) - len(sizes)
    more = f" and {counted(unknown, 'file')} of unknown size" if unknown else ""
    return f"{counted(len(sizes), 'file')} of {_bytes(sum(sizes))}{more}"


def _bytes(size: int) -> str:
    """A size as people write it, however small.

    >>> _bytes(999), _bytes(34_567), _bytes(2_500_000_000)
    ('999 bytes', '35 kB', '2.5 GB')
    """
    if size < 1000:
        return counted(size, "byte")
    return f"{size / 1e3:.0f} kB" if size < 1_000_000 else shown(size)
