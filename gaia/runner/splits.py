"""Cutting a stage's input into tasks."""

import itertools
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs

from gaia import _core
from gaia.errors import InputError, TableError
from gaia.io.files import InputFile, expand, reading
from gaia.io.frames import before, frame_starts
from gaia.io.manifest import Manifest, read_manifest
from gaia.io.stores import Store, at_once, join, store_of
from gaia.pipeline.graph import Files, FileSpec, Format, Records, StoredTable
from gaia.pipeline.plan import Input, Stage
from gaia.pipeline.records import same_shape, why_not
from gaia.runner.columns import Columns, Rows, measured, merged
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
# A compressed file below this size is not worth cutting.
_SMALL_FILE = 2 << 20


# Some of a source, that can be read without what is before it.
Place = tuple[Lines, Part] | tuple[Columns, Rows]


def read_tasks(
    source: Files | Records | StoredTable, tp: Any, workers: int, verify: bool = False
) -> list[Task]:
    """The tasks of a stage that reads.

    Files are cut where a task has enough, and small files are put together; a compressed file is
    cut only where it is known to have frames. Of an archive, tasks find the records that start in
    their bytes. See `split_sizes` for how much is enough.

    Raises:
        InputError: An input is missing or unreadable.
        TableError: A stored table holds records of another type.
    """
    if isinstance(source, Records):
        return _record_tasks(source.records, workers)
    if isinstance(source, StoredTable):
        return _table_tasks(source, tp, workers, verify)
    splittable = can_split(source.encoding, source.format)
    found = found_files(source)
    if source.format.has_columns:
        return _column_tasks(found, source, tp, workers)
    cuttable = [(spec, _measured(files, source.format, splittable)) for spec, files in found]
    sizes = split_sizes(sum(file.weight for _, files in cuttable for file in files), workers)
    tasks: list[Task] = []
    for spec, whole in cuttable:
        groups = _cut(whole, sizes)
        if source.format is Format.CSV:
            groups = _at_rows(list(groups), source.delimiter)
        for parts, weight in groups:
            read = read_as(source, parts)
            tasks.append(Task(len(tasks), (read,), spec.shard, spec.metadata, weight))
    return tasks


def found_files(source: Files) -> list[tuple[FileSpec, list[InputFile]]]:
    """The files that each spec of a source names.

    Raises:
        InputError: There are none for a spec, or one cannot be read.
    """
    access = source.access
    found = []
    for spec in source.specs:
        store = store_of(spec.glob, access.storage_options, access.filesystem)
        found.append((spec, expand(spec.glob, store)))
    return found


def _column_tasks(
    found: list[tuple[FileSpec, list[InputFile]]], source: Files, tp: Any, workers: int
) -> list[Task]:
    """Tasks of as many batches or row groups as are enough."""
    units = [(spec, measured(files, source.format, tp, ours=False)) for spec, files in found]
    total = sum(weight for _, files in units for parts in files for _, weight in parts)
    sizes = split_sizes(total, workers)
    tasks: list[Task] = []
    for spec, files in units:
        for parts, weight in _grouped(itertools.chain.from_iterable(files), sizes):
            read = Columns(parts, source.format, skip_damaged=source.skip_damaged)
            tasks.append(Task(len(tasks), (read,), spec.shard, spec.metadata, weight))
    return tasks


def _grouped(
    units: Iterable[tuple[Rows, int]], sizes: Iterator[int]
) -> Iterator[tuple[tuple[Rows, ...], int]]:
    size = next(sizes)
    group: list[Rows] = []
    held = 0
    for part, weight in units:
        group.append(part)
        held += weight
        if held >= size:
            yield tuple(merged(group)), held
            group, held, size = [], 0, next(sizes)
    if group:
        yield tuple(merged(group)), held


def read_as(source: Files, parts: tuple[Part, ...]) -> Lines | Archive:
    """Parts of files, read as a source tells."""
    if source.format is Format.WARC:
        return Archive(parts, source.types, source.skip_damaged)
    return Lines(
        parts,
        source.format,
        source.encoding,
        source.errors,
        source.skip_header,
        skip_damaged=source.skip_damaged,
        delimiter=source.delimiter,
    )


