"""Running the tasks of a stage, each again if its worker dies."""

import os
import shutil
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import TypeAlias

import attrs

from gaia.errors import WorkerError
from gaia.pipeline.plan import Stage, walk
from gaia.runner.cluster import ship_task
from gaia.runner.columns import Rows
from gaia.runner.culprit import Culprit, find
from gaia.runner.engine import Death, Engine
from gaia.runner.failure import Failure
from gaia.runner.inputs import Part, Slice
from gaia.runner.skips import Skipped, added, forgiving
from gaia.runner.stragglers import Stragglers
from gaia.runner.task import Setup, Task, TaskReport
from gaia.runner.task_run import run_task
from gaia.runner.watch import StageWatch

_SHOWN_PARTS = 3


@attrs.frozen
class Attempts:
    """How often a task is tried whose workers die, and how many seconds one may take."""

    max_attempts: int = 3
    task_timeout: float | None = None


# What happens to a task after the first death: attempts go out, and what came of them comes in.
_Life: TypeAlias = Generator[Task, TaskReport | Death, TaskReport]


def run_all(
    engine: Engine,
    setup: Setup,
    tasks: Sequence[Task],
    settings: Attempts,
    watch: StageWatch,
) -> Iterator[TaskReport]:
    """Runs the tasks of a stage; yields their reports as they come.

    Raises:
        GaiaError: What a task raised.
        StepError: More records were left out than a step allows.
        WorkerError: Workers died of one task as often as they may.
    """
    queue = deque(tasks)
    lives: dict[int, _Life] = {}
    steps = forgiving(setup.stage)
    skipped: dict[str, Skipped] = {}

    def checked(report: TaskReport) -> TaskReport:
        nonlocal skipped
        skipped = added(skipped, report.skipped, steps)
        return report

    left = len(tasks)
    with closing(_outcomes(engine, setup, queue, settings.task_timeout, watch)) as outcomes:
        while left:
            task, outcome = next(outcomes)
            if isinstance(outcome, Death):
                _remove(setup, task)
                watch.died(task, outcome)
            life = lives.get(task.number)
            if life is None:
                if not isinstance(outcome, Death):
                    left -= 1
                    yield checked(outcome)
                    continue
                life = lives[task.number] = _tried_again(setup, task, settings)
                next(life)
            try:
                # Ahead of the others: what is going to stop the run had better do it now.
                queue.appendleft(life.send(outcome))
            except StopIteration as end:
                del lives[task.number]
                left -= 1
                yield checked(end.value)


def _outcomes(
    engine: Engine,
    setup: Setup,
    queue: deque[Task],
    timeout: float | None,
    watch: StageWatch,
) -> Generator[tuple[Task, TaskReport | Death], None, None]:
    """What came of each task. Where tasks ship what they leave, those that are late may be with two
    workers, of which one counts; the other is given up when the caller has enough."""
    if setup.shipping is None:
        yield from engine.map(run_task, setup, queue, timeout, watch)
        return
    stragglers = Stragglers(watch, queue, engine.workers)
    for task, outcome in engine.map(ship_task, setup, queue, timeout, stragglers):
        if isinstance(outcome, Death):
            if stragglers.lost(task):
                yield task, outcome
        elif stragglers.first(outcome):
            yield task, outcome


def _tried_again(setup: Setup, task: Task, settings: Attempts) -> _Life:
    """Attempts at a task, of which the first has been made. Where a step of the stage leaves out
    records that fail, a record that kills is one of them."""
    forgiven = next(iter(forgiving(setup.stage)), None)
    deaths: list[Death] = []
    while True:
        outcome = yield task
        if not isinstance(outcome, Death):
            return outcome
        deaths.append(outcome)
        task = attrs.evolve(task, attempt=task.attempt + 1)
        if len(deaths) < settings.max_attempts:
            continue
        found: Culprit | str = ""
        if settings.max_attempts > 1 and setup.stage.joiner is None:
            task, found = yield from _search(setup, task)
        if forgiven is None or not isinstance(found, Culprit):
            raise WorkerError(_message(setup.stage, task, deaths, found))
        how = f"a worker process {outcome.how}"
        killer = Failure(forgiven, how, found.file, found.position, found.record, outcome.frames)
        # It is one of the first records, as those are that fail in other ways.
        limit = None if task.limit is None else task.limit - 1
        task = attrs.evolve(task, inputs=found.rest, killers=(*task.killers, killer), limit=limit)
        deaths.clear()


def _search(
    setup: Setup, task: Task
) -> Generator[Task, TaskReport | Death, tuple[Task, Culprit | str]]:
    """Searches a task's input for the record that kills; also returns the next attempt at it."""
    search = find(task.inputs)
    trial = task
    try:
        inputs = next(search)
        while True:
            trial = attrs.evolve(trial, inputs=inputs, attempt=trial.attempt + 1, killers=())
            outcome = yield trial
            if not isinstance(outcome, Death):
                _remove(setup, trial)
            inputs = search.send(isinstance(outcome, Death))
    except StopIteration as end:
        return attrs.evolve(task, attempt=trial.attempt + 1), end.value


def _remove(setup: Setup, task: Task) -> None:
    """Removes what an attempt has left that nobody is going to read. What was shipped is in a
    folder that is removed after the stage."""
    folder = setup.folder_of(task)
    if setup.shipping is None and os.path.isdir(folder):
        shutil.rmtree(folder)


def _message(stage: Stage, task: Task, deaths: list[Death], found: Culprit | str) -> str:
    steps = [f"`{branch.name}`" for branch in walk(stage.root)][1:]
    with_steps = f" (with {', '.join(steps)})" if steps else ""
    tries = f" in each of {len(deaths)} attempts; the last" if len(deaths) > 1 else ""
    died = f" died{tries}" if tries else ""
    lines = [f"step `{stage.name}`{with_steps}: a worker process{died} {deaths[-1].how}"]
    lines += [f"  input: {entry}" for entry in _inputs(stage, task)]
    if isinstance(found, Culprit):
        place = f"{found.file}, position {found.position}" if found.file else f"{found.position}"
        lines.append(f"  record that kills it: {place}: {found.record}")
    elif found:
        lines.append(f"  record that kills it: {found}")
    if deaths[-1].frames:
        lines.append(f"  in your code:\n{deaths[-1].frames}")
    if isinstance(found, Culprit):
        lines.append("  on_error=gaia.skip() at one of these steps leaves such records out")
    return "\n".join(lines)


def _inputs(stage: Stage, task: Task) -> Iterator[str]:
    """What a task reads."""
    if stage.joiner is not None:
        for entry, source in zip(stage.inputs, task.inputs, strict=True):
            assert not isinstance(source, Slice)
            size = sum(part.file.size or 0 for part in source.parts)
            yield f"shard {task.shard} of table `{entry.table}`, {size} bytes"
        return
    parts = []
    for source in task.inputs:
        if isinstance(source, Slice):
            last = source.start + len(source.records) - 1
            yield f"records {source.start} to {last} of the plan"
        else:
            parts += [_range(part) for part in source.parts]
    yield from parts[:_SHOWN_PARTS]
    if len(parts) > _SHOWN_PARTS:
        yield f"and {len(parts) - _SHOWN_PARTS} more files"


def _range(part: Part | Rows) -> str:
    if isinstance(part, Rows):
        return part.path if part.batches is None else f"{part.path}, from row {part.first_row} on"
    return part.path if part.end is None else f"{part.path}, bytes {part.start} to {part.end}"
