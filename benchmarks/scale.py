"""How the scheduler bears jobs that no machine here could run: it is the real one, and so are its
plan, journal, status, commit and manifests; only the workers are made up.

An engine of 1 000 nodes in simulated time answers every task at once with a report as a worker
would send it, whose bundles have `--frames` frames, and every commit with shards of the sizes that
were asked for. What is measured is the driver: its memory, its processor time, what it writes, how
much it sends to the nodes, and the requests that its plan makes of the store.

    python benchmarks/scale.py                       # a table of jobs that grow to 100 TB
    python benchmarks/scale.py --one 400000 10000 16 # tasks, shards, frames of a bundle
"""

import argparse
import heapq
import json
import os
import pickle
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import cloudpickle
from made_store import FILE_BYTES, Made

import gaia
from gaia.io.bundle import Bundle
from gaia.io.commit import Layout, ShardJob, make_shards
from gaia.io.destination import LocalDestination
from gaia.io.manifest import Shard, ShardFile, shard_path
from gaia.ops import FindAll, GroupBy
from gaia.pipeline.plan import Stage
from gaia.pipeline.travel import dumps
from gaia.runner import scheduler
from gaia.runner.attempts import Attempts
from gaia.runner.engine import EVERY, Death, Watch, Worker
from gaia.runner.status import Status
from gaia.runner.task import Setup, Task, TaskReport

NODES = 1_000
# A task reads so much, as `splits` cuts large inputs.
TASK_BYTES = 256 << 20
# Simulated seconds of a task: that is 4 MiB/s, of Python on one core.
TASK_SECONDS = 64.0
_ENTRY = struct.Struct("<IIQQQ")


