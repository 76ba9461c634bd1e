"""Input files: finding them, and reading what they hold."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import attrs

from gaia import _core
from gaia.errors import GaiaError, InputError
from gaia.io.compression import MAGIC_BYTES, decompress, sniff
from gaia.io.sources import Source, source_of
from gaia.io.stores import Store, at_once, explain, local_path, read_ahead

# A remote file below this size is not looked into before it is read: it is one piece anyway.
_LOOK_INTO = 1 << 20
_AHEAD = 4

X = TypeVar("X")

_SUFFIXES = {
    ".gz": "gzip",
    ".bgz": "gzip",
    ".zst": "zstd",
    ".zstd": "zstd",
    ".bz2": "bzip2",
    ".xz": "xz",
    ".lz4": "lz4",
}


@attrs.frozen
class InputFile:
    """A file that a glob matched.

    `compression` is told by its first bytes; by its name where it is remote and `small`. `size` is
    None where the store does not tell. `version` is another one when the file has been changed. A
    `checksum`, where it is given, is to be verified.
    """

    path: str
    size: int | None
    compression: str
    store: Store | None = None
    small: bool = False
    version: str = ""
    checksum: str = ""

    def source(self) -> Source:
        """The file, to read from."""
        return source_of(self.path, self.size, self.store)


def expand(pattern: str, store: Store | None = None) -> list[InputFile]:
    """The files that a path, URL or glob names, sorted by path.

    Raises:
        InputError: There are none, or one cannot be read.
    """
    if any("**" in part and part != "**" for part in pattern.split("/")):
        raise InputError("`**` has to be a whole folder in the path, as in `**/*.py`")
    with reading(pattern):
        files = _local(pattern) if store is None else _remote(pattern, store)
    if not files:
        plain = pattern if store is not None else local_path(pattern)
        resolved = "" if plain == pattern else f" ({plain})"
        hint = ""
        if "\n" in pattern or (" " in pattern and os.sep not in pattern):
            hint = "; is that a text? from_records([...]) takes records themselves"
        raise InputError(f"no file matches {pattern!r}{resolved}{hint}")
    return files


def _local(pattern: str) -> list[InputFile]:
    path = local_path(pattern)
    # Without a glob fsspec is not needed, which takes a while to import.
    if os.path.isfile(path) and not any(mark in pattern for mark in "*?["):
        return [_sniffed(path)]
    from fsspec.implementations.local import LocalFileSystem

    # Without `auto_mkdir`, opening a file for reading never makes a folder.
    fs = LocalFileSystem()
    if os.path.isdir(path):
        raise InputError(f"{pattern} is a folder; expected a file or a glob such as {path}/*")
    found = {path: fs.info(path)} if os.path.exists(path) else fs.glob(path, detail=True)
    return [_sniffed(name) for name in sorted(found) if found[name]["type"] != "directory"]


def _sniffed(path: str) -> InputFile:
    with open(path, "rb") as file:
        head = file.read(MAGIC_BYTES)
        status = os.fstat(file.fileno())
    return InputFile(path, status.st_size, sniff(head), version=str(status.st_mtime_ns))


def _remote(pattern: str, store: Store) -> list[InputFile]:
    fs = store.filesystem
    found = _found(pattern, store)

    def file(name: str) -> InputFile:
        size = found[name].get("size")
        version = _version(found[name])
        path = fs.unstrip_protocol(name)
        if size is not None and size < _LOOK_INTO and store.scheme not in ("http", "https"):
            by_name = _SUFFIXES.get(os.path.splitext(name)[1].lower(), "none")
            return InputFile(path, size, by_name, store, small=True, version=version)
        if size is not None and not store.has_ranges(path):
            size = None
        head = source_of(path, size, store).read(0, MAGIC_BYTES)
        return InputFile(path, size, sniff(head), store, version=version)

    names = [name for name in sorted(found) if found[name]["type"] != "directory"]
    return at_once(file, names)


def _version(info: dict[str, Any]) -> str:
    """What a store tells that changes with a file's content."""
    marks = ("etag", "ETag", "generation", "md5Hash", "mtime", "updated", "LastModified", "created")
    return " ".join(str(info[mark]) for mark in marks if mark in info)


def _found(pattern: str, store: Store) -> dict[str, Any]:
    """What the store knows of the files of that name, or that a glob matches."""
    fs = store.filesystem
    path = fs._strip_protocol(pattern)
    try:
        info = store.call("info", path)
    except FileNotFoundError:
        if not any(mark in path for mark in "*?["):
            return {}
    else:
        if info["type"] == "directory":
            raise InputError(f"{pattern} is a folder; expected a file or a glob such as {path}/*")
        return {path: info}
    fs.invalidate_cache()
    matched: dict[str, Any] = store.call("glob", path, detail=True)
    return matched


def content(file: InputFile, offset: int = 0, end: int | None = None) -> Iterator[bytes]:
    """The decompressed content of a file, block by block, from byte `offset` of the file on, where
    a frame begins if it is compressed. What is behind byte `end` is rarely asked for.

    Raises:
        InputError: It cannot be read, is damaged or ends early; the message names the offset.
    """
    stored = guarded(file.source().blocks(offset, end), file.path)
    compression = file.compression
    if file.small:
        head = next(stored, b"")
        compression = sniff(head)
        stored = _chained(head, stored)
    if compression == "none":
        return stored
    return read_ahead(decompress(stored, compression, file.path, offset), _AHEAD)


def checksum_of(file: InputFile) -> str:
    """The XXH3-64 of a file's content, in hexadecimal digits.

    Raises:
        InputError: It cannot be read.
    """
    with reading(file.path):
        if file.store is None:
            return f"{_core.checksum(file.path):016x}"
        import xxhash

        content = xxhash.xxh3_64()
        for block in file.source().blocks():
            content.update(block)
        return content.hexdigest()


def _chained(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest


def guarded(items: Iterator[X], path: str) -> Iterator[X]:
    """The same items; failures to read them as an `InputError`."""
    with reading(path):
        yield from items


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turns what the disk or a store raises into an `InputError` that names the path."""
    try:
        yield
    except GaiaError:
        raise
    except Exception as error:
        # Clients of stores raise whatever they like.
        if not isinstance(error, OSError) and "://" not in path:
            raise
        raise InputError(explain(error, "read", path)) from None


def reason(error: OSError) -> str:
    """What the system said, without Python's number and path."""
    return error.strerror or str(error)
