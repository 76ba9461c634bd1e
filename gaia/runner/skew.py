"""Skew: which keys make the largest shards of a table so large."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from gaia import _core
from gaia.io.manifest import Manifest, Shard
from gaia.io.stores import Store
from gaia.pipeline.graph import Format, ModN
from gaia.pipeline.plan import Table
from gaia.runner.columns import Columns, Rows, codec_of, open_batches
from gaia.runner.inputs import Lines, Part, codec_for, open_lines
from gaia.runner.splits import Place, places_in

# A shard is looked into that has so many times the mean, and so many bytes before compression;
# only so many of a table.
_TIMES = 2
_LEAST = 1 << 18
_SHARDS = 3
# Of each, records at so many places, for at most so many seconds.
_PLACES = 16
_RECORDS = 20_000
_SECONDS = 0.2
_KEYS = 5
# A key with a smaller share does not make a shard large.
_SHARE = 0.01
_LONGEST = 120


def hottest_keys(
    table: Table, manifest: Manifest, folder: str, store: Store | None
) -> list[dict[str, Any]]:
    """The most frequent keys of the shards that are much larger than the others, by a sample.

    Nothing is looked at in a store, nor in Parquet, which would take too long for what it is.
    """
    if not isinstance(table.sharding, ModN) or store is not None or table.format is Format.PARQUET:
        return []
    shards = manifest.shards
    mean = sum(shard.raw_bytes for shard in shards) / max(1, len(shards))
    large = [n for n in range(len(shards)) if shards[n].raw_bytes >= max(_LEAST, _TIMES * mean)]
    large.sort(key=lambda number: -shards[number].raw_bytes)
    return [
        _looked_into(table, table.sharding, manifest, folder, number) for number in large[:_SHARDS]
    ]


def _looked_into(
    table: Table, sharding: ModN, manifest: Manifest, folder: str, number: int
) -> dict[str, Any]:
    shard: Shard = manifest.shards[number]
    found: dict[str, Any] = {"shard": shard.key, "records": shard.records}
    counts: Counter[str] = Counter()
    try:
        places = places_in(manifest, folder, number, table.type, _PLACES)
        deadline = time.perf_counter() + _SECONDS
        for rank, place in enumerate(places, 1):
            until = deadline - _SECONDS * (1 - rank / len(places))
            for record in _sample(place, table.type, _RECORDS // len(places), until):
                counts[_shown(_key(sharding, record))] += 1
    except Exception as error:
        # Users' code for keys and records may raise what it likes; here it is for display alone.
        why = _shown(f"{type(error).__name__}: {error}")
        return found | {"error": f"its keys could not be read: {why}"}
    sampled = counts.total()
    shares = [(key, n / sampled) for key, n in counts.most_common(_KEYS)]
    keys = [{"key": key, "share": share} for key, share in shares if share >= _SHARE]
    return found | {"sampled": sampled, "keys": keys}


def _sample(place: Place, tp: Any, most: int, until: float) -> Iterator[Any]:
    """Records from a place on: at least one, and then as many as there is time for."""
    for number, record in enumerate(_records(place, tp), 1):
        yield record
        if number >= most or (number % 16 == 0 and time.perf_counter() >= until):
            return


def _records(place: Place, tp: Any) -> Iterator[Any]:
    source, part = place
    if isinstance(source, Columns):
        assert isinstance(part, Rows)
        return iter(_core.BatchRecords(open_batches(source, part, tp), codec_of(tp)))
    assert isinstance(source, Lines)
    assert isinstance(part, Part)
    return iter(_core.RecordReader(open_lines(source, part), codec_for(source, part, tp)))


def _key(sharding: ModN, record: Any) -> Any:
    if sharding.key is None:
        return record
    if callable(sharding.key):
        return sharding.key(record)
    values = tuple(getattr(record, name) for name in sharding.key)
    return values[0] if len(values) == 1 else values


def _shown(key: Any) -> str:
    text = key if isinstance(key, str) else repr(key)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
