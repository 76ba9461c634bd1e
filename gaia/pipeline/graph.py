"""The graph: frozen nodes, each with the user's line that made it."""

import enum
from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from gaia.pipeline.aggregates import Aggregate
from gaia.pipeline.native import NativeJoiner, NativeMapper
from gaia.pipeline.on_error import OnError, fail

DEFAULT_BATCH = 8192


class Format(enum.Enum):
    """How records stand in a file.

    `TXT`: lines, a `str` as it is, a class as tab-separated fields with backslash escapes. `JSONL`:
    lines of JSON. `CSV`: fields with commas between them below a row of their names, in quotes
    where they need them (RFC 4180); a newline in quotes makes a record of several lines. `ARROW`:
    columns, in an Arrow IPC stream. `PARQUET`: columns in row groups, for other tools. `WARC`: web
    archives, which can only be read.
    """

    TXT = "txt"
    JSONL = "jsonl"
    CSV = "csv"
    ARROW = "arrow"
    PARQUET = "parquet"
    WARC = "warc"

    @property
    def has_columns(self) -> bool:
        """Whether records stand in columns rather than in lines."""
        return self in (Format.ARROW, Format.PARQUET)


class Compression(enum.Enum):
    """How shards are compressed: `ZSTD`, `GZIP`, `LZ4` or `NONE`."""

    NONE = "none"
    ZSTD = "zstd"
    GZIP = "gzip"
    LZ4 = "lz4"


@attrs.frozen
class FileSpec:
    """Input files with what is known of them.

    Args:
        glob: A path or glob.
        shard: The shard that these files are; tables that are written without a sharding keep it.
        metadata: Any picklable value, readable as `ctx.metadata`.
    """

    glob: str
    shard: int | None = None
    metadata: Any = None


@attrs.frozen
class Access:
    """How stores are reached: options for fsspec, or the user's own file system."""

    storage_options: dict[str, Any] | None = attrs.field(default=None, repr=False)
    filesystem: Any = None


@attrs.frozen
class Files:
    """Files that are read as records of one format.

    With `skip_damaged`, what is damaged in a file is left out and counted. Of CSV, the header that
    is skipped names the columns, between which stands the `delimiter`. `types` are the types of
    WARC records that are read (None: all).
    """

    specs: tuple[FileSpec, ...]
    format: Format
    encoding: str = "utf-8"
    errors: str = "strict"
    skip_header: bool = False
    access: Access = Access()
    skip_damaged: bool = False
    delimiter: str = ","
    types: tuple[str, ...] | None = None


@attrs.frozen
class Records:
    """Records held in the plan itself."""

    records: tuple[Any, ...] = attrs.field(repr=False)


@attrs.frozen
class StoredTable:
    """A table that an earlier run wrote."""

    path: str
    access: Access = Access()


@attrs.frozen(eq=False)
class Read:
    """Where records come in."""

    name: str
    source: Files | Records | StoredTable
    type: Any
    location: str
    on_error: OnError = fail


class Call(enum.Enum):
    """What a step does with each record."""

    DO = "do"
    MAP = "map"
    FILTER = "filter"
    FLAT_MAP = "flat_map"
    AS = "as"
    DO_BATCH = "do_batch"
    NATIVE = "native"


@attrs.frozen(eq=False)
class Step:
    """User code, or a native operator, that sees records one by one, or in batches of at most
    `batch_size`. With `on_error` None, records that do not parse are counted and left out."""

    name: str
    parent: "Node"
    call: Call
    function: Callable[..., Any] | NativeMapper[Any, Any]
    args: tuple[Any, ...]
    type: Any
    location: str
    batch_size: int = DEFAULT_BATCH
    on_error: OnError | None = fail
    version: str | int | None = None


@attrs.frozen(eq=False)
class JoinInput:
    """A table and the joiner's method that takes its records, or batches of at most `batch_size` of
    them. A native joiner needs no method."""

    pipeline: str
    node: "Node"
    handler: Callable[..., Any] | None
    location: str
    batch_size: int | None = None


@attrs.frozen(eq=False)
class Join:
    """User code, or a native joiner, that sees whole shards of written tables."""

    name: str
    joiner: type | NativeJoiner[Any]
    inputs: tuple[JoinInput, ...]
    args: tuple[Any, ...]
    type: Any
    location: str
    on_error: OnError = fail
    version: str | int | None = None


Node: TypeAlias = Read | Step | Join


@attrs.frozen
class ModN:
    """Shard by key: `key` is field names, a function, or None for the record itself."""

    shards: int
    key: tuple[str, ...] | Callable[[Any], Any] | None


@attrs.frozen
class Custom:
    """Shard by the name that a function returns."""

    function: Callable[[Any], str]


@attrs.frozen
class Combine:
    """Records with equal `key` are reduced to one before they are sharded: how each of the other
    fields is."""

    key: tuple[str, ...]
    aggregates: tuple[tuple[str, Aggregate], ...]


@attrs.frozen(eq=False)
class Write:
    """A table that is written. Without a sharding it keeps the shards of its input.

    By default there is no compression: measured on local disk, tables between two stages are
    written and read faster as they are, combined or not, than with zstd at level 1.
    """

    name: str
    node: Node
    format: Format
    location: str
    sharding: ModN | Custom | None = None
    combine: Combine | None = None
    compression: Compression = Compression.NONE
    level: int = 0
    max_shard_bytes: int | None = None


def source_of(node: Node) -> Read | Join:
    """The read or join at the head of the node's stage."""
    while isinstance(node, Step):
        node = node.parent
    return node
