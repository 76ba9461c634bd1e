"""What a task reads: ranges of files, or records that travel with the plan."""

import codecs
import os
from collections.abc import Iterator
from typing import Any

import attrs

from gaia import _core
from gaia.errors import InputError
from gaia.io.files import blocks, reason
from gaia.pipeline.graph import Format
from gaia.pipeline.records import record_type

# Encodings in which the byte 0A is a newline and nothing else, so that lines can be found before
# they are decoded. Others are turned into UTF-8 as a stream.
_LINE_SAFE = ("ascii", "utf-8", "iso8859", "cp125", "koi8", "mac-", "cp437", "cp850", "cp866")


@attrs.frozen
class Part:
    """A range of a file's bytes, or a whole file (`end` is None).

    `size` is that of the file, where it has to be as it was written.
    """

    path: str
    compression: str
    start: int = 0
    end: int | None = None
    size: int | None = None


@attrs.frozen
class Lines:
    """Lines of files, and how they are read.

    `ours` are files of a table that Gaia wrote: a line that does not parse is damage.
    """

    parts: tuple[Part, ...]
    format: Format
    encoding: str = "utf-8"
    errors: str = "strict"
    skip_header: bool = False
    ours: bool = False

    @property
    def skip_bom(self) -> bool:
        """Whether a byte order mark at the start of a file is no part of its first line."""
        json = self.format is Format.JSONL and not self.ours
        return json or codecs.lookup(self.encoding).name == "utf-8-sig"


@attrs.frozen
class Slice:
    """Some of the records that travel with the plan, the first of them number `start`."""

    records: tuple[Any, ...] = attrs.field(repr=False)
    start: int


def can_split(encoding: str) -> bool:
    """Whether a plain file of that encoding can be cut into byte ranges."""
    return codecs.lookup(encoding).name.startswith(_LINE_SAFE)


def codec_for(source: Lines, tp: Any) -> _core.Codec:
    """The codec that makes records of the source's lines."""
    encoding, errors = codecs.lookup(source.encoding).name, source.errors
    if encoding == "utf-8-sig":
        encoding = "utf-8"
    if not can_split(encoding):
        encoding, errors = "utf-8", "surrogatepass"
    return _core.Codec(record_type(tp), source.format.value, encoding=encoding, errors=errors)


def open_lines(source: Lines, part: Part) -> _core.Lines:
    """Opens a part for reading.

    Raises:
        InputError: It is damaged or does not decode, now or while it is read.
    """
    if part.size is not None:
        _check_size(part.path, part.size)
    splittable = can_split(source.encoding)
    content: str | Iterator[bytes] = part.path
    # What Gaia wrote is read by the core alone.
    zstd = source.ours and part.compression == "zstd"
    if (part.compression != "none" and not zstd) or not splittable:
        content = blocks(part.path, part.compression)
    if not splittable:
        content = _as_utf8(blocks(part.path, part.compression), source, part.path)
    try:
        return _core.Lines(
            content,
            part.start,
            part.end,
            zstd=zstd,
            skip_header=source.skip_header,
            skip_bom=source.skip_bom,
            crlf=not source.ours,
        )
    except OSError as error:
        raise InputError(f"cannot read {part.path}: {reason(error)}") from None


def open_batches(part: Part) -> _core.Batches:
    """Opens a part that holds columns.

    Raises:
        InputError: It is not as large as it was when it was written.
    """
    if part.size is not None:
        _check_size(part.path, part.size)
    return _core.Batches.stream(part.path)


def _check_size(path: str, expected: int) -> None:
    try:
        size = os.path.getsize(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {reason(error)}") from None
    if size != expected:
        raise InputError(f"{path} is damaged: it was written with {expected} bytes and has {size}")


def _as_utf8(content: Iterator[bytes], source: Lines, path: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(source.encoding)(source.errors)
    done = 0
    for block in content:
        yield _decoded(decoder, block, False, path, done)
        done += len(block)
    yield _decoded(decoder, b"", True, path, done)


def _decoded(
    decoder: codecs.IncrementalDecoder, block: bytes, final: bool, path: str, done: int
) -> bytes:
    try:
        return decoder.decode(block, final).encode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not {error.encoding}: {error.reason} near position {done + error.start}"
        ) from None
