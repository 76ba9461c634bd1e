"""The journal of a run: what is finished, so that a run that died need not do it again.

A file of records, each with its length and fingerprint in front. A process that is killed leaves at
worst a last record that is cut off, which is not read.
"""

import os
import pickle
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import attrs
import cloudpickle

from gaia import _core
from gaia.io.manifest import Manifest
from gaia.pipeline.travel import dumps
from gaia.runner.identity import Identity
from gaia.runner.task import Task, TaskReport

_HEAD = struct.Struct("<I16s")


@attrs.frozen
class Began:
    """A stage has begun with these tasks, whose bundles are in a folder."""

    stage: str
    identity: Identity
    tasks: list[Task]
    folder: str


@attrs.frozen
class Finished:
    """A task of a stage has finished."""

    stage: str
    report: TaskReport


@attrs.frozen
class Committed:
    """A stage's tables are in their places, and this is what it counted."""

    stage: str
    identity: Identity
    manifests: dict[str, Manifest]
    counters: dict[str, int]
    freq_maps: dict[str, Counter[Any]]
    record: Any


Entry = Began | Finished | Committed


@attrs.define
class Half:
    """A stage that is not committed: its tasks, and the reports of those that have finished."""

    began: Began
    reports: dict[int, TaskReport] = attrs.field(factory=dict)


@attrs.define
class Past:
    """What an earlier run has left: the stages that are done, and those that are not."""

    committed: dict[str, Committed] = attrs.field(factory=dict)
    half: dict[str, Half] = attrs.field(factory=dict)

    def add(self, entry: Entry) -> None:
        """Takes the next entry of the journal."""
        if isinstance(entry, Began):
            self.committed.pop(entry.stage, None)
            self.half[entry.stage] = Half(entry)
        elif isinstance(entry, Finished):
            if half := self.half.get(entry.stage):  # Otherwise it did not begin, or is committed.
                half.reports[entry.report.task] = entry.report
        else:
            self.half.pop(entry.stage, None)
            self.committed[entry.stage] = entry


class Journal:
    """A journal that is written."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, entry: Entry) -> None:
        """Appends an entry. When this returns, it outlives the process.

        Raises:
            OSError: The disk is full or broken.
        """
        content = dumps(entry)
        record = _HEAD.pack(len(content), _fingerprint(content)) + content
        if os.write(self._file, record) != len(record):
            raise OSError(28, os.strerror(28))  # Whatever was in the way, it was no space.

    def close(self) -> None:
        """No more entries."""
        os.close(self._file)


def read(path: str) -> Past:
    """What a journal tells; nothing if there is none. Also cuts off a record that was not written
    to its end."""
    past = Past()
    whole = 0
    with suppress(FileNotFoundError):
        with open(path, "rb") as file:
            content = file.read()
        for entry, end in _entries(content):
            past.add(entry)
            whole = end
        os.truncate(path, whole)
    return past


def _entries(data: bytes) -> Iterator[tuple[Entry, int]]:
    at = 0
    while at + _HEAD.size <= len(data):
        size, fingerprint = _HEAD.unpack_from(data, at)
        content = data[at + _HEAD.size : at + _HEAD.size + size]
        if len(content) < size or _fingerprint(content) != fingerprint:
            return
        try:
            entry: Entry = cloudpickle.loads(content)
        except (pickle.UnpicklingError, AttributeError, ImportError, EOFError, TypeError):
            return  # Of another version of Gaia, or of classes that are no more: of no use.
        if not isinstance(entry, Entry):
            return
        at += _HEAD.size + size
        yield entry, at


def _fingerprint(content: bytes) -> bytes:
    return _core.checksum_of(content).to_bytes(16, "little")
