"""How what the tasks of a stage leave becomes the shards of its tables."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import attrs

from gaia.errors import WorkerError
from gaia.io.bundle import Bundle, Frame
from gaia.io.commit import Layout, ShardJob, make_shards
from gaia.io.folder import Folder
from gaia.io.grouped import Groups, Shipped
from gaia.io.manifest import Shard
from gaia.io.shipping import Shipping
from gaia.runner.cluster import Gathering, gather, list_bundles, merge_bundles
from gaia.runner.engine import Death, Engine, Watch

X = TypeVar("X")
Y = TypeVar("Y")

# So many bundles are in one directory.
_LISTED = 1000
# Who puts shards together takes about so many bytes, if there is enough for all.
_GATHERED = 4 << 30
# Who puts shards together reads a range of every bundle. Where that would be more ranges than
# these, of fewer bytes than these, so many bundles of so many bytes are made into one before.
_RANGES = 1_000_000
_RANGE = 1 << 20
_MERGED = 256
_MERGED_BYTES = 4 << 30


class Shuffle(Protocol):
    """How shards are put together, and of what."""

    def shipping(self, folder: Folder) -> Shipping | None:
        """How the tasks of a stage, which have that folder, ship their bundles, if they do."""

    def shards(
        self,
        engine: Engine,
        layout: Layout,
        bundles: Sequence[Any],
        folder: Folder,
        max_attempts: int,
        watch: Watch,
        expected: Callable[[int], None],
    ) -> Iterator[list[Shard]]:
        """Makes the shards of a table of its bundles, which are in order; tells how many more of
        them are `expected` as soon as that is known.

        Raises:
            OutputError: The destination cannot be written.
            WorkerError: Workers died of it, too often.
        """


class LocalShuffle:
    """Tasks leave bundles where all workers can read any frame, and this process knows them all."""

    def shipping(self, folder: Folder) -> Shipping | None:
        """See `Shuffle.shipping`."""
        return None

    def shards(
        self,
        engine: Engine,
        layout: Layout,
        bundles: Sequence[Any],
        folder: Folder,
        max_attempts: int,
        watch: Watch,
        expected: Callable[[int], None],
    ) -> Iterator[list[Shard]]:
        """See `Shuffle.shards`."""
        jobs = _shard_jobs(layout.shards, bundles)
        expected(len(jobs))
        batches = deque(_batches(jobs, 4 * engine.workers))
        for batch, outcome in engine.map(make_shards, layout, batches, None, watch):
            if not isinstance(outcome, Death):
                yield outcome
                continue
            attempt = batch[0].attempt
            _check_attempts(layout.table, attempt, max_attempts, outcome)
            batches.append(tuple(attrs.evolve(job, attempt=attempt + 1) for job in batch))


@attrs.frozen
class SharedShuffle:
    """Tasks ship their bundles, laid out by groups of shards, to a folder that all nodes see. Where
    the sections are, only those know who read them."""

    scratch_dir: str | None

    def shipping(self, folder: Folder) -> Shipping | None:
        """See `Shuffle.shipping`."""
        return Shipping(folder, self.scratch_dir)

    def shards(
        self,
        engine: Engine,
        layout: Layout,
        bundles: Sequence[Any],
        folder: Folder,
        max_attempts: int,
        watch: Watch,
        expected: Callable[[int], None],
    ) -> Iterator[list[Shard]]:
        """See `Shuffle.shards`."""
        shipping = Shipping(folder, self.scratch_dir)
        groups = Groups(layout.shards)
        expected(layout.shards or 0)
        full: list[Shipped] = [bundle for bundle in bundles if bundle.size]
        size = sum(bundle.size for bundle in full)
        count = min(groups.count, max(4 * engine.workers, -(-size // _GATHERED)))

        def each(function: Callable[[Any, X], Y], shared: Any, items: Iterable[X]) -> Iterator[Y]:
            queue = deque(items)
            outcomes = engine.map(function, shared, queue, None, watch)
            return _again(outcomes, queue, layout.table, max_attempts)

        shared = (shipping, layout.table, groups)
        ranges = sum(min(bundle.sections, count) for bundle in full)
        if ranges > _RANGES and size < ranges * _RANGE:
            full = sorted(each(merge_bundles, shared, _merges(full)), key=lambda made: made.task)
        directories = each(list_bundles, shared, _cut(full, _LISTED))
        listed = tuple(sorted(directories, key=lambda directory: directory.name))
        spans = ((found[0], found[-1] + 1) for found in _batches(range(groups.count), count))
        for shards in each(gather, Gathering(layout, shipping, groups, listed), spans):
            if layout.shards is None:
                expected(len(shards))
            yield shards


def _merges(bundles: Sequence[Shipped]) -> Iterator[tuple[Shipped, ...]]:
    """Neighbours that become one bundle each."""
    some: list[Shipped] = []
    size = 0
    for bundle in bundles:
        if some and (len(some) == _MERGED or size + bundle.size > _MERGED_BYTES):
            yield tuple(some)
            some, size = [], 0
        some.append(bundle)
        size += bundle.size
    if some:
        yield tuple(some)


def _again(
    outcomes: Iterator[tuple[X, Y | Death]], items: deque[X], table: str, max_attempts: int
) -> Iterator[Y]:
    """What came of all items; those whose worker died are tried again."""
    deaths: Counter[X] = Counter()
    for item, outcome in outcomes:
        if not isinstance(outcome, Death):
            yield outcome
            continue
        deaths[item] += 1
        _check_attempts(table, deaths[item], max_attempts, outcome)
        items.append(item)


def _check_attempts(table: str, attempt: int, max_attempts: int, death: Death) -> None:
    if attempt == max_attempts:
        raise WorkerError(f"table `{table}`: a worker process that put shards together {death.how}")


def _shard_jobs(shards: int | None, bundles: Sequence[Bundle]) -> list[ShardJob]:
    frames: dict[int | str, list[Frame]] = {}
    if shards is not None:
        frames = {number: [] for number in range(shards)}
    # The bundles that hold a single shard can become that shard's file as they are.
    alone: set[str] = set()
    for bundle in bundles:
        found = bundle.frames()
        if len(found) == 1:
            alone.add(bundle.path)
        for key, shard_frames in found.items():
            frames.setdefault(key, []).extend(shard_frames)
    jobs = []
    for key, shard_frames in frames.items():
        paths = {frame.path for frame in shard_frames}
        whole = paths.pop() if len(paths) == 1 else None
        jobs.append(ShardJob(key, tuple(shard_frames), whole if whole in alone else None))
    return jobs


def _batches(items: Sequence[X], count: int) -> Iterator[tuple[X, ...]]:
    """So many batches, or a little fewer."""
    return _cut(items, max(1, -(-len(items) // count)))


def _cut(items: Sequence[X], size: int) -> Iterator[tuple[X, ...]]:
    for start in range(0, len(items), size):
        yield tuple(items[start : start + size])
