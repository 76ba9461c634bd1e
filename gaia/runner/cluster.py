"""What workers of a cluster do: tasks whose bundles go where all nodes see them, and shards that
are put together from there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from socket import gethostname

import attrs

from gaia.errors import OutputError
from gaia.io.bundle import Bundle, Frame
from gaia.io.commit import Layout, ShardJob, make_shards
from gaia.io.folder import Folder
from gaia.io.grouped import (
    Directory,
    Groups,
    Shipped,
    frames_of,
    make_directory,
    merge,
    regroup,
    sections,
)
from gaia.io.manifest import Shard
from gaia.io.shipping import Shipping
from gaia.io.stores import at_once, explain
from gaia.runner.task import Setup, Task, TaskReport
from gaia.runner.task_run import run_task

# Of a store, so many bytes are asked for at once.
_RANGE = 4 << 20
_AT_ONCE = 16


@contextmanager
def _writing(url: str) -> Iterator[None]:
    try:
        yield
    except OutputError:
        raise
    except Exception as error:
        # Clients of stores raise whatever they like.
        raise OutputError(explain(error, "write to", url)) from None


def ship_task(setup: Setup, task: Task) -> TaskReport:
    """Runs a task on a node, and ships its bundles; the report tells where they are, and which
    process of which node it was.

    Raises:
        GaiaError: As `run_task`; also if the bundles cannot be shipped.
    """
    shipping = setup.shipping
    assert shipping is not None
    shards = {table.name: table.shards for table in setup.stage.tables()}
    token = _token()
    with shipping.scratch() as scratch:
        report = run_task(attrs.evolve(setup, folder=scratch, shipping=None), task)
        with _writing(shipping.folder.url):
            shipped = [
                _ship(shipping.folder, bundle, Groups(shards[bundle.table]), task.number, token)
                for bundle in report.bundles
                if isinstance(bundle, Bundle)
            ]
    return attrs.evolve(report, bundles=tuple(shipped), worker=f"{gethostname()}:{os.getpid()}")


def _ship(folder: Folder, bundle: Bundle, groups: Groups, task: int, token: int) -> Shipped:
    if not bundle.index:
        return Shipped(bundle.table, task, token, 0, 0, bundle.zones)
    made = f"{bundle.path}.grouped"
    filled = regroup(bundle, groups, made)
    shipped = Shipped(bundle.table, task, token, os.path.getsize(made), filled, bundle.zones)
    folder.put(made, shipped.name)
    return shipped


def _token() -> int:
    return int.from_bytes(os.urandom(4), "little")


def merge_bundles(shared: tuple[Shipping, str, Groups], bundles: tuple[Shipped, ...]) -> Shipped:
    """Makes one bundle of several of a table, which stay as they are: a run that goes on with this
    one begins with them.

    Raises:
        OutputError: A bundle is gone, or it cannot be written.
    """
    shipping, table, groups = shared
    folder = shipping.folder
    with shipping.scratch() as scratch, _writing(folder.url):
        here = []
        for number, bundle in enumerate(bundles):
            path = folder.path(bundle.name)
            if folder.store is not None:
                path = os.path.join(scratch, str(number))
                _fetched(folder, [(bundle.name, 0, bundle.size)], path)
            here.append((path, bundle.size))
        made = os.path.join(scratch, "merged")
        filled = merge(here, groups, made)
        size = os.path.getsize(made)
        merged = Shipped(table, bundles[0].task, _token(), size, filled, b"")
        folder.put(made, merged.name)
        return merged


def list_bundles(shared: tuple[Shipping, str, Groups], bundles: tuple[Shipped, ...]) -> Directory:
    """Makes the directory of some bundles of a table.

    Raises:
        OutputError: A bundle is gone, or it cannot be written.
    """
    shipping, table, groups = shared
    name = f"directories/{table}-{bundles[0].task:06}-{os.urandom(4).hex()}"
    with shipping.scratch(), _writing(shipping.folder.url):
        return make_directory(shipping.folder, groups, table, bundles, name)


@attrs.frozen
class Gathering:
    """What all have in common that put shards of a table together."""

    layout: Layout
    shipping: Shipping
    groups: Groups
    directories: tuple[Directory, ...]


def gather(gathering: Gathering, span: tuple[int, int]) -> list[Shard]:
    """Makes the shards of groups `[start, stop)`.

    Raises:
        OutputError: A bundle is gone, or the destination cannot be written.
    """
    layout, folder = gathering.layout, gathering.shipping.folder
    with gathering.shipping.scratch() as scratch, _writing(folder.url):
        found = sections(folder, layout.table, gathering.directories, *span)
        ranges = (
            [(folder.path(name), start, end) for name, start, end in found]
            if folder.store is None
            else [_fetched(folder, list(found), os.path.join(scratch, "sections"))]
        )
        frames: dict[int | str, list[Frame]] = {key: [] for key in gathering.groups.numbers(*span)}
        for path, start, end in ranges:
            for key, frame in frames_of(path, start, end):
                frames.setdefault(key, []).append(frame)
        jobs = tuple(ShardJob(key, tuple(of_shard), None) for key, of_shard in frames.items())
        if layout.upload is not None:
            return make_shards(attrs.evolve(layout, folder=os.path.join(scratch, "made")), jobs)
        # Made beside their place, so that they come into it whole, even if two make them.
        made = folder.path(f"made-{os.urandom(4).hex()}")
        shards = make_shards(attrs.evolve(layout, folder=made), jobs)
        for file in (file for shard in shards for file in shard.files):
            target = os.path.join(layout.folder, file.path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.replace(os.path.join(made, file.path), target)
        return shards


def _fetched(
    folder: Folder, found: list[tuple[str, int, int]], target: str
) -> tuple[str, int, int]:
    """All sections one behind the other in a file of this machine."""
    pieces = [
        (name, at, min(at + _RANGE, end))
        for name, start, end in found
        for at in range(start, end, _RANGE)
    ]
    with open(target, "xb") as file:
        for first in range(0, len(pieces), _AT_ONCE):
            for content in at_once(
                lambda piece: folder.read(*piece), pieces[first : first + _AT_ONCE]
            ):
                file.write(content)
        return target, 0, file.tell()
