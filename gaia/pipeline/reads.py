"""Where records come in: files of every format, stored tables, records of the program."""

import codecs
import os
from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeVar, overload

from gaia.errors import PipelineError
from gaia.pipeline import csv_format, signatures, wiring
from gaia.pipeline.graph import Access, Files, FileSpec, Format, Records, StoredTable
from gaia.pipeline.names import type_name
from gaia.pipeline.on_error import Fail, OnError, fail
from gaia.pipeline.output import MAX_SHARDS
from gaia.pipeline.table import PTable
from gaia.warc import CONTENT_TYPES, WARC_TYPES, WarcRecord

T = TypeVar("T")
Paths = str | os.PathLike[str] | FileSpec | Sequence[str | os.PathLike[str] | FileSpec]


class Reads:
    """The reads of a pipeline."""

    def read_text(
        self,
        paths: Paths,
        *,
        name: str | None = None,
        skip_header: bool = False,
        encoding: str = "utf-8",
        errors: str = "strict",
        on_error: OnError = fail,
        storage_options: dict[str, Any] | None = None,
        filesystem: Any = None,
    ) -> PTable[str]:
        """Reads lines of text, without their line ends (LF or CRLF).

        Plain, gzip, zstd, bzip2, xz and lz4 files are told apart by their first bytes. Large ones
        are cut for several workers: plain files anywhere, zstd files at their frames and bgzip's at
        their blocks.

        Args:
            paths: A path or URL (`gs://`, `s3://`, `https://` and whatever fsspec knows), a glob
                (`**` too), a `FileSpec`, or a list of them.
            name: The step's name.
            skip_header: Leave out the first line of every file.
            encoding: A Python codec's name.
            errors: What to do with bytes that do not decode, as in `bytes.decode`. With `strict`,
                the line is counted as a parse error and left out. UTF-16 and other encodings in
                which a newline is not the byte 0A are decoded as a stream instead: there it stops
                the run with an `InputError`, and `ctx.input_pos` counts bytes of UTF-8.
            on_error: What to do with a file that is truncated or does not decompress:
                `gaia.fail`, or leave out what follows the damage, which is counted as one parse
                error. With `gaia.skip(max=n)`, more than n parse errors stop the run; with
                `gaia.dead_letter(table)`, all of them are kept, too, as far as they can be read.
            storage_options: Options for the file system of URLs, as fsspec takes them.
            filesystem: An fsspec file system to use instead.
        """
        step = name or "read_text"
        try:
            "".encode(encoding)
            codecs.lookup_error(errors)
        except (LookupError, TypeError) as error:
            raise PipelineError(
                f"expected an encoding and an error handler of Python's, got {encoding!r} and "
                f"{errors!r}: {error}",
                step=step,
            ) from None
        files = Files(
            _specs(step, paths),
            Format.TXT,
            encoding,
            errors,
            skip_header,
            Access(storage_options, filesystem),
            not isinstance(on_error, Fail),
        )
        return self._read(files, str, name, "read_text", on_error)

    @overload
    def read_jsonl(
        self,
        paths: Paths,
        *,
        name: str | None = None,
        on_error: OnError = fail,
        storage_options: dict[str, Any] | None = None,
        filesystem: Any = None,
    ) -> PTable[dict[str, Any]]: ...

    @overload
    def read_jsonl(
        self,
        paths: Paths,
        *,
        type: type[T],
        name: str | None = None,
        on_error: OnError = fail,
        storage_options: dict[str, Any] | None = None,
        filesystem: Any = None,
    ) -> PTable[T]: ...

    def read_jsonl(
        self,
        paths: Paths,
        *,
        type: Any = dict,
        name: str | None = None,
        on_error: OnError = fail,
        storage_options: dict[str, Any] | None = None,
        filesystem: Any = None,
    ) -> PTable[Any]:
        """Reads one JSON value a line, as dicts or as records of the type given.

        A line that does not parse is counted as a parse error and left out; blank lines are no
        records. Files and the other arguments are as in `read_text`.
        """
        step = name or "read_jsonl"
        wiring.check_type(step, type)
        wiring.check_format(step, type, Format.JSONL)
        specs = _specs(step, paths)
        files = Files(
            specs,
            Format.JSONL,
            access=Access(storage_options, filesystem),
            skip_damaged=not isinstance(on_error, Fail),
        )
        return self._read(files, type, name, "read_jsonl", on_error)

    def read_csv(
        self,
        paths: Paths,
        *,
        type: type[T],
        name: str | None = None,
        delimiter: str = ",",
        header: bool = True,
        encoding: str = "utf-8",
        on_error: OnError = fail,
        storage_options: dict[str, Any] | None = None,
        filesystem: Any = None,
    ) -> PTable[T]:
        """Reads CSV (RFC 4180): quoted fields may hold delimiters, doubled quotes and newlines.

        An empty field is None where the class allows it, and `""` for a `str`; in quotes it is `""`
        for a `str | None`, too. Blank lines are no rows.

        A row of another number of fields, or with one that does not parse, is left out and counted:
        as `parse-errors`, and by what is wrong with it as `parse-errors-columns`,
        `parse-errors-quotes`, `parse-errors-int`, `parse-errors-date` and so on.

        Args:
            paths: As for `read_text`. A plain file is searched once for places to cut it, so that
                all workers read it; `ctx.input_pos` is where a row starts.
            type: The class of the records, with fields that are str, int, float, bool, date,
                datetime or Enum, or None. A single value is a column named `value`.
            name: The step's name.
            delimiter: The character between fields.
            header: The first row of every file names its columns, which are found by the names of
                the class's fields; others are ignored. Without it, the columns are the fields of
                the class in their order.
            encoding: A Python codec's name. Files in other encodings than UTF-8 are never cut, text
                that does not decode stops the run, and `ctx.input_pos` counts bytes of UTF-8.
            on_error: As for `read_text`, like the others.

        Raises:
            PipelineError: CSV cannot hold such records, or an argument is wrong.
            InputError: When it runs: a file has no column for a field, or several of its name.

        >>> import gaia
        >>> gaia.Pipeline("p").read_csv("words*.csv", type=gaia.ops.WordCount)
        PTable[WordCount]('read_csv')
        """
        step = name or "read_csv"
        wiring.check_type(step, type)
        wiring.check_format(step, type, Format.CSV)
        try:
            csv_format.check_delimiter(delimiter)
            "".encode(encoding)
        except (ValueError, LookupError, TypeError) as error:
            raise PipelineError(str(error), step=step) from None
        specs = _specs(step, paths)
        files = Files(
            specs,
            Format.CSV,
            encoding,
            skip_header=header,
            access=Access(storage_options, filesystem),
            skip_damaged=not isinstance(on_error, Fail),
            delimiter=delimiter,
        )
        return self._read(files, type, name, "read_csv", on_error)

    def read_arrow(
        self,
        paths: Paths,
        *,
        type: type[T],
        name: str | None = None,
        on_error: OnError = fail,
        storage_options: dict[str, Any] | None = None,
        filesystem: Any = None,
    ) -> PTable[T]:
        """Reads Arrow IPC files and streams, whose batches are found by all workers.

        Columns are found by the names of the class's fields, and other columns are not read. Types
        need not be the same where nothing is lost: an int may be of any width, a text of any kind,
        or stand in a dictionary. A field that is a list, dict or record is a nested column (then
        pyarrow is needed) or its JSON. `ctx.input_pos` is the number of the row in its file.

        Args:
            paths: As for `read_text`, like the others.
            type: The class of the records; a single value is a column named `value`.

        Raises:
            PipelineError: Columns cannot hold such records.
            InputError: When it runs: a file lacks a column, or has one of another type.

        >>> import gaia
        >>> gaia.Pipeline("p").read_arrow("words*.arrow", type=gaia.ops.WordCount)
        PTable[WordCount]('read_arrow')
        """
        access = Access(storage_options, filesystem)
        return self._columns(paths, Format.ARROW, type, name, on_error, access)

    def read_parquet(
        self,
        paths: Paths,
        *,
        type: type[T],
        name: str | None = None,
        on_error: OnError = fail,
        storage_options: dict[str, Any] | None = None,
        filesystem: Any = None,
    ) -> PTable[T]:
        """Reads Parquet files, whose row groups are shared out among the workers.

        Only the columns that the class has fields for are read. Otherwise as `read_arrow`. Needs
        pyarrow.

        >>> import gaia
        >>> gaia.Pipeline("p").read_parquet("words*.parquet", type=gaia.ops.WordCount)
        PTable[WordCount]('read_parquet')
        """
        wiring.check_pyarrow(name or "read_parquet", "read_parquet")
        access = Access(storage_options, filesystem)
        return self._columns(paths, Format.PARQUET, type, name, on_error, access)

    def _columns(
        self,
        paths: Paths,
        format: Format,
        tp: Any,
        name: str | None,
        on_error: OnError,
        access: Access,
    ) -> PTable[Any]:
        default = f"read_{format.value}"
        step = name or default
        wiring.check_type(step, tp)
        wiring.check_format(step, tp, format)
        skip_damaged = not isinstance(on_error, Fail)
        files = Files(_specs(step, paths), format, access=access, skip_damaged=skip_damaged)
        return self._read(files, tp, name, default, on_error)

    def read_warc(
        self,
        paths: Paths,
        *,
        name: str | None = None,
        types: Collection[str] | None = CONTENT_TYPES,
        on_error: OnError = fail,
        storage_options: dict[str, Any] | None = None,
        filesystem: Any = None,
    ) -> PTable[WarcRecord]:
        """Reads the records of web archives: WARC, and WET, the texts of Common Crawl.

        Files are plain, gzip or zstd. With a member or frame for each record, as is the standard, a
        large file is read by several tasks; one that is compressed as one stream by a single task.
        `ctx.input_pos` is the byte at which the record's member starts, as in CDX indexes.

        Args:
            paths: A path, a glob (`**` too), a `FileSpec`, or a list of them.
            name: The step's name.
            types: The types of records that are read; None for all. By default those with content:
                `response`, `resource` and `conversion`.
            on_error: What a broken record does, of which the data, the header or the length is
                damaged: with `gaia.fail` it stops the run with an `InputError`; with others it is
                counted as a parse error and left out, and reading goes on at the next record.
            storage_options: Options for the file system of URLs, as fsspec takes them.
            filesystem: An fsspec file system to use instead.

        >>> import gaia
        >>> pages = gaia.Pipeline("p").read_warc("crawl/*.warc.wet.gz", name="pages")
        >>> def lines(page: gaia.WarcRecord) -> list[str]:
        ...     return page.payload.decode(errors="replace").splitlines()
        >>> english = pages.filter(lambda page: page.language.startswith("eng"), name="english")
        >>> english.flat_map(lines)
        PTable[str]('lines')
        """
        step = name or "read_warc"
        chosen = None if types is None else _warc_types(step, types)
        files = Files(
            _specs(step, paths),
            Format.WARC,
            access=Access(storage_options, filesystem),
            skip_damaged=not isinstance(on_error, Fail),
            types=chosen,
        )
        return self._read(files, WarcRecord, name, "read_warc", on_error)

    @overload
    def from_records(self, records: Iterable[T], *, name: str | None = None) -> PTable[T]: ...

    @overload
    def from_records(
        self, records: Iterable[Any], *, type: type[T], name: str | None = None
    ) -> PTable[T]: ...

    def from_records(
        self, records: Iterable[Any], *, type: Any = None, name: str | None = None
    ) -> PTable[Any]:
        """Takes records from an iterable: for tests and small tables. They travel with the plan.

        The type is that of the first record, unless it is given.
        """
        held = tuple(records)
        step = name or "from_records"
        if type is None:
            if not held:
                raise PipelineError(
                    "expected at least one record to tell their type by, got none; pass type=",
                    step=step,
                )
            type = held[0].__class__
        wiring.check_type(step, type)
        for number, record in enumerate(held):
            if not signatures.accepts(type, record.__class__):
                raise PipelineError(
                    f"expected records of type `{type_name(type)}`, got "
                    f"`{type_name(record.__class__)}` as record {number}",
                    step=step,
                )
        return self._read(Records(held), type, name, "from_records")

    def read_table(
        self,
        path: str | os.PathLike[str],
        *,
        type: type[T],
        name: str | None = None,
        storage_options: dict[str, Any] | None = None,
        filesystem: Any = None,
    ) -> PTable[T]:
        """Reads a table that an earlier run wrote: what its manifest names.

        `path` is its folder, local or a URL; the other arguments are as in `read_text`.
        """
        if not isinstance(path, str | os.PathLike):
            raise PipelineError(f"expected the path of a table, got {path!r}", step="read_table")
        folder = os.fspath(path)
        if "://" not in folder and filesystem is None:
            folder = os.path.abspath(os.path.expanduser(folder))
        stored = StoredTable(folder, Access(storage_options, filesystem))
        return self._read(stored, type, name, "read_table")

    def _read(
        self, source: Any, tp: Any, name: str | None, default: str, on_error: OnError = fail
    ) -> PTable[Any]:
        """Adds a read to the graph."""
        raise NotImplementedError


