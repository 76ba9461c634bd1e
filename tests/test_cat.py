"""`gaia cat` and `gaia head`: every format that is read, in every form that is printed."""

import bz2
import csv
import datetime
import enum
import gzip
import io
import json
import lzma
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import lz4.frame
import msgspec
import pytest
import zstandard
from records import WordCount, write_table

import gaia
from gaia.cli import main

pytestmark = pytest.mark.libraries

GAIA = [sys.executable, "-m", "gaia"]
FORMATS = [gaia.TXT, gaia.JSONL, gaia.CSV, gaia.ARROW, gaia.PARQUET]


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue\tone"


@attrs.frozen
class Plain:
    """What every format holds."""

    text: str
    maybe: str | None
    number: int
    ratio: float
    yes: bool
    day: datetime.date
    moment: datetime.datetime
    color: Color | None


@attrs.frozen
class Rich(Plain):
    """What CSV cannot hold."""

    data: bytes
    numbers: list[int]
    more: dict[str, Any]


TEXTS = ["plain", 'tab\t, comma, "quotes"', "line\nend\r\n", "\\N", "", "ünï ☃ \x00\x7f", "=1+1"]
PLAIN = [
    Plain(
        text,
        None if number % 3 == 0 else text,
        number - 3,
        number / 7,
        number % 2 == 0,
        datetime.date(2026, 1, 1 + number),
        datetime.datetime(2026, 1, 1, number, 2, 3, 456),
        [None, *Color][number % 3],
    )
    for number, text in enumerate(TEXTS)
]
RICH = [
    Rich(*attrs.astuple(record), text.encode()[::-1], [number], {"k": [None, text]})
    for number, (record, text) in enumerate(zip(PLAIN, TEXTS, strict=True))
]


def two_shards(output: Any) -> Any:
    return output.with_mod_n_sharding(2, repr)


def gaia_cat(*args: Any, input: bytes | None = None, code: int = 0) -> bytes:
    """What a process prints, which has none of the classes here."""
    ended = subprocess.run(
        [*GAIA, "cat", *map(str, args)], capture_output=True, input=input, check=False
    )
    assert (ended.returncode, ended.stderr) == (code, b"")
    return ended.stdout


def as_read(path: Path, content: bytes, form: str, tp: Any) -> list[Any]:
    """The records that Gaia reads of what was printed."""
    ending = {"json": "jsonl", "text": "txt", "csv": "csv"}[form]
    file = path / f"printed.{ending}"
    file.write_bytes(content)
    pipeline = gaia.Pipeline("read")
    if form == "json":
        read = pipeline.read_jsonl(str(file), type=tp)
    elif form == "csv":
        read = pipeline.read_csv(str(file), type=tp)
    else:
        lines = pipeline.read_text(str(file))
        read = lines if tp is str else lines.as_(tp)
    read.write("again", gaia.TXT).with_mod_n_sharding(1, repr)
    result = gaia.LocalRunner(path / "again", workers=0).run(pipeline)
    assert result.counters["parse-errors"] == 0
    return list(result["again"].records())


def same(left: Any, right: Any) -> bool:
    return Counter(map(repr, left)) == Counter(map(repr, right))


@pytest.mark.parametrize("form", ["json", "text", "csv"])
@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.value)
def test_what_is_printed_of_a_table_are_its_records(tmp_path: Path, format: Any, form: str) -> None:
    table = write_table(tmp_path, PLAIN, two_shards, format=format)

    printed = gaia_cat(table.path, "--format", form)

    assert same(as_read(tmp_path, printed, form, Plain), PLAIN)


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("format", [gaia.TXT, gaia.JSONL, gaia.ARROW], ids=lambda f: f.value)
def test_bytes_lists_and_dicts_are_printed(tmp_path: Path, format: Any, form: str) -> None:
    table = write_table(tmp_path, RICH, two_shards, format=format)

    printed = gaia_cat(table.path, "--format", form)

    assert same(as_read(tmp_path, printed, form, Rich), RICH)


