"""Sources: the bytes of one file, wherever it is."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, cast

import attrs

from gaia import _core
from gaia.errors import InputError
from gaia.io.stores import Store

_BLOCK = 1 << 20
# Of a remote file, so many ranges of this size are under way at once: enough to hide some tens of
# milliseconds of latency from a reader of several hundred MB a second.
_RANGE = 4 << 20
_RANGES = 8
# The first ranges are smaller, so that reading begins at once.
_FIRST_RANGE = 1 << 20
# A task reads on to the end of its last line: nearly always so much is enough, and asked for ahead.
_LAST_LINE = 64 << 10


class Source(Protocol):
    """A file to read from."""

    @property
    def path(self) -> str:
        """The path or URL."""

    @property
    def size(self) -> int | None:
        """Its bytes; None where the store does not tell."""

    def read(self, start: int, end: int) -> bytes:
        """Bytes `[start, end)`, or as many of them as there are."""

    def blocks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The content from `start` on. What is behind `end` may be asked for, but rarely is.

        A task's progress is told by it.
        """


class SizedSource(Source, Protocol):
    """A file whose size is known."""

    @property
    def size(self) -> int: ...


@attrs.frozen
class LocalSource:
    """A file of this machine."""

    path: str
    size: int

    def read(self, start: int, end: int) -> bytes:
        """See `Source.read`."""
        with open(self.path, "rb") as file:
            file.seek(start)
            return file.read(end - start)

    def blocks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See `Source.blocks`."""
        with open(self.path, "rb") as file:
            file.seek(start)
            while block := file.read(_BLOCK):
                _core.has_read(len(block))
                yield block


@attrs.frozen
class StoreSource:
    """A file of a store, read by ranges, several of them at once."""

    path: str
    size: int | None
    store: Store

    def read(self, start: int, end: int) -> bytes:
        """See `Source.read`."""
        if self.size is None:
            return self._beginning(end)[start:]
        end = min(end, self.size)
        return self.store.read(self.path, start, end) if start < end else b""

    def _beginning(self, size: int) -> bytes:
        stream = self.store.stream(self.path, 0)
        found = b""
        while len(found) < size and (block := next(stream, b"")):
            found += block
        return found[:size]

    def blocks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See `Source.blocks`."""
        for block in self._blocks(start, end):
            _core.has_read(len(block))
            yield block

    def _blocks(self, start: int, end: int | None) -> Iterator[bytes]:
        if self.size is None:
            yield from self.store.stream(self.path, start)
            return
        wanted = self.size if end is None else min(end + _LAST_LINE, self.size)
        pool = ThreadPoolExecutor(_RANGES, thread_name_prefix="gaia-read")
        under_way: deque[Future[bytes]] = deque()
        ranges = _ranges(start, wanted)
        try:
            while True:
                for begin, stop in ranges:
                    under_way.append(pool.submit(self.read, begin, stop))
                    if len(under_way) == _RANGES:
                        break
                if not under_way:
                    break
                yield under_way.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        for begin, stop in _ranges(max(start, wanted), self.size):
            yield self.read(begin, stop)


def _ranges(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cuts a range into growing ones."""
    size = _FIRST_RANGE
    while start < end:
        stop = min(start + size, end)
        yield start, stop
        start, size = stop, min(2 * size, _RANGE)


def source_of(path: str, size: int | None, store: Store | None) -> Source:
    """The file at a path or URL. Without a `size`, a local file's is looked up.

    Raises:
        OSError: There is no such local file.
    """
    if store is None:
        return LocalSource(path, os.path.getsize(path) if size is None else size)
    return StoreSource(path, size, store)


def sized(source: Source) -> SizedSource:
    """The source, of which the size has to be known.

    Raises:
        InputError: It is not: a web server gives the file only as a whole.
    """
    if source.size is None:
        raise InputError(
            f"{source.path} cannot be read in parts from its server; download it first"
        )
    return cast(SizedSource, source)
