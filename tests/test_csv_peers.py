"""CSV between Gaia and Arrow, Polars and pandas."""

import datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import write_table

import gaia
import gaia.testing

pytestmark = pytest.mark.libraries

settings.register_profile("steady", deadline=None, database=None)
settings.load_profile("steady")


@attrs.frozen
class Row:
    name: str
    note: str | None
    count: int
    price: float | None
    good: bool | None
    day: datetime.date | None


TEXTS = st.text(st.sampled_from("ab ,\"\n;é\\'"), max_size=8)
ROWS = st.lists(
    st.builds(
        Row,
        TEXTS,
        st.none() | TEXTS,
        st.integers(-(2**63), 2**63 - 1),
        st.none() | st.floats(allow_nan=False),
        st.none() | st.booleans(),
        st.none() | st.dates(datetime.date(1, 1, 1)),
    ),
    min_size=1,
    max_size=12,
)


@pytest.fixture(autouse=True, scope="module")
def libraries() -> None:
    """They start threads, beside which the workers of other tests are not forked."""
    global arrow_csv, pa, pd, pl
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from pyarrow import csv as arrow_csv


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("peers")


def ours(folder: Path, rows: list[Row]) -> Path:
    """The rows in a file that Gaia writes."""
    write_table(
        folder,
        rows,
        lambda output: output.with_mod_n_sharding(1, lambda row: 0),
        format=gaia.CSV,
        type=Row,
    )
    return folder / "out" / "out-00000-of-00001.csv"


def read(path: Path) -> list[Any]:
    """The rows in a file that others write."""
    pipeline = gaia.Pipeline("read")
    rows = pipeline.read_csv(path, type=Row)
    rows.write("rows", gaia.TXT).with_mod_n_sharding(1, "count")
    result = gaia.testing.run(pipeline, {})
    assert "parse-errors" not in result.counters
    return result["rows"]


def arrow_schema() -> Any:
    return pa.schema(
        [
            ("name", pa.string()),
            ("note", pa.string()),
            ("count", pa.int64()),
            ("price", pa.float64()),
            ("good", pa.bool_()),
            ("day", pa.date32()),
        ]
    )


def polars_schema() -> dict[str, Any]:
    return {
        "name": pl.String,
        "note": pl.String,
        "count": pl.Int64,
        "price": pl.Float64,
        "good": pl.Boolean,
        "day": pl.Date,
    }


def columns(rows: list[Row]) -> dict[str, list[Any]]:
    return {field.name: [getattr(row, field.name) for row in rows] for field in attrs.fields(Row)}


@settings(max_examples=50)
@given(rows=ROWS)
def test_arrow_reads_ours(folder: Path, rows: list[Row]) -> None:
    found = arrow_csv.read_csv(
        ours(folder, rows),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            column_types=arrow_schema(), strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
    # An empty text without quotes is null to Arrow, and what else it takes for null is not written.
    assert found.to_pydict() == columns(rows)


@settings(max_examples=50)
@given(rows=ROWS)
def test_polars_reads_ours(folder: Path, rows: list[Row]) -> None:
    found = pl.read_csv(ours(folder, rows), schema=polars_schema())
    assert found.to_dict(as_series=False) == columns(rows)


@settings(max_examples=50)
@given(rows=ROWS)
def test_arrow_writes_what_we_read(folder: Path, rows: list[Row]) -> None:
    table = pa.table(columns(rows), schema=arrow_schema())
    arrow_csv.write_csv(table, folder / "arrow.csv")
    gaia.testing.assert_same_records(read(folder / "arrow.csv"), rows)


@settings(max_examples=50)
@given(rows=ROWS)
def test_polars_writes_what_we_read(folder: Path, rows: list[Row]) -> None:
    pl.DataFrame(columns(rows), schema=polars_schema()).write_csv(folder / "polars.csv")
    gaia.testing.assert_same_records(read(folder / "polars.csv"), rows)


@settings(max_examples=50)
@given(rows=ROWS)
def test_pandas_writes_what_we_read(folder: Path, rows: list[Row]) -> None:
    frame = pd.DataFrame(columns(rows), dtype=object)
    frame.to_csv(folder / "pandas.csv", index=False)
    # To pandas, an empty text and None are the same in a file.
    expected = [attrs.evolve(row, note=row.note or None) for row in rows]
    gaia.testing.assert_same_records(read(folder / "pandas.csv"), expected)
