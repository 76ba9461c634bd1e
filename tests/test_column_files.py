"""Files of columns, Arrow and Parquet, as inputs and as tables."""

import datetime
import random
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from test_arrow import Record, key, libraries, records, utc

import gaia
from gaia.runner import columns, splits

pytestmark = pytest.mark.libraries

__all__ = ["libraries"]


@attrs.frozen
class Sale:
    city: str
    amount: int
    share: float | None


@attrs.frozen
class Seen:
    position: int
    city: str


class See(gaia.Mapper[Sale, Seen]):
    def do(self, sale: Sale, ctx: gaia.Context[Seen]) -> None:
        ctx.write(Seen(ctx.input_pos, sale.city))


def sales(count: int) -> list[Sale]:
    chance = random.Random(7)
    return [
        Sale(f"city {chance.randrange(50)}", number, None if number % 5 == 0 else number / 4)
        for number in range(count)
    ]


def table_of(rows: list[Sale]) -> Any:
    import pyarrow as pa

    return pa.table(
        {
            "extra": [[row.amount] for row in rows],
            "share": pa.array([row.share for row in rows], pa.float32()),
            "amount": pa.array([row.amount for row in rows], pa.int32()),
            "city": pa.array([row.city for row in rows], pa.string()).dictionary_encode(),
        }
    )