@pytest.mark.parametrize("format", [gaia.TXT, gaia.JSONL, gaia.ARROW], ids=lambda f: f.value)
def test_in_csv_bytes_are_base64_and_lists_are_json(tmp_path: Path, format: Any) -> None:
    table = write_table(tmp_path, RICH, two_shards, format=format)

    printed = gaia_cat(table.path, "--format", "csv").decode()

    rows = list(csv.DictReader(io.StringIO(printed, newline="")))
    plain = {record.number: msgspec.to_builtins(record) for record in RICH}
    assert list(rows[0]) == [field.name for field in attrs.fields(Rich)]
    assert len(rows) == len(RICH)
    for row in rows:
        record = plain[int(row["number"])]
        assert row["text"] == record["text"]
        assert row["data"] == record["data"]
        assert json.loads(row["numbers"]) == record["numbers"]
        assert json.loads(row["more"]) == record["more"]


@pytest.mark.parametrize(
    ("records", "lines"),
    [
        (["a\tb", "", "ü\\n"], [b"a\tb", b"", "ü\\n".encode()]),
        ([b"\xff\x00", b""], [b"\xff\x00", b""]),
        ([1, -(2**62)], [b"1", b"-4611686018427387904"]),
        ([0.5, float("nan")], [b"0.5", b"NaN"]),
        ([True, False], [b"true", b"false"]),
    ],
)
@pytest.mark.parametrize("format", [gaia.TXT, gaia.ARROW], ids=lambda f: f.value)
def test_single_values_are_lines(tmp_path: Path, records: Any, lines: Any, format: Any) -> None:
    table = write_table(tmp_path, records, two_shards, format=format)

    assert sorted(gaia_cat(table.path).split(b"\n")[:-1]) == sorted(lines)


def test_json_of_single_values_and_of_what_json_has_no_number_for(tmp_path: Path) -> None:
    words = write_table(tmp_path / "a", ["é\t"], two_shards)
    numbers = write_table(tmp_path / "b", [float("nan")], two_shards)
    ints = write_table(tmp_path / "c", [2**70], two_shards)

    assert gaia_cat(words.path, "-f", "json") == '"é\\t"\n'.encode()
    assert gaia_cat(numbers.path, "-f", "json") == b"null\n"
    assert gaia_cat(ints.path, "-f", "json") == b"%d\n" % 2**70
    assert gaia_cat(ints.path, "-f", "csv") == b"value\n%d\n" % 2**70


@attrs.frozen
class Ratio:
    name: str
    ratio: float


def test_a_nan_among_fields_is_null_in_json(tmp_path: Path) -> None:
    table = write_table(tmp_path, [Ratio("a", float("inf")), Ratio("b", 1.0)], two_shards)

    found = [json.loads(line) for line in gaia_cat(table.path, "-f", "json").splitlines()]

    assert same(found, [{"name": "a", "ratio": None}, {"name": "b", "ratio": 1.0}])


WORDS = [WordCount(f"word{number}", number) for number in range(50)]


@pytest.mark.parametrize("codec", [gaia.NONE, gaia.ZSTD, gaia.GZIP])
@pytest.mark.parametrize("form", ["text", "json"])
def test_shards_by_number_and_several(
    tmp_path: Path, codec: Any, form: str, capfdbinary: Any
) -> None:
    def sharded(output: Any) -> Any:
        return output.with_mod_n_sharding(5, "count")

    table = write_table(tmp_path, WORDS, sharded, compression=codec)

    assert main(["cat", table.path, "--shard", "3", "-s", "0", "-f", form]) == 0

    printed = as_read(tmp_path, capfdbinary.readouterr().out, form, WordCount)
    assert same(printed, [word for word in WORDS if word.count % 5 in (0, 3)])


