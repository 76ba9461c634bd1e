"""Cutting a stage's input into tasks."""

import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any

from gaia.errors import TableError
from gaia.io.files import InputFile, expand
from gaia.io.manifest import Manifest, read_manifest
from gaia.pipeline.graph import Files, Format, Records, StoredTable
from gaia.pipeline.plan import Input, Stage
from gaia.pipeline.records import same_shape, why_not
from gaia.runner.inputs import Lines, Part, Slice, can_split
from gaia.runner.task import Task

_MIN_SPLIT = 1 << 20
_MAX_SPLIT = 128 << 20
_TASKS_PER_WORKER = 8
# What a compressed file counts for when tasks are made of a similar size.
_EXPANSION = 4


def read_tasks(source: Files | Records | StoredTable, tp: Any, workers: int) -> list[Task]:
    """The tasks of a stage that reads.

    Plain files are cut at about `total / (8 x workers)` bytes, from 1 MiB to 128 MiB; small files
    are put together up to that size; a compressed file is never cut.

    Raises:
        InputError: An input is missing or unreadable.
        TableError: A stored table holds records of another type.
    """
    if isinstance(source, Records):
        return _record_tasks(source.records, workers)
    if isinstance(source, StoredTable):
        return _table_tasks(source.path, tp)
    found = [(spec, expand(spec.glob)) for spec in source.specs]
    total = sum(file.size for _, files in found for file in files)
    size = split_bytes(total, workers)
    tasks: list[Task] = []
    for spec, files in found:
        for parts in _grouped(_parts(files, size, can_split(source.encoding)), size):
            lines = Lines(parts, source.format, source.encoding, source.errors, source.skip_header)
            tasks.append(Task(len(tasks), (lines,), spec.shard, spec.metadata))
    return tasks


def split_bytes(total: int, workers: int) -> int:
    """How large a part of so many bytes should be."""
    return max(_MIN_SPLIT, min(_MAX_SPLIT, total // (workers * _TASKS_PER_WORKER)))


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


def _parts(files: Sequence[InputFile], size: int, splittable: bool) -> Iterator[tuple[Part, int]]:
    for file in files:
        if file.compression != "none":
            yield Part(file.path, file.compression), file.size * _EXPANSION
        elif not splittable:
            yield Part(file.path, file.compression), file.size
        else:
            count = max(1, -(-file.size // size))
            cuts = [file.size * i // count for i in range(count + 1)]
            for start, end in itertools.pairwise(cuts):
                yield Part(file.path, file.compression, start, end), end - start


def _grouped(parts: Iterator[tuple[Part, int]], size: int) -> Iterator[tuple[Part, ...]]:
    group: list[Part] = []
    held = 0
    for part, weight in parts:
        if group and held + weight > size:
            yield tuple(group)
            group, held = [], 0
        group.append(part)
        held += weight
    if group:
        yield tuple(group)
