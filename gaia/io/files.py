"""Input files: finding them and reading their bytes."""

import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import attrs

from gaia.errors import InputError
from gaia.io.compression import MAGIC_BYTES, decompress, sniff

_BLOCK = 1 << 20


@attrs.frozen
class InputFile:
    """A file that a glob matched. `compression` is told by its first bytes: `none`, `gzip`,
    `zstd`."""

    path: str
    size: int
    compression: str


def expand(pattern: str) -> list[InputFile]:
    """The files that a path or glob names, sorted by path.

    Raises:
        InputError: There are none, or one cannot be read.
    """
    try:
        if (found_file := _plain_file(pattern)) is not None:
            return [found_file]
        fs, path = filesystem(pattern)
        if fs.isdir(path):
            raise InputError(f"{pattern} is a folder; expected a file or a glob such as {path}/*")
        found = {path: fs.info(path)} if fs.exists(path) else fs.glob(path, detail=True)
        files = []
        for name in sorted(found):
            if found[name]["type"] == "directory":
                continue
            with fs.open(name, "rb") as file:
                files.append(InputFile(name, found[name]["size"], sniff(file.read(MAGIC_BYTES))))
    except OSError as error:
        raise InputError(f"cannot read {pattern}: {reason(error)}") from None
    if not files:
        resolved = "" if path == pattern else f" ({path})"
        raise InputError(f"no file matches {pattern!r}{resolved}")
    return files


def _plain_file(pattern: str) -> InputFile | None:
    """The local file of that name, if it is no glob: found without fsspec, which takes a while to
    import."""
    if "://" in pattern or any(mark in pattern for mark in "*?["):
        return None
    path = os.path.abspath(os.path.expanduser(pattern))
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        head = file.read(MAGIC_BYTES)
    return InputFile(path, os.path.getsize(path), sniff(head))


def filesystem(path: str) -> tuple[Any, str]:
    """The fsspec file system of a local path, and the path in it.

    Raises:
        InputError: It is a URL of another store.
    """
    from fsspec.implementations.local import LocalFileSystem

    scheme, separator, _ = path.partition("://")
    if separator and scheme not in ("file", "local"):
        raise InputError(f"expected a local path, got {path}")
    # Without `auto_mkdir`, opening a file for reading never makes a folder.
    return LocalFileSystem(), LocalFileSystem._strip_protocol(os.path.expanduser(path))


def blocks(path: str, compression: str) -> Iterator[bytes]:
    """The decompressed content of a file, block by block.

    Raises:
        InputError: It cannot be read, is damaged or ends early; the message names the offset.
    """
    try:
        with open(path, "rb") as file:
            yield from decompress(_read(file), compression, path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {reason(error)}") from None


def _read(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block


def reason(error: OSError) -> str:
    """What the system said, without Python's number and path."""
    return error.strerror or str(error)