def _specs(step: str, paths: Paths) -> tuple[FileSpec, ...]:
    """Paths in whatever form they were given, as `FileSpec`s."""
    several = [paths] if isinstance(paths, str | os.PathLike | FileSpec) else paths
    specs = []
    for path in several if isinstance(several, Iterable) else [several]:
        if not isinstance(path, str | os.PathLike | FileSpec):
            raise PipelineError(f"expected a path, a FileSpec, or a list, got {path!r}", step=step)
        spec = path if isinstance(path, FileSpec) else FileSpec(os.fspath(path))
        numbered = type(spec.shard) is int and 0 <= spec.shard < MAX_SHARDS
        if spec.shard is not None and not numbered:
            raise PipelineError(
                f"expected a shard number of 0 or more (and below {MAX_SHARDS:,}) for "
                f"{spec.glob!r}, got {spec.shard!r}",
                step=step,
            )
        wiring.check_travels(step, spec, ())
        specs.append(spec)
    if not specs:
        raise PipelineError("expected at least one path to read, got an empty list", step=step)
    return tuple(specs)


def _warc_types(step: str, types: Any) -> tuple[str, ...]:
    """Types of WARC records, each once."""
    if isinstance(types, str) or not isinstance(types, Collection) or not types:
        raise PipelineError(
            f"expected a collection of types of WARC records, got {types!r}", step=step
        )
    for name in types:
        if name not in WARC_TYPES:
            raise PipelineError(
                f"expected types of WARC records ({', '.join(WARC_TYPES)}), got {name!r}; "
                "types=None reads all",
                step=step,
            )
    return tuple(dict.fromkeys(types))
