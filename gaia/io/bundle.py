"""A task's output for all shards of one table, and its index."""

import struct
from collections import defaultdict

import attrs

from gaia.errors import OutputError

_ENTRY = struct.Struct("<IIQQQ")


@attrs.frozen
class Frame:
    """A run of bytes in a bundle that belongs to one shard. `raw` is its size decompressed."""

    path: str
    offset: int
    stored: int
    raw: int
    records: int


@attrs.frozen
class Bundle:
    """A bundle's path and its index, as the native core packs it.

    `names` are those of custom shards; other shards are numbers. `zones` tells for each column of
    an Arrow table which datetimes there were: 0 none, 1 without an offset from UTC, 2 with one.
    """

    table: str
    path: str
    index: bytes
    names: tuple[str, ...]
    zones: bytes = b""

    @property
    def name(self) -> str:
        """Its name in its stage's folder."""
        return "/".join(self.path.split("/")[-2:])

    @property
    def size(self) -> int:
        """The bytes of its file; without any record, there is none."""
        if not self.index:
            return 0
        *_, offset, stored, _ = self._entries()[-1]
        return offset + stored

    def frames(self) -> dict[int | str, list[Frame]]:
        """The frames of every shard that has any.

        Raises:
            OutputError: The index is damaged.
        """
        found: dict[int | str, list[Frame]] = defaultdict(list)
        for number, records, offset, stored, raw in self._entries():
            if self.names and number >= len(self.names):
                raise OutputError(
                    f"the index of {self.path} is damaged: there is no shard {number}"
                )
            shard = self.names[number] if self.names else number
            found[shard].append(Frame(self.path, offset, stored, raw, records))
        return found

    def _entries(self) -> list[tuple[int, int, int, int, int]]:
        if len(self.index) % _ENTRY.size:
            raise OutputError(
                f"the index of {self.path} is damaged: it has {len(self.index)} bytes"
            )
        return list(_ENTRY.iter_unpack(self.index))
