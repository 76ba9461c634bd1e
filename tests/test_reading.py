"""Reading text and JSON lines from files."""

import gzip
import itertools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import gaia
from gaia._core import Codec, Lines, RecordReader
from gaia.pipeline.records import record_type
from gaia.runner import splits

settings.register_profile("steady", deadline=None, database=None)
settings.load_profile("steady")

BLOCK = 256 * 1024
RAW = Codec(record_type(bytes), "txt")


@attrs.frozen
class Seen:
    """A line, and what the context told of it."""

    text: str
    file: str
    position: int
    metadata: str | None
    shard: int | None


class See(gaia.Mapper[Any, Seen]):
    def do(self, line: Any, ctx: gaia.Context[Seen]) -> None:
        name = os.path.basename(ctx.input_file)
        ctx.write(Seen(str(line), name, ctx.input_pos, ctx.metadata, ctx.shard))


@attrs.frozen
class Reader:
    """Reads files through a pipeline and tells what its mapper saw."""

    folder: Path

    def file(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return str(path)

    def run(self, read: Callable[[gaia.Pipeline], gaia.PTable[Any]]) -> gaia.RunResult:
        pipeline = gaia.Pipeline("read")
        read(pipeline).map(See, name="see").write("seen", gaia.JSONL).with_mod_n_sharding(1, "text")
        return gaia.LocalRunner(self.folder / "out", workers=0).run(pipeline)

    def seen(self, paths: Any, **options: Any) -> list[Seen]:
        result = self.run(lambda pipeline: pipeline.read_text(paths, **options))
        return sorted(result["seen"].records(), key=lambda seen: (seen.file, seen.position))

    def lines(self, paths: Any, **options: Any) -> list[str]:
        return [seen.text for seen in self.seen(paths, **options)]


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def zstd(raw: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(raw)


def lines_of(content: bytes) -> list[bytes]:
    """The lines of a text, found in another way than Gaia's."""
    lines = re.split(rb"\r?\n", content)
    return lines if lines[-1] else lines[:-1]


pieces = st.sampled_from([b"a", b"\n", b"\r\n", b"\r", "é".encode(), "\U0001f600".encode(), b"\0"])
contents = st.lists(pieces, max_size=20).map(b"".join)


@settings(max_examples=150)
@given(content=contents.filter(lambda raw: not raw.endswith(b"\r")), data=st.data())
def test_every_line_is_read_once_wherever_a_file_is_cut(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.txt"
    path.write_bytes(content)
    inner = data.draw(st.sets(st.integers(0, len(content))))
    cuts = sorted({0, *inner, len(content)})
    read = [
        line
        for start, end in itertools.pairwise(cuts)
        for line in RecordReader(Lines(str(path), start, end, crlf=True), RAW)
    ]
    assert read == lines_of(content)


@given(content=contents.filter(lambda raw: not raw.endswith(b"\r")), size=st.integers(1, 9))
def test_a_stream_has_the_same_lines_in_blocks_of_any_size(content: bytes, size: int) -> None:
    blocks = [content[i : i + size] for i in range(0, len(content), size)]
    assert list(RecordReader(Lines([b"", *blocks, b""], crlf=True), RAW)) == lines_of(content)


def test_a_carriage_return_without_a_newline_is_part_of_the_line() -> None:
    assert list(RecordReader(Lines([b"a\rb\r\nc\r"], crlf=True), RAW)) == [b"a\rb", b"c\r"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_splits_of_any_size_give_the_same_lines(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, size: int, encoding: str
) -> None:
    monkeypatch.setattr(splits, "_MIN_SPLIT", size)
    monkeypatch.setattr(splits, "_MAX_SPLIT", size)
    path = reader.file("a.txt", "head\r\nédouard\r\n\n\xa0\nlast".encode(encoding))
    assert reader.lines(path, encoding=encoding) == ["head", "édouard", "", "\xa0", "last"]
    assert reader.lines(path, encoding=encoding, skip_header=True)[0] == "édouard"


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"\n\r\n\n", ["", "", ""]),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\r\nb", ["a", "b"]),
        (b"a\0b\x0bc\xc2\x85d\xe2\x80\xa8e\n", ["a\0b\x0bc\x85d\u2028e"]),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd])
def test_only_lf_and_crlf_end_a_line(
    reader: Reader, pack: Callable[[bytes], bytes], content: bytes, lines: list[str]
) -> None:
    assert reader.lines(reader.file("a", pack(content))) == lines


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd])
def test_a_line_may_be_longer_than_a_block(reader: Reader, pack: Callable[[bytes], bytes]) -> None:
    lines = ["a" * (BLOCK - 1), "b" * BLOCK, "é" * (3 * BLOCK), "", "\U0001f600"]
    assert reader.lines(reader.file("a", pack("\r\n".join(lines).encode()))) == lines


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
@pytest.mark.parametrize("name", ["a.txt", "a.gz", "a.zst"])
def test_compression_is_told_by_content_not_by_name(
    reader: Reader, pack: Callable[[bytes], bytes], name: str
) -> None:
    packed = pack(b"one\ntw") + pack(b"") + pack(b"o\r") + pack(b"\nthree")
    assert reader.lines(reader.file(name, packed)) == ["one", "two", "three"]


