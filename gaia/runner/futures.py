"""What engines have in common that run tasks elsewhere, and get futures for them."""

import heapq
import queue
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from gaia import _core
from gaia.pipeline.travel import dumps
from gaia.runner.child import unpacked
from gaia.runner.engine import EVERY, Death, Watch, Worker

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Places:
    """Numbers for the workers that have something in their hands, the smallest first."""

    def __init__(self) -> None:
        self._free: list[int] = []
        self._count = 0

    def take(self) -> Worker:
        """A worker that has nothing in its hands."""
        if not self._free:
            self._count += 1
            return Worker(f"worker {self._count}")
        return Worker(f"worker {heapq.heappop(self._free)}")

    def leave(self, worker: Worker) -> None:
        """It has done what it had."""
        heapq.heappush(self._free, int(worker.name.rpartition(" ")[2]))


class FutureEngine:
    """Hands out items for which it gets futures, `at_once()` of them at most.

    What all items share is packed once. `_post` takes it where workers find it; `_submit` has
    `host.run` called in some worker.
    """

    workers: int

    def map(
        self,
        function: Callable[[Shared, Item], Result],
        shared: Shared,
        items: deque[Item],
        timeout: float | None = None,
        watch: Watch | None = None,
    ) -> Iterator[tuple[Item, Result | Death]]:
        """See `Engine.map`. What is still running when the caller wants no more is ended."""
        common = dumps((function, shared, timeout))
        self._post(f"{_core.checksum_of(common):032x}", common, timeout)
        done: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        sent: dict[Future[Any], tuple[Item, bytes]] = {}
        # Those that wait where they were sent, in order, and who has the others in hand.
        waiting: deque[Future[Any]] = deque()
        begun: dict[Future[Any], Worker] = {}
        places = Places()

        def send(item: Item, packed: bytes, again: bool = False) -> Future[Any]:
            future = self._submit(packed, again)
            sent[future] = item, packed
            future.add_done_callback(done.put)
            return future

        def begin(future: Future[Any]) -> None:
            begun[future] = worker = places.take()
            if watch is not None:
                watch.began(sent[future][0], worker)

        def hand_out() -> None:
            while items and len(sent) < self.at_once():
                item = items.popleft()
                waiting.append(send(item, dumps(item)))
            while waiting and len(begun) < self.slots():
                begin(waiting.popleft())

        try:
            hand_out()
            while sent:
                try:
                    future = done.get(timeout=EVERY)
                except queue.Empty:
                    future = None
                if watch is not None:
                    watch.look([])
                if future is not None:
                    if future not in begun:
                        waiting.remove(future)
                        begin(future)
                    worker = begun.pop(future)
                    item, packed = sent.pop(future)
                    answer = self._answer(future)
                    if answer is None:
                        begun[send(item, packed, again=True)] = worker
                        continue
                    outcome: Result | Death = unpacked(answer)
                    places.leave(worker)
                    hand_out()
                    yield item, outcome
                hand_out()  # The caller may have added some, and there may be more workers.
        finally:
            self._leave(list(sent))

    def close(self) -> None:
        """See `Engine.close`. Of what nobody wants any more, some may still be under way."""

    def at_once(self) -> int:
        """How many items may be under way now."""
        raise NotImplementedError

    def slots(self) -> int:
        """How many of them can run now. The others wait for their turn, the first sent first."""
        return self.at_once()

    def _post(self, name: str, common: bytes, timeout: float | None) -> None:
        """Is told of what all items have in common from now on."""
        raise NotImplementedError

    def _submit(self, item: bytes, again: bool) -> Future[Any]:
        """Sends an item; `again`, if its worker has not found what the items have in common."""
        raise NotImplementedError

    def _answer(self, future: Future[Any]) -> bytes | Death | None:
        """What came of an item: that which `host.run` has returned, or how that ended.

        Raises:
            GaiaError: There will be no answers any more.
        """
        raise NotImplementedError

    def _leave(self, futures: list[Future[Any]]) -> None:
        """Is told that what was posted has come to its end, and of what nobody wants the answer."""
        raise NotImplementedError
