"""What a task reads: ranges of files, or records that travel with the plan."""

import codecs
import os
from collections.abc import Iterator
from typing import Any

import attrs

from gaia import _core
from gaia.errors import InputError
from gaia.io import warc
from gaia.io.compression import MAGIC_BYTES, sniff
from gaia.io.files import InputFile, checksum_of, content, guarded, reason
from gaia.io.sources import sized
from gaia.io.stores import explain
from gaia.pipeline.aggregates import fields_of
from gaia.pipeline.graph import Format
from gaia.pipeline.names import type_name
from gaia.pipeline.records import record_type
from gaia.warc import WarcRecord

# A header is looked for in so much of a remote file at first.
_HEADER = 1 << 16
_LONGEST_HEADER = 16 << 20
_LONGEST = 1 << 30

# Encodings in which the byte 0A is a newline and nothing else, so that lines can be found before
# they are decoded. Others are turned into UTF-8 as a stream.
_LINE_SAFE = ("ascii", "utf-8", "iso8859", "cp125", "koi8", "mac-", "cp437", "cp850", "cp866")


@attrs.frozen
class Part:
    """A range of a file's content, or all of it (`end` is None).

    A compressed file is entered at byte `offset`, where a frame begins that stands at `origin` in
    the content; `until` is where in the file the range ends.
    """

    file: InputFile
    start: int = 0
    end: int | None = None
    offset: int = 0
    origin: int = 0
    until: int | None = None

    @property
    def path(self) -> str:
        """The file's path or URL."""
        return self.file.path

    @property
    def size(self) -> int:
        """About how many bytes of the file are read for it."""
        if self.until is not None:
            return self.until - self.offset
        return (self.file.size or 0 if self.end is None else self.end) - self.start


@attrs.frozen
class Lines:
    """Lines of files, and how they are read.

    `ours` are files of a table that Gaia wrote: a line that does not parse is damage. With
    `skip_damaged`, what follows damage in a file is left out and counted. Of CSV, the header that
    is skipped names the columns.
    """

    parts: tuple[Part, ...]
    format: Format
    encoding: str = "utf-8"
    errors: str = "strict"
    skip_header: bool = False
    ours: bool = False
    skip_damaged: bool = False
    delimiter: str = ","

    @property
    def skip_bom(self) -> bool:
        """Whether a byte order mark at the start of a file is no part of its first line."""
        foreign = self.format is not Format.TXT and not self.ours
        return foreign or codecs.lookup(self.encoding).name == "utf-8-sig"


@attrs.frozen
class Archive:
    """Records of web archives, of some types (None: all). With `skip_damaged`, broken ones are left
    out and counted."""

    parts: tuple[Part, ...]
    types: tuple[str, ...] | None
    skip_damaged: bool


@attrs.frozen
class Slice:
    """Some of the records that travel with the plan, the first of them number `start`."""

    records: tuple[Any, ...] = attrs.field(repr=False)
    start: int


def can_split(encoding: str, format: Format = Format.TXT) -> bool:
    """Whether a plain file of that encoding can be cut into byte ranges; CSV is read as UTF-8."""
    safe = "utf-8" if format is Format.CSV else _LINE_SAFE
    return codecs.lookup(encoding).name.startswith(safe)


def codec_for(source: Lines, part: Part, tp: Any) -> _core.Codec:
    """The codec that makes records of the lines of a part of the source.

    Raises:
        InputError: A file of CSV has no column for a field, or several.
    """
    if source.format is Format.CSV:
        columns = None if source.ours else _columns(source, part, tp)
        return _core.Codec(record_type(tp), "csv", delimiter=source.delimiter, columns=columns)
    encoding, errors = codecs.lookup(source.encoding).name, source.errors
    if encoding == "utf-8-sig":
        encoding = "utf-8"
    if not can_split(encoding):
        encoding, errors = "utf-8", "surrogatepass"
    return _core.Codec(record_type(tp), source.format.value, encoding=encoding, errors=errors)


