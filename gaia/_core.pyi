"""The native core: the loops that run once per record or per byte."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

class Codec:
    """How records of one type stand in the lines of one format.

    `record_type` is a `gaia.pipeline.records.RecordType`; `format` is `txt`, `jsonl`, `csv`, or
    `arrow`, which has columns and no lines. Another encoding than UTF-8, or another error handler,
    is for reading `str` only.

    `columns` are those of CSV to read: for each field the number of its column, and how many a row
    has; then blank lines are no rows. Without it, rows are as Gaia writes them.
    """

    def __new__(
        cls,
        record_type: Any,
        format: str,
        *,
        encoding: str = "utf-8",
        errors: str = "strict",
        delimiter: str = ",",
        columns: tuple[Sequence[int], int] | None = None,
    ) -> Codec: ...
    def head(self) -> bytes:
        """What comes first in every file: of CSV, the row of the fields' names."""

    def encode(self, record: Any) -> bytes:
        """The line for a record, without its line end.

        Raises `TypeError` for a value of another type than declared, `ValueError` for one that the
        format cannot hold.
        """

    def decode(self, line: bytes) -> Any:
        """The record on a line, given without its line end. Raises `ValueError` if it is none."""

class Batch(Generic[R_co]):
    """Records as columns: one for every field, or one named `value` for single values.

    pyarrow, Polars and whatever else takes Arrow's PyCapsules take a batch as a table:
    `pyarrow.record_batch(batch)`, `polars.DataFrame(batch)`. In Arrow, an enum stands as its value,
    a field of JSON as its text, and a datetime with an offset as its moment in UTC.
    """

    @staticmethod
    def of(codec: Codec, /, **columns: Any) -> Batch[Any]:
        """A batch of these columns, one for every field.

        A column is a list or tuple of Python values, a NumPy array, or what exports an Arrow array
        or a stream of them: a `pyarrow.Array`, a `polars.Series`, a column of a batch. Anything
        else is one value, which every row has; without any other column there is one row. Numbers
        are converted where nothing is lost; in Arrow, enums are given by value.

        Raises `TypeError` for other fields than the record's and for a value of another type than
        declared, `ValueError` for columns of different lengths and for a value that a column cannot
        hold, such as an int beyond 64 bits.
        """

    @staticmethod
    def from_records(codec: Codec, records: Iterable[R]) -> Batch[R]:
        """A batch of these records. Raises as `Codec.encode` does."""

    @property
    def column_names(self) -> tuple[str, ...]:
        """The fields of the record, in their order."""

    def __len__(self) -> int: ...
    def __getitem__(self, name: str) -> Column:
        """The values of a field. Raises `KeyError` if there is none of that name."""

    def records(self) -> Iterator[R_co]:
        """The records, each made when it is asked for."""

    def __arrow_c_schema__(self) -> Any: ...
    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[Any, Any]: ...