@attrs.frozen
class _Measured:
    """A file, and where it can be cut: `starts` are places to enter a compressed one. A file that
    cannot be cut has no `length`."""

    file: InputFile
    weight: int
    length: int | None = None
    starts: list[tuple[int, int]] | None = None

    def cut(self, wanted: int) -> int:
        """The first position in the content, from the wanted one on, at which it can be cut."""
        assert self.length is not None
        if self.starts is not None:
            found = bisect_left(self.starts, wanted, key=lambda start: start[1])
            wanted = self.starts[min(found, len(self.starts) - 1)][1]
        return min(wanted, self.length)

    def part(self, start: int, end: int) -> Part:
        """The range of the content."""
        if self.starts is None:
            return Part(self.file, start, end)
        offset, origin = before(self.starts, start)
        until = self.starts[bisect_left(self.starts, end, key=lambda entry: entry[1])][0]
        return Part(self.file, start, end, offset, origin, until)


def _measured(files: list[InputFile], format: Format, splittable: bool) -> list[_Measured]:
    # Where rows of CSV begin takes reading all that is before: of a local file that is cheap.
    rows = format is Format.CSV

    def measure(file: InputFile) -> _Measured:
        size = file.size or 0
        plain = file.compression == "none"
        weight = size if plain else size * _EXPANSION
        if not splittable or file.small or file.size is None:
            return _Measured(file, weight)
        if rows and (file.store or not plain):
            return _Measured(file, weight)
        if plain or format is Format.WARC:
            return _Measured(file, weight, size)
        if size >= _SMALL_FILE and (starts := _starts(file)):
            return _Measured(file, starts[-1][1], starts[-1][1], starts)
        return _Measured(file, weight)

    if any(file.store for file in files):
        return at_once(measure, files)
    return [measure(file) for file in files]


def _starts(file: InputFile) -> list[tuple[int, int]] | None:
    with reading(file.path):
        return frame_starts(file.source(), file.compression)


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


def join_tasks(
    stage: Stage,
    manifests: dict[str, Manifest],
    sources: dict[str, tuple[str, Store | None]],
    verify: bool = False,
) -> list[Task]:
    """The tasks of a join: one for each shard, the largest first, so that none is left over when
    the others are done. `sources` are the folders of the tables, and their stores."""

    def source(entry: Input, shard: int) -> Lines | Columns:
        return shard_source(manifests[entry.table], *sources[entry.table], shard, verify)

    def size(shard: int) -> int:
        return sum(manifests[entry.table].shards[shard].raw_bytes for entry in stage.inputs)

    return [
        Task(
            shard, tuple(source(entry, shard) for entry in stage.inputs), shard, weight=size(shard)
        )
        for shard in sorted(range(stage.shards or 0), key=size, reverse=True)
    ]


def shard_source(
    manifest: Manifest, folder: str, store: Store | None, shard: int, verify: bool = False
) -> Lines | Columns:
    """How shard number `shard` of a table, in the manifest's order, is read."""
    files = _shard_files(manifest, folder, store, shard, verify)
    format = Format(manifest.format)
    if format.has_columns:
        return Columns(tuple(Rows(file) for file in files), format, ours=True)
    return _own_lines(manifest, tuple(Part(file) for file in files))