def _columns(source: Lines, part: Part, tp: Any) -> tuple[list[int], int]:
    """For each field the number of its column in a file of CSV, and how many columns there are."""
    names = fields = list(fields_of(tp))
    if source.skip_header:
        start = Part(part.file, until=_HEADER)
        lines = open_lines(attrs.evolve(source, skip_header=False), start, _LONGEST_HEADER)
        try:
            # A file without any row has no columns that could be missing.
            names = _core.csv_header(lines, source.delimiter) or fields
        except OSError as error:
            raise InputError(f"cannot read {part.path}: {reason(error)}") from None
        except ValueError as error:
            raise InputError(f"cannot read the header of {part.path}: {error}") from None
    for field in fields:
        if names.count(field) != 1:
            several = "several columns" if field in names else "no column"
            tab = '; the columns seem to be apart by tabs: delimiter="\\t"'
            hint = tab if source.delimiter != "\t" and any("\t" in name for name in names) else ""
            raise InputError(
                f"expected a column for each field of `{type_name(tp)}` in the header of "
                f"{part.path}, got {several} `{field}`; it has {', '.join(map(repr, names))}{hint}"
            )
    return [names.index(field) for field in fields], len(names)


def open_lines(source: Lines, part: Part, longest: int = _LONGEST) -> _core.Lines:
    """Opens a part for reading. A line of more than `longest` bytes is refused with a `ValueError`.

    Raises:
        InputError: It is damaged or does not decode, now or while it is read.
    """
    file = part.file
    if source.ours and part.start == 0:
        check_whole(file)
    splittable = can_split(source.encoding, source.format)
    offset, origin, until = part.offset, part.origin, part.until
    if splittable and file.compression == "none" and not file.small:
        # A range begins one byte early, to see whether it begins with a line.
        offset = origin = max(0, part.start - 1)
        until = part.end if until is None else until
    opened: str | Iterator[bytes] = file.path
    if not splittable:
        opened = _as_utf8(content(file), source, file.path)
    elif file.store is not None or file.compression not in ("none", "zstd"):
        opened = content(file, offset, until)
    try:
        return _core.Lines(
            opened,
            part.start,
            part.end,
            zstd=file.compression == "zstd",
            offset=offset,
            origin=origin,
            skip_header=source.skip_header,
            skip_bom=source.skip_bom,
            crlf=not source.ours,
            delimiter=source.delimiter if source.format is Format.CSV else None,
            longest=longest,
        )
    except OSError as error:
        raise InputError(f"cannot read {file.path}: {reason(error)}") from None


def content_at(source: Lines, part: Part, position: int) -> bytes:
    """The line at a position of a part, as its bytes stand in the (decompressed) file.

    Raises:
        InputError: It cannot be read.
    """
    lines = open_lines(source, attrs.evolve(part, start=position, end=position + 1))
    bare = _core.Codec(record_type(str), "txt", encoding="iso8859-1")
    line: str = next(_core.RecordReader(lines, bare), "")
    return line.encode("iso8859-1")


def archived(source: Archive, part: Part, broken: warc.Broken) -> Iterator[tuple[int, WarcRecord]]:
    """The records of a part of an archive with their positions; `broken` is told of those that are
    skipped.

    Raises:
        InputError: It is damaged, or cannot be read.
    """
    file = sized(part.file.source())
    found = warc.records(
        file,
        sniff(file.read(0, MAGIC_BYTES)) if part.file.small else part.file.compression,
        part.start,
        (part.file.size or 0) if part.end is None else part.end,
        source.types,
        broken if source.skip_damaged else None,
    )
    return guarded(found, part.path)


def check_whole(file: InputFile) -> None:
    """Refuses a file of Gaia's that is not as it was when it was written: by its size, and by its
    checksum if that is to be verified."""
    try:
        size = file.store.call("info", file.path)["size"] if file.store else None
        size = os.path.getsize(file.path) if size is None else size
    except Exception as error:
        raise InputError(explain(error, "read", file.path)) from None
    if size != file.size:
        raise InputError(
            f"{file.path} is damaged: it was written with {file.size} bytes and has {size}"
        )
    if file.checksum and (found := checksum_of(file)) != file.checksum:
        raise InputError(
            f"{file.path} is damaged: it was written with the checksum {file.checksum} and has "
            f"{found}"
        )


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