class Column:
    """The values of one field.

    `numpy.asarray(column)` is read-only and not a copy for int, float and bool without None, and an
    array of Python objects otherwise. `pyarrow.array(column)` and `polars.Series(column)` work as
    for a batch, and copy no numbers either. All of them outlive the batch.
    """

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...
    def to_list(self) -> list[Any]:
        """The values as they are in records."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __arrow_c_schema__(self) -> Any: ...
    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[Any, Any]: ...

class Lines:
    """The lines that start in bytes `[start, end)` of the content of a local file, given by its
    path, as it is or compressed by `zstd`, or of an iterator of bytes. Every line belongs to
    exactly one of the ranges into which an input is cut. `crlf` takes a carriage return before the
    newline off as well.

    An iterator begins at `origin` in the content, before `start`; a zstd file is read from the
    frame at byte `offset`, which stands at `origin`. Raises `InputError` for damaged zstd data.

    With a `delimiter`, lines are rows of CSV: a newline in quotes ends none. Then `start` is that
    of a row. Raises `ValueError` where a quote is not closed within 64 MiB, and for a line of more
    than `longest` bytes, as far as these are not read at once."""

    def __new__(
        cls,
        source: str | Iterable[bytes],
        start: int = 0,
        end: int | None = None,
        *,
        zstd: bool = False,
        offset: int = 0,
        origin: int = 0,
        skip_header: bool = False,
        skip_bom: bool = False,
        crlf: bool = False,
        delimiter: str | None = None,
        longest: int = ...,
    ) -> Lines: ...

def csv_header(lines: Lines, delimiter: str) -> list[str] | None:
    """The fields of the first row of CSV, or None if there is none; blank lines are no rows. Raises
    `ValueError` if the row is damaged."""

def csv_cuts(path: str, delimiter: str, wanted: Sequence[int]) -> list[int]:
    """The start of the first row at or behind each of these positions, which are in order, in a
    local file of CSV; where there is none, the end of the file. The first row is never cut off from
    blank lines before it. Raises `ValueError` where a quote is not closed within 64 MiB."""

class RecordReader(Iterator[Any]):
    """The records on lines."""

    def __new__(cls, lines: Lines, codec: Codec) -> RecordReader: ...
    def __next__(self) -> Any: ...

class Batches:
    """Batches of records in Arrow: what holds each field of a record is found by its name, other
    columns are left alone."""

    @staticmethod
    def stream(
        source: str | Iterable[bytes],
        ranges: Sequence[tuple[int, int]] | None = None,
        first_row: int = 0,
    ) -> Batches:
        """Those of an IPC stream or file, given by its local path or as an iterable of bytes. With
        `ranges`, `(offset, length)` as in `arrow_blocks`, only those of a path. `first_row` is the
        number of the first row.

        Raises `ValueError` for damaged data, now or while it is read; it names the byte where the
        message starts.
        """

    @staticmethod
    def arrays(source: Iterable[Any], first_row: int = 0) -> Batches:
        """Those of objects that export an array of structs or a stream of them through Arrow's
        PyCapsules, such as a `pyarrow.RecordBatch`."""

    def __arrow_c_schema__(self) -> Any: ...

class BatchRecords(Iterator[Any]):
    """The records of batches. Raises `ValueError` as `check_arrow` does, and with the number of the
    row for a value that is none of its field."""

    def __new__(cls, batches: Batches, codec: Codec) -> BatchRecords: ...
    def __next__(self) -> Any: ...

class Output:
    """One table as one task writes it, into a bundle at `path`.

    Of lines, frames are bytes of a file. With a codec of columns, they are messages of an Arrow
    stream, between `arrow_head` and `ARROW_END`; `compression` is `none`, `zstd` or `lz4` then.
    """

    def __new__(
        cls,
        table: str,
        codec: Codec,
        path: str,
        *,
        shards: int,
        key: Callable[[Any], Any] | Sequence[int] | None,
        custom: Callable[[Any], str] | None,
        kept: int | None,
        plain_key: Callable[[Any], Any],
        combine: tuple[Sequence[int], Sequence[Any], int] | None,
        compression: str,
        level: int,
        frame_bytes: int,
        budget: int,
    ) -> Output: ...
    broken: int | None
    """The system's code for the failure that broke the bundle."""

    def settle(self) -> None:
        """Reduces what is pending and passes on all groups of a combined table."""

    def finish(self) -> tuple[bytes, list[str], bytes]:
        """Writes out what is buffered. Returns the index, as packed little-endian entries of
        `(shard u32, records u32, offset u64, stored u64, raw u64)`, the names of custom shards in
        the order of their numbers, and for each column of Arrow which datetimes there were: 0 none,
        1 without an offset from UTC, 2 with one. Without any record, no file is made."""

