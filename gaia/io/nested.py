"""Columns of lists and records as columns of their JSON, in which Gaia holds such fields."""

from collections.abc import Iterable, Iterator
from typing import Any


def as_json(batches: Iterable[Any], names: Iterable[str]) -> Iterator[Any]:
    """The same `pyarrow.RecordBatch`es, with nested columns among those named as JSON text."""
    import msgspec
    import pyarrow

    wanted = set(names)
    for batch in batches:
        for number, field in enumerate(batch.schema):
            if field.name in wanted and pyarrow.types.is_nested(field.type):
                values = batch.column(number).to_pylist()
                texts = [
                    None if value is None else msgspec.json.encode(value).decode()
                    for value in values
                ]
                text = pyarrow.array(texts, pyarrow.large_string())
                batch = batch.set_column(number, pyarrow.field(field.name, text.type), text)
        yield batch
