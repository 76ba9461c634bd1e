"""How the scheduler bears jobs that no machine here could run: it is the real one, and so are its
plan, journal, status, shuffle and manifests, as cluster runners have them; only the workers are
made up.

An engine of 1 000 nodes in simulated time answers every item at once as a worker would: a task with
the report of its bundles, what puts shards together with the shards. What is measured is the
driver: its memory, its processor time, what it writes, and how much it sends to the nodes. The
requests that workers would make of the store are counted as their code makes them.

    python benchmarks/scale.py                        # a table of jobs that grow to 100 TB
    python benchmarks/scale.py --one 400000 10000 250 # tasks, shards, MB of a bundle
"""

import argparse
import json
import os
import pickle
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Any

import attrs
import cloudpickle
from made_store import FILE_BYTES, Made

import gaia
from gaia.io.destination import LocalDestination
from gaia.io.grouped import Directory, Groups, Shipped
from gaia.io.manifest import Shard, ShardFile, shard_path
from gaia.io.shipping import Shipping
from gaia.ops import FindAll, GroupBy
from gaia.pipeline.plan import Plan
from gaia.pipeline.travel import dumps
from gaia.runner import cluster, scheduler, shuffle
from gaia.runner.attempts import Attempts
from gaia.runner.cluster import Gathering
from gaia.runner.engine import Death, Watch, Worker
from gaia.runner.status import Status
from gaia.runner.task import Setup, Task, TaskReport

NODES = 1_000
# A task reads so much, as `splits` cuts large inputs.
TASK_BYTES = 256 << 20
# Simulated seconds of a task: that is 4 MiB/s, of Python on one core.
TASK_SECONDS = 64.0
# Workers read and write so much at once.
READ_BYTES = 4 << 20
WRITE_BYTES = 32 << 20


