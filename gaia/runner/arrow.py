"""Tables of columns: what an Arrow stream has before and behind its batches."""

from collections.abc import Iterable

from gaia import _core
from gaia.errors import OutputError
from gaia.io.bundle import Bundle
from gaia.pipeline.graph import Format
from gaia.pipeline.plan import Table
from gaia.pipeline.records import record_type

FRAME_BYTES = 512 * 1024
_BOTH = 3


def stream_ends(table: Table, bundles: Iterable[Bundle]) -> tuple[bytes, bytes]:
    """What stands before and behind the frames in every file of a table.

    Raises:
        OutputError: A column has datetimes of two kinds, from several tasks.
    """
    if table.format is not Format.ARROW:
        return b"", b""
    described = record_type(table.type)
    zones = bytearray(max(1, len(described.fields)))
    for bundle in bundles:
        zones[:] = (seen | more for seen, more in zip(zones, bundle.zones, strict=True))
    if _BOTH in zones:
        name = described.fields[zones.index(_BOTH)].name
        raise OutputError(
            f"cannot write table `{table.name}`: expected datetimes of one kind in field `{name}`, "
            "got some with an offset from UTC and some without, which no Arrow column holds"
        )
    return _core.arrow_head(_codec(table), bytes(zones)), _core.ARROW_END


def frame_bytes(table: Table) -> int:
    """How large frames get at most: with its ends, one fits the maximum size of a file."""
    if table.max_shard_bytes is None:
        return FRAME_BYTES
    # With datetimes in UTC, the head is the longest.
    zones = b"\2" * max(1, len(record_type(table.type).fields))
    ends = len(_core.arrow_head(_codec(table), zones)) + len(_core.ARROW_END)
    return max(1, min(FRAME_BYTES, table.max_shard_bytes - ends))


def _codec(table: Table) -> _core.Codec:
    return _core.Codec(record_type(table.type), table.format.value)
