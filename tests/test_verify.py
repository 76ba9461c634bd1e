"""Damage to tables: their checksums tell."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import anywhere
import pytest
from records import WordCount, write_table

import gaia

RECORDS = [WordCount(f"word{number}", number) for number in range(1000)]
TABLES = [
    (gaia.TXT, gaia.NONE),
    (gaia.JSONL, gaia.GZIP),
    (gaia.CSV, gaia.ZSTD),
    (gaia.ARROW, gaia.LZ4),
]

pytestmark = pytest.mark.anywhere


def flip(path: Path, position: int = -30) -> None:
    """Changes one bit of a file, whose size stays."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def table_in(folder: Path, format: Any = gaia.TXT, codec: Any = gaia.NONE) -> gaia.Table[Any]:
    return write_table(
        folder,
        RECORDS,
        lambda output: output.with_mod_n_sharding(3, "word"),
        format=format,
        compression=codec,
    )


def file_of(table: gaia.Table[Any], shard: int) -> Path:
    return Path(table.path, table.shards[shard].files[0].path)


@pytest.mark.parametrize(("format", "codec"), TABLES)
def test_a_table_is_whole_until_a_bit_changes(tmp_path: Path, format: Any, codec: Any) -> None:
    table = table_in(tmp_path, format, codec)
    table.verify()
    flip(file_of(table, 1))

    with pytest.raises(gaia.InputError, match=r"shard 1 of table .*checksum"):
        table.verify()


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    table = table_in(tmp_path)
    file_of(table, 2).unlink()

    with pytest.raises(gaia.InputError, match=r"shard 2 of table"):
        table.verify()


def test_a_join_that_verifies_stops_at_damage(tmp_path: Path, monkeypatch: Any) -> None:
    from gaia.io import commit

    def damage(staged: str, final: str, durable: bool) -> None:
        publish(staged, final, durable)
        if final.endswith("interim"):
            flip(next(Path(final).glob("interim-00001*")), 1)

    publish = commit.publish
    monkeypatch.setattr("gaia.io.destination.publish", damage)
    pipeline = gaia.Pipeline("p")
    words = pipeline.from_records(RECORDS, name="words")
    words.write("interim", gaia.TXT).with_mod_n_sharding(3, "word")
    pipeline.join(gaia.ops.Distinct("word"), [words], name="join").write("out", gaia.TXT)

    with pytest.raises(gaia.InputError, match=r"interim-00001-of-00003.txt is damaged: .*checksum"):
        anywhere.Runner(tmp_path, verify=True).run(pipeline)


def test_a_read_that_verifies_stops_at_damage(tmp_path: Path) -> None:
    table = table_in(tmp_path)
    flip(file_of(table, 0), 1)
    pipeline = gaia.Pipeline("p")
    rows = pipeline.read_table(table.path, type=WordCount, name="rows")
    rows.write("copy", gaia.TXT).with_mod_n_sharding(1, "word")

    anywhere.Runner(tmp_path / "first").run(pipeline)
    with pytest.raises(gaia.InputError, match="checksum"):
        anywhere.Runner(tmp_path / "second", verify=True).run(pipeline)


def test_a_table_in_a_store_is_verified(gcs: Any) -> None:
    pipeline = gaia.Pipeline("p")
    words = pipeline.from_records(RECORDS, name="words")
    words.write("t", gaia.TXT).with_mod_n_sharding(2, "word").and_compress(gaia.ZSTD)
    table = anywhere.Runner(gcs.url("out")).run(pipeline)["t"]
    table.verify()
    name = "out/t/t-00001-of-00002.txt.zst"
    content = bytearray(gcs.read(name))
    content[20] ^= 1
    gcs.write(name, bytes(content))

    with pytest.raises(gaia.InputError, match=r"shard 1 .*checksum"):
        table.verify()


def test_the_command_tells(tmp_path: Path) -> None:
    table = table_in(tmp_path)
    command = [sys.executable, "-m", "gaia", "verify", table.path]

    whole = subprocess.run(command, capture_output=True, text=True)
    flip(file_of(table, 1))
    damaged = subprocess.run(command, capture_output=True, text=True)
    missing = subprocess.run([*command[:-1], str(tmp_path / "no")], capture_output=True, text=True)

    assert (whole.returncode, whole.stderr) == (0, "")
    assert whole.stdout == f"{table.path}: 3 shards, 1000 records: whole\n"
    assert damaged.returncode == missing.returncode == 1
    assert "shard 1" in damaged.stderr
    assert "is not a table" in missing.stderr
