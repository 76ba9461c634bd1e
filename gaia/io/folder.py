"""Folders, of this machine or of a store, in which a run keeps what it needs meanwhile."""

import os
import shutil
from collections.abc import Collection
from contextlib import suppress

import attrs

from gaia.io.stores import Store, join
from gaia.io.upload import Upload


@attrs.frozen
class Folder:
    """A folder: its path, or its URL and store. Names in it are relative, with slashes."""

    url: str
    store: Store | None = None

    def path(self, name: str) -> str:
        """The path or URL of what is in it."""
        return join(self.url, name)

    def below(self, name: str) -> "Folder":
        """A folder in it."""
        return Folder(self.path(name), self.store)

    def make(self, name: str) -> None:
        """Makes a folder in it. Stores need none."""
        if self.store is None:
            os.makedirs(self.path(name))

    def exists(self, name: str) -> bool:
        """Whether that folder has been made."""
        return self.store is not None or os.path.isdir(self.path(name))

    def put(self, path: str, name: str) -> None:
        """Moves a file of this machine into it."""
        if self.store is not None:
            parts = self.path("parts")
            Upload(self.store, self.url, parts, keep=False).all([(path, name)])
            return
        target = self._place(name)
        shutil.move(path, target)

    def write(self, name: str, content: bytes) -> None:
        """Writes a file, which is seen as a whole or not at all."""
        if self.store is not None:
            self.store.send("pipe_file", len(content), self.path(name), content)
            return
        target = self._place(name)
        hidden = f"{target}.{os.urandom(4).hex()}"
        with open(hidden, "xb") as file:
            file.write(content)
        os.replace(hidden, target)

    def _place(self, name: str) -> str:
        """The path of a file that is to be written. The folder itself is not made: what comes too
        late, when it has been removed, fails."""
        target = self.path(name)
        with suppress(FileExistsError):
            os.mkdir(os.path.dirname(target))
        return target

    def read(self, name: str, start: int, end: int) -> bytes:
        """Bytes `[start, end)` of a file, which has so many.

        Raises:
            OSError: It has not, or there is no such file.
        """
        if self.store is not None:
            return self.store.read(self.path(name), start, end) if start < end else b""
        with open(self.path(name), "rb") as file:
            found = os.pread(file.fileno(), end - start, start)
        if len(found) != end - start:
            raise OSError(f"{self.path(name)} ends before byte {end}")
        return found

    def sizes(self, name: str) -> dict[str, int]:
        """All files below a folder in it, by names relative to that, with their sizes."""
        top = self.path(name)
        if self.store is not None:
            return {url[len(top) + 1 :]: size for url, size in self.store.sizes(top).items()}
        found = {}
        for parent, _, names in os.walk(top):
            for file in names:
                path = os.path.join(parent, file)
                found[os.path.relpath(path, top)] = os.path.getsize(path)
        return found

    def clear(self, name: str, kept: Collection[str]) -> None:
        """Removes what is in a folder in it, but for some folders in that."""
        top = self.path(name)
        if self.store is not None:
            names = self.sizes(name)
            left = [file for file in names if file.partition("/")[0] not in kept]
            self.store.remove(join(top, file) for file in left)
            return
        for entry in os.listdir(top):
            if entry not in kept:
                path = os.path.join(top, entry)
                shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)

    def remove(self, name: str) -> None:
        """Removes a folder in it with all that is below."""
        if self.store is not None:
            self.store.remove(self.store.below(self.path(name)))
        else:
            shutil.rmtree(self.path(name))
