"""Where a compressed file can be entered: at the frames of a zstd file, at the blocks of bgzip.

Gaia's shards end in a seek table, the skippable frame of the zstd seekable format
(github.com/facebook/zstd, contrib/seekable_format), which other decoders pass over.
"""

import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise

from gaia import _core
from gaia.io.sources import LocalSource, Source

# Frames are listed about so many bytes of content apart.
EVERY = 1 << 20

_SKIPPABLE = struct.Struct("<II")
_ENTRY = struct.Struct("<II")
_FOOTER = struct.Struct("<IBI")
_TABLE_MAGIC = 0x184D2A5E
_FOOTER_MAGIC = 0x8F92EAB1
_HAS_CHECKSUMS = 0x80
_MOST_FRAMES = 0x8000000


def frame_starts(source: Source, compression: str) -> list[tuple[int, int]] | None:
    """Positions in the file and in its content at which a frame begins; the last are the ends.

    None where that is not cheap to know: the file's headers, or its seek table, do not tell.
    """
    if compression == "zstd" and (found := _from_table(source)) is not None:
        return found
    if isinstance(source, LocalSource) and compression in ("zstd", "gzip"):
        return _core.frame_starts(source.path, compression, EVERY)
    return None


def seek_table(frames: Iterable[tuple[int, int]]) -> bytes:
    """The seek table for frames of these sizes, stored and raw.

    >>> len(seek_table([(120, 1000), (80, 500)]))
    33
    """
    entries = b"".join(_ENTRY.pack(stored, raw) for stored, raw in frames)
    footer = _FOOTER.pack(len(entries) // _ENTRY.size, 0, _FOOTER_MAGIC)
    return _SKIPPABLE.pack(_TABLE_MAGIC, len(entries) + len(footer)) + entries + footer


def _from_table(source: Source) -> list[tuple[int, int]] | None:
    size = source.size
    if size is None or size < _SKIPPABLE.size + _FOOTER.size:
        return None
    count, descriptor, magic = _FOOTER.unpack(source.read(size - _FOOTER.size, size))
    if magic != _FOOTER_MAGIC or descriptor & 0x7C or count > _MOST_FRAMES:
        return None
    width = _ENTRY.size + (4 if descriptor & _HAS_CHECKSUMS else 0)
    length = count * width + _FOOTER.size
    start = size - length - _SKIPPABLE.size
    if start < 0:
        return None
    table = source.read(start, size - _FOOTER.size)
    if _SKIPPABLE.unpack_from(table) != (_TABLE_MAGIC, length):
        return None
    frames = [_ENTRY.unpack_from(table, at) for at in range(_SKIPPABLE.size, len(table), width)]
    found = _positions(frames)
    return found if found[-1][0] == start else None


def _positions(frames: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    found = [(0, 0)]
    at = raw = 0
    for number, (stored, content) in enumerate(frames):
        at += stored
        raw += content
        if raw - found[-1][1] >= EVERY or number == len(frames) - 1:
            found.append((at, raw))
    return found


def before(starts: list[tuple[int, int]], position: int) -> tuple[int, int]:
    """The last place to enter at which the byte before `position` of the content is still ahead.

    >>> before([(0, 0), (40, 100), (70, 200)], 100), before([(0, 0), (40, 100), (70, 200)], 101)
    ((0, 0), (40, 100))
    """
    found = starts[0]
    for start, following in pairwise(starts):
        found = start
        if following[1] >= position:
            break
    return found
