"""What is done about records that fail: `on_error=` of steps and reads."""

from typing import Any, TypeAlias

import attrs

from gaia.errors import PipelineError


@attrs.frozen
class Fail:
    """The first record that fails stops the run."""

    def __str__(self) -> str:
        return "fail"


@attrs.frozen
class Skip:
    """Records that fail are counted and left out; more than `max` in the whole run stop it."""

    max: int | None = None

    def __str__(self) -> str:
        return f"skip{_at_most(self.max)}"


@attrs.frozen
class DeadLetters:
    """As `Skip`; and each is written to a table of `DeadLetter` records."""

    table: str
    max: int | None = None
    shards: int = 1

    def __str__(self) -> str:
        return f"dead letter to {self.table}{_at_most(self.max)}"


OnError: TypeAlias = Fail | Skip | DeadLetters

fail = Fail()


def skip(max: int | None = None) -> Skip:
    """For `on_error=`: records that fail are counted, as `skipped-records` and `skipped-` with the
    step's name, and left out. More than `max` in the whole run stop it with a `StepError`.

    A record fails that user code raises an `Exception` for, or, in a stage that reads, one that
    kills worker processes. What had been written for it before stays written.

    >>> import gaia
    >>> pipeline = gaia.Pipeline("inverses")
    >>> numbers = pipeline.from_records([2, 0], name="numbers")
    >>> inverses = numbers.map(lambda n: 1 / n, name="inverse", output=float, on_error=gaia.skip())
    """
    return Skip(max)


def dead_letter(table: str, max: int | None = None, shards: int = 1) -> DeadLetters:
    """For `on_error=`: as `skip`, and each record is written to a table of `gaia.DeadLetter`, as
    JSON lines in that many shards. Steps between the same read or join may share the table.

    >>> import gaia
    >>> pipeline = gaia.Pipeline("inverses")
    >>> numbers = pipeline.from_records([2, 0], name="numbers")
    >>> inverses = numbers.map(
    ...     lambda n: 1 / n, name="inverse", output=float, on_error=gaia.dead_letter("errors")
    ... )
    """
    return DeadLetters(table, max, shards)


@attrs.frozen
class DeadLetter:
    """A record that failed: the step; where it stood in the input; its `repr`, or its line, at
    most 10,000 characters of it; what was raised or how the worker died; and the frames of user
    code that it came through."""

    step: str
    file: str
    position: int
    record: str
    error: str
    traceback: str


def check_on_error(step: str, on_error: Any, most_shards: int) -> None:
    """Refuses what says nothing about errors."""
    if not isinstance(on_error, OnError):
        hint = "; call it" if on_error in (skip, dead_letter) else ""
        raise PipelineError(
            "expected on_error to be gaia.fail, gaia.skip() or gaia.dead_letter(table), got "
            f"{on_error!r}{hint}",
            step=step,
        )
    if isinstance(on_error, Fail):
        return
    most = on_error.max
    if most is not None and (type(most) is not int or most < 0):
        raise PipelineError(f"expected max of 0 or more records, got {most!r}", step=step)
    if isinstance(on_error, DeadLetters):
        shards = on_error.shards
        if type(shards) is not int or not 1 <= shards <= most_shards:
            raise PipelineError(
                f"expected a number of shards from 1 to {most_shards:,}, got {shards!r}", step=step
            )


def _at_most(number: int | None) -> str:
    return "" if number is None else f", at most {number}"
