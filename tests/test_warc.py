"""Reading web archives: records, cuts, damage."""

import gzip
import io
import itertools
import os
import random
import re
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

import gaia
from gaia.io import warc
from gaia.io.compression import sniff
from gaia.io.sources import LocalSource
from gaia.pipeline.graph import Format
from gaia.runner import splits
from gaia.testing import assert_same_records

settings.register_profile("steady", deadline=None, database=None)
settings.load_profile("steady")

PACKS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": lambda raw: gzip.compress(raw, 1, mtime=0),
    "stored": lambda raw: gzip.compress(raw, 0, mtime=0),
    "zstd": lambda raw: zstandard.ZstdCompressor(write_checksum=True).compress(raw),
}


def local(path: str) -> LocalSource:
    return LocalSource(path, Path(path).stat().st_size)


def wet(text: bytes, number: int = 0, **headers: str) -> bytes:
    """A record of text, written by hand."""
    lines = {
        "WARC-Type": "conversion",
        "WARC-Target-URI": f"https://example.com/{number}",
        "WARC-Date": "2026-01-31T10:00:00Z",
        "WARC-Record-ID": f"<urn:uuid:{number}>",
        "WARC-Identified-Content-Language": "eng,deu",
        "Content-Type": "text/plain",
        "Content-Length": str(len(text)),
    }
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"WARC/1.0\r\n{head}\r\n".encode() + text + b"\r\n\r\n"


def texts(count: int, size: int = 40, seed: int = 1) -> list[bytes]:
    """Different texts of about that size."""
    chance = random.Random(seed)
    return [
        b"%d " % number + chance.randbytes(chance.randint(0, size)).hex().encode()
        for number in range(count)
    ]


@attrs.define
class Seen:
    """A record, and what the context told of it."""

    text: str
    file: str
    position: int
    metadata: str | None


class See(gaia.Mapper[gaia.WarcRecord, Seen]):
    def do(self, record: gaia.WarcRecord, ctx: gaia.Context[Seen]) -> None:
        name = os.path.basename(ctx.input_file)
        ctx.write(Seen(record.payload.decode(), name, ctx.input_pos, ctx.metadata))


@attrs.frozen
class Archives:
    """Writes files and reads them."""

    folder: Path

    def file(self, content: bytes, name: str = "a.warc") -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return str(path)

    def read(
        self,
        content: bytes,
        cuts: tuple[int, ...] = (),
        types: tuple[str, ...] | None = ("response", "resource", "conversion"),
        broken: warc.Broken | None = None,
    ) -> list[tuple[int, gaia.WarcRecord]]:
        """The records of a file with that content, which is read in ranges."""
        source = local(self.file(content))
        bounds = [0, *sorted(cuts), len(content)]
        return [
            record
            for start, end in itertools.pairwise(bounds)
            for record in warc.records(source, sniff(content[:4]), start, end, types, broken)
        ]

    def run(self, paths: Any, workers: int = 0, **options: Any) -> gaia.RunResult:
        """The records, as a pipeline reads them."""
        pipeline = gaia.Pipeline("read")
        seen = pipeline.read_warc(paths, name="pages", **options).map(See, name="see")
        seen.write("seen", gaia.JSONL).with_mod_n_sharding(3, "text")
        return gaia.LocalRunner(self.folder / "out", workers=workers).run(pipeline)

    def salvaged(self, content: bytes, cuts: tuple[int, ...] = ()) -> tuple[list[bytes], list[int]]:
        """The payloads of whole records, and where broken ones are."""
        broken: list[int] = []
        found = self.read(content, cuts, broken=lambda position, _: broken.append(position))
        return [record.payload for _, record in found], broken


@pytest.fixture
def archives(tmp_path: Path) -> Archives:
    return Archives(tmp_path)


def members(pack: str, records: list[bytes]) -> tuple[bytes, list[int]]:
    """Records packed one by one, and where each of them starts."""
    packed = [PACKS[pack](record) for record in records]
    return b"".join(packed), list(itertools.accumulate(map(len, packed), initial=0))[:-1]


