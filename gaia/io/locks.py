"""Locks: one run at a time in a folder."""

import fcntl
import json
import os
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from gaia.errors import OutputError
from gaia.io.stores import Store

# A lock in a store is renewed so often, in seconds; one that is older than the other is stale.
_RENEWED = 30.0
_STALE = 180.0


# Descriptors of the folders whose locks this process has.
_held: set[int] = set()


def hold(folder: str) -> int:
    """Takes the lock of a folder of this machine, for this process alone: what is forked of it may
    outlive it, and does not have the lock.

    Raises:
        BlockingIOError: Another has it.
        OSError: There is no such folder.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    _held.add(descriptor)
    return descriptor


def let_go(descriptor: int) -> None:
    """Gives back what `hold` has returned. In a fork of who has it, that does nothing."""
    if descriptor in _held:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        _held.remove(descriptor)
        os.close(descriptor)


def _in_child() -> None:
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_in_child)


class LocalLock:
    """A lock of a folder of this machine. It ends with the process, however that ends. Who holds it
    stands in a file, which is made when the lock is had."""

    def __init__(self, folder: str, holder: str, shown: str) -> None:
        try:
            self._held = hold(folder)
        except BlockingIOError:
            content = b""
            with suppress(OSError), open(holder, "rb") as file:
                content = file.read()
            raise _in_use(shown, content) from None
        try:
            os.makedirs(os.path.dirname(holder), exist_ok=True)
            with open(holder, "wb") as file:
                file.write(_content(""))
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Others may have it."""
        let_go(self._held)


def is_locked(folder: str) -> bool:
    """Whether somebody has the lock of a folder of this machine.

    Raises:
        OSError: There is no such folder.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class StoreLock:
    """A lock in a store: a file that is made only if it is not there, and renewed meanwhile."""

    def __init__(self, store: Store, path: str, folder: str) -> None:
        self._store = store
        self._path = path
        self._token = os.urandom(8).hex()
        self._done = threading.Event()
        if not self._made():
            holder = self._holder()
            if holder is not None and not _is_stale(holder):
                raise _in_use(folder, json.dumps(holder).encode())
            self._renew()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Others may have it."""
        self._done.set()
        self._thread.join()
        self._store.remove([self._path])

    def _made(self) -> bool:
        try:
            self._store.call("pipe_file", self._path, _content(self._token), mode="create")
            return True
        except FileExistsError:
            # Or it was made, and the answer lost.
            holder = self._holder()
            return holder is not None and holder.get("token") == self._token

    def _holder(self) -> dict[str, Any] | None:
        with suppress(FileNotFoundError, ValueError):
            found = json.loads(self._store.call("cat_file", self._path))
            return found if isinstance(found, dict) else {}
        return None

    def _renew(self) -> None:
        self._store.call("pipe_file", self._path, _content(self._token))

    def _keep(self) -> None:
        while not self._done.wait(_RENEWED):
            # If the store does not answer, the run itself will say so.
            with suppress(Exception):
                self._renew()


def _content(token: str) -> bytes:
    held = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "token": token,
        "time": time.time(),
    }
    return json.dumps(held).encode()


def _is_stale(holder: dict[str, Any]) -> bool:
    if holder.get("host") == socket.gethostname() and isinstance(holder.get("pid"), int):
        try:
            os.kill(holder["pid"], 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
    return time.time() - float(holder.get("time") or 0) > _STALE


def _in_use(folder: str, content: bytes) -> OutputError:
    who = "another run"
    with suppress(ValueError, KeyError, TypeError):
        held = json.loads(content)
        who = f"process {held['pid']} on {held['host']}"
    return OutputError(f"{folder} is in use by {who}; wait for it, or choose another dest_dir")
