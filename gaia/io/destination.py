"""Destinations: where the tables of a run go, and how a finished one takes its place."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Protocol

from gaia import _core
from gaia.errors import OutputError, TableError
from gaia.io.commit import check_replaceable, publish
from gaia.io.files import reason
from gaia.io.folder import Folder
from gaia.io.locks import LocalLock, StoreLock, is_locked
from gaia.io.manifest import (
    COUNTERS,
    MANIFEST,
    Manifest,
    kept_files,
    packed,
    parsed,
    unfinished,
)
from gaia.io.stores import Store, at_once, explain, join
from gaia.io.tell import tell
from gaia.io.undisturbed import undisturbed
from gaia.io.upload import Upload

OWN = "_gaia"
# The run's own record as data, and as a page.
RECORD = "run.json"
REPORT = "report.html"
RUN = "run"
# What another run can go on with.
WORK = "tasks"
# What is not published yet.
TABLES = "tables"


class Destination(Protocol):
    """The folder of a run's tables. One object is used for one run."""

    url: str

    def prepare(self, tables: Iterable[str], inputs: Iterable[str]) -> None:
        """Refuses tables whose place is taken by something else, or read by this run.

        Raises:
            OutputError: One of these, or the destination cannot be written.
        """

    def open(self, keep: bool, left: Callable[[Folder], None]) -> Folder:
        """Begins the run; returns the folder for what it needs meanwhile. With `keep`, what an
        earlier run left there is still there; otherwise `left` is shown it before it goes.

        Raises:
            OutputError: Another run is going on there.
        """

    def begin(self, table: str, keep: bool) -> tuple[str, Upload | None]:
        """A new folder on this machine in which a table's files are made, and where they are then
        sent. With `keep` they can be read on this machine until the run ends."""

    def publish(self, table: str, manifest: Manifest, durable: bool) -> None:
        """Puts a finished table in its place. Readers see the old one or the new one: even when the
        power goes, where it is to be `durable`."""

    def source(self, table: str) -> tuple[str, Store | None]:
        """Where a published table is read in this run: its folder, and the store of that."""

    def read_record(self) -> bytes:
        """The record of the last run; empty if there is none."""

    def write_own(self, name: str, content: bytes) -> None:
        """Writes a file of the run's own, as a whole."""

    def close(self, keep: bool) -> None:
        """Removes what is left of tables that were not published; with `keep`, not what another run
        can go on with."""


