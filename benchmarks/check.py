"""Whether the results of two systems are the same, whatever their order and files."""

import operator
from functools import reduce
from pathlib import Path

import attrs
import polars as pl

TYPES = {str: pl.String, int: pl.Int64, float: pl.Float64}
NOT_DATA = {"manifest.json", "counter_map.csv", "_SUCCESS"}
TOLERANCE = 1e-9
UNREADABLE = (OSError, pl.exceptions.PolarsError)


@attrs.frozen
class Fingerprint:
    """The number of rows, the sums of integers, a hash of all that is not a float, and floats.

    Of a float column, what is kept is its sum, every value multiplied by a number from 1 to 1000
    that depends on the rest of the row, and the same sum of absolute values.
    """

    rows: int
    sums: dict[str, int]
    hash: int
    floats: dict[str, tuple[float, float]]

    def __add__(self, other: "Fingerprint") -> "Fingerprint":
        return Fingerprint(
            self.rows + other.rows,
            {name: value + other.sums[name] for name, value in self.sums.items()},
            (self.hash + other.hash) % 2**64,
            {
                name: (total + other.floats[name][0], size + other.floats[name][1])
                for name, (total, size) in self.floats.items()
            },
        )

    def same_as(self, other: "Fingerprint") -> bool:
        return (self.rows, self.sums, self.hash) == (other.rows, other.sums, other.hash) and all(
            abs(total - other.floats[name][0]) <= TOLERANCE * size
            for name, (total, size) in self.floats.items()
        )


def fingerprint(folder: Path, columns: dict[str, type]) -> Fingerprint:
    """Of the tab-separated files in a folder, plain or compressed."""
    files = [
        path
        for path in sorted(folder.iterdir())
        if path.name not in NOT_DATA and not path.name.startswith(".") and path.stat().st_size
    ]
    nothing = Fingerprint(
        0,
        {name: 0 for name, kind in columns.items() if kind is int},
        0,
        {name: (0.0, 0.0) for name, kind in columns.items() if kind is float},
    )
    return reduce(operator.add, (_of_file(path, columns) for path in files), nothing)


def _of_file(path: Path, columns: dict[str, type]) -> Fingerprint:
    frame = pl.read_csv(
        path,
        schema={name: TYPES[kind] for name, kind in columns.items()},
        separator="\t",
        has_header=False,
        quote_char=None,
    )
    if "word" in columns:  # where text is split at single spaces, the empty word is one
        frame = frame.filter(pl.col("word") != "")
    hashes = frame.select(name for name, kind in columns.items() if kind is not float).hash_rows()
    weights = hashes % 1000 + 1
    floats = {
        name: frame[name] * weights.cast(pl.Float64)
        for name, kind in columns.items()
        if kind is float
    }
    return Fingerprint(
        len(frame),
        {name: int(frame[name].sum()) for name, kind in columns.items() if kind is int},
        int(hashes.sum() or 0),
        {name: (float(x.sum()), float(x.abs().sum())) for name, x in floats.items()},
    )
