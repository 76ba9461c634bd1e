"""The engine that runs tasks in worker processes on this machine."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeVar

from gaia.io.undisturbed import undisturbed
from gaia.pipeline.travel import dumps
from gaia.runner.child import Child, fork, fork_by, ready, unpacked
from gaia.runner.engine import Death, Watch
from gaia.runner.forkserver import ForkServer, living
from gaia.runner.prints import Prints

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


class ProcessEngine:
    """A fixed number of worker processes; one that dies is replaced.

    They are forked while this process has a single thread, which takes a millisecond; otherwise
    by a server (see `ForkServer`), which is started when it is first needed.

    Each is the head of a session, so that whatever user code starts in it ends with it, and Ctrl-C
    reaches this process alone. With `drawn`, this process draws on the terminal, and what
    they print there goes through it.
    """

    def __init__(self, workers: int, drawn: bool = False) -> None:
        self.workers = workers
        self._drawn = drawn
        self._workers: list[Child] = []
        self._server: ForkServer | None = None
        try:
            for number in range(1, workers + 1):
                self._start(number)
        except BaseException:
            self.close()
            raise

    def map(
        self,
        function: Callable[[Shared, Item], Result],
        shared: Shared,
        items: deque[Item],
        timeout: float | None = None,
        watch: Watch | None = None,
    ) -> Iterator[tuple[Item, Result | Death]]:
        """See `Engine.map`."""
        payload = dumps((function, shared, timeout))
        idle = list(self._workers)
        busy: dict[Child, Item] = {}

        def hand_out() -> None:
            while items and idle:
                worker, item = idle.pop(), items.popleft()
                worker.begin(payload, dumps(item), timeout)
                busy[worker] = item
                if watch is not None:
                    watch.began(item, worker.shown)

        hand_out()
        while busy:
            for worker in ready(busy, watch, self._workers):
                item = busy.pop(worker)
                outcome: Result | Death = unpacked(worker.receive())
                if isinstance(outcome, Death):
                    self._workers.remove(worker)
                    worker = self._start(worker.number)
                idle.append(worker)
                hand_out()
                yield item, outcome
            hand_out()  # The caller may have added some for workers that had nothing to do.

    def close(self) -> None:
        """See `Engine.close`. What workers leave behind is never visible, so they are killed."""
        with undisturbed():
            for worker in self._workers:
                worker.kill()
            for worker in self._workers:
                worker.reap()
            self._workers = []
            if self._server is not None:
                self._server.close()
                self._server = None

    def _start(self, number: int) -> Child:
        # This process may have got threads since the last one was started.
        with undisturbed():
            prints = Prints() if self._drawn else None
            if _single_threaded():
                worker = fork(self._workers, number, prints)
            else:
                self._server = living(self._server)
                worker = fork_by(self._server, number, prints)
            self._workers.append(worker)
        return worker


def _single_threaded() -> bool:
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False