def places_in(manifest: Manifest, folder: str, shard: int, tp: Any, count: int) -> list[Place]:
    """At most so many places, spread over a shard on this machine, from which it can be read. Where
    it can only be read as a whole, that is its start."""
    files = _shard_files(manifest, folder, None, shard, verify=False)
    format = Format(manifest.format)
    if format.has_columns:
        rows = [part for parts in measured(files, format, tp, ours=True) for part, _ in parts]
        source = Columns(tuple(rows), format, ours=True)
        return [(source, part) for part in rows[:: -(-len(rows) // count)]]
    parts = []
    for file in _measured(files, format, splittable=format is not Format.CSV):
        length = file.length
        starts = range(0, length, -(-length * len(files) // count)) if length else [0]
        for start in starts:
            whole = length is None
            parts.append(Part(file.file) if whole else file.part(file.cut(start), length or 0))
    lines = _own_lines(manifest, tuple(parts))
    return [(lines, part) for part in parts[:: -(-len(parts) // count)]]


def _own_lines(manifest: Manifest, parts: tuple[Part, ...]) -> Lines:
    format = Format(manifest.format)
    return Lines(parts, format, skip_header=format is Format.CSV, ours=True)


def _shard_files(
    manifest: Manifest, folder: str, store: Store | None, shard: int, verify: bool
) -> list[InputFile]:
    # Columns are compressed inside of their files.
    compression = "none" if Format(manifest.format).has_columns else manifest.compression
    return [
        InputFile(
            join(folder, file.path),
            file.size,
            compression,
            store,
            checksum=file.checksum if verify else "",
        )
        for file in manifest.shards[shard].files
    ]


def _record_tasks(records: tuple[Any, ...], workers: int) -> list[Task]:
    size = max(1, -(-len(records) // (workers * _TASKS_PER_WORKER)))
    starts = range(0, len(records), size)
    return [
        Task(number, (Slice(records[start : start + size], start),))
        for number, start in enumerate(starts)
    ]


def _table_tasks(source: StoredTable, tp: Any, workers: int, verify: bool) -> list[Task]:
    """Tasks of a shard, or of a part of one where it is large, each."""
    manifest, store = stored(source, tp)
    format = Format(manifest.format)
    if format.has_columns:
        return _own_column_tasks(source, manifest, store, tp, workers, verify)
    splittable = format is not Format.CSV
    shards = [
        _measured(_shard_files(manifest, source.path, store, number, verify), format, splittable)
        for number in range(len(manifest.shards))
    ]
    sizes = split_sizes(sum(file.weight for files in shards for file in files), workers)
    tasks: list[Task] = []
    for shard, files in zip(manifest.shards, shards, strict=True):
        for parts, weight in _cut(files, sizes):
            lines = _own_lines(manifest, parts)
            key = shard.key if isinstance(shard.key, int) else None
            tasks.append(Task(len(tasks), (lines,), key, weight=weight))
    return tasks


def stored(source: StoredTable, tp: Any) -> tuple[Manifest, Store | None]:
    """The manifest of a stored table, and the store that it is in.

    Raises:
        TableError: There is no table, or one of other records.
    """
    access = source.access
    store = store_of(source.path, access.storage_options, access.filesystem)
    manifest = read_manifest(source.path, store)
    if not same_shape(tp, manifest.record):
        raise TableError(f"table {source.path} {why_not(tp, manifest.record)}")
    return manifest, store


def _own_column_tasks(
    source: StoredTable,
    manifest: Manifest,
    store: Store | None,
    tp: Any,
    workers: int,
    verify: bool,
) -> list[Task]:
    format = Format(manifest.format)
    shards = [
        measured(_shard_files(manifest, source.path, store, number, verify), format, tp, ours=True)
        for number in range(len(manifest.shards))
    ]
    total = sum(weight for files in shards for parts in files for _, weight in parts)
    sizes = split_sizes(total, workers)
    tasks: list[Task] = []
    for shard, files in zip(manifest.shards, shards, strict=True):
        key = shard.key if isinstance(shard.key, int) else None
        for parts, weight in _grouped(itertools.chain.from_iterable(files), sizes):
            read = Columns(parts, format, ours=True)
            tasks.append(Task(len(tasks), (read,), key, weight=weight))
    return tasks


# What a task reads, and how much that is.
_Group = tuple[tuple[Part, ...], int]


def _cut(files: Sequence[_Measured], sizes: Iterator[int]) -> Iterator[_Group]:
    """What each task reads of some files, and how much that is."""
    size = next(sizes)
    group: list[Part] = []
    held = 0
    for file in files:
        if file.length is None:
            if group and held + file.weight > size:
                yield tuple(group), held
                group, held, size = [], 0, next(sizes)
            group.append(Part(file.file))
            held += file.weight
            continue
        start = 0
        while True:
            end = file.cut(start + size - held)
            if end > file.length - _SLIVER:
                end = file.length
            group.append(file.part(start, end))
            held += end - start
            if held >= size:
                yield tuple(group), held
                group, held, size = [], 0, next(sizes)
            if end == file.length:
                break
            start = end
    if group:
        yield tuple(group), held


def _at_rows(groups: Sequence[_Group], delimiter: str) -> Iterator[_Group]:
    """The same with files of CSV cut where a row starts, each at the next one.

    Raises:
        InputError: A file cannot be read, or a quote in it is never closed.
    """
    wanted: dict[str, set[int]] = defaultdict(set)
    for parts, _ in groups:
        for part in parts:
            if part.start > 0:
                wanted[part.path].add(part.start)
    found: dict[tuple[str, int | None], int] = {}
    for path, starts in wanted.items():
        with reading(path):
            try:
                cuts = _core.csv_cuts(path, delimiter, sorted(starts))
            except ValueError as error:
                raise InputError(f"cannot read {path}: {error}") from None
        found.update(zip(((path, start) for start in sorted(starts)), cuts, strict=True))
    for parts, weight in groups:
        moved = [
            attrs.evolve(
                part,
                start=found.get((part.path, part.start), part.start),
                end=found.get((part.path, part.end), part.end),
            )
            for part in parts
        ]
        if kept := tuple(part for part in moved if part.start != part.end):
            yield kept, weight
