"""A store that holds as many files as one likes, all made up."""

from typing import Any

from fsspec.spec import AbstractFileSystem

FILE_BYTES = 1 << 30


class Made(AbstractFileSystem):
    """A store of so many files of one size, all in one folder, that counts requests."""

    protocol = "made"
    requests = 0
    # As object stores list: so many names a page.
    PAGE = 1_000

    def __init__(self, files: int, **_: Any) -> None:
        super().__init__()
        self.files = files

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """See `AbstractFileSystem.info`."""
        Made.requests += 1
        if "*" in path:
            raise FileNotFoundError(path)
        return self._file(path)

    def glob(self, path: str, **_: Any) -> dict[str, Any]:
        """See `AbstractFileSystem.glob`."""
        Made.requests += -(-self.files // self.PAGE)
        folder = path.rpartition("/")[0]
        names = (f"{folder}/crawl-{number:06}.warc.wet.txt" for number in range(self.files))
        return {name: self._file(name) for name in names}

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """See `AbstractFileSystem.cat_file`."""
        Made.requests += 1
        return b"x" * ((end or FILE_BYTES) - (start or 0))

    def _file(self, path: str) -> dict[str, Any]:
        return {"name": path, "size": FILE_BYTES, "type": "file", "etag": f"{hash(path):016x}"}
