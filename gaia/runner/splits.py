"""Cutting a stage's input into tasks."""

import itertools
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from gaia import _core
from gaia.errors import InputError, TableError
from gaia.io.files import InputFile, expand, reason
from gaia.io.manifest import Manifest, read_manifest
from gaia.pipeline.graph import Files, Format, Records, StoredTable
from gaia.pipeline.plan import Input, Stage
from gaia.pipeline.records import same_shape, why_not
from gaia.runner.inputs import Lines, Part, Slice, can_split
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
    is never cut. See `split_sizes` for how much is enough.

    Raises:
        InputError: An input is missing or unreadable.
        TableError: A stored table holds records of another type.
    """
    if isinstance(source, Records):
        return _record_tasks(source.records, workers)
    if isinstance(source, StoredTable):
        return _table_tasks(source.path, tp)
    found = [(spec, expand(spec.glob)) for spec in source.specs]
    splittable = can_split(source.encoding, source.format)
    sizes = split_sizes(sum(_weight(file) for _, files in found for file in files), workers)
    tasks: list[Task] = []
    for spec, files in found:
        groups = _cut(files, sizes, splittable)
        if source.format is Format.CSV:
            groups = _at_rows(tuple(groups), source.delimiter)
        for parts in groups:
            lines = Lines(
                parts,
                source.format,
                source.encoding,
                source.errors,
                source.skip_header,
                delimiter=source.delimiter,
            )
            tasks.append(Task(len(tasks), (lines,), spec.shard, spec.metadata))
    return tasks


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
    format = Format(manifest.format)
    return Lines(parts, format, skip_header=format is Format.CSV, ours=True)


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


def _weight(file: InputFile) -> int:
    return file.size if file.compression == "none" else file.size * _EXPANSION


def _cut(
    files: Sequence[InputFile], sizes: Iterator[int], splittable: bool
) -> Iterator[tuple[Part, ...]]:
    """What each task reads of some files."""
    size = next(sizes)
    group: list[Part] = []
    held = 0
    for file in files:
        if file.compression != "none" or not splittable:
            if group and held + _weight(file) > size:
                yield tuple(group)
                group, held, size = [], 0, next(sizes)
            group.append(Part(file.path, file.compression))
            held += _weight(file)
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


def _at_rows(groups: Sequence[tuple[Part, ...]], delimiter: str) -> Iterator[tuple[Part, ...]]:
    """The same with files of CSV cut where a row starts, each at the next one.

    Raises:
        InputError: A file cannot be read, or a quote in it is never closed.
    """
    wanted: dict[str, set[int]] = defaultdict(set)
    for part in itertools.chain.from_iterable(groups):
        if part.start > 0:
            wanted[part.path].add(part.start)
    found: dict[tuple[str, int | None], int] = {}
    for path, starts in wanted.items():
        try:
            cuts = _core.csv_cuts(path, delimiter, sorted(starts))
        except OSError as error:
            raise InputError(f"cannot read {path}: {reason(error)}") from None
        except ValueError as error:
            raise InputError(f"cannot read {path}: {error}") from None
        found.update(zip(((path, start) for start in sorted(starts)), cuts, strict=True))
    for group in groups:
        moved = [
            attrs.evolve(
                part,
                start=found.get((part.path, part.start), part.start),
                end=found.get((part.path, part.end), part.end),
            )
            for part in group
        ]
        if kept := tuple(part for part in moved if part.start != part.end):
            yield kept