def test_shards_by_name(tmp_path: Path, capsys: Any) -> None:
    def sharded(output: Any) -> Any:
        return output.with_custom_sharding(lambda word: f"by/{word.count % 3}")

    table = write_table(tmp_path, WORDS, sharded)

    assert main(["cat", table.path, "--shard", "by/1", "-f", "json"]) == 0
    counts = [json.loads(line)["count"] for line in capsys.readouterr().out.splitlines()]
    assert sorted(counts) == list(range(1, 50, 3))

    assert main(["cat", table.path, "--shard", "by/7"]) == 1
    assert capsys.readouterr().err == (
        f"gaia cat: table {table.path} has no shard 'by/7'; it has by/0, by/1, by/2\n"
    )


def test_a_shard_of_several_files(tmp_path: Path) -> None:
    words = [WordCount(f"{number:0100}", number) for number in range(3000)]
    table = write_table(
        tmp_path,
        words,
        lambda output: output.with_mod_n_sharding(1, "word").with_max_shard_size(0.1),
    )
    assert len(table.shards[0].files) > 1

    assert same(as_read(tmp_path, gaia_cat(table.path), "text", WordCount), words)


@pytest.mark.parametrize("limit", [0, 1, 7, 50, 51])
@pytest.mark.parametrize("form", ["text", "json", "csv"])
def test_a_limit(tmp_path: Path, capsys: Any, limit: int, form: str) -> None:
    table = write_table(tmp_path, WORDS, lambda output: output.with_mod_n_sharding(4, "word"))

    assert main(["cat", table.path, "--limit", str(limit), "-f", form]) == 0

    lines = capsys.readouterr().out.splitlines()
    header = int(form == "csv" and limit > 0)
    assert len(lines) - header == min(limit, 50)
    assert len(set(lines)) == len(lines)


def test_head_is_ten_of_all(tmp_path: Path, capsys: Any) -> None:
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    files[0].write_bytes(b"1\n2\n3")
    files[1].write_bytes(b"".join(b"%d\n" % number for number in range(4, 40)))

    assert main(["head", *map(str, files)]) == 0
    assert capsys.readouterr().out.split() == [str(number) for number in range(1, 11)]
    assert main(["head", "-n", "4", *map(str, files)]) == 0
    assert capsys.readouterr().out.split() == ["1", "2", "3", "4"]


CODECS = {
    ".txt": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".lz4": lz4.frame.compress,
}


@pytest.mark.parametrize("ending", CODECS)
def test_text_of_every_compression_by_its_first_bytes(tmp_path: Path, ending: str) -> None:
    content = b"".join(b"line %d \xff\n" % number for number in range(100_000))
    file = tmp_path / "no ending"
    file.write_bytes(CODECS[ending](content))

    assert gaia_cat(file) == content
    assert gaia_cat("-", input=file.read_bytes()) == content


def test_text_that_ends_without_a_newline_gets_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a\nb")
    (tmp_path / "c").write_bytes(b"c\n")
    (tmp_path / "empty").write_bytes(b"")

    found = gaia_cat(tmp_path / "a", tmp_path / "empty", tmp_path / "c")

    assert found == b"a\nb\nc\n"


def test_files_of_a_glob_and_names_that_look_like_something_else(tmp_path: Path) -> None:
    for name in ("[a].txt", "-n.txt", "b\n.txt", "c\udcff.txt"):
        (tmp_path / name).write_text(f"{name!r}\n")

    assert gaia_cat(tmp_path / "[a].txt") == b"'[a].txt'\n"
    assert len(gaia_cat(tmp_path / "*.txt").splitlines()) == 4
    ended = subprocess.run(
        [*GAIA, "cat", "--", "-n.txt", "b\n.txt", "c\udcff.txt"], capture_output=True, cwd=tmp_path
    )
    assert ended.stdout.splitlines() == [b"'-n.txt'", b"'b\\n.txt'", b"'c\\udcff.txt'"]


JSONL = b'{"a": 1, "b": "x\\ty"}\n{"b": null, "c": [1, {"d": 2}]}\n'


