"""One task: a part of a stage's input; and what is told of it.

These travel to the workers and back.
"""

import os
from collections import Counter
from typing import Any

import attrs

from gaia.io.bundle import Bundle
from gaia.io.grouped import Shipped
from gaia.io.shipping import Shipping
from gaia.pipeline.operators import Run
from gaia.pipeline.plan import Stage
from gaia.runner.columns import Columns
from gaia.runner.failure import Failure
from gaia.runner.inputs import Archive, Lines, Slice
from gaia.runner.memory import Budget
from gaia.runner.profile import Profile
from gaia.runner.skips import Skipped

# What a task reads.
Source = Lines | Columns | Archive | Slice


@attrs.frozen
class Task:
    """A unit of work, retry and resume: one input for each table of a join, any number for a read.

    `weight` is about how many bytes that is, decompressed. Every `attempt` at a task leaves its
    bundles in a folder of its own. `killers` are records that were taken out of the input because
    workers died of them. With a `limit`, only so many records are read, the first ones.
    """

    number: int
    inputs: tuple[Source, ...]
    shard: int | None = None
    metadata: Any = None
    weight: int = 0
    attempt: int = 1
    killers: tuple[Failure, ...] = ()
    limit: int | None = None


@attrs.frozen
class Setup:
    """What all tasks of a stage share. `folder` is where they leave their bundles, and what does
    not fit into the `budget`; with `shipping`, they have folders of their own, and ship them.
    With `profile`, tasks tell where they spend their time."""

    stage: Stage
    run: Run
    folder: str
    budget: Budget
    shipping: Shipping | None = None
    profile: bool = False

    def folder_of(self, task: Task) -> str:
        """Where an attempt at a task leaves its bundles."""
        return os.path.join(self.folder, f"{task.number:06}-{task.attempt}")


@attrs.frozen
class ParseError:
    """Where a record failed to parse, and why."""

    file: str
    position: int
    message: str


@attrs.frozen
class TaskReport:
    """What a finished task tells: how many records it read, its bundles, its counts, what it left
    out by which step, its time in seconds; where it spent that, if it was profiled; and who ran it,
    where that is not known beforehand."""

    task: int
    read: int
    bundles: tuple[Bundle | Shipped, ...]
    counters: dict[str, int]
    freq_maps: dict[str, Counter[Any]]
    parse_errors: tuple[ParseError, ...]
    skipped: dict[str, Skipped]
    elapsed: float
    profile: Profile | None = None
    worker: str | None = None
