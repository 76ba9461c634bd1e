"""Limited runs: the first records of every input, whatever the number of workers."""

from collections.abc import Iterable, Iterator
from typing import Any

from gaia.io.files import InputFile
from gaia.pipeline.graph import Files, FileSpec, Records, StoredTable
from gaia.runner.columns import Columns, measured, merged
from gaia.runner.inputs import Archive, Lines, Part, Slice
from gaia.runner.splits import found_files, read_as, shard_source, stored
from gaia.runner.task import Task

# Of a remote file, only so much is asked for ahead.
_AHEAD = 1 << 20

# Shard and metadata of some files, and these.
_Input = tuple[int | None, Any, list[InputFile]]


def limited_tasks(
    source: Files | Records | StoredTable, tp: Any, limit: int, verify: bool = False
) -> list[Task]:
    """The tasks that read the first `limit` records of a source, in the order of its files.

    Files that share their shard and metadata are one input, which one task reads until it has
    enough; so those that are told apart by a `FileSpec` each give so many records.

    Raises:
        InputError: An input is missing or unreadable.
        TableError: A stored table holds records of another type.
    """
    if isinstance(source, Records):
        first = source.records[:limit]
        return [Task(0, (Slice(first, 0),), limit=limit)] if first else []
    if isinstance(source, StoredTable):
        return list(_of_table(source, tp, limit, verify))
    tasks: list[Task] = []
    for shard, metadata, files in _inputs(found_files(source)):
        read = _whole(source, files, tp)
        # How many bytes the records take is not known before they are read.
        tasks.append(Task(len(tasks), (read,), shard, metadata, limit=limit))
    return tasks


def _inputs(found: list[tuple[FileSpec, list[InputFile]]]) -> list[_Input]:
    """The files that belong together. Metadata may be anything: it is the same where it is one
    object."""
    groups: dict[tuple[int | None, int], _Input] = {}
    for spec, files in found:
        key = (spec.shard, id(spec.metadata))
        groups.setdefault(key, (spec.shard, spec.metadata, []))[2].extend(files)
    return list(groups.values())


def _whole(source: Files, files: list[InputFile], tp: Any) -> Lines | Archive | Columns:
    if not source.format.has_columns:
        return read_as(source, tuple(Part(file, until=_AHEAD) for file in files))
    units = measured(files, source.format, tp, ours=False)
    rows: Iterable[Any] = (part for parts in units for part, _ in parts)
    return Columns(tuple(merged(rows)), source.format, skip_damaged=source.skip_damaged)


def _of_table(source: StoredTable, tp: Any, limit: int, verify: bool) -> Iterator[Task]:
    """Tasks of a shard each, of as many as are needed: the manifest tells how many records they
    have."""
    manifest, store = stored(source, tp)
    left = limit
    for number, shard in enumerate(manifest.shards):
        wanted = min(left, shard.records)
        if not wanted:
            continue
        read = shard_source(manifest, source.path, store, number, verify)
        key = shard.key if isinstance(shard.key, int) else None
        weight = shard.raw_bytes * wanted // shard.records
        yield Task(number, (read,), key, weight=weight, limit=wanted)
        left -= wanted