def test_jsonl_in_all_forms(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(gzip.compress(JSONL))

    assert gaia_cat(file, "-f", "json") == JSONL
    assert gaia_cat(file) == JSONL
    assert gaia_cat(file, "-f", "csv") == b'a,b,c\n1,x\ty,\n,,"[1,{""d"":2}]"\n'
    assert gaia_cat("-", "--from", "jsonl", "-f", "csv", input=JSONL).startswith(b"a,b,c\n")


def test_a_field_that_comes_too_late_for_csv_is_told(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "late.jsonl"
    file.write_bytes(b'{"a":1}\n' * 1000 + b'{"b":1}\n')

    assert main(["cat", str(file), "-f", "csv", "-n", "1000"]) == 0
    assert main(["cat", str(file), "-f", "csv"]) == 1
    assert "has a field 'b'" in capsys.readouterr().err


CSV = b'\xef\xbb\xbfa b,"c\nd",\r\n1,"x,""y""",\r\n"",,z\r\n'


def test_csv_in_all_forms(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(CSV)

    rows = [json.loads(line) for line in gaia_cat(file, "-f", "json").splitlines()]
    assert rows == [{"a b": "1", "c\nd": 'x,"y"', "": None}, {"a b": "", "c\nd": None, "": "z"}]
    assert gaia_cat(file) == b'1\tx,"y"\t\\N\n\t\\N\tz\n'
    assert gaia_cat(file, "-f", "csv") == b'a b,"c\nd",""\n1,"x,""y""",\n"",,z\n'
    assert gaia_cat("-", "--from", "csv", "-n", "1", input=CSV) == b'1\tx,"y"\t\\N\n'


def test_several_files_make_one_csv_if_their_columns_are_the_same(
    tmp_path: Path, capsys: Any
) -> None:
    for name, content in (("a", "x,y\n1,2\n"), ("b", "x,y\n3,4\n"), ("c", "x,z\n5,6\n")):
        (tmp_path / f"{name}.csv").write_text(content)
    files = [str(tmp_path / f"{name}.csv") for name in "abc"]

    assert main(["cat", *files[:2], "-f", "csv"]) == 0
    assert capsys.readouterr().out == "x,y\n1,2\n3,4\n"
    assert main(["cat", *files, "-f", "csv"]) == 1
    assert "c.csv: expected the columns x, y in all inputs" in capsys.readouterr().err


def test_columns_of_one_name_are_no_json(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "a.csv"
    file.write_text("x,x\n1,2\n")

    assert main(["cat", str(file)]) == 0
    assert capsys.readouterr().out == "1\t2\n"
    assert main(["cat", str(file), "-f", "json"]) == 1
    assert "several columns 'x'" in capsys.readouterr().err


WARC = (
    b"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://a.b/\r\n"
    b"WARC-Date: 2026-01-31T10:00:00Z\r\nWARC-Record-ID: <urn:uuid:1>\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 4\r\n\r\na\t\xff\n\r\n\r\n"
)


@pytest.mark.parametrize("codec", ["none", "gzip", "zstd"])
def test_warc_in_all_forms(tmp_path: Path, codec: str) -> None:
    compress = {"none": bytes, "gzip": gzip.compress, "zstd": zstandard.compress}[codec]
    file = tmp_path / "crawl"
    file.write_bytes(compress(WARC) * 3)

    for found in (
        gaia_cat(file, "-f", "json"),
        gaia_cat("-", "-f", "json", input=file.read_bytes()),
    ):
        pages = [msgspec.json.decode(line, type=gaia.WarcRecord) for line in found.splitlines()]
        assert [page.payload for page in pages] == [b"a\t\xff\n"] * 3
        assert {page.url for page in pages} == {"http://a.b/"}
    assert gaia_cat(file, "-n", "2").count(b"\ta\\t\\xff\\n\t") == 2
    assert gaia_cat(file, "-f", "csv").startswith(b"type,url,date,id,content_type,language,payload")


def test_a_damaged_table_is_one_line(tmp_path: Path, capsys: Any) -> None:
    table = write_table(tmp_path, WORDS, two_shards, compression=gaia.ZSTD)
    file = Path(table.path, table.shards[0].files[0].path)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)

    assert main(["cat", table.path]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(file) in error
    file.write_bytes(content[:-5])
    assert main(["cat", table.path, "-f", "json"]) == 1
    assert f"{file} is damaged: it was written with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.gz", gzip.compress(b"a\n" * 99)[:-9], "ends early"),
        ("a.csv", b"a,b\n1\n", "expected 2 fields, got 1"),
        ("a.csv", b'a,b\n1,"2\n', "quote"),
        ("a.parquet", b"PAR1 and no more", "is damaged, or no Parquet"),
        ("a.arrow", b"ARROW1\0\0 and no more", "is damaged, or no Arrow"),
        ("a.warc", b"WARC/1.0\r\nContent-Length: 9\r\n\r\nab", "is damaged"),
    ],
)
def test_damaged_files_are_one_line(
    tmp_path: Path, capsys: Any, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)

    assert main(["cat", str(tmp_path / name), "-f", "text"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("gaia cat: ")
    assert said in error
    assert name in error


class Own:
    def __init__(self, value: str) -> None:
        self.value = value

    def to_text(self) -> str:
        return f"<{self.value}>"

    @classmethod
    def from_text(cls, line: str) -> "Own":
        return cls(line[1:-1])


def test_records_with_a_text_of_their_own_are_printed_as_it(tmp_path: Path) -> None:
    table = write_table(tmp_path, [Own("a")], lambda output: output.with_mod_n_sharding(1, str))

    assert gaia_cat(table.path) == b"<a>\n"
    ended = subprocess.run([*GAIA, "cat", table.path, "-f", "json"], capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.endswith("which can be shown only as it is, by --format text\n")


def test_folders_that_are_no_tables_are_told(tmp_path: Path, capsys: Any) -> None:
    write_table(tmp_path, WORDS, two_shards)

    assert main(["cat", str(tmp_path)]) == 1
    assert "is a folder of tables; name one of them: out" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["cat", str(tmp_path / "empty")]) == 1
    assert "it has no manifest.json" in capsys.readouterr().err
    assert main(["cat", str(tmp_path / "nothing")]) == 1
    assert "no file matches" in capsys.readouterr().err


@pytest.mark.parametrize("args", [["--shard", "1"], ["--format", "xml"], ["--limit", "-1"], []])
def test_wrong_usage_is_2(tmp_path: Path, capsys: Any, args: list[str]) -> None:
    (tmp_path / "a.txt").write_text("a\n")

    assert main(["cat", *args, *([str(tmp_path / "a.txt")] if args else [])]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.endswith("(see gaia cat --help)\n")


@pytest.mark.parametrize("bucket", ["gcs", "s3"])
def test_tables_and_files_in_buckets(
    request: Any, tmp_path: Path, capsys: Any, bucket: str
) -> None:
    store = request.getfixturevalue(bucket)
    pipeline = gaia.Pipeline("p")
    words = pipeline.from_records(WORDS, name="words")
    words.write("t", gaia.TXT).with_mod_n_sharding(2, "count").and_compress(gaia.ZSTD)
    gaia.LocalRunner(store.url("out"), workers=0).run(pipeline)
    store.write("in/a.jsonl.gz", gzip.compress(JSONL))
    store.write("in/b.warc.gz", gzip.compress(WARC) * 2)

    assert main(["cat", store.url("out/t"), "--shard", "1", "-f", "json"]) == 0
    counts = [json.loads(line)["count"] for line in capsys.readouterr().out.splitlines()]
    assert sorted(counts) == list(range(1, 50, 2))
    assert main(["cat", store.url("out/t")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 50
    assert main(["cat", store.url("in/*.jsonl.gz"), "-f", "json"]) == 0
    assert capsys.readouterr().out.encode() == JSONL
    assert main(["head", "-n", "1", store.url("in/b.warc.gz"), "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["url"] == "http://a.b/"
    assert main(["cat", store.url("in/none")]) == 1
    assert "no file matches" in capsys.readouterr().err
