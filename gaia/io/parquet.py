"""Parquet files, read and written with pyarrow."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gaia import _core
from gaia.errors import GaiaError, InputError
from gaia.io.sources import LocalSource, SizedSource

# Rows that a reader gets at once, and what goes into one row group at most.
_BATCH_ROWS = 8192
_GROUP_ROWS = 1 << 20
_GROUP_BYTES = 128 << 20


def schema(source: SizedSource) -> Any:
    """The columns of a file, as a `pyarrow.Schema`.

    Raises:
        InputError: The file is damaged, or no Parquet.
    """
    with _opened(source) as file:
        return file.schema_arrow


def row_groups(source: SizedSource) -> list[tuple[int, int]]:
    """The rows of each row group, and its bytes before compression."""
    with _opened(source) as file:
        metadata = file.metadata
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        return [(group.num_rows, group.total_byte_size) for group in groups]


def batches(
    source: SizedSource, groups: Sequence[int] | None, names: Sequence[str], size: int = 0
) -> Iterator[Any]:
    """The rows of some row groups, or of all, as `pyarrow.RecordBatch`es of the columns that are
    named; others are not read. A task's progress is told by rows, which are about `size` bytes.
    """
    with _opened(source) as file:
        metadata = file.metadata
        numbers = range(metadata.num_row_groups) if groups is None else groups
        rows = sum(metadata.row_group(number).num_rows for number in numbers)
        for batch in file.iter_batches(
            _BATCH_ROWS, row_groups=list(numbers), columns=list(names), use_threads=False
        ):
            _core.has_read(size * batch.num_rows // rows)
            yield batch


def from_stream(arrow: str, parquet: str, compression: str, level: int) -> None:
    """Makes a Parquet file of a file that holds an Arrow stream.

    Raises:
        OSError: It cannot be written.
    """
    import pyarrow
    import pyarrow.parquet

    with pyarrow.memory_map(arrow) as mapped, pyarrow.ipc.open_stream(mapped) as stream:
        writer = pyarrow.parquet.ParquetWriter(
            parquet,
            stream.schema,
            compression=compression,
            compression_level=level if compression in ("zstd", "gzip") else None,
        )
        with writer:
            held: list[Any] = []
            for batch in stream:
                held.append(batch)
                rows = sum(batch.num_rows for batch in held)
                if rows >= _GROUP_ROWS or sum(batch.nbytes for batch in held) >= _GROUP_BYTES:
                    writer.write_table(pyarrow.Table.from_batches(held), row_group_size=rows)
                    held = []
            if held:
                rows = sum(batch.num_rows for batch in held)
                writer.write_table(pyarrow.Table.from_batches(held), row_group_size=max(1, rows))


@contextmanager
def _opened(source: SizedSource) -> Iterator[Any]:
    import pyarrow
    import pyarrow.parquet

    try:
        opened: Any = source.path
        if not isinstance(source, LocalSource):
            opened = pyarrow.PythonFile(Seekable(source), mode="r")
        with pyarrow.parquet.ParquetFile(opened) as file:
            yield file
    except GaiaError:
        raise
    except FileNotFoundError:
        raise InputError(f"cannot read {source.path}: there is no such file") from None
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{source.path} is damaged, or no Parquet: {error}") from None


class Seekable(io.RawIOBase):
    """A source as a Python file."""

    def __init__(self, source: SizedSource) -> None:
        self._source = source
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.size}[whence]
        self._at = start + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self._source.size if size < 0 else self._at + size
        found = self._source.read(self._at, end)
        self._at += len(found)
        return found
