"""Columns of lists and records as columns of their JSON, in which Gaia holds such fields."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gaia.errors import GaiaError, InputError
from gaia.io.sources import LocalSource, SizedSource

_MAGIC = b"ARROW1"


def as_json(batches: Iterable[Any], names: Iterable[str]) -> Iterator[Any]:
    """The same `pyarrow.RecordBatch`es, with nested columns among those named as JSON text.

    Raises:
        ValueError: A column holds what Python or JSON has no value for.
    """
    import msgspec
    import pyarrow

    wanted = set(names)
    for batch in batches:
        for number, field in enumerate(batch.schema):
            if field.name in wanted and pyarrow.types.is_nested(field.type):
                try:
                    texts = [
                        None if value is None else msgspec.json.encode(value).decode()
                        for value in batch.column(number).to_pylist()
                    ]
                except (pyarrow.ArrowException, OverflowError, TypeError) as error:
                    raise ValueError(f"column `{field.name}`: {error}") from None
                text = pyarrow.array(texts, pyarrow.large_string())
                batch = batch.set_column(number, pyarrow.field(field.name, text.type), text)
        yield batch


def json_schema(schema: Any, names: Iterable[str]) -> Any:
    """The `pyarrow.Schema` of what `as_json` makes."""
    import pyarrow

    wanted = set(names)
    for number, field in enumerate(schema):
        if field.name in wanted and pyarrow.types.is_nested(field.type):
            schema = schema.set(number, pyarrow.field(field.name, pyarrow.large_string()))
    return schema


def arrow_batches(source: SizedSource, ranges: Sequence[tuple[int, int]] | None) -> Iterator[Any]:
    """The batches of an Arrow file or stream, or those of its messages in some byte ranges.

    Raises:
        InputError: It is damaged, now or while it is read.
    """
    with _opened(source) as file:
        for batch in _batches(source, file, ranges):
            # pyarrow believes what stands there: offsets beyond the texts would be followed.
            batch.validate(full=True)
            yield batch


def _batches(
    source: SizedSource, file: Any, ranges: Sequence[tuple[int, int]] | None
) -> Iterator[Any]:
    import pyarrow

    if ranges is not None:
        schema = arrow_schema(source)
        for offset, length in ranges:
            file.seek(offset)
            message = pyarrow.ipc.read_message(file.read(length))
            yield pyarrow.ipc.read_record_batch(message, schema)
    elif source.read(0, len(_MAGIC)) == _MAGIC:
        reader = pyarrow.ipc.open_file(file)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)
    else:
        yield from pyarrow.ipc.open_stream(file)


def arrow_schema(source: SizedSource) -> Any:
    """The `pyarrow.Schema` of an Arrow file or stream.

    Raises:
        InputError: It is damaged.
    """
    import pyarrow

    with _opened(source) as file:
        if source.read(0, len(_MAGIC)) == _MAGIC:
            return pyarrow.ipc.open_file(file).schema
        return pyarrow.ipc.open_stream(file).schema


@contextmanager
def _opened(source: SizedSource) -> Iterator[Any]:
    import pyarrow

    from gaia.io.parquet import Seekable

    try:
        if isinstance(source, LocalSource):
            with pyarrow.OSFile(source.path) as file:
                yield file
        else:
            yield pyarrow.PythonFile(Seekable(source), mode="r")
    except GaiaError:
        raise
    except FileNotFoundError:
        raise InputError(f"cannot read {source.path}: there is no such file") from None
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{source.path} is damaged, or no Arrow: {error}") from None