class LocalDestination:
    """A folder of this machine. `scratch_dir` may be on another disk."""

    def __init__(self, path: str, scratch_dir: str | None = None) -> None:
        self.url = path
        self._hidden = os.path.join(path, OWN, RUN)
        # Large temporary files go there; tables are made beside their places.
        self._work = self._hidden if scratch_dir is None else work_folder(path, scratch_dir)
        self._lock: LocalLock | None = None

    def prepare(self, tables: Iterable[str], inputs: Iterable[str]) -> None:
        """See `Destination.prepare`."""
        dest = self.url
        if os.path.exists(dest) and not os.path.isdir(dest):
            raise OutputError(f"expected a folder as dest_dir, but {dest} is a file")
        try:
            os.makedirs(os.path.join(dest, OWN), exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write to {dest}: {reason(error)}") from None
        read = _real_paths(inputs)
        for table in tables:
            folder = os.path.join(dest, table)
            check_replaceable(folder)
            inside = os.path.join(os.path.realpath(folder), "")
            if any(path.startswith(inside) for path in read):
                raise OutputError(_taken(folder, table))

    def open(self, keep: bool, left: Callable[[Folder], None]) -> Folder:
        """See `Destination.open`."""
        holder = os.path.join(self._hidden, "holder")
        self._lock = LocalLock(os.path.join(self.url, OWN), holder, self.url)
        for name in os.listdir(self._hidden):
            if name not in ("holder", WORK):
                _remove(os.path.join(self._hidden, name))
        work = os.path.join(self._work, WORK)
        if not keep and os.path.isdir(work):
            left(Folder(work))
            shutil.rmtree(work, ignore_errors=True)
        return Folder(_made(work))

    def begin(self, table: str, keep: bool) -> tuple[str, Upload | None]:
        """See `Destination.begin`."""
        folder = os.path.join(self._hidden, TABLES, table)
        os.makedirs(folder)
        return folder, None

    def publish(self, table: str, manifest: Manifest, durable: bool) -> None:
        """See `Destination.publish`."""
        publish(os.path.join(self._hidden, TABLES, table), os.path.join(self.url, table), durable)

    def source(self, table: str) -> tuple[str, Store | None]:
        """See `Destination.source`."""
        return os.path.join(self.url, table), None

    def read_record(self) -> bytes:
        """See `Destination.read_record`."""
        with suppress(FileNotFoundError), open(own_file(self.url, RECORD), "rb") as file:
            return file.read()
        return b""

    def write_own(self, name: str, content: bytes) -> None:
        """See `Destination.write_own`."""
        path = os.path.join(self._hidden, "own")
        with open(path, "wb") as file:
            file.write(content)
        os.replace(path, own_file(self.url, name))

    def close(self, keep: bool) -> None:
        """See `Destination.close`."""
        if self._lock is None:
            return
        with undisturbed():
            for folder in {self._work, self._hidden}:
                kept = keep and os.path.isdir(os.path.join(folder, WORK))
                for name in os.listdir(folder) if kept else ():
                    if name != WORK:
                        _remove(os.path.join(folder, name))
                if not kept:
                    shutil.rmtree(folder, ignore_errors=True)
            self._lock.release()


class StoreDestination:
    """A folder of a store, such as `gs://bucket/out`.

    Where there is no table yet, files are sent to their final names, beside a manifest that says
    that it is not finished. An old table stays as it is until all files of the new one are in the
    store; then these are copied within the store. Where many machines have a `shared` run, what it
    needs meanwhile is in the store as well.
    """

    def __init__(
        self, url: str, store: Store, scratch_dir: str | None = None, shared: bool = False
    ) -> None:
        self.url = url.rstrip("/")
        self._store = store
        self._shared = shared
        self._hidden = join(self.url, OWN, RUN)
        self._work = work_folder(url, scratch_dir or tempfile.gettempdir())
        self._lock: StoreLock | None = None
        # Tables that are being written: where their files go meanwhile, and the files in the place
        # of each that are not the table's.
        self._begun: dict[str, tuple[str, list[str]]] = {}

    def prepare(self, tables: Iterable[str], inputs: Iterable[str]) -> None:
        """See `Destination.prepare`."""
        if self._store.scheme in ("http", "https"):
            raise OutputError(f"{self.url} can only be read; expected a folder to write to")
        probe = join(self.url, OWN, f"probe-{os.urandom(4).hex()}")
        read = list(inputs)
        try:
            self._store.call("pipe_file", probe, b"")
            self._store.remove([probe])
            for table in tables:
                folder = join(self.url, table)
                if any(path.startswith(f"{folder}/") for path in read):
                    raise OutputError(_taken(folder, table))
                self._files(table)
        except OutputError:
            raise
        except Exception as error:
            raise OutputError(explain(error, "write to", self.url)) from None

    def open(self, keep: bool, left: Callable[[Folder], None]) -> Folder:
        """See `Destination.open`."""
        self._lock = StoreLock(self._store, join(self.url, OWN, "lock"), self.url)
        work = os.path.join(self._work, WORK)
        folder = Folder(join(self._hidden, WORK), self._store) if self._shared else Folder(work)
        if not keep:
            left(folder)
        # What a run that was killed has left in the store is sent again.
        self._store.remove(self._unfinished(keep))
        if not keep:
            shutil.rmtree(self._work, ignore_errors=True)
        _made(self._work)
        for name in os.listdir(self._work):
            if name != WORK:
                _remove(os.path.join(self._work, name))
        if not self._shared:
            _made(work)
        return folder

    def begin(self, table: str, keep: bool) -> tuple[str, Upload | None]:
        """See `Destination.begin`."""
        finished, kept = self._files(table)
        final = join(self.url, table)
        target = join(self._hidden, TABLES, table) if finished else final
        self._begun[table] = (target, kept)
        if not finished:
            self._store.call("pipe_file", join(final, MANIFEST), unfinished(kept))
        folder = os.path.join(self._work, TABLES, table)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        parts = join(self._hidden, "parts")
        return folder, Upload(self._store, target, parts, keep and not self._shared)

    def publish(self, table: str, manifest: Manifest, durable: bool) -> None:
        """See `Destination.publish`. What a store has taken is durable."""
        final = join(self.url, table)
        target, kept = self._begun[table]
        files = [file.path for shard in manifest.shards for file in shard.files] + [COUNTERS]
        counters = os.path.join(self._work, TABLES, table, COUNTERS)
        Upload(self._store, target, "", keep=True).all([(counters, COUNTERS)])
        if target != final:
            self._store.call("pipe_file", join(final, MANIFEST), unfinished(kept))
            at_once(
                lambda name: self._store.call("cp_file", join(target, name), join(final, name)),
                files,
            )
        self._store.call("pipe_file", join(final, MANIFEST), packed(manifest))
        del self._begun[table]
        own = {join(final, name) for name in [*files, *kept, MANIFEST]}
        self._store.remove(url for url in self._store.below(final) if url not in own)

    def source(self, table: str) -> tuple[str, Store | None]:
        """See `Destination.source`."""
        folder = os.path.join(self._work, TABLES, table)
        if os.path.isdir(folder) and not self._shared:
            return folder, None
        return join(self.url, table), self._store

    def read_record(self) -> bytes:
        """See `Destination.read_record`."""
        try:
            return bytes(self._store.call("cat_file", own_file(self.url, RECORD)))
        except FileNotFoundError:
            return b""

    def write_own(self, name: str, content: bytes) -> None:
        """See `Destination.write_own`."""
        self._store.call("pipe_file", own_file(self.url, name), content)

    def close(self, keep: bool) -> None:
        """See `Destination.close`."""
        if self._lock is None:
            return
        if not keep:
            shutil.rmtree(self._work, ignore_errors=True)
        # The lock is let go of even if what is unfinished cannot be removed.
        for clean_up in (partial(self._remove_unfinished, keep), self._lock.release):
            try:
                clean_up()
            except Exception as error:
                # What stopped the run is to be seen, and not that cleaning up failed as well.
                why = explain(error, "remove unfinished files from", self.url)
                tell(f"gaia: {why}")

    def _unfinished(self, keep: bool) -> list[str]:
        """What is in the store of this run or the last; with `keep`, not what another run can go on
        with."""
        work = join(self._hidden, WORK, "")
        found = self._store.below(self._hidden)
        return [url for url in found if not (keep and url.startswith(work))]

    def _remove_unfinished(self, keep: bool) -> None:
        left = self._unfinished(keep)
        for table, (target, kept) in self._begun.items():
            final = join(self.url, table)
            if target == final:
                names = {join(final, name) for name in kept}
                left += [url for url in self._store.below(final) if url not in names]
        self._store.remove(left)

    def _files(self, table: str) -> tuple[bool, list[str]]:
        """Whether there is a finished table, and which files in its place are not its own."""
        folder = join(self.url, table)
        there = {url[len(folder) + 1 :] for url in self._store.below(folder)}
        if not there:
            return False, []
        if MANIFEST not in there:
            raise OutputError(
                f"{folder} is to be replaced by a table, but it holds something else ("
                f"{sorted(there)[0]}); remove it or choose another dest_dir or name"
            )
        content = self._store.call("cat_file", join(folder, MANIFEST))
        kept = kept_files(content)
        if kept is not None:
            return False, kept
        try:
            manifest = parsed(content, folder)
        except TableError as error:
            raise OutputError(
                f"{folder} is to be replaced by a table, but it holds something else ({error}); "
                "remove it or choose another dest_dir or name"
            ) from None
        own = {file.path for shard in manifest.shards for file in shard.files}
        return True, sorted(there - own - {MANIFEST, COUNTERS})


def work_folder(dest: str, scratch_dir: str) -> str:
    """The folder in which a run with that destination keeps what it needs meanwhile: always the
    same, so that another run can go on with it."""
    return os.path.join(scratch_dir, f"gaia-{_core.checksum_of(dest.encode()):032x}")


def _made(folder: str) -> str:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {reason(error)}") from None
    return folder


def _remove(path: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        os.remove(path)


def did_not_end(dest: str) -> bool:
    """Whether a folder of this machine has what a run has left that died or was stopped."""
    own = os.path.join(dest, OWN)
    return os.path.isdir(os.path.join(own, RUN)) and not is_locked(own)


def own_file(dest: str, name: str) -> str:
    """The path of a file of a run's own."""
    return join(dest, OWN, name)


def _taken(folder: str, table: str) -> str:
    return (
        f"{folder} is read by this run, which writes table `{table}` there; "
        "choose another dest_dir or name"
    )


def _real_paths(inputs: Iterable[str]) -> set[str]:
    """Local paths without links. A folder is resolved once, however many files of it are read."""
    paths = {path for path in inputs if "://" not in path}
    folders = {os.path.dirname(path) for path in paths}
    real = {folder: os.path.realpath(folder) for folder in folders}
    return {
        os.path.realpath(path)
        if os.path.islink(path)
        else os.path.join(real[os.path.dirname(path)], os.path.basename(path))
        for path in paths
    }
