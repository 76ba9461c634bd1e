"""Codecs: told by magic number, read as a stream of blocks."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from gaia import _core
from gaia.errors import InputError

MAGIC_BYTES = 6

# What a decoder gives at once: however little a block of input is, so much memory and no more.
_MOST = 1 << 20

# What a file may make the decoder of xz hold, as the decoder of zstd does by itself: enough for a
# dictionary of 128 MiB, which is twice that of `xz -9`.
_MOST_HELD = 160 << 20


def sniff(head: bytes) -> str:
    """The codec of a file that starts with these bytes.

    >>> sniff(b"\\x1f\\x8b\\x08\\x00"), sniff(b"\\x28\\xb5\\x2f\\xfd"), sniff(b"text")
    ('gzip', 'zstd', 'none')
    """
    for magic, codec in _MAGIC.items():
        if head.startswith(magic):
            return codec
    # A zstd file may start with a skippable frame; pzstd writes one in front of each frame.
    return "zstd" if head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50 else "none"


def decompress(
    blocks: Iterator[bytes], compression: str, path: str, offset: int = 0
) -> Iterator[bytes]:
    """Decompresses a file's blocks: any number of members or frames, one after the other.

    Memory is bounded whatever the input is. `offset` is where in the file the blocks begin.

    Raises:
        InputError: The data is damaged or ends early; the message names `path` and the offset.
    """
    stream: Decoder | None = None
    done = offset
    for block in blocks:
        rest = block
        while rest:
            if stream is None:
                if not rest.strip(b"\0"):
                    break  # Padding behind the last frame, as tapes and block devices have it.
                stream = decoder(compression)
            try:
                yield from everything(stream, rest)
            except Exception as error:
                at = done + len(block) - len(rest)
                raise InputError(
                    f"{path} is damaged: {compression} data at or after byte {at}: {error}"
                ) from None
            if not stream.eof:
                break
            rest = stream.unused_data
            stream = None
        done += len(block)
    if stream is not None:
        raise InputError(f"{path} ends early: its last {compression} frame stops at byte {done}")


class Decoder(Protocol):
    """A decoder of one frame, as those of Python's `bz2` are."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def decoder(compression: str) -> Decoder:
    """A decoder of one frame or member."""
    return _DECODERS[compression]()


def everything(stream: Decoder, data: bytes) -> Iterator[bytes]:
    """What the data decompresses to, in pieces of bounded size."""
    yield stream.decompress(data, _MOST)
    while not stream.eof and not stream.needs_input:
        piece = stream.decompress(b"", _MOST)
        if not piece:
            return
        yield piece


class _Gzip:
    """isal's decoder, which leaves what it has not taken to the caller."""

    def __init__(self) -> None:
        from isal import isal_zlib

        self._stream = isal_zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return bool(self._stream.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._stream.unused_data)

    @property
    def needs_input(self) -> bool:
        return not self._stream.unconsumed_tail

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        found: bytes = self._stream.decompress(data or self._stream.unconsumed_tail, max_length)
        return found


def _bzip2() -> Decoder:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> Decoder:
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_HELD)


def _lz4() -> Any:
    import lz4.frame

    return lz4.frame.LZ4FrameDecompressor()


_DECODERS: dict[str, Callable[[], Decoder]] = {
    "gzip": _Gzip,
    "zstd": _core.Unzstd,
    "bzip2": _bzip2,
    "xz": _xz,
    "lz4": _lz4,
}
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x04\x22\x4d\x18": "lz4",
}