def write_file(path: Path, table: Any, rows: int) -> str:
    """A file of the kind that its name tells, with so many rows in a batch or group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=rows)
        return str(path)
    new = pa.ipc.new_file if path.suffix == ".feather" else pa.ipc.new_stream
    with pa.OSFile(str(path), "wb") as file, new(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return str(path)


def read(pipeline: gaia.Pipeline, path: Any, tp: Any) -> gaia.PTable[Any]:
    parquet = str(path).endswith(".parquet")
    reader = pipeline.read_parquet if parquet else pipeline.read_arrow
    return reader(path, type=tp, name="rows")


def rewritten(path: Any, tp: Any, dest: Path, format: Any = gaia.JSONL) -> list[Any]:
    pipeline = gaia.Pipeline("p")
    read(pipeline, path, tp).write("t", format).with_mod_n_sharding(2, lambda record: 0)
    return list(gaia.LocalRunner(dest, workers=0).run(pipeline)["t"].records())


def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_MIN_SPLIT", "_MAX_SPLIT"):
        monkeypatch.setattr(splits, name, 1)
    monkeypatch.setattr(columns, "_SMALL_FILE", 0)


KINDS = ["parquet", "arrow", "feather"]


@pytest.mark.parametrize("kind", KINDS)
def test_columns_are_found_by_name_and_others_ignored(tmp_path: Path, kind: str) -> None:
    rows = sales(100)
    path = write_file(tmp_path / f"sales.{kind}", table_of(rows), 30)

    assert sorted(rewritten(path, Sale, tmp_path / "out"), key=lambda s: s.amount) == rows


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_cut_at_their_batches(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = sales(1000)
    path = write_file(tmp_path / f"sales.{kind}", table_of(rows), 100)
    small_tasks(monkeypatch)
    pipeline = gaia.Pipeline("p")
    seen = read(pipeline, path, Sale).map(See, name="see")
    seen.write("seen", gaia.TXT).with_mod_n_sharding(3, "city")

    result = gaia.LocalRunner(tmp_path / "out", workers=2).run(pipeline)

    expected = [Seen(number, row.city) for number, row in enumerate(rows)]
    assert sorted(result["seen"].records(), key=lambda s: s.position) == expected
    assert '"tasks": 10,' in Path(result.report).with_name("run.json").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_column_is_told_before_the_run(tmp_path: Path, kind: str) -> None:
    path = write_file(tmp_path / f"a.{kind}", table_of(sales(3)).drop_columns(["amount"]), 3)

    with pytest.raises(
        gaia.InputError, match=rf"step `rows`: {path} does not hold .*`amount`.*share, city"
    ):
        rewritten(path, Sale, tmp_path / "out")


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_of_another_type_is_told_before_the_run(tmp_path: Path, kind: str) -> None:
    table = table_of(sales(3))
    table = table.set_column(2, "amount", [["1", "2", "3"]])
    path = write_file(tmp_path / f"a.{kind}", table, 3)

    with pytest.raises(gaia.InputError, match=r"field `amount`.*`int`.*Utf8"):
        rewritten(path, Sale, tmp_path / "out")


@attrs.frozen
class Nested:
    name: str
    tags: list[str]
    sizes: dict[str, int] | None


@pytest.mark.parametrize("kind", KINDS)
def test_nested_columns_are_read_as_lists_and_dicts(tmp_path: Path, kind: str) -> None:
    import pyarrow as pa

    rows = [Nested("a", ["x", "y"], {"w": 1}), Nested("b", [], None)]
    table = pa.Table.from_pylist([attrs.asdict(row) for row in rows])
    path = write_file(tmp_path / f"nested.{kind}", table, 1)

    assert sorted(rewritten(path, Nested, tmp_path / "out"), key=lambda n: n.name) == rows


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_named(tmp_path: Path, kind: str) -> None:
    path = write_file(tmp_path / f"sales.{kind}", table_of(sales(1000)), 1000)
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: len(content) // 2])

    with pytest.raises(gaia.InputError, match=rf"{path}"):
        rewritten(path, Sale, tmp_path / "out")


def test_what_is_compressed_as_a_whole_is_no_parquet(tmp_path: Path) -> None:
    import gzip

    path = write_file(tmp_path / "a.parquet", table_of(sales(3)), 3)
    Path(path).write_bytes(gzip.compress(Path(path).read_bytes()))

    with pytest.raises(gaia.InputError, match="compressed as a whole by gzip"):
        rewritten(path, Sale, tmp_path / "out")


CODECS = {
    gaia.PARQUET: [gaia.NONE, gaia.ZSTD, gaia.GZIP, gaia.LZ4],
    gaia.ARROW: [gaia.NONE, gaia.ZSTD, gaia.LZ4],
}


@pytest.mark.parametrize("format", CODECS)
@settings(max_examples=15, deadline=None)
@given(rows=records)
def test_records_of_every_kind_come_back(
    tmp_path_factory: pytest.TempPathFactory, format: gaia.Format, rows: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("table")
    pipeline = gaia.Pipeline("p")
    table = pipeline.from_records(rows, type=Record, name="records")
    table.write("t", format).with_mod_n_sharding(2, "count").and_compress(gaia.ZSTD)

    found = list(gaia.LocalRunner(folder, workers=0).run(pipeline)["t"].records())

    assert key(map(same, found)) == key(map(same, rows))


def same(record: Any) -> Any:
    """The record with one form for all equal datetimes."""
    times = ("time", "maybe_time", "moment", "maybe_moment")
    found = utc(record)
    plain = {name: getattr(found, name) for name in times}
    return attrs.evolve(found, **{n: v and v.replace(fold=0) for n, v in plain.items()})


def written(tmp_path: Path, format: Any, codec: Any, shards: int = 2) -> gaia.Table[Sale]:
    pipeline = gaia.Pipeline("p")
    table = pipeline.from_records(sales(500), name="sales")
    table.write("t", format).with_mod_n_sharding(shards, "city").and_compress(codec)
    return gaia.LocalRunner(tmp_path, workers=0).run(pipeline)["t"]


@pytest.mark.parametrize(
    ("format", "codec"), [(format, codec) for format in CODECS for codec in CODECS[format]]
)
def test_tables_are_opened_by_others(tmp_path: Path, format: Any, codec: Any) -> None:
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = written(tmp_path, format, codec)

    expected = Counter(attrs.astuple(row) for row in sales(500))
    assert Counter(attrs.astuple(row) for row in table.records()) == expected
    frames, tables = [], []
    for shard in table.shards:
        path = tmp_path / "t" / shard.files[0].path
        if format is gaia.PARQUET:
            frames.append(pl.read_parquet(path))
            tables.append(pq.read_table(path))
        else:
            frames.append(pl.read_ipc_stream(path))
            with pa.OSFile(str(path)) as file:
                tables.append(pa.ipc.open_stream(file).read_all())
    assert Counter(pl.concat(frames).rows()) == expected
    assert Counter(tuple(row.values()) for row in pa.concat_tables(tables).to_pylist()) == expected


def test_parquet_has_statistics_and_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr("gaia.io.parquet._GROUP_ROWS", 100)
    monkeypatch.setattr(columns, "FRAME_BYTES", 2000)
    table = written(tmp_path, gaia.PARQUET, gaia.ZSTD, shards=1)

    file = pq.ParquetFile(tmp_path / "t" / table.shards[0].files[0].path)

    assert file.metadata.num_row_groups > 1
    assert file.metadata.row_group(0).column(1).statistics.has_min_max
    assert len(list(table.records())) == 500


@pytest.mark.parametrize("format", CODECS)
def test_tables_of_columns_are_joined_and_read_again(tmp_path: Path, format: Any) -> None:
    written(tmp_path, format, gaia.ZSTD)
    pipeline = gaia.Pipeline("again")
    rows = pipeline.read_table(tmp_path / "t", type=Sale, name="t")
    rows.write("interim", format).with_mod_n_sharding(3, "city")
    grouped = pipeline.join(gaia.ops.GroupBy("city", amount="sum", share="sum"), [rows])
    grouped.write("sums", format).and_compress(gaia.LZ4)

    result = gaia.LocalRunner(tmp_path / "again", workers=2).run(pipeline)

    sums: Counter[str] = Counter()
    for row in sales(500):
        sums[row.city] += row.amount
    assert {row.city: row.amount for row in result["sums"].records()} == sums


@pytest.mark.parametrize("format", CODECS)
def test_a_maximum_shard_size_makes_several_files(tmp_path: Path, format: Any) -> None:
    pipeline = gaia.Pipeline("p")
    table = pipeline.from_records(sales(5000), name="sales")
    table.write("t", format).with_mod_n_sharding(1, "city").with_max_shard_size(0.02)

    found = gaia.LocalRunner(tmp_path, workers=0).run(pipeline)["t"]

    assert len(found.shards[0].files) > 1
    assert sorted(row.amount for row in found.records()) == list(range(5000))


@pytest.mark.parametrize("format", CODECS)
def test_tables_of_columns_in_a_store(gcs: Any, tmp_path: Path, format: Any) -> None:
    path = write_file(tmp_path / "sales.parquet", table_of(sales(1000)), 100)
    gcs.write("in/sales.parquet", Path(path).read_bytes())
    pipeline = gaia.Pipeline("p")
    rows = pipeline.read_parquet(gcs.url("in/*.parquet"), type=Sale)
    rows.write("t", format).with_mod_n_sharding(2, "city").and_compress(gaia.ZSTD)

    gaia.LocalRunner(gcs.url("out"), workers=2).run(pipeline)

    table = gaia.read_table(gcs.url("out/t"), Sale)
    assert sorted(row.amount for row in table.records()) == list(range(1000))
    assert sum(name.endswith(f".{format.value}") for name in gcs.objects()) == 3 - (
        format is gaia.ARROW
    )


def test_datetimes_of_both_kinds_are_refused(tmp_path: Path) -> None:
    @attrs.frozen
    class At:
        when: datetime.datetime

    moment = datetime.datetime(2026, 1, 1)
    pipeline = gaia.Pipeline("p")
    both = [At(moment), At(moment.replace(tzinfo=datetime.UTC))] * 20
    table = pipeline.from_records(both, name="records")
    table.write("t", gaia.PARQUET).with_mod_n_sharding(1, "when")

    with pytest.raises(gaia.GaiaError, match="field `when`"):
        gaia.LocalRunner(tmp_path, workers=0).run(pipeline)


def test_rows_that_are_no_records_go_to_dead_letters(tmp_path: Path) -> None:
    import pyarrow as pa

    rows = sales(3)
    table = table_of(rows).set_column(2, "amount", pa.array([0, None, 2], pa.int32()))
    path = write_file(tmp_path / "sales.arrow", table, 2)
    pipeline = gaia.Pipeline("sales")
    to_errors = gaia.dead_letter("errors")
    read = pipeline.read_arrow(path, type=Sale, name="sales", on_error=to_errors)
    read.write("out", gaia.JSONL).with_mod_n_sharding(1, "city")
    result = gaia.LocalRunner(tmp_path / "out").run(pipeline)
    assert sorted(sale.amount for sale in result["out"].records()) == [0, 2]
    (letter,) = result["errors"].records()
    assert (letter.step, letter.file, letter.position) == ("sales", path, 1)
