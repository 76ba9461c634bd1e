"""Manifests: which files are a table's shards, and what its records are."""

import json
import os
from typing import Any

import attrs

from gaia.errors import TableError

MANIFEST = "manifest.json"
COUNTERS = "counter_map.csv"
VERSION = 1

FORMATS = ("txt", "jsonl", "arrow")
RECORD_PARTS = ("kind", "name", "module", "build", "fields", "own_text", "own_json")
_SUFFIXES = {"none": "", "zstd": ".zst", "gzip": ".gz", "lz4": ".lz4"}


@attrs.frozen
class ShardFile:
    """One file of a shard, its path relative to the table's folder, and its size in bytes."""

    path: str
    size: int


@attrs.frozen
class Shard:
    """One shard of a table: its number or name, its records, their size before compression, and
    its files (one, unless the table has a maximum size)."""

    key: int | str
    records: int
    raw_bytes: int
    files: tuple[ShardFile, ...]


@attrs.frozen
class Manifest:
    """What a table's folder holds. Only the files that it names are the table.

    `record` describes the type of the records; `sharding` is `mod` or `custom`.
    """

    table: str
    format: str
    compression: str
    sharding: str
    record: dict[str, Any]
    shards: tuple[Shard, ...]


def shard_path(table: str, key: int | str, count: int | None, suffix: str, part: int | None) -> str:
    """The path of a shard's file in its table's folder.

    >>> shard_path("words", 3, 64, ".txt.zst", None)
    'words-00003-of-00064.txt.zst'
    >>> shard_path("words", "fr/news", None, ".txt", 2)
    'fr/news.part-00002.txt'
    """
    stem = key if isinstance(key, str) else f"{table}-{key:05}-of-{count:05}"
    return stem + ("" if part is None else f".part-{part:05}") + suffix


def suffix(format: str, compression: str) -> str:
    """The ending of a shard's name, such as `.txt.zst`. What is compressed inside shows none."""
    return f".{format}" if format == "arrow" else f".{format}{_SUFFIXES[compression]}"


def write_manifest(folder: str, manifest: Manifest) -> None:
    """Writes the manifest into a folder that nobody reads yet."""
    content = {"gaia_table": VERSION, **attrs.asdict(manifest)}
    with open(os.path.join(folder, MANIFEST), "x", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.write("\n")


def read_manifest(folder: str) -> Manifest:
    """Reads the manifest of a table's folder.

    Raises:
        TableError: There is none, or it is damaged.
    """
    path = os.path.join(folder, MANIFEST)
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        if content.pop("gaia_table") != VERSION:
            raise TableError(f"{path} is of another version of Gaia")
        shards = tuple(
            Shard(
                key=shard["key"],
                records=shard["records"],
                raw_bytes=shard["raw_bytes"],
                files=tuple(ShardFile(_inside(f["path"]), f["size"]) for f in shard["files"]),
            )
            for shard in content.pop("shards")
        )
        manifest = Manifest(**content, shards=shards)
        _check(manifest)
        return manifest
    except FileNotFoundError:
        raise TableError(f"{folder} is not a table: it has no {MANIFEST}") from None
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise TableError(f"{path} is damaged or unreadable: {error!r}") from None


def _check(manifest: Manifest) -> None:
    """Refuses what no version of Gaia has written."""
    if manifest.format not in FORMATS or manifest.compression not in _SUFFIXES:
        raise ValueError(f"unknown format {manifest.format!r}, {manifest.compression!r}")
    missing = [part for part in RECORD_PARTS if part not in manifest.record]
    if missing:
        raise ValueError(f"its record lacks {', '.join(missing)}")


def _inside(path: str) -> str:
    """Refuses a path that leads out of the table's folder."""
    parts = path.split("/")
    if os.path.isabs(path) or ".." in parts or "\0" in path:
        raise ValueError(f"shard file {path!r} is outside of the table's folder")
    return path


def write_counters(folder: str, counters: dict[str, int]) -> None:
    """Writes `counter_map.csv`: a line `name,value` for each counter, sorted by name."""
    import csv

    with open(os.path.join(folder, COUNTERS), "x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["counter", "value"])
        writer.writerows(sorted(counters.items()))