class TaskState:
    """What the contexts of one task share: where it is in its input, and what it has counted."""

    def __new__(
        cls,
        input_file: str,
        metadata: Any,
        shard: int | None,
        on_broken: Callable[[int, str, bytes | None], None] | None = None,
    ) -> TaskState:
        """`on_broken` is told of every record of the input that cannot be read: position, what is
        wrong with it, and its line, if there is one."""

    counters: dict[str, int]
    freq_maps: dict[str, Counter[Any]]
    input_file: str
    input_pos: int
    parse_errors: tuple[int, list[tuple[str, int, str]]]
    """How many records failed to parse; file, position and message of the first of them."""

    spoiled: BaseException | None
    """An error that took other records with it than the one that user code was writing."""

    def blame(self, error: BaseException) -> tuple[str, str] | None:
        """The step that an exception came out of and the `repr` of its record, or None where it
        came out of no step."""

    def forget(self) -> None:
        """Lets go of the exception, which holds on to all that the task has made."""

    def enter(self, input_file: str) -> None:
        """The task goes on to another file of its input."""

    def count_broken(self, position: int, message: str, line: bytes | None = None) -> None:
        """Counts a record, or a part of a file, that cannot be read."""

class Sampler:
    """Samples the thread that makes it, until it is stopped."""

    def __new__(cls, every: float, signal: int) -> Sampler:
        """Looks every so many seconds. When it finds user code it sends the signal, if that is not
        0, to the thread, whose handler is to ask what is `asked`. Raises `RuntimeError` if the
        thread is sampled already."""

    def asked(self) -> tuple[str, float, int] | None:
        """The step whose line of user code is to be told, the seconds and the samples; None where
        the thread has gone on to other code since."""

    def enter(self, step: str, users: bool) -> None:
        """The thread goes on to a step: to the user's code of it, or to what Gaia does for it."""

    def stop(self) -> list[tuple[str, bool, float, int]]:
        """Ends sampling; returns for each step, and user code or not, the seconds and samples."""

class Op:
    """A native step between records of one type and of another; `parameters` are those of the
    operator in `gaia.ops`, fields by their numbers. Raises `ValueError` if one is wrong."""

    def __new__(cls, name: str, takes: Codec, gives: Codec, **parameters: Any) -> Op: ...

class Joint:
    """A native joiner."""

    @staticmethod
    def group_by(
        takes: Codec, gives: Codec, keys: Sequence[int], out: Sequence[tuple[Any, int]]
    ) -> Joint:
        """One record for each key. `out` tells for each field that goes out how it is made (`key`,
        an aggregate's name, or a function) and of which field."""

    @staticmethod
    def distinct(takes: Codec, keys: Sequence[int]) -> Joint:
        """The first record of each key."""

    @staticmethod
    def top_k(takes: Codec, count: int, by: int, largest: bool) -> Joint:
        """The records with the largest values of a field."""

    @staticmethod
    def matched(
        left: Codec,
        right: Codec,
        left_keys: Sequence[int],
        right_keys: Sequence[int],
        out: Sequence[tuple[int, int]],
        outer: bool,
    ) -> Joint:
        """Pairs of records of two inputs, of which the second comes first. `out` tells for each
        field that goes out of which input and field it is made."""

    def limit(self, bytes: int, path: str) -> None:
        """Holds about so many bytes at most; what is beyond goes to files that are made at `path`,
        and have no name from then on. Without it, everything is held."""

    broken: int | None
    """The system's code for the failure that broke these files."""

    spilled: tuple[int, int]
    """How many of them there were, and how many bytes they took together."""

    def finish(self, into: Context[Any]) -> None:
        """The shard has ended."""

class Context(Generic[R]):
    """The native side of `gaia.Context`: what leaves a step goes to its table's outputs and to the
    steps behind it, `consumers`, which are `(step, call, function or codec, context, on_error)`:
    the last takes the exceptions of records that are to be left out, if any are."""

    def __new__(
        cls,
        state: TaskState,
        codec: Codec,
        outputs: Sequence[Output],
        consumers: Sequence[tuple[str, str, Any, Context[Any], Callable[[Exception], None] | None]],
    ) -> Context[R]: ...
    def write(self, record: R, /, *, shard: int | str | None = None) -> None: ...
    def write_columns(self, **columns: Any) -> None: ...
    def inc(self, counter: str, n: int = 1) -> None: ...
    def freq_map(self, name: str) -> Counter[Any]: ...
    def set_output_shard(self, shard: int | str | None) -> None: ...
    def close_shard(self, shard: int | str) -> None: ...
    @property
    def input_file(self) -> str: ...
    @property
    def input_pos(self) -> int: ...
    @property
    def metadata(self) -> Any: ...
    @property
    def shard(self) -> Any: ...
    def flush(self) -> None:
        """Has all steps behind this context take what they wait to take together."""

    def traffic(self) -> tuple[int, int]:
        """Calls of the steps behind this context, and writes to it."""

