"""Outputs: how a table is sharded, compressed and named."""

import math
import re
from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar

import attrs

from gaia.errors import PipelineError
from gaia.pipeline.aggregates import aggregated, field_named, fields_of, key_names
from gaia.pipeline.fields import can_be_key
from gaia.pipeline.graph import Combine, Compression, Custom, Format, ModN, Write
from gaia.pipeline.names import type_name
from gaia.pipeline.records import record_type
from gaia.pipeline.wiring import check_travels, check_user_function

T = TypeVar("T")

_LEVELS = {
    Compression.NONE: (0, 0, 0),
    Compression.ZSTD: (-7, 1, 22),
    Compression.GZIP: (0, 6, 9),
    Compression.LZ4: (0, 0, 0),
}
MAX_SHARDS = 1_000_000


@attrs.frozen(eq=False)
class Output(Generic[T]):
    """A table that will be written, as `table.write(name, format)` returns it.

    Each method changes how it is written and returns it again.

    >>> import gaia
    >>> words = gaia.Pipeline("p").from_records(["a", "b"], name="words")
    >>> output = words.write("words", gaia.TXT).with_mod_n_sharding(4, lambda word: word)
    >>> output.and_compress(gaia.ZSTD, level=3).name
    'words'
    """

    name: str
    _writes: dict[str, Write]

    def with_mod_n_sharding(
        self, n: int, key: str | tuple[str, ...] | Callable[[T], Any] | None = None
    ) -> "Output[T]":
        """Spreads records over `n` shards by key: equal keys, one shard.

        Args:
            n: Number of shards; the table gets exactly so many files.
            key: A field's name, a tuple of them, or a function of the record that returns what such
                fields hold: an int (used as it is, modulo n), a str or bytes (by their xxh3-64
                fingerprint), a float, bool, date, datetime, Enum or None, or a tuple of these.
                Without it, a table of single values is spread by the value itself.

        Raises:
            PipelineError: No such field, or one whose values have no canonical form.
        """
        if type(n) is not int or not 1 <= n <= MAX_SHARDS:
            self._refuse(f"expected a number of shards from 1 to {MAX_SHARDS:,}, got {n!r}")
        return self._with(sharding=ModN(n, self._key(key)))

    def with_custom_sharding(self, function: Callable[[T], str]) -> "Output[T]":
        """Spreads records over shards by name: one file for every name that `function` returns.

        Names may have subfolders (`"fr/news"`); one that would leave the table's folder stops the
        run. Such a table cannot be joined.
        """
        self._check_function(function, "the sharding function")
        return self._with(sharding=Custom(function))

    def and_combine(
        self, key: str | tuple[str, ...], **aggregates: str | Callable[[Any, Any], Any]
    ) -> "Output[T]":
        """Reduces records with equal keys to one, in every task, before anything is sharded.

        The table gets fewer records, but may still hold several of one key, from several tasks or
        where a table of keys in memory was full: a joiner puts them together.

        Args:
            key: A field's name, or a tuple of them.
            aggregates: For every other field how its values are reduced: `sum`, `prod`, `min`,
                `max`, `count`, `first`, `any`, `all`, or a function of two values. None is left
                out, but by `first` and `count`.

        Raises:
            PipelineError: A field is neither key nor reduced, or does not take the aggregate.

        >>> import gaia
        >>> lines = gaia.Pipeline("p").from_records(["a b a"], name="lines")
        >>> output = lines.map(gaia.ops.Words()).write("words", gaia.TXT)
        >>> output.with_mod_n_sharding(4, "word").and_combine("word", count="sum").name
        'words'
        """
        tp = self._writes[self.name].node.type
        try:
            names = key_names(tp, key)
            for name, how in aggregates.items():
                field = field_named(tp, name)
                aggregated(field, how)
                check_travels(self._step, how, ())
                if name in names:
                    raise ValueError(f"`{name}` is the key, and cannot be reduced as well")
                if how == "count" and field.kind != "int":
                    made = type_name(field.type)
                    raise ValueError(f"`count` makes an int, but `{name}` is `{made}`")
            for name in fields_of(tp):
                if name not in names and name not in aggregates:
                    raise ValueError(
                        f"expected field `{name}` of `{type_name(tp)}` to be part of the key or to "
                        f'be reduced, such as {name}="sum"'
                    )
        except ValueError as error:
            raise PipelineError(str(error), step=self._step) from None
        return self._with(combine=Combine(names, tuple(aggregates.items())))

    def with_max_shard_size(self, raw_mb: float) -> "Output[T]":
        """Cuts every shard into files of at most `raw_mb` MB (10^6 bytes before compression).

        Only a single record that is larger than that makes a larger file.
        """
        if not isinstance(raw_mb, int | float) or not 0 < raw_mb < math.inf:
            self._refuse(f"expected a size in MB above 0, got {raw_mb!r}")
        return self._with(max_shard_bytes=max(1, int(raw_mb * 1e6)))

    def and_compress(self, codec: Compression, level: int | None = None) -> "Output[T]":
        """Compresses the shards: `ZSTD` (levels -7 to 22, default 1), `GZIP` (0 to 9, default 6),
        `LZ4` or `NONE`. `GZIP` is for lines and `PARQUET`, `LZ4` for columns.

        Without it they are not compressed, which is fastest for tables between two stages while
        there is room on the disk.
        """
        if not isinstance(codec, Compression):
            self._refuse(f"expected gaia.ZSTD, gaia.GZIP, gaia.LZ4 or gaia.NONE, got {codec!r}")
        format = self._writes[self.name].format
        refused = {Format.ARROW: Compression.GZIP, Format.PARQUET: None}
        if codec is refused.get(format, Compression.LZ4):
            other = "gaia.LZ4" if format is Format.ARROW else "gaia.GZIP"
            self._refuse(
                f"expected gaia.ZSTD, {other} or gaia.NONE for a table that is written as "
                f"gaia.{format.name}, got gaia.{codec.name}"
            )
        low, default, high = _LEVELS[codec]
        level = default if level is None else level
        if type(level) is not int or not low <= level <= high:
            self._refuse(f"expected a {codec.name} level from {low} to {high}, got {level!r}")
        return self._with(compression=codec, level=level)

    def _key(
        self, key: str | tuple[str, ...] | Callable[[T], Any] | None
    ) -> tuple[str, ...] | Callable[[T], Any] | None:
        tp = self._writes[self.name].node.type
        described = record_type(tp)
        if callable(key):
            self._check_function(key, "the key function")
            return key
        fields = {field.name: field for field in described.fields}
        if key is None:
            if described.kind in ("class", "json"):
                self._refuse(
                    f"expected a key: a field of `{type_name(tp)}`"
                    f"{_listed(list(fields))} or a function of the record"
                )
            return None
        names = (key,) if isinstance(key, str) else key
        if not isinstance(names, tuple) or not names:
            self._refuse(f"expected a field's name, a tuple of names or a function, got {key!r}")
        for name in names:
            if described.kind == "json":
                self._refuse(
                    f"expected a function of the record as key of a table of dicts, such as "
                    f"lambda record: record[{name!r}], got {name!r}"
                )
            if name not in fields:
                self._refuse(
                    f"expected a field of `{type_name(tp)}`{_listed(list(fields))} as key, "
                    f"got {name!r}"
                )
            if not can_be_key(fields[name]):
                self._refuse(
                    f"expected a key that is str, bytes, int, float, bool, datetime or Enum, "
                    f"but field `{name}` is `{type_name(fields[name].type)}`"
                )
        return names

    def _check_function(self, function: Any, what: str) -> None:
        check_user_function(self._step, function, self._writes[self.name].node, what)

    @property
    def _step(self) -> str:
        return f"write {self.name}"

    def _with(self, **changes: Any) -> "Output[T]":
        write = attrs.evolve(self._writes[self.name], **changes)
        if write.combine is not None and isinstance(write.sharding, ModN):
            key = write.sharding.key
            for name in key if isinstance(key, tuple) else ():
                if name not in write.combine.key:
                    self._refuse(
                        f"the table is sharded by `{name}`, which is no part of the key "
                        f"({', '.join(write.combine.key)}) by which it is combined"
                    )
        self._writes[self.name] = write
        return self

    def _refuse(self, message: str) -> NoReturn:
        raise PipelineError(message, step=self._step)


def check_table_name(name: str) -> str | None:
    """Why a name cannot be a table's folder, or None if it can."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        return (
            f"expected a table name of letters, digits, `.`, `-` and `_` "
            f"that starts with a letter or digit, got {name!r}"
        )
    return None


def _listed(names: list[str]) -> str:
    return f" ({', '.join(names)})" if names else ""
