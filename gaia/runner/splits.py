"""Cutting a stage's input into tasks."""

import os
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from gaia.errors import TableError
from gaia.io.files import InputFile, expand
from gaia.io.manifest import Manifest, read_manifest
from gaia.pipeline.graph import Files, Format, Records, StoredTable
from gaia.pipeline.plan import Input, Stage
from gaia.pipeline.records import same_shape, why_not
from gaia.runner.inputs import Archive, Lines, Part, Slice, can_split
from gaia.runner.task import Task

_MIN_SPLIT = 1 << 20
_MAX_SPLIT = 256 << 20
# Of what is left, each round of tasks takes so much: large tasks combine more, and the small ones
# at the end let all workers finish together.
_ROUND = 3 / 4
_TASKS_PER_WORKER = 8
# A rest of a file that is smaller goes along with the part before it.
_SLIVER = 1 << 16
# What a compressed file counts for when tasks are made of a similar size.
_EXPANSION = 4


def read_tasks(source: Files | Records | StoredTable, tp: Any, workers: int) -> list[Task]:
    """The tasks of a stage that reads.

    Plain files are cut where a task has enough, and small files are put together; a compressed file
    is never cut, but for an archive: tasks find the records that start in their bytes. See
    `split_sizes` for how much is enough.

    Raises:
        InputError: An input is missing or unreadable.
        TableError: A stored table holds records of another type.
    """
    if isinstance(source, Records):
        return _record_tasks(source.records, workers)
    if isinstance(source, StoredTable):
        return _table_tasks(source.path, tp)
    found = [(spec, expand(spec.glob)) for spec in source.specs]
    cuttable = _cuttable(source)
    total = sum(_weight(file, cuttable) for _, files in found for file in files)
    sizes = split_sizes(total, workers)
    tasks: list[Task] = []
    for spec, files in found:
        for parts in _cut(files, sizes, cuttable):
            tasks.append(Task(len(tasks), (_read_as(source, parts),), spec.shard, spec.metadata))
    return tasks


def _cuttable(source: Files) -> Collection[str]:
    """The compressions of files that can be cut into byte ranges."""
    if source.format is Format.WARC:
        return ("none", "gzip", "zstd")
    return ("none",) if can_split(source.encoding) else ()


def _read_as(source: Files, parts: tuple[Part, ...]) -> Lines | Archive:
    if source.format is Format.WARC:
        return Archive(parts, source.types, source.skip_broken)
    return Lines(parts, source.format, source.encoding, source.errors, source.skip_header)


def split_sizes(total: int, workers: int) -> Iterator[int]:
    """How large the tasks of so many bytes should be, one after the other, without end.

    >>> import itertools
    >>> sizes = split_sizes(100 << 20, workers=2)
    >>> [round(size / 2**20, 1) for size in itertools.islice(sizes, 9)]
    [37.5, 37.5, 9.4, 9.4, 2.3, 2.3, 1.0, 1.0, 1.0]
    """
    left = total
    while True:
        size = max(_MIN_SPLIT, min(_MAX_SPLIT, int(left * _ROUND / workers)))
        for _ in range(workers):
            yield size
        left = max(0, left - size * workers)


def join_tasks(stage: Stage, manifests: dict[str, Manifest], dest: str) -> list[Task]:
    """The tasks of a join: one for each shard, the largest first, so that none is left over when
    the others are done."""

    def lines(entry: Input, shard: int) -> Lines:
        return shard_lines(manifests[entry.table], os.path.join(dest, entry.table), shard)

    def size(shard: int) -> int:
        return sum(manifests[entry.table].shards[shard].raw_bytes for entry in stage.inputs)

    return [
        Task(shard, tuple(lines(entry, shard) for entry in stage.inputs), shard)
        for shard in sorted(range(stage.shards or 0), key=size, reverse=True)
    ]


def shard_lines(manifest: Manifest, folder: str, shard: int) -> Lines:
    """How shard number `shard` of a table, in the manifest's order, is read."""
    files = manifest.shards[shard].files
    parts = tuple(
        Part(os.path.join(folder, file.path), manifest.compression, size=file.size)
        for file in files
    )
    return Lines(parts, Format(manifest.format), ours=True)


def _record_tasks(records: tuple[Any, ...], workers: int) -> list[Task]:
    size = max(1, -(-len(records) // (workers * _TASKS_PER_WORKER)))
    starts = range(0, len(records), size)
    return [
        Task(number, (Slice(records[start : start + size], start),))
        for number, start in enumerate(starts)
    ]


def _table_tasks(path: str, tp: Any) -> list[Task]:
    manifest = read_manifest(path)
    if not same_shape(tp, manifest.record):
        raise TableError(f"table {path} {why_not(tp, manifest.record)}")
    return [
        Task(
            number,
            (shard_lines(manifest, path, number),),
            shard.key if isinstance(shard.key, int) else None,
        )
        for number, shard in enumerate(manifest.shards)
    ]


def _weight(file: InputFile, cuttable: Collection[str]) -> int:
    """What a file counts for; one that can be cut, its size, which is that of its ranges."""
    plain = file.compression == "none" or file.compression in cuttable
    return file.size if plain else file.size * _EXPANSION


def _cut(
    files: Sequence[InputFile], sizes: Iterator[int], cuttable: Collection[str]
) -> Iterator[tuple[Part, ...]]:
    """What each task reads of some files."""
    size = next(sizes)
    group: list[Part] = []
    held = 0
    for file in files:
        if file.compression not in cuttable:
            weight = _weight(file, cuttable)
            if group and held + weight > size:
                yield tuple(group)
                group, held, size = [], 0, next(sizes)
            group.append(Part(file.path, file.compression))
            held += weight
            continue
        start = 0
        while True:
            end = start + size - held
            if end > file.size - _SLIVER:
                end = file.size
            group.append(Part(file.path, file.compression, start, end))
            held += end - start
            if held >= size:
                yield tuple(group)
                group, held, size = [], 0, next(sizes)
            if end == file.size:
                break
            start = end
    if group:
        yield tuple(group)