def feed_lines(
    lines: Lines, codec: Codec, target: Context[Any], lenient: bool, limit: int | None = None
) -> int:
    """Passes the record on every line to `target`, or on the first lines, until `limit` records
    were read; returns how many there were. With `lenient`, a line that does not parse is counted
    and left out."""

def feed_batches(
    batches: Batches, codec: Codec, target: Context[Any], lenient: bool, limit: int | None = None
) -> int:
    """Passes all records of batches to `target`, or the first of them, until `limit` were read;
    returns how many there were. With `lenient`, a row that is no record is counted and left out.
    Raises `ValueError` as `check_arrow` does."""

def feed_records(records: Iterable[Any], target: Context[Any], start: int) -> int:
    """Passes every record to `target`, the first of them at position `start`."""

def feed_positioned(records: Iterable[tuple[int, Any]], target: Context[Any]) -> int:
    """Passes the record of every pair of a position and a record to `target`."""

def shard_of(key: Any, shards: int, plain_key: Callable[[Any], Any]) -> int:
    """The shard of a key among `shards`: what a write's sharding does with it."""

ARROW_END: bytes
"""What an Arrow stream ends with."""

def arrow_head(codec: Codec, zones: bytes) -> bytes:
    """What an Arrow stream of the codec's records begins with: the message of the schema. `zones`
    are those of `Output.finish`, put together for all tasks."""

def arrow_blocks(path: str) -> list[tuple[int, int, int]]:
    """Where the batches of a local IPC stream or file stand, as `(offset, length, rows)`; all of
    them as one entry if some cannot be read without others."""

def check_arrow(schema: Any, codec: Codec) -> None:
    """Raises `ValueError` with every field of the codec's records for which a schema (what exports
    one through a PyCapsule) has no column, or one of another type."""

def compress(raw: bytes, codec: str, level: int) -> bytes:
    """One frame of `raw`; of nothing, the content of a valid empty file."""

def checksum_of(data: bytes) -> int:
    """The XXH3-128 of some bytes."""

def checksum(path: str) -> int:
    """The XXH3-64 of a local file's content."""

class Unzstd:
    """A decoder of one zstd frame, used as those of Python's `bz2` are. `decompress` raises
    `ValueError` for damaged data."""

    eof: bool
    needs_input: bool
    unused_data: bytes
    def __new__(cls) -> Unzstd: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...

def frame_starts(path: str, compression: str, every: int) -> list[tuple[int, int]] | None:
    """Where the frames of a local zstd file (`zstd`) or the blocks of a bgzip file (`gzip`) begin,
    about `every` bytes of content apart: pairs of the position in the file and in the content, the
    first `(0, 0)`, the last the ends. None where the headers do not tell."""

def concat(target: str, ranges: Sequence[tuple[str, int, int]], head: bytes, tail: bytes) -> None:
    """Makes a new file at `target` of byte ranges `(path, offset, length)` of others, with `head`
    before them and `tail` behind."""

def die_with_parent() -> None:
    """Has this process killed when its parent dies, where the system can do it."""

def tell_progress(descriptor: int) -> None:
    """From now on, tells what the task of this process does in the file of that descriptor: in its
    first 24 bytes, as three numbers of 64 bits in the machine's order, how many bytes the task's
    input has, how many of these are read, and how many records were passed on.

    Raises `OSError` if it cannot be mapped.
    """

def begin_reading(size: int) -> None:
    """A task begins, whose input has so many bytes, as they are stored."""

def read_up_to(position: int) -> None:
    """So many bytes of the task's input are read by now, whatever was told before."""

def has_read(bytes: int) -> None:
    """So many more bytes of the task's input are read. The core tells so of files that it reads
    itself."""

def swap(a: str, b: str) -> None:
    """Exchanges two folders of one file system, at once where the system can."""
