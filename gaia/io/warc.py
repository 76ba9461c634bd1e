"""WARC files: the records that start in a range of bytes.

A file is plain, has a gzip member or zstd frame for each record (the standard), or is compressed as
one stream. Where its records are is found here, so that damage costs no record but the damaged one;
what is in them fastwarc tells.
"""

import functools
import itertools
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

from gaia.errors import InputError
from gaia.io.compression import decoder
from gaia.io.members import DamagedError, Member, Pieces
from gaia.io.sources import SizedSource
from gaia.io.warc_stream import (
    RECORD,
    START_SIZE,
    BrokenError,
    Span,
    Stream,
    lone_record,
)
from gaia.warc import WarcRecord

# Takes the position of a broken record and what is wrong with it: raises, or lets reading go on.
Broken = Callable[[int, str], None]

_WINDOW = 1 << 18
# A record may hold an archive itself, whose members stand in the file as they are where they could
# not be compressed further: in stored blocks, of at most 64 KiB in gzip and 128 KiB in zstd. Whole
# members one behind the other for longer than that are the file's own.
_PROOF = 1 << 17
# Enough of a member to tell how it begins: in zstd, a whole block.
_HEAD = _PROOF + 1024
# What is sent compressed may stand for any amount; a body of more stays as it was sent.
_MAX_BODY = 256 << 20
# A header that tells a length, with the lines that go on with it.
_LENGTHS = re.compile(rb"content-length[^\n]*(?:\n[ \t][^\n]*)*", re.IGNORECASE)
_DIGITS = re.compile(rb"\d+")
_MAGIC = {"gzip": b"\x1f\x8b\x08", "zstd": b"\x28\xb5\x2f\xfd"}


def records(
    source: SizedSource,
    compression: str,
    start: int,
    end: int,
    types: Collection[str] | None,
    broken: Broken | None = None,
) -> Iterator[tuple[int, WarcRecord]]:
    """The records that start in bytes `[start, end)` of a file, each with its position; in a
    compressed file, with that of its member.

    Every record belongs to exactly one of the ranges into which a file is cut. Those of a file that
    is compressed as one stream belong to the first.

    Args:
        source: The file.
        compression: `none`, `gzip` or `zstd`.
        start: Where the range starts.
        end: Where it ends; at most the size of the file.
        types: The types of records that are wanted; None for all.
        broken: Is told of each broken record. Without it, one is an error.

    Raises:
        InputError: The file is damaged.
    """
    if broken is None:
        broken = functools.partial(_refuse, source.path)
    first = member_at_or_after(source, compression, start)
    stop = member_at_or_after(source, compression, end)
    wanted = None if types is None else {name.encode() for name in types}
    make = _maker()
    for position, span in _walk(source, compression, first, stop, broken, source.blocks):
        kind = span[0].lower()
        if wanted is None or kind in wanted:
            yield position, make(kind.decode(), *span[1:])


def member_at_or_after(source: SizedSource, compression: str, offset: int) -> int:
    """Where the first record starts at or after an offset; in a compressed file, its member. The
    size of the file if there is none, or if its members are no single records."""
    if offset <= 0:
        return 0
    if offset >= source.size or not has_cuts(source, compression):
        return source.size
    while (start := _next_start(source, compression, offset)) < source.size:
        flaw = _flaw(source, compression, start)
        if flaw is None:
            return start
        offset = flaw + 1  # Whatever starts in between leads to the same flaw.
    return source.size


