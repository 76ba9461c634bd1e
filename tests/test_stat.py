"""`gaia stat`: what tables and files are."""

import gzip
import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from records import WordCount, write_table

import gaia
from gaia.cli import main

# Shard 0 has one record, 1 two, 2 six.
WORDS = [WordCount("w" * 9, number) for number in (0, 1, 1, 2, 2, 2, 2, 2, 2)]


def by_count(output: Any) -> Any:
    return output.with_mod_n_sharding(3, "count")


def stat(capsys: Any, *args: str) -> dict[str, Any]:
    assert main(["stat", "--format", "json", *args]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_table_for_scripts(tmp_path: Path, capsys: Any) -> None:
    table = write_table(tmp_path, WORDS, by_count, compression=gaia.ZSTD)

    found = stat(capsys, table.path)

    sizes = [sum(file.size for file in shard.files) for shard in table.shards]
    line = len("wwwwwwwww\t0\n")
    assert found == {
        "path": table.path,
        "kind": "table",
        "name": "out",
        "format": "txt",
        "compression": "zstd",
        "sharding": "mod",
        "type": "WordCount",
        "fields": [{"name": "word", "type": "str"}, {"name": "count", "type": "int"}],
        "shards": 3,
        "files": 3,
        "records": {"total": 9, "min": 1, "median": 2, "max": 6, "skew": 2.0},
        "raw_bytes": {
            "total": 9 * line,
            "min": line,
            "median": 2 * line,
            "max": 6 * line,
            "skew": 2.0,
        },
        "file_bytes": {
            "total": sum(sizes),
            "min": min(sizes),
            "median": sorted(sizes)[1],
            "max": max(sizes),
            "skew": round(max(sizes) * 3 / sum(sizes), 4),
        },
        "largest": [
            {
                "shard": shard,
                "records": records,
                "raw_bytes": records * line,
                "file_bytes": sizes[shard],
            }
            for shard, records in ((2, 6), (1, 2), (0, 1))
        ],
    }


def test_a_table_for_people(tmp_path: Path, capsys: Any) -> None:
    table = write_table(tmp_path, WORDS, by_count)

    assert main(["stat", table.path]) == 0

    assert capsys.readouterr().out == (
        f"{table.path}: table out\n"
        "  format    txt, not compressed\n"
        "  shards    3 by number\n"
        "  type      WordCount\n"
        "    word   str\n"
        "    count  int\n"
        "\n"
        "              total  min  median  max  skew\n"
        "  records         9    1       2    6  2.00\n"
        "  raw bytes     108   12      24   72  2.00\n"
        "  file bytes    108   12      24   72  2.00\n"
        "\n"
        "  largest shards  records  raw bytes  file bytes\n"
        "    2                   6         72          72\n"
        "    1                   2         24          24\n"
        "    0                   1         12          12\n"
    )


@attrs.frozen
class Named:
    shard: str


def test_shards_with_names(tmp_path: Path, capsys: Any) -> None:
    table = write_table(
        tmp_path,
        [Named("fr/a b ☃"), Named("b")],
        lambda output: output.with_custom_sharding(lambda named: named.shard),
    )

    assert main(["stat", table.path]) == 0
    shown = capsys.readouterr().out
    assert "  shards    2 by name\n" in shown
    assert "\n    fr/a b ☃  " in shown
    assert stat(capsys, table.path)["largest"][0]["shard"] == "fr/a b ☃"


def test_what_a_terminal_would_act_on_is_escaped(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "\x1b[2J.csv"
    file.write_text("a\x1b]0;b\n1\n")

    assert main(["stat", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert f"{tmp_path}/\\x1b[2J.csv: file\n" in shown
    assert "    a\\x1b]0;b  text\n" in shown
    assert main(["stat", f"{file}\n"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_an_empty_table(tmp_path: Path, capsys: Any) -> None:
    named = write_table(
        tmp_path / "a", [], lambda output: output.with_custom_sharding(str), type=str
    )
    numbered = write_table(
        tmp_path / "b", [], lambda output: output.with_mod_n_sharding(2), type=str
    )

    assert stat(capsys, named.path)["records"]["skew"] is None
    assert stat(capsys, numbered.path)["records"] == {
        "total": 0,
        "min": 0,
        "median": 0,
        "max": 0,
        "skew": None,
    }
    assert main(["stat", named.path, numbered.path]) == 0
    assert capsys.readouterr().out.count("table out\n") == 2


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", b"a\n", ("txt", "none", None)),
        ("a.jsonl.gz", gzip.compress(b"{}\n"), ("jsonl", "gzip", None)),
        ("a.csv", b"x,y z\n1,2\n", ("csv", "none", ["x", "y z"])),
        ("a", gzip.compress(b"WARC/1.0\r\n"), ("warc", "gzip", None)),
    ],
)
def test_files(tmp_path: Path, capsys: Any, name: str, content: bytes, expected: Any) -> None:
    (tmp_path / name).write_bytes(content)

    found = stat(capsys, str(tmp_path / name))

    names = found["fields"] and [field["name"] for field in found["fields"]]
    assert (found["format"], found["compression"], names) == expected
    assert found["bytes"] == len(content)
    assert main(["stat", str(tmp_path / name)]) == 0
    assert f"  bytes     {len(content)}\n" in capsys.readouterr().out


def test_what_is_wrong_is_told_and_the_rest_is_shown(tmp_path: Path, capsys: Any) -> None:
    table = write_table(tmp_path, WORDS, by_count)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "manifest.json").write_text("{}")

    assert main(["stat", str(damaged), str(tmp_path), table.path]) == 1

    out, err = capsys.readouterr()
    assert out.startswith(f"{table.path}: table out\n")
    first, second = err.splitlines()
    assert first.startswith(f"gaia stat: {damaged}/manifest.json is damaged")
    assert "is a folder of tables; name one of them: damaged, out" in second


def test_a_table_in_a_bucket(capsys: Any, gcs: Any) -> None:
    pipeline = gaia.Pipeline("p")
    words = pipeline.from_records(WORDS, name="words")
    words.write("t", gaia.JSONL).with_mod_n_sharding(3, "count")
    gaia.LocalRunner(gcs.url("out"), workers=0).run(pipeline)

    found = stat(capsys, gcs.url("out/t"))

    assert (found["kind"], found["format"], found["records"]["total"]) == ("table", "jsonl", 9)