class Simulated:
    """An engine of nodes that take the time of a task each, in simulated time.

    Items and results are pickled on their way, as they would be.
    """

    def __init__(self, workers: int, frames: int) -> None:
        self.workers = workers
        self.frames = frames
        self.sent = 0
        self.received = 0
        self.seconds = {"tasks": 0.0, "commit": 0.0}
        self.items = {"tasks": 0, "commit": 0}
        self.simulated = 0.0
        self.away = 0.0
        self._workers = [Worker(f"node {number}") for number in range(workers)]

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
        commit = function is make_shards
        kind = "commit" if commit else "tasks"
        answer = self._shards(shared) if commit else self._report(shared)
        begin = time.process_time() - self.away
        running: list[tuple[float, int, Any]] = []
        number = 0
        looked = 0.0
        idle = deque(self._workers)
        owners: dict[int, Worker] = {}
        while items or running:
            while items and idle:
                item, worker = items.popleft(), idle.popleft()
                self.sent += len(dumps(item))
                number += 1
                # No two tasks end at the same moment.
                ends = self.simulated + TASK_SECONDS * (1 + number % 97 / 970)
                heapq.heappush(running, (ends, number, item))
                owners[number] = worker
                if watch is not None:
                    watch.began(item, worker)
            self.simulated, done, item = heapq.heappop(running)
            idle.append(owners.pop(done))
            if watch is not None and self.simulated - looked >= EVERY:
                looked = self.simulated
                watch.look(self._workers)
            # That is a worker's time, and not the driver's.
            begun = time.process_time()
            packed = answer(item)
            self.away += time.process_time() - begun
            self.received += len(packed)
            self.items[kind] += 1
            yield item, cloudpickle.loads(packed)
        self.seconds[kind] += time.process_time() - self.away - begin

    def close(self) -> None:
        """See `Engine.close`."""

    def _report(self, setup: Setup) -> Callable[[Task], bytes]:
        stage = setup.stage

        def report(task: Task) -> bytes:
            bundles = tuple(
                Bundle(
                    table.name,
                    os.path.join(setup.folder_of(task), f"{table.name}.bundle"),
                    self._index(stage, table.shards or 0, task),
                    (),
                )
                for table in stage.tables()
            )
            counters = {f"map-input-{stage.name}": 4_000_000, "fn-calls": 60, "fn-writes": 60}
            return pickle.dumps(
                TaskReport(task.number, 4_000_000, bundles, counters, {}, (), {}, TASK_SECONDS)
            )

        return report

    def _index(self, stage: Stage, shards: int, task: Task) -> bytes:
        """Frames for some of the shards, as a task of `frames` buffers would leave them; a join has
        one shard of its own."""
        if stage.joiner is not None:
            assert task.shard is not None
            return _ENTRY.pack(task.shard, 10_000, 0, 1 << 20, 4 << 20)
        some = range(min(self.frames, shards))
        step = max(1, shards // max(1, len(some)))
        return b"".join(
            _ENTRY.pack((task.number + n * step) % shards, 1_000, n << 17, 1 << 17, 1 << 19)
            for n in some
        )

    def _shards(self, layout: Layout) -> Callable[[tuple[ShardJob, ...]], bytes]:
        def made(jobs: tuple[ShardJob, ...]) -> bytes:
            return pickle.dumps([_made(layout, job) for job in jobs])

        return made


def _made(layout: Layout, job: ShardJob) -> Shard:
    size = sum(frame.stored for frame in job.frames)
    name = shard_path(layout.table, job.key, layout.shards, layout.suffix, None)
    file = ShardFile(name, size, f"{size:016x}")
    records = sum(frame.records for frame in job.frames)
    return Shard(job.key, records, sum(frame.raw for frame in job.frames), (file,))


@attrs.frozen
class Measured:
    """What a simulated run took of its driver. Sizes are in bytes, times in seconds."""

    tasks: int
    shards: int
    frames: int
    plan_seconds: float
    plan_memory: int
    requests: int
    tasks_a_second: float
    seconds: float
    commit_seconds: float
    memory: int
    sent: int
    received: int
    journal: int
    manifest: int
    record: int


def measure(tasks: int, shards: int, frames: int) -> Measured:
    """Runs a word count of so many tasks and shards, in simulated time."""
    folder = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    try:
        return _measure(tasks, shards, frames, folder)
    finally:
        shutil.rmtree(folder)


def _measure(tasks: int, shards: int, frames: int, folder: str) -> Measured:
    begin = time.process_time()
    pipeline = gaia.Pipeline("scale")
    store = Made(max(1, tasks * TASK_BYTES // FILE_BYTES))
    lines = pipeline.read_text("made://crawl/*.txt", name="crawl", filesystem=store)
    words = lines.map(FindAll(r"\w+"), name="words")
    words.write("interim", gaia.TXT).with_mod_n_sharding(shards, "word")
    counts = pipeline.join(GroupBy("word", count="sum"), [words], name="counts")
    counts.write("wordcounts", gaia.TXT)
    plan = pipeline.plan()
    reads = scheduler.plan_reads(plan, NODES)
    place = LocalDestination(folder)
    scheduler.prepare(plan, reads, place)
    planned = time.process_time() - begin
    plan_memory = _memory()
    engine = Simulated(NODES, frames)
    status = Status(plan, {"workers": NODES})
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
    settings = scheduler.Settings(Attempts(), 8 << 30)
    begin = time.process_time()
    scheduler.execute(plan, reads, engine, place, settings, status)
    seconds = time.process_time() - engine.away - begin
    return Measured(
        tasks=sum(len(found) for found in reads.values()),
        shards=shards,
        frames=frames,
        plan_seconds=planned,
        plan_memory=plan_memory,
        requests=Made.requests,
        tasks_a_second=engine.items["tasks"] / engine.seconds["tasks"],
        seconds=seconds,
        commit_seconds=seconds - engine.seconds["tasks"],
        memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        sent=engine.sent,
        received=engine.received,
        journal=journal,
        manifest=os.path.getsize(os.path.join(folder, "interim", "manifest.json")),
        record=os.path.getsize(os.path.join(folder, "_gaia", "run.json")),
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


JOBS = ((4_000, 1_000), (40_000, 1_000), (40_000, 10_000), (400_000, 1_000), (400_000, 10_000))
_HEADS = {
    "tasks": "tasks",
    "shards": "shards",
    "frames": "frames each",
    "plan_seconds": "plan, s",
    "requests": "requests",
    "tasks_a_second": "tasks/s",
    "commit_seconds": "commit, s",
    "memory": "memory, MB",
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


def main() -> None:
    """Prints a table; every job has a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=16, help="frames of a bundle, at most")
    parser.add_argument("--one", nargs=3, type=int, metavar=("TASKS", "SHARDS", "FRAMES"))
    given = parser.parse_args()
    if given.one:
        print(json.dumps(attrs.asdict(measure(*given.one))))
        return
    print(f"| {' | '.join(_HEADS.values())} |\n|{' ---: |' * len(_HEADS)}", flush=True)
    for tasks, shards in JOBS:
        command = [sys.executable, __file__, "--one", str(tasks), str(shards), str(given.frames)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        print(_row(json.loads(done.stdout)), flush=True)


if __name__ == "__main__":
    main()
