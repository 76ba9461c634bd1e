"""Sources: files that are read from any place in them."""

import os
from collections.abc import Iterator
from typing import Protocol

_BLOCK = 1 << 20


class Source(Protocol):
    """A file of some store. What cannot be read raises `OSError`."""

    @property
    def path(self) -> str: ...

    @property
    def size(self) -> int: ...

    def read(self, start: int, end: int) -> bytes:
        """Exactly the bytes `[start, end)`, as far as the file goes."""

    def blocks(self, start: int = 0) -> Iterator[bytes]:
        """The bytes from `start` to the end of the file."""


class LocalSource:
    """A file on local disk."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.size = os.path.getsize(path)

    def read(self, start: int, end: int) -> bytes:
        with open(self.path, "rb") as file:
            file.seek(start)
            return file.read(end - start)

    def blocks(self, start: int = 0) -> Iterator[bytes]:
        with open(self.path, "rb") as file:
            file.seek(start)
            while block := file.read(_BLOCK):
                yield block