@attrs.define
class Requests:
    """How often workers ask a store for something, and how many bytes that is."""

    reads: int = 0
    writes: int = 0
    read: int = 0
    written: int = 0

    def get(self, size: int, times: int = 1) -> None:
        """A worker reads so many bytes, so often."""
        self.reads += times * max(1, -(-size // READ_BYTES))
        self.read += times * size

    def put(self, size: int) -> None:
        """A worker writes so many bytes."""
        self.writes += max(1, -(-size // WRITE_BYTES))
        self.written += size


class Simulated:
    """An engine of nodes that take the time of a task each, in simulated time.

    Items and results are pickled on their way, as they would be.
    """

    def __init__(self, workers: int, bundle_bytes: int) -> None:
        self.workers = workers
        self.bundle_bytes = bundle_bytes
        self.sent = 0
        self.received = 0
        # Of the driver, by what it hands out.
        self.seconds: dict[str, float] = {}
        self.items: dict[str, int] = {}
        self.requests: dict[str, Requests] = {}
        self.away = 0.0
        self._answers: dict[Any, Callable[[Any, Any, Requests], Any]] = {
            cluster.ship_task: self._report,
            cluster.merge_bundles: self._merged,
            cluster.list_bundles: self._directory,
            cluster.gather: self._gathered,
        }
        self._workers = [Worker(f"node {number}") for number in range(workers)]
        self._token = 0

    def map(
        self,
        function: Callable[[Any, Any], Any],
        shared: Any,
        items: deque[Any],
        timeout: float | None = None,
        watch: Watch | None = None,
    ) -> Iterator[tuple[Any, Any | Death]]:
        """See `Engine.map`."""
        self.sent += len(dumps((function, shared, timeout))) * self.workers
        kind = function.__name__
        answer = self._answers[function]
        requests = self.requests.setdefault(kind, Requests())
        begin = time.process_time() - self.away
        running: list[tuple[float, int, Any]] = []
        number = 0
        now = 0.0
        idle = deque(self._workers)
        owners: dict[int, Worker] = {}
        try:
            while items or running:
                while items and idle:
                    item, worker = items.popleft(), idle.popleft()
                    self.sent += len(dumps(item))
                    number += 1
                    # No two tasks end at the same moment.
                    heappush(running, (now + TASK_SECONDS * (1 + number % 97 / 970), number, item))
                    owners[number] = worker
                    if watch is not None:
                        watch.began(item, worker)
                now, done, item = heappop(running)
                idle.append(owners.pop(done))
                if watch is not None:
                    watch.look([])
                # That is a worker's time, and not the driver's.
                begun = time.process_time()
                packed = pickle.dumps(answer(shared, item, requests))
                self.away += time.process_time() - begun
                self.received += len(packed)
                self.items[kind] = self.items.get(kind, 0) + 1
                yield item, cloudpickle.loads(packed)
        finally:
            # Those who have enough close it.
            spent = time.process_time() - self.away - begin
            self.seconds[kind] = self.seconds.get(kind, 0.0) + spent

    def close(self) -> None:
        """See `Engine.close`."""

    def _report(self, setup: Setup, task: Task, requests: Requests) -> TaskReport:
        stage = setup.stage
        bundles = []
        for table in stage.tables():
            groups = Groups(table.shards)
            places = 8 * (groups.count + 1)
            # A join has one shard of each table, of its own.
            size = places + (self.bundle_bytes if stage.joiner is None else 1 << 20)
            filled = groups.count if stage.joiner is None else 1
            bundles.append(self._shipped(table.name, task.number, size, filled, requests))
        for part in (part for source in task.inputs for part in source.parts):
            requests.get(part.size)
        counters = {f"map-input-{stage.name}": 4_000_000, "fn-calls": 60, "fn-writes": 60}
        return TaskReport(
            task.number, 4_000_000, tuple(bundles), counters, {}, (), {}, TASK_SECONDS
        )

    def _shipped(
        self, table: str, task: int, size: int, sections: int, requests: Requests
    ) -> Shipped:
        self._token += 1
        requests.put(size)
        # Tokens are of 32 random bits.
        return Shipped(table, task, self._token * 2654435761 % (1 << 32), size, sections, b"")

    def _merged(
        self, shared: tuple[Shipping, str, Groups], bundles: tuple[Shipped, ...], requests: Requests
    ) -> Shipped:
        _, table, groups = shared
        for bundle in bundles:
            requests.get(bundle.size)
        size = sum(bundle.size for bundle in bundles)
        return self._shipped(table, bundles[0].task, size, groups.count, requests)

    def _directory(
        self, shared: tuple[Shipping, str, Groups], bundles: tuple[Shipped, ...], requests: Requests
    ) -> Directory:
        _, table, groups = shared
        width = 8 * (groups.count + 1)
        requests.get(width, times=len(bundles))
        requests.put(width * len(bundles))
        return Directory(f"directories/{table}-{bundles[0].task:06}-00000000", len(bundles))

    def _gathered(
        self, gathering: Gathering, span: tuple[int, int], requests: Requests
    ) -> list[Shard]:
        layout, groups = gathering.layout, gathering.groups
        keys = groups.numbers(*span)
        bundles = sum(directory.bundles for directory in gathering.directories)
        for directory in gathering.directories:
            requests.get(8 * directory.bundles, times=3)
        if layout.table == "interim":
            size = self.bundle_bytes * self.items["ship_task"] * len(keys) // groups.count
            size //= groups.size
            requests.get(size // bundles, times=bundles)
        else:
            size = len(keys) << 20
            requests.get(1 << 20, times=len(keys))
        of_shard = size // len(keys)
        made = []
        for key in keys:
            requests.put(of_shard)
            name = shard_path(layout.table, key, layout.shards, layout.suffix, None)
            file = ShardFile(name, of_shard, f"{hash(name) % (1 << 64):016x}")
            made.append(Shard(key, 10_000, 4 * of_shard, (file,)))
        return made


@attrs.frozen
class Measured:
    """What a simulated run took of its driver. Sizes are in bytes, times in seconds."""

    tasks: int
    shards: int
    bundle_bytes: int
    plan_seconds: float
    plan_memory: int
    plan_requests: int
    tasks_a_second: float
    seconds: float
    commit_seconds: float
    memory: int
    sent: int
    received: int
    journal: int
    manifest: int
    record: int
    requests: dict[str, Requests]


def job(tasks: int, shards: int) -> Plan:
    """A word count of so many tasks, each of a part of a file, and so many shards."""
    pipeline = gaia.Pipeline("scale")
    store = Made(max(1, tasks * TASK_BYTES // FILE_BYTES))
    lines = pipeline.read_text("made://crawl/*.txt", name="crawl", filesystem=store)
    words = lines.map(FindAll(r"\w+"), name="words")
    words.write("interim", gaia.TXT).with_mod_n_sharding(shards, "word")
    counts = pipeline.join(GroupBy("word", count="sum"), [words], name="counts")
    counts.write("wordcounts", gaia.TXT)
    return pipeline.plan()


def measure(tasks: int, shards: int, bundle_bytes: int, nodes: int = NODES) -> Measured:
    """Runs such a job, in simulated time."""
    folder = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    try:
        return _measure(tasks, shards, bundle_bytes, nodes, folder)
    finally:
        shutil.rmtree(folder)


def _measure(tasks: int, shards: int, bundle_bytes: int, nodes: int, folder: str) -> Measured:
    begin = time.process_time()
    before = Made.requests
    plan = job(tasks, shards)
    reads = scheduler.plan_reads(plan, nodes)
    place = LocalDestination(folder)
    scheduler.prepare(plan, reads, place)
    planned = time.process_time() - begin
    plan_memory = _memory()
    engine = Simulated(nodes, bundle_bytes)
    status = Status(plan, {"workers": nodes})
    journal = 0

    class Watching:
        """Looks at the journal while it is there."""

        def changed(self, status: Status) -> None:
            """See `Listener.changed`."""
            nonlocal journal
            stage = status.current
            if stage is not None and stage.phase == "committing" and not stage.shards_done:
                journal = _size(os.path.join(folder, "_gaia"), "journal")

        def ended(self, status: Status) -> None:
            """See `Listener.ended`."""

    status.listeners.append(Watching())
    settings = scheduler.Settings(
        Attempts(), nodes * (8 << 30), shuffle=shuffle.SharedShuffle(None)
    )
    begin = time.process_time()
    scheduler.execute(plan, reads, engine, place, settings, status)
    seconds = time.process_time() - engine.away - begin
    return Measured(
        tasks=sum(len(found) for found in reads.values()),
        shards=shards,
        bundle_bytes=bundle_bytes,
        plan_seconds=planned,
        plan_memory=plan_memory,
        plan_requests=Made.requests - before,
        tasks_a_second=engine.items["ship_task"] / engine.seconds["ship_task"],
        seconds=seconds,
        commit_seconds=seconds - engine.seconds["ship_task"],
        memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        sent=engine.sent,
        received=engine.received,
        journal=journal,
        manifest=os.path.getsize(os.path.join(folder, "interim", "manifest.json")),
        record=os.path.getsize(os.path.join(folder, "_gaia", "run.json")),
        requests=engine.requests,
    )


def _memory() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _size(folder: str, name: str) -> int:
    return sum(
        os.path.getsize(os.path.join(parent, name))
        for parent, _, names in os.walk(folder)
        if name in names
    )


# Tasks, shards, and MB of a bundle.
JOBS = (
    (4_000, 1_000, 250),
    (40_000, 1_000, 250),
    (40_000, 10_000, 250),
    (40_000, 10_000, 1),
    (400_000, 10_000, 250),
)
_STEPS = {
    "ship_task": "tasks",
    "merge_bundles": "merging",
    "list_bundles": "listing",
    "gather": "gathering",
}
_HEADS = {
    "tasks": "tasks",
    "shards": "shards",
    "bundle_bytes": "bundle, MB",
    "plan_seconds": "plan, s",
    "plan_requests": "requests to plan",
    "tasks_a_second": "tasks/s",
    "commit_seconds": "commit, s",
    "plan_memory": "planned, MB",
    "memory": "driver, MB",
    "sent": "sent, MB",
    "received": "received, MB",
    "journal": "journal, MB",
    "manifest": "manifest, MB",
    "record": "run.json, MB",
}


def _row(found: dict[str, Any]) -> str:
    cells = []
    for name, head in _HEADS.items():
        value = found[name]
        if head.endswith("MB"):
            cells.append(f"{value / 1e6:,.1f}")
        else:
            cells.append(f"{value:,.1f}" if isinstance(value, float) else f"{value:,}")
    return f"| {' | '.join(cells)} |"


def _requests(found: dict[str, Any]) -> Iterator[str]:
    for kind, shown in _STEPS.items():
        if kind in found["requests"]:
            of = found["requests"][kind]
            size = found["bundle_bytes"] / 1e6
            cells = [f"{found['tasks']:,}", f"{found['shards']:,}", f"{size:,.0f}", shown]
            cells += [f"{of['reads']:,}", f"{of['writes']:,}"]
            cells += [f"{of['read'] / 1e12:,.2f}", f"{of['written'] / 1e12:,.2f}"]
            yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Prints two tables; every job has a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--one", nargs=3, type=int, metavar=("TASKS", "SHARDS", "MB"))
    given = parser.parse_args()
    if given.one:
        tasks, shards, size = given.one
        print(json.dumps(attrs.asdict(measure(tasks, shards, size * 1_000_000))))
        return
    print(f"| {' | '.join(_HEADS.values())} |\n|{' ---: |' * len(_HEADS)}", flush=True)
    requests: list[str] = []
    for job_of in JOBS:
        command = [sys.executable, __file__, "--one", *map(str, job_of)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(done.stdout)
        print(_row(found), flush=True)
        requests += _requests(found)
    print("\n| tasks | shards | bundle, MB | step | reads | writes | read, TB | written, TB |")
    print("| ---: | ---: | ---: | :--- | ---: | ---: | ---: | ---: |")
    print("\n".join(requests))


if __name__ == "__main__":
    main()