class _FlawError(Exception):
    """What was read on trial is broken at a position."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


def _refuse(path: str, position: int, message: str) -> None:
    raise InputError(
        f"{path} is damaged at byte {position}: {message}; "
        "pass on_error=gaia.skip() to count and leave out broken records"
    )


def _give_up(position: int, message: str) -> None:
    raise _FlawError(position)


def _walk(
    source: SizedSource,
    compression: str,
    start: int,
    stop: int,
    broken: Broken,
    blocks: Callable[[int], Iterator[bytes]],
) -> Iterator[tuple[int, Span]]:
    """All whole records from the start of a record to that of another."""
    if compression == "none":
        stream = Stream(blocks(start), start, source.size)
        while stream.at_record() and (position := stream.position) < stop:
            if (span := _take(stream, position, broken)) is not None:
                yield position, span
        _check_landing(source, stream.position, stop)
        return
    pieces = Pieces(blocks(start), start)
    while pieces.skip_padding() and pieces.position < stop:
        position = pieces.position
        member = Member(pieces, compression)
        try:
            begin = member.read()
            if member.ended and (span := lone_record(begin)) is not None:
                yield position, span
                continue
            stream = Stream(itertools.chain((begin,), member.rest()), position)
            while stream.at_record():
                if (span := _take(stream, position, broken)) is not None:
                    yield position, span
        except DamagedError as error:
            broken(position, str(error))
            following = _next_start(source, compression, position + 1)
            pieces = Pieces(blocks(following), following)
    _check_landing(source, pieces.position, stop)


def _take(stream: Stream, position: int, broken: Broken) -> Span | None:
    """The record at the cursor; None if it is broken."""
    try:
        return stream.take()
    except BrokenError as error:
        # If damaged data is the reason, that is found on the way, and told in place of this.
        stream.leave()
        broken(position, str(error))
    return None


def _check_landing(source: SizedSource, position: int, stop: int) -> None:
    """Whoever reads up to a cut comes to it exactly; or else it lies inside a record."""
    if position > stop:
        raise InputError(
            f"{source.path} was cut at byte {stop}, inside a record that holds an archive itself; "
            "compress the file record by record, as `warcio recompress` does"
        )


def has_cuts(source: SizedSource, compression: str) -> bool:
    """Whether records have members of their own, as far as the first two tell."""
    if compression == "none":
        return True
    try:
        found = _walk(source, compression, 0, source.size, _give_up, _windows(source))
        first = [position for position, _ in itertools.islice(found, 2)]
    except _FlawError:
        return False
    return len(set(first)) == 2


def _flaw(source: SizedSource, compression: str, start: int) -> int | None:
    """Where it shows that no record of the file itself starts there, but damage, or an archive in a
    record; None if one does."""
    try:
        found = _walk(source, compression, start, source.size, _give_up, _windows(source))
        for position, _ in found:
            if position > start + _PROOF:
                break
    except _FlawError as error:
        return error.position
    return None


def _next_start(source: SizedSource, compression: str, offset: int) -> int:
    """Where something starts, at or after an offset, that looks like a record or its member."""
    pattern = RECORD if compression == "none" else re.compile(re.escape(_MAGIC[compression]))
    for window in range(offset, source.size, _WINDOW):
        data = source.read(window, window + _WINDOW + _HEAD)
        for found in pattern.finditer(data, 0, _WINDOW + START_SIZE):
            start = found.start()
            if compression == "none" or _begins_record(data[start : start + _HEAD], compression):
                return window + start
    return source.size


def _begins_record(head: bytes, compression: str) -> bool:
    stream = decoder(compression)
    begin = b""
    try:
        for at in range(0, len(head), 64):
            begin += stream.decompress(head[at : at + 64], _HEAD)
            if len(begin) >= 5:
                break
    except Exception:
        return False
    return begin.startswith(b"WARC/")


def _windows(source: SizedSource) -> Callable[[int], Iterator[bytes]]:
    """As `source.blocks`, without reading ahead."""

    def blocks(start: int) -> Iterator[bytes]:
        for window in range(start, source.size, _WINDOW):
            yield source.read(window, window + _WINDOW)

    return blocks


def _maker() -> Callable[[str, bytes, int, int, int], WarcRecord]:
    """Makes records of a type and the bytes that hold them."""
    from fastwarc import WarcRecord as Parsed

    from_bytes = Parsed.from_bytes

    def make(kind: str, data: bytes, header: int, block: int, end: int) -> WarcRecord:
        head = _bounded(data[header:block], end - block)
        parsed = from_bytes(head)
        headers = _merged(parsed.headers.to_tuples())
        get = headers.get
        if parsed.is_http:
            status, http_headers, payload = _http(from_bytes, head + data[block:end])
            content_type = http_headers.get("content-type", "")
        else:
            status, http_headers, payload = 0, {}, None
            content_type = get("content-type", "")
        return WarcRecord(
            kind,
            get("warc-target-uri", "").strip("<>"),
            get("warc-date", ""),
            get("warc-record-id", ""),
            content_type,
            get("warc-identified-content-language", ""),
            data[block:end] if payload is None else payload,
            status,
            http_headers,
            headers,
        )

    return make


def _bounded(head: bytes, most: int) -> bytes:
    """The header with no length beyond what the record has: fastwarc makes room for what it reads
    there, in lines that look different to it."""
    largest = b"%d" % most

    def bounded(number: re.Match[bytes]) -> bytes:
        digits = number[0].lstrip(b"0") or b"0"
        return min(digits, largest, key=lambda digits: (len(digits), digits))

    return _LENGTHS.sub(lambda line: _DIGITS.sub(bounded, line[0]), head)


def _http(from_bytes: Any, record: bytes) -> tuple[int, dict[str, str], bytes | None]:
    """Status, headers and body; no body where the block is no HTTP."""
    for decode in ("all", "none"):  # Servers lie about encodings: then the body is as it was sent.
        parsed = from_bytes(record)
        try:
            parsed.parse_http(auto_decode=decode, quirks_mode=True)
            body = parsed.reader.read(_MAX_BODY if decode == "all" else -1)
            if decode == "all" and parsed.reader.read(1):
                continue
        except OSError:
            continue
        headers = _merged(parsed.http_headers.to_tuples())
        if headers or parsed.http_headers.status_code:
            return parsed.http_headers.status_code or 0, headers, body
    return 0, {}, None


def _merged(pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    headers = {name.lower(): value for name, value in pairs}
    if len(headers) < len(pairs):
        for wanted in headers:
            headers[wanted] = ", ".join(value for name, value in pairs if name.lower() == wanted)
    return headers
