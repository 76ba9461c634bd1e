"""The small protocol behind which tasks run, and the engine that runs them in this process."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import attrs

from gaia.runner.watch import Watch

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


@attrs.frozen
class Death:
    """How a worker ended in the middle of an item; `frames` are those of user code that it was in,
    as far as it could still tell."""

    how: str
    frames: str = ""


class Engine(Protocol):
    """Runs functions somewhere. Only the scheduler decides what, and commits."""

    workers: int

    def map(
        self,
        function: Callable[[Shared, Item], Result],
        shared: Shared,
        items: deque[Item],
        timeout: float | None = None,
        watch: Watch | None = None,
    ) -> Iterator[tuple[Item, Result | Death]]:
        """Calls `function(shared, item)` for every item of a queue, to which the caller may add
        more meanwhile; yields every item with its result, or the death of its worker, as they come.

        A worker that takes longer than `timeout` seconds for an item is killed. Meanwhile `watch`
        looks at the workers, if there are such.

        Raises:
            GaiaError: What the function raised.
        """

    def close(self) -> None:
        """Ends all workers at once, finished or not."""


class InlineEngine:
    """Runs everything in the calling process, one item after the other, however long each takes."""

    workers = 1

    def map(
        self,
        function: Callable[[Shared, Item], Result],
        shared: Shared,
        items: deque[Item],
        timeout: float | None = None,
        watch: Watch | None = None,
    ) -> Iterator[tuple[Item, Result | Death]]:
        """See `Engine.map`."""
        while items:
            item = items.popleft()
            yield item, function(shared, item)

    def close(self) -> None:
        """There is nothing to end."""
