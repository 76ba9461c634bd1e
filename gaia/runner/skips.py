"""The records that are left out because they failed, as `on_error` says."""

from collections.abc import Callable, Mapping

import attrs

from gaia import _core
from gaia.errors import GaiaError, StepError
from gaia.pipeline.on_error import DeadLetter, DeadLetters, Skip
from gaia.pipeline.plan import Stage, walk
from gaia.runner.failure import Failure, failure_of

# So much of a record goes to a table of dead letters.
_KEPT = 10_000


@attrs.frozen
class Skipped:
    """How many records a step has left out, and what the last of them failed by."""

    count: int
    last: str


def forgiving(stage: Stage) -> dict[str, Skip | DeadLetters]:
    """The steps of a stage that leave out records that fail, and how."""
    return {
        step.name: step.on_error
        for step in walk(stage.root)
        if isinstance(step.on_error, Skip | DeadLetters)
    }


def added(
    old: Mapping[str, Skipped], new: Mapping[str, Skipped], steps: Mapping[str, Skip | DeadLetters]
) -> dict[str, Skipped]:
    """The sum of what was left out.

    Raises:
        StepError: These are more than a step allows.
    """
    total = dict(old)
    for step, skipped in new.items():
        count = skipped.count + (total[step].count if step in total else 0)
        total[step] = Skipped(count, skipped.last)
        most = steps[step].max
        if most is not None and count > most:
            raise StepError(
                f"step `{step}` was to leave out {most} records that fail at most, but {count} "
                f"failed; the last of them:\n{skipped.last}"
            )
    return total


class Skips:
    """What one task leaves out. `letters` are the ways to the tables of dead letters."""

    def __init__(self, stage: Stage) -> None:
        self.skipped: dict[str, Skipped] = {}
        self.stopped: StepError | None = None
        self.letters: dict[str, _core.Context[DeadLetter]] = {}
        self._steps = forgiving(stage)

    def policy(
        self, step: str, state: _core.TaskState, check: Callable[[], None]
    ) -> Callable[[Exception], None] | None:
        """What takes the exceptions of a step's records, if any are forgiven. `check` raises
        what is the fault of no record."""
        if step not in self._steps:
            return None

        def forgive(error: Exception) -> None:
            # What Gaia raises is no mistake in a record, and what took others with it is none in
            # this one alone.
            if isinstance(error, GaiaError) or state.spoiled is not None:
                raise error
            check()
            failure = failure_of(error, step, state)
            state.forget()
            self.add(failure)

        return forgive

    def add(self, failure: Failure) -> None:
        """Counts a record that failed, and keeps it where its step says so.

        Raises:
            StepError: It is one too many.
        """
        on_error = self._steps.get(failure.step)
        if on_error is None:
            return
        try:
            new = {failure.step: Skipped(1, str(failure))}
            self.skipped = added(self.skipped, new, self._steps)
        except StepError as error:
            self.stopped = error
            raise
        if isinstance(on_error, DeadLetters):
            letter = DeadLetter(
                step=failure.step,
                file=failure.file,
                position=failure.position or 0,
                record=failure.record[:_KEPT],
                error=failure.error,
                traceback=failure.frames,
            )
            self.letters[on_error.table].write(letter)

    def counters(self) -> dict[str, int]:
        """How many records were left out, in all and by each step."""
        counts = {f"skipped-{step}": entry.count for step, entry in self.skipped.items()}
        if self.skipped:
            counts["skipped-records"] = sum(entry.count for entry in self.skipped.values())
        return counts
