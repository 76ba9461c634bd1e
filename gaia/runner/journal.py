"""The journal of a run: what is finished, so that a run that died need not do it again.

Records, each with its length and fingerprint in front: in a file, in which a process that is killed
leaves at worst a last record that is cut off, which is not read; or in many files of a store.
"""

import os
import pickle
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Protocol

import attrs
import cloudpickle

from gaia import _core
from gaia.io.folder import Folder
from gaia.io.manifest import Manifest
from gaia.io.stores import at_once
from gaia.io.tell import tell
from gaia.pipeline.travel import dumps
from gaia.runner.identity import Identity
from gaia.runner.task import Task, TaskReport

_HEAD = struct.Struct("<I16s")
_JOURNAL = "journal"
# Seconds after which what is to be written to a store is sent.
_FLUSHED = 1.0


@attrs.frozen
class Began:
    """A stage has begun with so many tasks, whose bundles are in a folder."""

    stage: str
    identity: Identity
    tasks: int
    folder: str


@attrs.frozen
class Planned:
    """Some of the tasks of a stage that has begun. All of them at once would take the driver
    hundreds of megabytes to pack."""

    stage: str
    tasks: list[Task]


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


Entry = Began | Planned | Finished | Committed


@attrs.define
class Half:
    """A stage that is not committed: its tasks, and the reports of those that have finished."""

    began: Began
    tasks: list[Task] = attrs.field(factory=list)
    reports: dict[int, TaskReport] = attrs.field(factory=dict)

    @property
    def whole(self) -> bool:
        """Whether all of its tasks are known: otherwise the run died while it told them."""
        return len(self.tasks) == self.began.tasks


@attrs.define
class Past:
    """What an earlier run has left: the stages that are done, and those that are not."""

    committed: dict[str, Committed] = attrs.field(factory=dict)
    half: dict[str, Half] = attrs.field(factory=dict)

    def add(self, entry: Entry) -> None:
        """Takes the next entry of the journal. What tasks of a stage tell that did not begin, or is
        committed, is left out."""
        if isinstance(entry, Began):
            self.committed.pop(entry.stage, None)
            self.half[entry.stage] = Half(entry)
        elif isinstance(entry, Planned):
            if half := self.half.get(entry.stage):
                half.tasks += entry.tasks
        elif isinstance(entry, Finished):
            if half := self.half.get(entry.stage):
                half.reports[entry.report.task] = entry.report
        else:
            self.half.pop(entry.stage, None)
            self.committed[entry.stage] = entry


class Journal(Protocol):
    """A journal that is written."""

    def write(self, entry: Entry) -> None:
        """Appends an entry.

        Raises:
            OSError: The disk is full or broken, or the store failed for good.
        """

    def close(self) -> None:
        """No more entries."""


class FileJournal:
    """A journal in a file. What is written outlives the process."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, entry: Entry) -> None:
        """See `Journal.write`."""
        record = _packed(entry)
        if os.write(self._file, record) != len(record):
            raise OSError(28, os.strerror(28))  # Whatever was in the way, it was no space.

    def close(self) -> None:
        """See `Journal.close`."""
        os.close(self._file)


class StoreJournal:
    """A journal in a store, as files that each hold some entries. That a task has finished is in
    the store a second later, or when the journal is closed; all else, and what came before it, when
    `write` returns."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        numbers = [int(name) for name in folder.sizes(_JOURNAL)]
        self._next = max(numbers, default=0) + 1
        self._entries: list[bytes] = []
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def write(self, entry: Entry) -> None:
        """See `Journal.write`."""
        if self._error is not None:
            raise self._error
        with self._lock:
            self._entries.append(_packed(entry))
        if not isinstance(entry, Finished):
            self._flush()

    def close(self) -> None:
        """See `Journal.close`."""
        self._done.set()
        self._thread.join()
        try:
            self._flush()
        except Exception as error:  # Clients of stores raise whatever they like.
            tell(f"gaia: what was done last could not be noted, and would be done again: {error}")

    def _keep(self) -> None:
        while not self._done.wait(_FLUSHED) and self._error is None:
            try:
                self._flush()
            except Exception as error:
                self._error = error

    def _flush(self) -> None:
        with self._lock:
            if self._entries:
                name = f"{_JOURNAL}/{self._next:08}"
                self._folder.write(name, b"".join(self._entries))
                self._entries.clear()
                self._next += 1


def open_journal(folder: Folder) -> Journal:
    """Goes on with the journal in a folder, or begins one."""
    if folder.store is not None:
        return StoreJournal(folder)
    return FileJournal(folder.path(_JOURNAL))


def read_journal(folder: Folder) -> Past:
    """What the journal in a folder tells; nothing if there is none. Also cuts off a record that was
    not written to its end."""
    past = Past()
    if folder.store is not None:
        sizes = sorted(folder.sizes(_JOURNAL).items())
        files = at_once(lambda file: folder.read(f"{_JOURNAL}/{file[0]}", 0, file[1]), sizes)
        for content in files:
            for entry, _ in _entries(content):
                past.add(entry)
        return past
    path = folder.path(_JOURNAL)
    whole = 0
    with suppress(FileNotFoundError):
        with open(path, "rb") as file:
            content = file.read()
        for entry, end in _entries(content):
            past.add(entry)
            whole = end
        os.truncate(path, whole)
    return past


def _packed(entry: Entry) -> bytes:
    content = dumps(entry)
    return _HEAD.pack(len(content), _fingerprint(content)) + content


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