@pytest.mark.parametrize("name", ["a.gz", "a.zst"])
def test_plain_text_under_a_compressed_name_is_read_as_it_is(reader: Reader, name: str) -> None:
    assert reader.lines(reader.file(name, b"plain\n")) == ["plain"]


def test_zstd_may_hold_skippable_frames(reader: Reader) -> None:
    skippable = b"\x50\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    packed = skippable + zstd(b"a\n") + skippable + zstd(b"b\n")
    assert reader.lines(reader.file("a.zst", packed)) == ["a", "b"]


def test_zeros_behind_the_last_gzip_member_are_padding(reader: Reader) -> None:
    assert reader.lines(reader.file("a.gz", gzip.compress(b"a\n") + bytes(512))) == ["a"]


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_a_truncated_file_stops_the_run_at_its_offset(
    reader: Reader, pack: Callable[[bytes], bytes]
) -> None:
    whole = pack(b"".join(b"line %d\n" % i for i in range(1000)))
    for length in (6, len(whole) // 2, len(whole) - 1):
        path = reader.file("short", pack(b"first\n") + whole[:length])
        offset = len(pack(b"first\n")) + length
        with pytest.raises(gaia.InputError, match=f"{path} ends early.* byte {offset}$"):
            reader.lines(path)


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_a_corrupted_file_stops_the_run_at_its_offset(
    reader: Reader, pack: Callable[[bytes], bytes]
) -> None:
    first = pack(b"first\n")
    damaged = bytearray(pack(bytes(range(11, 255)) * 20))
    damaged[-5] ^= 0x55
    path = reader.file("damaged", first + damaged)
    with pytest.raises(gaia.InputError, match=f"{path} is damaged: .* byte {len(first)}: ."):
        reader.lines(path, errors="replace")


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_garbage_behind_compressed_data_stops_the_run(
    reader: Reader, pack: Callable[[bytes], bytes]
) -> None:
    first = pack(b"first\n")
    path = reader.file("garbage", first + b"garbage, not a frame")
    with pytest.raises(gaia.InputError, match=f"{path} is damaged: .* byte {len(first)}: ."):
        reader.lines(path)


def test_globs_and_lists_name_files(reader: Reader) -> None:
    for name in ("a.txt", "b.log", "sub/c.txt", "sub/deep/d.txt"):
        reader.file(f"in/{name}", name.encode())
    top = reader.folder / "in"
    assert reader.lines(top / "*.txt") == ["a.txt"]
    assert reader.lines(f"{top}/**/*.txt") == ["a.txt", "sub/c.txt", "sub/deep/d.txt"]
    assert reader.lines([top / "b.log", f"{top}/sub/*"]) == ["b.log", "sub/c.txt"]
    assert reader.lines(f"file://{top}/a.txt") == ["a.txt"]


def test_a_file_may_have_the_characters_of_a_glob_in_its_name(reader: Reader) -> None:
    assert reader.lines(reader.file("a[1]*.txt", b"odd")) == ["odd"]


def test_a_glob_without_a_match_is_named(reader: Reader) -> None:
    for glob in (f"{reader.folder}/*.txt", f"{reader.folder}/missing.txt"):
        with pytest.raises(gaia.InputError, match=re.escape(glob)):
            reader.lines([reader.file("a.log", b""), glob])


def test_a_folder_is_refused_with_a_hint(reader: Reader) -> None:
    with pytest.raises(gaia.InputError, match=rf"is a folder; .*{reader.folder}/\*"):
        reader.lines(reader.folder)


def test_a_file_spec_carries_shard_and_metadata(reader: Reader) -> None:
    for name in ("a0", "a1", "b"):
        reader.file(name, name.encode())
    specs = [
        gaia.FileSpec(f"{reader.folder}/a*", shard=2, metadata="as"),
        gaia.FileSpec(f"{reader.folder}/b"),
    ]
    found = {seen.text: (seen.shard, seen.metadata) for seen in reader.seen(specs)}
    assert found == {"a0": (2, "as"), "a1": (2, "as"), "b": (None, None)}


@pytest.mark.parametrize("shard", [-1, "1"])
def test_a_file_spec_takes_no_shard_that_cannot_be(reader: Reader, shard: Any) -> None:
    spec = gaia.FileSpec(reader.file("a", b"a"), shard=shard)
    with pytest.raises(gaia.PipelineError, match="shard"):
        gaia.Pipeline("p").read_text(spec).write("out", gaia.TXT)


def test_a_table_without_sharding_keeps_the_shards_of_its_files(reader: Reader) -> None:
    specs = [gaia.FileSpec(reader.file(f"in{i}", b"%d" % i), shard=i) for i in (3, 1)]
    pipeline = gaia.Pipeline("keep")
    pipeline.read_text(specs, name="lines").write("kept", gaia.TXT)
    table = gaia.LocalRunner(reader.folder / "out", workers=0).run(pipeline)["kept"]
    assert [list(table.records(shard)) for shard in range(4)] == [[], ["1"], [], ["3"]]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd])
