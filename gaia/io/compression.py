"""Codecs: told by magic number, read as a stream of blocks."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

from gaia.errors import InputError

MAGIC_BYTES = 4


def sniff(head: bytes) -> str:
    """The codec of a file that starts with these bytes.

    >>> sniff(b"\\x1f\\x8b\\x08\\x00"), sniff(b"\\x28\\xb5\\x2f\\xfd"), sniff(b"text")
    ('gzip', 'zstd', 'none')
    """
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    # A zstd file may start with a skippable frame; pzstd writes one in front of each frame.
    skippable = head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50
    return "zstd" if skippable or head[:4] == b"\x28\xb5\x2f\xfd" else "none"


def decompress(blocks: Iterator[bytes], compression: str, path: str) -> Iterator[bytes]:
    """Decompresses a file's blocks: any number of gzip members or zstd frames.

    Raises:
        InputError: The data is damaged or ends early; the message names `path` and the offset.
    """
    if compression == "none":
        return blocks
    return _frames(blocks, stream_maker(compression), compression, path)


def _frames(
    blocks: Iterator[bytes], new_stream: Callable[[], Any], compression: str, path: str
) -> Iterator[bytes]:
    stream: Any = None
    done = 0
    for block in blocks:
        rest = block
        while rest:
            if stream is None:
                if not rest.strip(b"\0"):
                    break  # Padding behind the last frame, as tapes and block devices have it.
                stream = new_stream()
            try:
                yield stream.decompress(rest)
            except Exception as error:
                raise InputError(
                    f"{path} is damaged: {compression} data at or after byte "
                    f"{done + len(block) - len(rest)}: {error}"
                ) from None
            if not stream.eof:
                break
            rest = stream.unused_data
            stream = None
        done += len(block)
    if stream is not None:
        raise InputError(f"{path} ends early: its last {compression} frame stops at byte {done}")


def stream_maker(compression: str) -> Callable[[], Any]:
    """Makes decompressors of one member or frame each, as `zlib.decompressobj` is one. Of `zstd`,
    only the last that was made can be used."""
    if compression == "gzip":
        from isal import isal_zlib

        return functools.partial(isal_zlib.decompressobj, wbits=31)
    import zstandard

    maker: Callable[[], Any] = zstandard.ZstdDecompressor().decompressobj
    return maker
