"""Files of this machine to a store: large ones in parts, several at once."""

import os
from collections.abc import Iterator

import attrs

from gaia.io.stores import Store, at_once, join

# Google's store takes a large object in parts that it then composes, so many at a time. Others
# have their own way, which their clients know.
_PART = 32 << 20
_COMPOSED = 32
_AT_ONCE = 4


@attrs.frozen
class Upload:
    """Where the files of a table go. `parts` is a folder for parts of files, removed after the run
    whatever happens. With `keep`, the files stay on this machine as well."""

    store: Store
    folder: str
    parts: str
    keep: bool

    def all(self, files: list[tuple[str, str]]) -> None:
        """Sends files, given by path and name. Each becomes visible as a whole.

        Raises:
            OSError: The store failed for good.
        """
        at_once(self._one, files, _AT_ONCE)

    def _one(self, file: tuple[str, str]) -> None:
        path, name = file
        self._send(path, join(self.folder, name))
        if not self.keep:
            os.remove(path)

    def _send(self, path: str, url: str) -> None:
        size = os.path.getsize(path)
        if size <= _PART:
            with open(path, "rb") as whole:
                self.store.send("pipe_file", size, url, whole.read())
        elif self.store.scheme in ("gs", "gcs"):
            self._compose(path, url, size)
        else:
            self.store.send("put_file", size, path, url)

    def _compose(self, path: str, url: str, size: int) -> None:
        prefix = join(self.parts, os.urandom(8).hex())
        made: list[str] = []

        def send(start: int) -> str:
            part = f"{prefix}-{start}"
            made.append(part)
            with open(path, "rb") as file:
                file.seek(start)
                content = file.read(_PART)
            self.store.send("pipe_file", len(content), part, content)
            return part

        try:
            parts = at_once(send, range(0, size, _PART), _AT_ONCE)
            while len(parts) > _COMPOSED:
                groups = list(_groups(parts))
                parts = [f"{prefix}-{len(parts)}of{number}" for number in range(len(groups))]
                made += parts
                for target, group in zip(parts, groups, strict=True):
                    self.store.call("merge", target, group)
            self.store.call("merge", url, parts)
        finally:
            self.store.remove(made)


def _groups(parts: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(parts), _COMPOSED):
        yield parts[start : start + _COMPOSED]