def test_the_header_of_every_file_is_skipped(
    reader: Reader, pack: Callable[[bytes], bytes]
) -> None:
    paths = [reader.file(f"{i}", pack(b"head\r\nbody %d\n" % i)) for i in range(2)]
    paths += [reader.file("only", pack(b"head")), reader.file("empty", pack(b""))]
    assert reader.lines(paths, skip_header=True) == ["body 0", "body 1"]


@pytest.mark.parametrize(
    "encoding", ["latin-1", "cp1252", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "shift_jis"]
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_text_in_other_encodings_is_read(
    reader: Reader, pack: Callable[[bytes], bytes], encoding: str
) -> None:
    lines = ["¶ one", "", "two §"]
    path = reader.file("a", pack("\r\n".join(lines).encode(encoding)))
    assert reader.lines(path, encoding=encoding) == lines


@pytest.mark.parametrize(
    ("encoding", "content"),
    [("utf-8", b"a\nb\xffb\nc\n"), ("ascii", b"a\nb\xffb\nc\n")],
)
def test_a_line_that_does_not_decode_is_counted_and_left_out(
    reader: Reader, capsys: pytest.CaptureFixture[str], encoding: str, content: bytes
) -> None:
    path = reader.file("a", content)
    result = reader.run(lambda pipeline: pipeline.read_text(path, encoding=encoding))
    assert [seen.text for seen in result["seen"].records()] == ["a", "c"]
    assert result.counters["parse-errors"] == 1
    assert f"{path}, position " in capsys.readouterr().err


def test_errors_may_be_replaced(reader: Reader) -> None:
    path = reader.file("a", b"a\nb\xffb\n")
    assert reader.lines(path, errors="replace") == ["a", "b\ufffdb"]


def test_a_stream_that_does_not_decode_is_damaged(reader: Reader) -> None:
    path = reader.file("a", b"a\0\n\0\0\xd8\n\0c\0\n\0")
    with pytest.raises(gaia.InputError, match=f"{path} is not utf-16-le: .* near position 4"):
        reader.lines(path, encoding="utf-16-le")


@pytest.mark.parametrize("options", [{"encoding": "nope"}, {"errors": "nope"}])
def test_an_unknown_encoding_or_error_handler_is_refused_when_the_graph_is_built(
    options: dict[str, str],
) -> None:
    with pytest.raises(gaia.PipelineError, match=r"unknown .*nope"):
        gaia.Pipeline("p").read_text("a.txt", **options)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_file_and_position_lead_back_to_the_line(
    reader: Reader, pack: Callable[[bytes], bytes], encoding: str
) -> None:
    contents = {
        "a": "head\r\nédouard\r\n\nlast".encode(encoding),
        "b": "head\n\xa0\nb\n".encode(encoding),
    }
    paths = [reader.file(name, pack(content)) for name, content in contents.items()]
    seen = reader.seen(paths, encoding=encoding, skip_header=True)
    assert len(seen) == 5
    bare = encoding.removesuffix("-sig")
    for line in seen:
        assert contents[line.file][line.position :].startswith(line.text.encode(bare))
        assert contents[line.file][: line.position].endswith("\n".encode(bare))


def test_jsonl_counts_bad_lines_and_passes_over_blank_ones(
    reader: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    path = reader.file("a.jsonl", b'{"a": 1}\n\n \t\r\n{"a": \n[2]\n\xff\n{"a": 3}')
    result = reader.run(lambda pipeline: pipeline.read_jsonl(path))
    assert sorted(seen.text for seen in result["seen"].records()) == ["{'a': 1}", "{'a': 3}"]
    assert result.counters["parse-errors"] == 3
    assert f"{path}, position 14: " in capsys.readouterr().err


def test_jsonl_is_read_as_records_of_a_class(reader: Reader) -> None:
    @attrs.define
    class Row:
        a: int
        b: str | None = None

    path = reader.file("a.jsonl", gzip.compress(b'{"b":"x","a":1}\n{"a":"1"}\n{"b":"x"}\n'))
    result = reader.run(lambda pipeline: pipeline.read_jsonl(path, type=Row))
    assert [seen.text for seen in result["seen"].records()] == [str(Row(1, "x"))]
    assert result.counters["parse-errors"] == 2


def test_jsonl_may_start_with_a_byte_order_mark(reader: Reader) -> None:
    path = reader.file("a.jsonl", b'\xef\xbb\xbf{"a": 1}\n{"a": 2}\n')
    result = reader.run(lambda pipeline: pipeline.read_jsonl(path))
    assert sorted(seen.text for seen in result["seen"].records()) == ["{'a': 1}", "{'a': 2}"]
