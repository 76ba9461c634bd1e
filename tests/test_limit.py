"""Runs that are limited to the first records of each input."""

import bz2
import gzip
import io
import os
import signal
from pathlib import Path

import anywhere
import attrs
import pytest
from warcio.warcwriter import WARCWriter

import gaia
from gaia.testing import assert_same_records

pytestmark = [pytest.mark.anywhere, pytest.mark.libraries]


@attrs.define
class Item:
    number: int
    text: str


class Batched(gaia.Mapper[Item, Item]):
    def do_batch(self, batch: gaia.Batch[Item], ctx: gaia.Context[Item]) -> None:
        ctx.write_columns(number=batch["number"], text=batch["text"])


class Numbers(gaia.Joiner[str]):
    def on_item(self, record: Item, ctx: gaia.Context[str]) -> None:
        ctx.write(record.text)


ITEMS = [Item(number, f"text {number}") for number in range(3000)]
FORMATS = {
    "txt": gaia.TXT,
    "jsonl": gaia.JSONL,
    "csv": gaia.CSV,
    "arrow": gaia.ARROW,
    "parquet": gaia.PARQUET,
}


def store(folder: Path, items: list[Item], format: gaia.pipeline.graph.Format, shards: int = 3):
    pipeline = gaia.Pipeline("store")
    output = pipeline.from_records(items, type=Item, name="items").write("items", format)
    output.with_mod_n_sharding(shards, lambda item: item.number // 1000)
    anywhere.Runner(folder).run(pipeline)


def read(pipeline: gaia.Pipeline, format: str, folder: Path) -> gaia.PTable[Item]:
    if format == "table":
        return pipeline.read_table(folder / "items", type=Item, name="items")
    pattern = f"{folder}/items/items-*"
    if format == "txt":
        return pipeline.read_text(pattern, name="items").as_(Item)
    reads = {
        "jsonl": pipeline.read_jsonl,
        "csv": pipeline.read_csv,
        "arrow": pipeline.read_arrow,
        "parquet": pipeline.read_parquet,
    }
    return reads[format](pattern, type=Item, name="items")


def limited(table: gaia.PTable, pipeline: gaia.Pipeline, dest: Path, limit: int):
    table.write("out", gaia.JSONL).with_mod_n_sharding(2, "number")
    return anywhere.Runner(dest, limit=limit).run(pipeline)


@pytest.mark.anywhere("inline")
@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("format", [*FORMATS, "table"])
@pytest.mark.parametrize("limit", [1, 999, 1000, 1001, 5000])
def test_the_first_records_in_the_order_of_files(tmp_path, format, batched, limit):
    store(tmp_path, ITEMS, FORMATS.get(format, gaia.TXT))
    pipeline = gaia.Pipeline("p")
    items = read(pipeline, format, tmp_path)
    items = items.map(Batched, name="batched") if batched else items

    result = limited(items, pipeline, tmp_path / "out", limit)

    assert_same_records(result["out"].records(), ITEMS[:limit])
    assert result.counters["map-input-items"] == min(limit, 3000)


@pytest.mark.anywhere("inline")
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_they_do_not_depend_on_the_number_of_workers(tmp_path, workers):
    store(tmp_path, ITEMS, gaia.TXT)
    pipeline = gaia.Pipeline("p")
    table = read(pipeline, "txt", tmp_path)
    table.write("out", gaia.JSONL).with_mod_n_sharding(2, "number")

    result = gaia.LocalRunner(tmp_path / "out", workers=workers, limit=1500).run(pipeline)

    assert_same_records(result["out"].records(), ITEMS[:1500])


@pytest.mark.parametrize("compress", [lambda raw: raw, gzip.compress, bz2.compress])
def test_of_a_file_no_more_is_read_than_is_needed(tmp_path, compress):
    """What comes later is damaged, and nobody sees it."""
    (tmp_path / "a").write_bytes(compress(b"1\n2\n3\n"))
    (tmp_path / "b").write_bytes(compress(b"4\n5\n6\n" * 1000)[:-9] + b"\xff" * 9)
    pipeline = gaia.Pipeline("p")
    lines = pipeline.read_text([f"{tmp_path}/b", f"{tmp_path}/a"][::-1], name="lines")
    lines.write("out", gaia.TXT).with_mod_n_sharding(1)

    result = anywhere.Runner(tmp_path / "out", limit=3).run(pipeline)

    assert_same_records(result["out"].records(), ["1", "2", "3"])


@pytest.mark.anywhere("inline", "processes")
def test_of_a_file_in_a_store_only_the_beginning_is_asked_for(gcs):
    line = b"x" * 99 + b"\n"
    gcs.write("lines.txt", line * 200_000)
    pipeline = gaia.Pipeline("p")
    lines = pipeline.read_text(gcs.url("lines.txt"), name="lines")
    lines.write("out", gaia.TXT).with_mod_n_sharding(1)
    before = gcs.requests().get("download", 0)

    result = anywhere.Runner(gcs.url("out"), limit=7).run(pipeline)

    assert len(result["out"]) == 7
    # The first bytes of the file, and then its first ranges; the whole would be eight or more.
    assert gcs.requests()["download"] - before <= 4


def test_archives(tmp_path):
    for name, first in (("a.warc.gz", 0), ("b.warc.gz", 5)):
        with (tmp_path / name).open("wb") as file:
            writer = WARCWriter(file, gzip=True)
            for number in range(first, first + 5):
                payload = io.BytesIO(b"page")
                writer.write_record(
                    writer.create_warc_record(f"http://x/{number}", "resource", payload=payload)
                )
    pipeline = gaia.Pipeline("p")
    pages = pipeline.read_warc(f"{tmp_path}/*.warc.gz", name="pages")
    urls = pages.map(lambda page: page.url, name="url", output=str)
    urls.write("out", gaia.TXT).with_mod_n_sharding(1)

    result = anywhere.Runner(tmp_path / "out", limit=7).run(pipeline)

    assert_same_records(result["out"].records(), [f"http://x/{number}" for number in range(7)])


@pytest.mark.parametrize(("limit", "expected"), [(1, [0]), (4, [0, 1, 2, 3]), (99, range(10))])
def test_records_of_the_program(tmp_path, limit, expected):
    pipeline = gaia.Pipeline("p")
    numbers = pipeline.from_records(range(10), name="numbers")
    numbers.write("out", gaia.TXT).with_mod_n_sharding(3)

    result = anywhere.Runner(tmp_path, limit=limit).run(pipeline)

    assert_same_records(result["out"].records(), expected)


def test_every_read_is_limited_and_joins_see_all_of_that(tmp_path):
    store(tmp_path, ITEMS, gaia.JSONL)
    pipeline = gaia.Pipeline("p")
    items = read(pipeline, "jsonl", tmp_path)
    items.write("items", gaia.TXT).with_mod_n_sharding(4, "number")
    more = pipeline.from_records(ITEMS[100:], name="more")
    more.write("more", gaia.TXT).with_mod_n_sharding(4, "number")
    joined = pipeline.join(
        Numbers, [items.bind_with(Numbers.on_item), more.bind_with(Numbers.on_item)]
    )
    joined.write("joined", gaia.TXT)

    result = anywhere.Runner(tmp_path / "out", limit=3).run(pipeline)

    expected = [f"text {number}" for number in (0, 1, 2, 100, 101, 102)]
    assert_same_records(result["joined"].records(), expected)


def test_files_with_a_shard_of_their_own_each_give_so_many(tmp_path):
    for day in range(3):
        (tmp_path / f"{day}.txt").write_text("".join(f"{day} {n}\n" for n in range(9)))
    pipeline = gaia.Pipeline("p")
    specs = [gaia.FileSpec(f"{tmp_path}/{day}.txt", shard=day) for day in range(3)]
    pipeline.read_text(specs, name="lines").write("out", gaia.TXT)

    result = anywhere.Runner(tmp_path / "out", limit=2).run(pipeline)

    assert {shard.key: shard.records for shard in result["out"].shards} == {0: 2, 1: 2, 2: 2}


def test_lines_that_do_not_parse_are_not_among_them(tmp_path, capsys):
    lines = ["x,1", "0,a", "1", "1,b", "2,c", "x,2", "3,d"]
    (tmp_path / "in.csv").write_text("number,text\n" + "\n".join(lines))
    pipeline = gaia.Pipeline("p")
    items = pipeline.read_csv(tmp_path / "in.csv", type=Item, name="items")

    result = limited(items, pipeline, tmp_path / "out", 3)

    assert_same_records(result["out"].records(), [Item(0, "a"), Item(1, "b"), Item(2, "c")])
    assert result.counters["parse-errors"] == 2
    assert "failed to parse: 2" in capsys.readouterr().err


@pytest.mark.anywhere("processes")
@pytest.mark.parametrize(("limit", "expected"), [(3, [0, 1]), (5, [0, 1, 3, 4])])
def test_a_record_that_kills_is_one_of_them(tmp_path, limit, expected):
    (tmp_path / "in.txt").write_text("".join(f"{number}\n" for number in range(9)))
    pipeline = gaia.Pipeline("p")
    lines = pipeline.read_text(tmp_path / "in.txt", name="lines").as_(int)
    lived = lines.map(die_of_two, name="die", on_error=gaia.skip())
    lived.write("out", gaia.TXT).with_mod_n_sharding(2)

    result = anywhere.Runner(tmp_path / "out", limit=limit).run(pipeline)

    assert_same_records(result["out"].records(), expected)


def die_of_two(number: int) -> int:
    if number in (2, 7):
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_run_with_another_limit_does_not_go_on_with_what_is_there(tmp_path, capsys):
    def run(limit: int | None) -> list[int]:
        pipeline = gaia.Pipeline("p")
        numbers = pipeline.from_records(range(10), name="numbers")
        numbers.write("out", gaia.TXT).with_mod_n_sharding(2)
        result = anywhere.Runner(tmp_path, resume=True, limit=limit).run(pipeline)
        return sorted(result["out"].records())

    assert run(3) == [0, 1, 2]
    capsys.readouterr()
    assert run(3) == [0, 1, 2]
    assert "`numbers` is finished, and skipped" in capsys.readouterr().err
    assert run(4) == [0, 1, 2, 3]
    assert "`numbers` is done anew: the limit has changed" in capsys.readouterr().err
    assert run(None) == list(range(10))
    assert "`numbers` is done anew: the limit has changed" in capsys.readouterr().err
    assert run(3) == [0, 1, 2]


@pytest.mark.parametrize("limit", [0, -1, 1.5, "3", True])
def test_what_is_no_limit_is_refused(tmp_path, limit):
    with pytest.raises(gaia.PipelineError, match="expected a limit of 1 record or more, got"):
        anywhere.Runner(tmp_path, limit=limit)


def test_tables_of_a_run_without_a_limit_are_not_replaced_silently(tmp_path, capsys):
    pipeline = gaia.Pipeline("numbers")
    numbers = pipeline.from_records([1, 2, 3], name="numbers")
    numbers.write("out", gaia.TXT).with_mod_n_sharding(1)
    told = "limited to 2 records of each input, replaces `out` of a run without a limit"
    for limit, expected in [(2, False), (None, False), (2, True), (2, False)]:
        anywhere.Runner(tmp_path, limit=limit).run(pipeline)
        assert (told in capsys.readouterr().err) is expected