class TestRecords:
    def test_fields_of_a_text_record(self, archives: Archives) -> None:
        ((position, record),) = archives.read(gzip.compress(wet("ein Täxt\n".encode(), 7)))
        assert position == 0
        headers = record.headers
        assert record == gaia.WarcRecord(
            type="conversion",
            url="https://example.com/7",
            date="2026-01-31T10:00:00Z",
            id="<urn:uuid:7>",
            content_type="text/plain",
            language="eng,deu",
            payload="ein Täxt\n".encode(),
            http_status=0,
            http_headers={},
            headers=headers,
        )
        assert headers["content-length"] == "10"
        assert headers["warc-identified-content-language"] == "eng,deu"

    @pytest.mark.parametrize("compressed", [True, False])
    @pytest.mark.parametrize("version", ["1.0", "1.1"])
    def test_what_warcio_writes(self, archives: Archives, compressed: bool, version: str) -> None:
        raw = io.BytesIO()
        writer = WARCWriter(raw, gzip=compressed, warc_version=version)
        writer.write_record(writer.create_warcinfo_record("a.warc.gz", {"software": "x"}))
        status = StatusAndHeaders(
            "404 Not Found",
            [("Content-Type", "text/html; charset=x"), ("Set-Cookie", "a"), ("set-cookie", "b")],
            protocol="HTTP/1.1",
        )
        urls = [f"https://example.com/ä?{number}" for number in range(20)]
        for url in urls:
            body = f"<html>{url}</html>".encode()
            for kind in ("request", "response"):
                args = {"payload": io.BytesIO(body), "http_headers": status}
                if kind == "request":
                    get = StatusAndHeaders("GET / HTTP/1.1", [("Host", "x")], is_http_request=True)
                    args = {"payload": io.BytesIO(b""), "http_headers": get}
                writer.write_record(writer.create_warc_record(url, kind, **args))
            writer.write_record(
                writer.create_warc_record(url, "metadata", payload=io.BytesIO(b"fetchTimeMs: 1"))
            )
        found = archives.read(raw.getvalue())
        assert [record.url for _, record in found] == urls
        for (_, record), url in zip(found, urls, strict=True):
            assert record.payload == f"<html>{url}</html>".encode()
            assert record.type == "response"
            assert record.http_status == 404
            assert record.content_type == "text/html; charset=x"
            assert record.http_headers["set-cookie"] == "a, b"
            assert record.headers["content-type"].startswith("application/http")
        every = archives.read(raw.getvalue(), types=None)
        assert [record.type for _, record in every][:5] == [
            "warcinfo",
            *("request", "response", "metadata"),
            "request",
        ]
        assert every[1][1].http_headers == {"host": "x"}
        assert every[1][1].http_status == 0

    def response(self, block: bytes) -> bytes:
        kind = {"WARC_Type": "response", "Content_Type": "application/http; msgtype=response"}
        return wet(block, **kind)

    @pytest.mark.parametrize(
        ("block", "status", "payload"),
        [
            (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\r\n\r\n", 200, b"body\r\n\r\n"),
            (b"HTTP/1.1 200\r\n\r\nbody", 200, b"body"),
            (b"HTTP/1.0 200 OK\nA: b\n\nbody", 200, b"body"),
            (b"HTTP/1.1 304 Not Modified\r\nA: b\r\n\r\n", 304, b""),
            (b"no HTTP", 0, b"no HTTP"),
            (b"", 0, b""),
            (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 99_999 + b"\r\n\r\nbody", 0, None),
        ],
    )
    def test_http(
        self, archives: Archives, block: bytes, status: int, payload: bytes | None
    ) -> None:
        ((_, record),) = archives.read(self.response(block))
        assert (record.http_status, record.payload) == (
            status,
            block if payload is None else payload,
        )

    def test_encodings_of_http_are_undone(self, archives: Archives) -> None:
        chunked = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
        zipped = gzip.compress(b"hello world")
        for header, body, payload in [
            (b"Transfer-Encoding: chunked", chunked, b"hello world"),
            (b"Content-Encoding: gzip", zipped, b"hello world"),
            (b"Content-Encoding: gzip", b"hello world", b"hello world"),
            (b"Transfer-Encoding: chunked", b"hello world", b"hello world"),
        ]:
            block = b"HTTP/1.1 200 OK\r\n" + header + b"\r\n\r\n" + body
            ((_, record),) = archives.read(self.response(block))
            assert record.payload == payload

    def test_names_of_headers_in_any_case(self, archives: Archives) -> None:
        raw = re.sub(rb"(?m)^[\w-]+:", lambda name: name[0].upper(), wet(b"text"))
        ((_, record),) = archives.read(raw)
        assert (record.type, record.payload) == ("conversion", b"text")

    @pytest.mark.parametrize("pack", PACKS)
    def test_records_and_members_of_any_size(self, archives: Archives, pack: str) -> None:
        chance = random.Random(1)
        sizes = [0, 1, (1 << 15) - 3, (1 << 18) + 5, 3 << 20, 2]
        contents = [chance.randbytes(size // 2).hex().encode() for size in sizes]
        raw, starts = members(pack, [wet(text) for text in contents])
        found = archives.read(raw)
        assert [record.payload for _, record in found] == contents
        assert [position for position, _ in found] == starts

    @pytest.mark.parametrize("pack", PACKS)
    def test_one_stream(self, archives: Archives, pack: str) -> None:
        contents = texts(300, size=5000)
        raw = PACKS[pack](b"".join(map(wet, contents)))
        found = archives.read(raw, cuts=(1, len(raw) // 3, len(raw) - 1))
        assert [record.payload for _, record in found] == contents
        assert pack == "none" or {position for position, _ in found} == {0}

    @pytest.mark.parametrize("pack", PACKS)
    def test_texts_that_look_like_records(self, archives: Archives, pack: str) -> None:
        inner = [wet(b"inner"), gzip.compress(wet(b"zipped")), b"\x1f\x8b\x08", b"WARC/1.0\r\nA: b"]
        contents = [b"\r\n\r\n" + text + b"\r\n\r\n" for text in inner]
        found = archives.read(members(pack, list(map(wet, contents)))[0])
        assert [record.payload for _, record in found] == contents

    def test_zeros_at_the_end_are_padding(self, archives: Archives) -> None:
        raw = gzip.compress(wet(b"a")) + gzip.compress(wet(b"b"))
        assert len(archives.read(raw + bytes(100_000))) == 2

    @pytest.mark.parametrize(
        "content", [b"", b"\r\n\r\n", gzip.compress(b""), gzip.compress(b"\n")]
    )
    def test_nothing(self, archives: Archives, content: bytes) -> None:
        assert archives.read(content) == []


class TestCuts:
    @settings(max_examples=60)
    @given(
        pack=st.sampled_from(list(PACKS)),
        seed=st.integers(0, 99),
        size=st.sampled_from([5, 200, 9000]),
        data=st.data(),
    )
    def test_every_record_is_read_once_wherever_a_file_is_cut(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        pack: str,
        seed: int,
        size: int,
        data: st.DataObject,
    ) -> None:
        archives = Archives(tmp_path_factory.getbasetemp())
        contents = texts(40, size, seed)
        raw, starts = members(pack, list(map(wet, contents)))
        near = st.sampled_from(starts).map(lambda start: start + 1) | st.sampled_from(starts)
        cuts = data.draw(st.sets(st.integers(0, len(raw)) | near, max_size=6))
        found = archives.read(raw, tuple(cuts))
        assert [record.payload for _, record in found] == contents
        assert [position for position, _ in found] == starts

    @pytest.mark.parametrize("pack", ["none", "gzip", "zstd"])
    def test_a_cut_goes_to_the_next_record(self, archives: Archives, pack: str) -> None:
        raw, starts = members(pack, list(map(wet, texts(200, size=3000))))
        source = local(archives.file(raw))
        for before, start in itertools.pairwise(starts[:100]):
            for offset in (before + 1, start):
                assert warc.member_at_or_after(source, pack, offset) == start
        assert warc.member_at_or_after(source, pack, len(raw)) == len(raw)
        assert warc.member_at_or_after(source, pack, starts[-1] + 1) == len(raw)

    def test_no_cut_falls_into_an_archive_in_a_record(self, archives: Archives) -> None:
        """Its members stand in the file as they are, in stored blocks."""
        inner = b"".join(PACKS["gzip"](wet(text)) for text in texts(2000, size=300))
        contents = [b"a", inner, *texts(100, size=9000)]
        raw, starts = members("stored", list(map(wet, contents)))
        assert raw.count(PACKS["gzip"](wet(texts(1, size=300)[0]))) == 1
        source = local(archives.file(raw))
        offsets = range(starts[1] + 1, starts[2], 29_989)
        assert {warc.member_at_or_after(source, "gzip", offset) for offset in offsets} == {
            starts[2]
        }

    def test_a_cut_into_a_plain_archive_in_a_plain_record_is_found(
        self, archives: Archives
    ) -> None:
        inner = b"".join(map(wet, texts(2000, size=300)))
        raw, starts = members("none", [wet(b"a"), wet(inner), wet(b"c")])
        assert len(archives.read(raw)) == 3
        with pytest.raises(gaia.InputError, match="inside a record that holds an archive itself"):
            archives.read(raw, (starts[1] + 1000,))


def flip(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 0x10]) + raw[at + 1 :]


class TestDamage:
    CONTENTS = texts(30, size=2000)

    def damaged(self, archives: Archives, raw: bytes, lost: list[int], at: list[int]) -> None:
        """Asserts that nothing but the records of those numbers is lost, wherever it is cut."""
        whole = [text for number, text in enumerate(self.CONTENTS) if number not in lost]
        for cuts in ((), (len(raw) // 3, len(raw) // 2), (at[0], at[0] + 1)):
            assert archives.salvaged(raw, cuts) == (whole, at)
        with pytest.raises(
            gaia.InputError, match=rf"a\.warc is damaged at byte {at[0]}: .*gaia.skip"
        ):
            archives.read(raw)

    @pytest.mark.parametrize("pack", ["gzip", "stored", "zstd"])
    @pytest.mark.parametrize("where", [0.0, 0.1, 0.5, 0.9, 1.0])
    def test_a_flipped_bit(self, archives: Archives, pack: str, where: float) -> None:
        raw, starts = members(pack, list(map(wet, self.CONTENTS)))
        at = starts[10] + int(where * (starts[11] - starts[10] - 1))
        self.damaged(archives, flip(raw, at), [10], [starts[10]])

    def test_any_flipped_bit_of_a_member_costs_one_record(self, archives: Archives) -> None:
        contents = texts(4, size=10)
        raw, starts = members("gzip", list(map(wet, contents)))
        for at in range(starts[1], starts[2]):
            if at - starts[1] in range(4, 10):
                continue  # Time and system, which nothing checks.
            whole, broken = archives.salvaged(flip(raw, at))
            assert whole == [*contents[:1], *contents[2:]]
            assert broken == [starts[1]]

    @pytest.mark.parametrize("pack", PACKS)
    @pytest.mark.parametrize("more", [-30, -5, 5, 500, 10**6, 10**12, 10**30])
    def test_a_wrong_content_length(self, archives: Archives, pack: str, more: int) -> None:
        contents = [wet(text) for text in self.CONTENTS]
        length = str(max(1, len(self.CONTENTS[10]) + more))
        contents[10] = wet(self.CONTENTS[10], Content_Length=length)
        raw, starts = members(pack, contents)
        self.damaged(archives, raw, [10], [starts[10]])

    @pytest.mark.parametrize("pack", PACKS)
    @pytest.mark.parametrize(
        "header", [b"Content-Length: ", b"WARC-Type: ", b"WARC/1.0", b"Content-Length: x"]
    )
    def test_a_missing_header(self, archives: Archives, pack: str, header: bytes) -> None:
        contents = [wet(text) for text in self.CONTENTS]
        name = header.split(b" ")[0].rstrip(b"x")
        contents[10] = contents[10].replace(name, b"X" * len(name), 1)
        raw, starts = members(pack, contents)
        self.damaged(archives, raw, [10], [starts[10]])

    @pytest.mark.parametrize("pack", PACKS)
    @pytest.mark.parametrize("cut", [1, 10, 100])
    def test_a_truncated_end(self, archives: Archives, pack: str, cut: int) -> None:
        raw, starts = members(pack, list(map(wet, self.CONTENTS)))
        if pack == "none":
            cut += 4  # The last newlines are not missed.
        self.damaged(archives, raw[:-cut], [29], [starts[29]])

    @pytest.mark.parametrize("pack", PACKS)
    @pytest.mark.parametrize(
        "garbage", [b"x", b"garbage", b"\x1f\x8b\x08garbage", b"WARC/1.0 is a", bytes(9) + b"x"]
    )
    def test_garbage_between_records(self, archives: Archives, pack: str, garbage: bytes) -> None:
        raw, starts = members(pack, list(map(wet, self.CONTENTS)))
        at = starts[10] + (9 if garbage[0] == 0 and pack != "none" else 0)
        self.damaged(archives, raw[: starts[10]] + garbage + raw[starts[10] :], [], [at])

    def test_a_lost_piece_costs_the_records_that_it_was_of(self, archives: Archives) -> None:
        raw, starts = members("gzip", list(map(wet, self.CONTENTS)))
        for start, end in [(starts[5] + 40, starts[9] + 50), (starts[5] + 40, starts[9])]:
            lost = [5, 6, 7, 8, 9] if end > starts[9] else [5, 6, 7, 8]
            self.damaged(archives, raw[:start] + raw[end:], lost, [starts[5]])

    def test_neighbours_are_counted_one_by_one(self, archives: Archives) -> None:
        raw, starts = members("gzip", list(map(wet, self.CONTENTS)))
        for number in (3, 4, 5):
            raw = flip(raw, starts[number + 1] - 20)
        self.damaged(archives, raw, [3, 4, 5], starts[3:6])

    def test_a_damaged_member_that_runs_on_costs_no_other_record(self, archives: Archives) -> None:
        """A stored block that claims to be longer takes the next members in, as they stand."""
        raw, starts = members("stored", [wet(b"x" * 500) for _ in range(5)])
        size = starts[2] - starts[1]
        longer = (size * 2).to_bytes(2, "little") + (size * 2 ^ 0xFFFF).to_bytes(2, "little")
        block = starts[1] + 11
        assert raw[block - 1 : block] == b"\x01"
        for final in (b"\x00", b"\x01"):
            damaged = raw[: block - 1] + final + longer + raw[block + 4 :]
            whole, broken = archives.salvaged(damaged)
            assert (len(whole), broken) == (4, [starts[1]])

    def test_damage_inside_one_stream(self, archives: Archives) -> None:
        contents = [wet(text) for text in self.CONTENTS]
        contents[10] = wet(self.CONTENTS[10], Content_Length="7")
        whole = [text for number, text in enumerate(self.CONTENTS) if number != 10]
        assert archives.salvaged(gzip.compress(b"".join(contents))) == (whole, [0])

    def test_one_stream_that_ends_early_gives_what_there_is(self, archives: Archives) -> None:
        raw = gzip.compress(b"".join(map(wet, self.CONTENTS)))
        whole, broken = archives.salvaged(raw[: len(raw) // 2])
        assert 10 < len(whole) < 20
        assert whole == self.CONTENTS[: len(whole)]
        assert broken == [0]

    def test_no_length_takes_memory(self, archives: Archives) -> None:
        for length in (1 << 29, 1 << 40, 10**18):
            raw = gzip.compress(wet(b"text", Content_Length=str(length)))
            tracemalloc.start()
            assert archives.salvaged(raw * 2)[0] == []
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
            tracemalloc.stop()

    @settings(max_examples=150)
    @given(data=st.data(), pack=st.sampled_from(["none", "gzip", "zstd"]))
    def test_no_damage_stops_reading_or_depends_on_cuts(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, pack: str
    ) -> None:
        archives = Archives(tmp_path_factory.getbasetemp())
        raw = members(pack, list(map(wet, texts(12, size=300))))[0]
        raw_bytes = bytearray(raw)
        for at in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=4)):
            raw_bytes[at] ^= data.draw(st.integers(1, 255))
        for _ in range(data.draw(st.integers(0, 2))):
            at = data.draw(st.integers(0, len(raw_bytes)))
            raw_bytes[at : at + data.draw(st.integers(0, 300))] = data.draw(st.binary(max_size=20))
        cuts = tuple(data.draw(st.sets(st.integers(0, len(raw_bytes)), max_size=4)))
        assert archives.salvaged(bytes(raw_bytes), cuts) == archives.salvaged(bytes(raw_bytes))


class TestPipeline:
    @pytest.mark.parametrize("size", [1 << 10, 1 << 14, 1 << 30])
    @pytest.mark.parametrize("workers", [0, 2])
    def test_tasks_of_any_size_give_the_same_records(
        self, archives: Archives, monkeypatch: pytest.MonkeyPatch, size: int, workers: int
    ) -> None:
        monkeypatch.setattr(splits, "_MIN_SPLIT", size)
        monkeypatch.setattr(splits, "_MAX_SPLIT", size)
        monkeypatch.setattr(splits, "_SLIVER", 100)
        expected = []
        for pack in PACKS:
            contents = texts(60, size=3000, seed=len(pack))
            raw, starts = members(pack, list(map(wet, contents)))
            archives.file(raw, f"crawl/{pack}.warc")
            whole = PACKS[pack](b"".join(map(wet, contents)))
            archives.file(whole, f"crawl/deep/{pack}.one")
            for text, start in zip(contents, starts, strict=True):
                expected.append(Seen(text.decode(), f"{pack}.warc", start, "crawled"))
                at = start if pack == "none" else 0
                expected.append(Seen(text.decode(), f"{pack}.one", at, "crawled"))
        spec = gaia.FileSpec(f"{archives.folder}/crawl/**/*.*", metadata="crawled")
        result = archives.run([spec], workers)
        assert_same_records(result["seen"].records(), expected)
        assert result.counters["map-input-pages"] == len(expected)
        assert "parse-errors" not in result.counters

    def test_the_position_is_where_an_index_has_the_record(self, archives: Archives) -> None:
        contents = texts(50, size=100)
        raw, _ = members("gzip", list(map(wet, contents)))
        for seen in archives.run(archives.file(raw))["seen"].records():
            member = gzip.GzipFile(fileobj=io.BytesIO(raw[seen.position :]))
            assert member.read().startswith(b"WARC/1.0\r\n")
            found = zlib.decompressobj(wbits=31).decompress(raw[seen.position :])
            assert found.endswith(f"\r\n\r\n{seen.text}\r\n\r\n".encode())

    def test_a_broken_record_stops_the_run(self, archives: Archives) -> None:
        raw, starts = members("gzip", list(map(wet, texts(20, size=100))))
        path = archives.file(flip(raw, starts[8] - 5))
        message = rf"{path} is damaged at byte {starts[7]}: gzip data: .*on_error=gaia.skip\(\)"
        for workers in (0, 2):
            with pytest.raises(gaia.InputError, match=message):
                archives.run(path, workers)

    @pytest.mark.parametrize("workers", [0, 2])
    def test_broken_records_are_counted_and_shown(
        self, archives: Archives, capsys: pytest.CaptureFixture[str], workers: int
    ) -> None:
        contents = texts(20, size=100)
        raw, starts = members("gzip", list(map(wet, contents)))
        path = archives.file(flip(flip(raw, starts[8] - 5), starts[3] - 5))
        result = archives.run(path, workers, on_error=gaia.skip())
        whole = [text.decode() for n, text in enumerate(contents) if n not in (2, 7)]
        assert_same_records([seen.text for seen in result["seen"].records()], whole)
        assert result.counters["parse-errors"] == 2
        assert result.counters["map-input-pages"] == 18
        shown = capsys.readouterr().err
        assert "pages: records that failed to parse: 2 (18 were read)" in shown
        assert f"{path}, position {starts[7]}: gzip data: " in shown

    def test_errors_of_user_code_are_its_own(self, archives: Archives) -> None:
        path = archives.file(gzip.compress(wet(b"\xff")))
        for on_error in (gaia.fail, gaia.skip()):
            with pytest.raises(gaia.StepError, match="step `see`"):
                archives.run(path, on_error=on_error)

    def test_types(self, archives: Archives) -> None:
        kinds = ["warcinfo", "response", "request", "conversion", "resource", "odd", "revisit"]
        records = [wet(kind.encode(), WARC_Type=kind) for kind in kinds]
        path = archives.file(b"".join(records))

        def read(**options: Any) -> set[str]:
            return {seen.text for seen in archives.run(path, **options)["seen"].records()}

        assert read() == {"response", "conversion", "resource"}
        assert read(types=None) == set(kinds)
        assert read(types={"revisit", "request"}) == {"revisit", "request"}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"types": ["respones"]}, r"\(warcinfo, response, .*\), got 'respones'"),
            ({"types": "response"}, "expected a collection of types of WARC records, got 'resp"),
            ({"types": []}, r"got \[\]"),
            ({"on_error": "ignore"}, "got 'ignore'"),
            ({"paths": []}, "at least one path"),
        ],
    )
    def test_wrong_options_are_refused(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(gaia.PipelineError, match=message):
            gaia.Pipeline("p").read_warc(**({"paths": "a.warc"} | options))

    def test_a_missing_file(self, archives: Archives) -> None:
        with pytest.raises(gaia.InputError, match="step `pages`: no file matches"):
            archives.run(f"{archives.folder}/*.gz")

    def test_warc_cannot_be_written(self) -> None:
        pages = gaia.Pipeline("p").read_warc("a.warc")
        with pytest.raises(gaia.PipelineError, match="WARC can only be read"):
            pages.write("pages", Format.WARC)

    @pytest.mark.parametrize("format", [gaia.TXT, gaia.JSONL])
    def test_records_can_be_written_themselves(self, archives: Archives, format: Format) -> None:
        content = gzip.compress(wet("Täxt\n\t\0".encode())) + gzip.compress(wet(b"\xff"))
        pipeline = gaia.Pipeline("p")
        pages = pipeline.read_warc(archives.file(content))
        pages.write("pages", format).with_mod_n_sharding(2, "url")
        result = gaia.LocalRunner(archives.folder / "out").run(pipeline)
        read = [record for _, record in archives.read(content)]
        assert_same_records(result["pages"].records(), read)

    def test_batches_and_operators_take_records(self, archives: Archives) -> None:
        path = archives.file(members("gzip", [wet(b"a"), wet(b"b", 1)])[0])
        pipeline = gaia.Pipeline("p")
        urls = pipeline.read_warc(path).map(gaia.ops.Select("url", "payload"))
        urls.write("urls", gaia.TXT).with_mod_n_sharding(1, "url")
        result = gaia.LocalRunner(archives.folder / "out").run(pipeline)
        found = {(record.url, record.payload) for record in result["urls"].records()}
        assert found == {("https://example.com/0", b"a"), ("https://example.com/1", b"b")}

    def test_the_plan(self) -> None:
        pipeline = gaia.Pipeline("p")
        pages = pipeline.read_warc(["a/*.warc.gz", "b.warc"], name="pages")
        pages.write("pages", gaia.JSONL).with_mod_n_sharding(1, "url")
        assert "read pages: warc a/*.warc.gz, b.warc -> WarcRecord" in pipeline.explain()
