"""Bundles that many machines read: laid out by groups of shards, so that who puts some shards
together reads one range of each bundle.

    section of group 0 | section of group 1 | ... | where each begins, and the last ends

A section is empty, or a head, the index of its frames, the names of its shards, and the frames. Of
many bundles, where their sections are stands in a *directory*, ordered by group as well.
"""

import json
import os
import struct
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import attrs

from gaia import _core
from gaia.errors import OutputError
from gaia.io.bundle import Bundle, Frame
from gaia.io.folder import Folder
from gaia.io.stores import at_once

# So many groups at most: each costs 8 bytes in every bundle.
_MOST = 4096
_BY_NAME = 256

_HEAD = struct.Struct("<IIQ")
_ENTRY = struct.Struct("<IIQQQ")
_NAME = struct.Struct("<II")
_PLACE = 8


@attrs.frozen
class Groups:
    """Groups of a table's shards: neighbours in the order of their numbers, or those whose names
    have the same fingerprint modulo the number of groups."""

    shards: int | None

    @property
    def size(self) -> int:
        """How many shards a group has, where they are numbers; the last may have fewer."""
        assert self.shards is not None
        return max(1, -(-self.shards // _MOST))

    @property
    def count(self) -> int:
        """How many groups there are."""
        return _BY_NAME if self.shards is None else max(1, -(-self.shards // self.size))

    def of(self, key: int | str) -> int:
        """The group of a shard."""
        if isinstance(key, str):
            return _core.checksum_of(key.encode()) % self.count
        return key // self.size

    def numbers(self, start: int, stop: int) -> range:
        """The shards of groups `[start, stop)`; none where they have names."""
        if self.shards is None:
            return range(0)
        return range(start * self.size, min(stop * self.size, self.shards))


@attrs.frozen
class Shipped:
    """A bundle that many machines read, in a stage's folder. Every execution of a task has a folder
    of its own, so that nothing is ever written twice. So many `sections` hold something. For
    `zones` see `Bundle`."""

    table: str
    task: int
    token: int
    size: int
    sections: int
    zones: bytes

    @property
    def name(self) -> str:
        """Its name in the stage's folder."""
        return bundle_name(self.task, self.token, self.table)


@attrs.frozen
class Directory:
    """Where the sections of so many bundles are: a file in the stage's folder."""

    name: str
    bundles: int


def bundle_name(task: int, token: int, table: str) -> str:
    """The name of a bundle in its stage's folder.

    >>> bundle_name(12, 0xAB, "words")
    '000012-000000ab/words.bundle'
    """
    return f"{task:06}-{token:08x}/{table}.bundle"


def regroup(bundle: Bundle, groups: Groups, target: str) -> int:
    """Makes a bundle for many machines of one of a single task, which has some frames; returns how
    many sections hold something."""
    grouped: dict[int, list[tuple[int | str, Frame]]] = defaultdict(list)
    for key, frames in bundle.frames().items():
        grouped[groups.of(key)] += [(key, frame) for frame in frames]
    places = array("Q")
    heads = bytearray()
    runs: list[tuple[str, int, int]] = []
    beside = f"{target}.heads"
    at = 0
    for group in range(groups.count):
        places.append(at)
        if group not in grouped:
            continue
        entries = grouped[group]
        if groups.shards is not None:
            entries.sort(key=lambda entry: entry[0])
        head = _head(entries)
        runs.append((beside, len(heads), len(head)))
        heads += head
        runs += [(frame.path, frame.offset, frame.stored) for _, frame in entries]
        at += len(head) + sum(frame.stored for _, frame in entries)
    places.append(at)
    with open(beside, "xb") as file:
        file.write(heads)
    _core.concat(target, runs, b"", places.tobytes())
    os.remove(beside)
    return len(grouped)


def _head(entries: list[tuple[int | str, Frame]]) -> bytes:
    names = list(dict.fromkeys(key for key, _ in entries if isinstance(key, str)))
    numbers = {name: number for number, name in enumerate(names)}
    told = json.dumps(names).encode() if names else b""
    index = bytearray()
    at = _HEAD.size + len(entries) * _ENTRY.size + len(told)
    for key, frame in entries:
        number = numbers[key] if isinstance(key, str) else key
        index += _ENTRY.pack(number, frame.records, at, frame.stored, frame.raw)
        at += frame.stored
    return _HEAD.pack(len(entries), len(told), at) + index + told


def merge(bundles: Sequence[tuple[str, int]], groups: Groups, target: str) -> int:
    """Makes one bundle of several, each a file of this machine and its size: a section holds theirs
    one behind the other. Returns how many sections hold something."""
    width = (groups.count + 1) * _PLACE
    columns = []
    for path, size in bundles:
        with open(path, "rb") as file:
            columns.append(_column(os.pread(file.fileno(), width, size - width)))
    places = array("Q")
    runs: list[tuple[str, int, int]] = []
    at = 0
    some = 0
    for group in range(groups.count):
        places.append(at)
        for (path, _), column in zip(bundles, columns, strict=True):
            if length := column[group + 1] - column[group]:
                runs.append((path, column[group], length))
                at += length
        some += at > places[-1]
    places.append(at)
    _core.concat(target, runs, b"", places.tobytes())
    return some


def _column(content: bytes) -> "array[int]":
    found = array("Q")
    found.frombytes(content)
    return found


def make_directory(
    folder: Folder, groups: Groups, table: str, bundles: Sequence[Shipped], name: str
) -> Directory:
    """Makes the directory of some bundles."""
    width = (groups.count + 1) * _PLACE

    def places(bundle: Shipped) -> "array[int]":
        return _column(folder.read(bundle.name, bundle.size - width, bundle.size))

    columns = at_once(places, bundles)
    count = len(bundles)
    rows = array("Q", bytes(count * width))
    for number, column in enumerate(columns):
        rows[number::count] = column
    names = b"".join(_NAME.pack(bundle.task, bundle.token) for bundle in bundles)
    folder.write(name, names + rows.tobytes())
    return Directory(name, count)


def sections(
    folder: Folder, table: str, directories: Iterable[Directory], start: int, stop: int
) -> Iterator[tuple[str, int, int]]:
    """Where the sections of groups `[start, stop)` are: the names of bundles, and byte ranges; in
    the order of the directories."""

    def read(directory: Directory) -> list[tuple[str, int, int]]:
        count = directory.bundles
        names = folder.read(directory.name, 0, count * _NAME.size)

        def row(group: int) -> "array[int]":
            at = count * (_NAME.size + group * _PLACE)
            return _column(folder.read(directory.name, at, at + count * _PLACE))

        found = zip(_NAME.iter_unpack(names), row(start), row(stop), strict=True)
        return [
            (bundle_name(task, token, table), begin, end)
            for (task, token), begin, end in found
            if begin < end
        ]

    for found in at_once(read, directories):
        yield from found


def frames_of(path: str, start: int, end: int) -> Iterator[tuple[int | str, Frame]]:
    """The frames of the sections that are in bytes `[start, end)` of a file of this machine.

    Raises:
        OutputError: They are damaged.
    """
    with open(path, "rb") as file:
        while start < end:
            head = os.pread(file.fileno(), _HEAD.size, start)
            if len(head) < _HEAD.size:
                raise OutputError(f"{path} is damaged: a section at byte {start} is cut off")
            count, told, length = _HEAD.unpack(head)
            size = count * _ENTRY.size
            index = os.pread(file.fileno(), size + told, start + _HEAD.size)
            if len(index) < size + told or length < _HEAD.size or start + length > end:
                raise OutputError(f"{path} is damaged: a section at byte {start} is cut off")
            names = json.loads(index[size:]) if told else []
            for number, records, offset, stored, raw in _ENTRY.iter_unpack(index[:size]):
                key = names[number] if names else number
                yield key, Frame(path, start + offset, stored, raw, records)
            start += length
