"""Members of compressed files, each with its place: what a file may be entered at."""

from collections.abc import Iterator

from gaia.io.compression import decoder

# Compressed bytes that are decompressed at once: behind the end of a member, the rest is copied.
_PIECE = 1 << 15
# What they are decompressed to at once.
_MOST = 1 << 20


class DamagedError(Exception):
    """The compressed data of a member is damaged."""


class Pieces:
    """The bytes of a file from a position on, in small pieces of which a rest can be given back."""

    def __init__(self, blocks: Iterator[bytes], position: int) -> None:
        self._blocks = blocks
        self._block = memoryview(b"")
        self._at = 0
        self.position = position

    def take(self) -> memoryview | None:
        """The next piece; None at the end."""
        if self._at == len(self._block) and not self._load():
            return None
        piece = self._block[self._at : self._at + _PIECE]
        self._at += len(piece)
        self.position += len(piece)
        return piece

    def give_back(self, size: int) -> None:
        """Takes back the last bytes of the last piece."""
        self._at -= size
        self.position -= size

    def skip_padding(self) -> bool:
        """Goes on behind zeros, as tapes and block devices have them; whether anything follows."""
        while self._at < len(self._block) or self._load():
            if self._block[self._at]:
                return True
            rest = bytes(self._block[self._at :]).lstrip(b"\0")
            zeros = len(self._block) - self._at - len(rest)
            self._at += zeros
            self.position += zeros
        return False

    def _load(self) -> bool:
        for block in self._blocks:
            if block:
                self._block = memoryview(block)
                self._at = 0
                return True
        return False


class Member:
    """A gzip member or zstd frame that is read. Once it has `ended`, its checksum was right."""

    def __init__(self, pieces: Pieces, compression: str) -> None:
        self._pieces = pieces
        self._stream = decoder(compression)
        self._compression = compression
        self.ended = False

    def read(self) -> bytes:
        """What follows, a piece of bounded size.

        Raises:
            DamagedError: There is no member, or it is damaged, or ends early.
        """
        piece: bytes | memoryview | None = b""
        if self._stream.needs_input:
            piece = self._pieces.take()
        if piece is None:
            end = self._pieces.position
            raise DamagedError(f"{self._compression} data: the file ends early, at byte {end}")
        try:
            chunk = self._stream.decompress(bytes(piece), _MOST)
        except Exception as error:
            raise DamagedError(f"{self._compression} data: {error}") from None
        if self._stream.eof:
            self._pieces.give_back(len(self._stream.unused_data))
            self.ended = True
        return chunk

    def rest(self) -> Iterator[bytes]:
        """All that follows."""
        while not self.ended:
            yield self.read()
