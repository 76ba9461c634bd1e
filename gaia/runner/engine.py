"""The small protocol behind which tasks run, and the engine that runs them in this process."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

import attrs

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


@attrs.frozen
class Death:
    """How a worker ended in the middle of an item; `frames` are those of user code that it was in,
    as far as it could still tell."""

    how: str
    frames: str = ""


@attrs.frozen
class Worker:
    """Who runs items: its name, and its process where that is on this machine.

    An engine that knows tells how far the worker is with its item: the part of its input that is
    read, from 0 to 1, and how many records were in it.
    """

    name: str
    pid: int | None = None
    read: float = 0.0
    records: int = 0


class Watch(Protocol):
    """Is told by an engine what its workers do."""

    def began(self, item: Any, worker: Worker) -> None:
        """A worker has got an item."""

    def look(self, workers: Iterable[Worker]) -> None:
        """Some time has passed, at most `EVERY` seconds, with these workers."""


# Seconds between two looks at the workers.
EVERY = 0.25


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
        is told which worker begins an item, and looks at the workers.

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
            if watch is not None:
                watch.began(item, Worker("main"))
                watch.look([])
            yield item, function(shared, item)

    def close(self) -> None:
        """There is nothing to end."""
