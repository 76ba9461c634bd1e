"""The small protocol behind which tasks run, and the engine that runs them in this process."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from gaia.runner.watch import Watch

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Runs functions somewhere. Only the scheduler decides what, and commits."""

    workers: int

    def map(
        self,
        function: Callable[[Shared, Item], Result],
        shared: Shared,
        items: Sequence[Item],
        watch: Watch | None = None,
    ) -> Iterator[Result]:
        """Calls `function(shared, item)` for every item; yields results as they come. Meanwhile
        `watch` looks at the workers, if there are such.

        Raises:
            GaiaError: What the function raised, or the death of a worker.
        """

    def close(self) -> None:
        """Ends all workers at once, finished or not."""


class InlineEngine:
    """Runs everything in the calling process, one item after the other."""

    workers = 1

    def map(
        self,
        function: Callable[[Shared, Item], Result],
        shared: Shared,
        items: Sequence[Item],
        watch: Watch | None = None,
    ) -> Iterator[Result]:
        """See `Engine.map`."""
        return (function(shared, item) for item in items)

    def close(self) -> None:
        """There is nothing to end."""
