"""Manifests: which files are a table's shards, and what its records are."""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from keyword import iskeyword
from typing import Any

import attrs

from gaia.errors import GaiaError, TableError
from gaia.io.stores import Store, explain, join

MANIFEST = "manifest.json"
COUNTERS = "counter_map.csv"
VERSION = 1

FORMATS = ("txt", "jsonl", "csv", "arrow", "parquet")
# What compresses its columns by itself has no ending for that.
_COLUMNS = ("arrow", "parquet")
RECORD_PARTS = ("kind", "name", "module", "build", "fields", "own_text", "own_json")
# A field's name, type and kind, and whether it is optional.
_FIELD = (str, str, str, bool)
_KEYS = {"mod": int, "custom": str}
_SUFFIXES = {"none": "", "zstd": ".zst", "gzip": ".gz", "lz4": ".lz4"}


@attrs.frozen
class ShardFile:
    """One file of a shard: its path relative to the table's folder, its size in bytes, and the
    XXH3-64 of its content in hexadecimal digits."""

    path: str
    size: int
    checksum: str


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
    return f".{format}" if format in _COLUMNS else f".{format}{_SUFFIXES[compression]}"


def packed(manifest: Manifest) -> bytes:
    """The content of a manifest's file."""
    content = {"gaia_table": VERSION, **attrs.asdict(manifest)}
    return (json.dumps(content, indent=1) + "\n").encode()


def unfinished(kept: Sequence[str]) -> bytes:
    """The content of a manifest's file while the table is being written to a store. Whatever else
    is below the folder is the table's, but for the files that are `kept`."""
    content = {"gaia_table": VERSION, "unfinished": True, "kept": list(kept)}
    return (json.dumps(content, indent=1) + "\n").encode()


def kept_files(content: bytes) -> list[str] | None:
    """The files that are not of the table that was being written; None if it was finished."""
    with suppress(ValueError, TypeError, AttributeError, RecursionError):
        found = json.loads(content)
        if found.get("unfinished"):
            return [str(name) for name in found.get("kept", ())]
    return None


def write_manifest(folder: str, manifest: Manifest) -> None:
    """Writes the manifest into a folder that nobody reads yet."""
    with open(os.path.join(folder, MANIFEST), "xb") as file:
        file.write(packed(manifest))


def read_manifest(folder: str, store: Store | None = None) -> Manifest:
    """Reads the manifest of a table's folder.

    Raises:
        TableError: There is none, or it is damaged.
    """
    path = join(folder, MANIFEST)
    try:
        if store is None:
            with open(path, "rb") as file:
                return parsed(file.read(), folder)
        return parsed(store.call("cat_file", path), folder)
    except FileNotFoundError:
        inside = _tables_inside(folder) if store is None else []
        hint = f"; the tables in it are {', '.join(inside)}" if inside else ""
        raise TableError(f"{folder} is not a table: it has no {MANIFEST}{hint}") from None
    except GaiaError:
        raise
    except Exception as error:
        raise TableError(explain(error, "read", path)) from None


def _tables_inside(folder: str, most: int = 10) -> list[str]:
    """The tables in a folder of this machine, which is no table: the first ones of them."""
    found: list[str] = []
    with suppress(OSError):
        names = sorted(os.listdir(folder))
        found = [name for name in names if os.path.isfile(os.path.join(folder, name, MANIFEST))]
    return [*found[:most], "..."] if len(found) > most else found


def parsed(text: bytes, folder: str) -> Manifest:
    """The manifest of a table's folder, from the content of its file.

    Raises:
        TableError: It is damaged, or says that the table is not finished.
    """
    path = join(folder, MANIFEST)
    try:
        content = json.loads(text)
        if content.pop("gaia_table") != VERSION:
            raise TableError(f"{path} is of another version of Gaia")
        if content.get("unfinished"):
            raise TableError(
                f"table {folder} is not finished: the run that writes it goes on, or was killed"
            )
        shards = tuple(
            Shard(
                key=shard["key"],
                records=shard["records"],
                raw_bytes=shard["raw_bytes"],
                files=tuple(
                    ShardFile(_inside(file["path"]), file["size"], file["checksum"])
                    for file in shard["files"]
                ),
            )
            for shard in content.pop("shards")
        )
        manifest = Manifest(**content, shards=shards)
        _check(manifest)
        return manifest
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise TableError(f"{path} is damaged or unreadable: {error!r}") from None


def _check(manifest: Manifest) -> None:
    """Refuses what no version of Gaia has written."""
    if manifest.format not in FORMATS or manifest.compression not in _SUFFIXES:
        raise ValueError(f"unknown format {manifest.format!r}, {manifest.compression!r}")
    if type(manifest.table) is not str or manifest.sharding not in _KEYS:
        raise ValueError(f"unknown sharding {manifest.sharding!r} of {manifest.table!r}")
    missing = [part for part in RECORD_PARTS if part not in manifest.record]
    if missing:
        raise ValueError(f"its record lacks {', '.join(missing)}")
    texts = [manifest.record[part] for part in ("kind", "name", "module", "build")]
    fields = manifest.record["fields"]
    if set(map(type, texts)) != {str} or not all(map(_is_field, fields)):
        raise ValueError("its record is described in another way")
    for shard in manifest.shards:
        sizes = [shard.records, shard.raw_bytes, *(file.size for file in shard.files)]
        named = {type(file.checksum) for file in shard.files} <= {str}
        keyed = type(shard.key) is _KEYS[manifest.sharding]
        if not (keyed and named and all(map(_is_size, sizes))):
            raise ValueError(f"shard {shard.key!r} is described in another way")


def _is_field(field: Any) -> bool:
    """Whether it describes a field of a record. A class may be made of it, by code that the name
    stands in, so that it has to be a name and nothing else."""
    name = field[0] if tuple(map(type, field)) == _FIELD else ""
    return name.isidentifier() and not iskeyword(name)


def _is_size(value: Any) -> bool:
    return type(value) is int and value >= 0


def is_inside(path: str) -> bool:
    """Whether a path, relative to a table's folder, stands for something below it by its name.
    Links are followed wherever they lead: whoever made them had the folder."""
    return "\0" not in path and not {"", ".", ".."}.intersection(path.split("/"))


def _inside(path: str) -> str:
    if not is_inside(path):
        raise ValueError(f"shard file {path!r} is outside of the table's folder")
    return path


def write_counters(folder: str, counters: dict[str, int]) -> None:
    """Writes `counter_map.csv`: a line `name,value` for each counter, sorted by name."""
    import csv

    with open(os.path.join(folder, COUNTERS), "x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["counter", "value"])
        writer.writerows(sorted(counters.items()))
