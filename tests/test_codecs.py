"""Compressed inputs: every codec, wherever it was written, damaged or not, whole or in parts."""

import bz2
import gzip
import itertools
import lzma
import random
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import gaia
from gaia.io.frames import before, frame_starts, seek_table
from gaia.io.sources import LocalSource
from gaia.runner import splits

CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "bzip2": bz2.compress,
    "xz": lambda raw: lzma.compress(raw, preset=0),
    "lz4": lambda raw: bytes(lz4.frame.compress(raw, content_checksum=True)),
}


def bgzip(raw: bytes, block: int = 0xFF00) -> bytes:
    """As `bgzip` writes it: gzip members that tell their size, the last of them empty."""
    pieces = [raw[start : start + block] for start in range(0, len(raw), block)]
    return b"".join(bgzip_block(piece) for piece in [*pieces, b""])


def bgzip_block(raw: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(raw) + packer.flush()
    head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", len(packed) + 25)
    return head + packed + struct.pack("<II", zlib.crc32(raw), len(raw))


def frames(raw: bytes, cuts: list[int], compress: Callable[[bytes], bytes]) -> bytes:
    """Frames or members of the pieces between the cuts."""
    edges = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]
    return b"".join(compress(raw[a:b]) for a, b in itertools.pairwise(edges))


def read(path: Path, **options: str) -> tuple[list[str], gaia.RunResult]:
    """The lines of a file, and the result of the run that read them."""
    pipeline = gaia.Pipeline("read")
    lines = pipeline.read_text(path, name="lines", **options)  # type: ignore[arg-type]
    lines.write("lines", gaia.TXT).with_mod_n_sharding(1)
    result = gaia.LocalRunner(path.parent / "out", workers=0).run(pipeline)
    return list(result["lines"].records()), result


def text(lines: int, seed: int = 0) -> bytes:
    chance = random.Random(seed)
    return b"".join(
        f"{number} {chance.randbytes(chance.randrange(60)).hex()}\n".encode()
        for number in range(lines)
    )


@pytest.mark.parametrize("codec", CODECS)
@settings(max_examples=25)
@given(
    lines=st.lists(st.text(st.characters(codec="ascii", exclude_characters="\r\n"))),
    cuts=st.lists(st.integers(0, 1000), max_size=4),
)
def test_members_and_frames_follow_each_other(
    tmp_path_factory: pytest.TempPathFactory, codec: str, lines: list[str], cuts: list[int]
) -> None:
    raw = "".join(f"{line}\n" for line in lines).encode()
    path = tmp_path_factory.mktemp("codec") / "file.txt"
    path.write_bytes(frames(raw, cuts, CODECS[codec]))

    assert read(path)[0] == lines


@pytest.mark.parametrize("codec", CODECS)
def test_content_of_many_blocks_is_read(tmp_path: Path, codec: str) -> None:
    raw = text(60_000)
    (tmp_path / "file").write_bytes(CODECS[codec](raw))

    assert read(tmp_path / "file")[0] == raw.decode().splitlines()


@pytest.mark.parametrize("codec", CODECS)
def test_a_truncated_file_names_its_end(tmp_path: Path, codec: str) -> None:
    packed = CODECS[codec](text(5000))
    path = tmp_path / "file"
    path.write_bytes(packed[: len(packed) * 2 // 3])

    with pytest.raises(gaia.InputError, match=rf"{path} ends early: its last {codec} frame stops"):
        read(path)


@pytest.mark.parametrize("codec", CODECS)
def test_damage_is_told_or_skipped(tmp_path: Path, codec: str) -> None:
    raw = text(60_000)
    packed = bytearray(CODECS[codec](raw))
    middle = len(packed) // 2
    packed[middle : middle + 64] = bytes(64)
    path = tmp_path / "file"
    path.write_bytes(packed)

    with pytest.raises(gaia.InputError, match=rf"{path} (is damaged: {codec} data|ends early)"):
        read(path)
    found, result = read(path, on_error=gaia.skip())

    assert result.counters["parse-errors"] >= 1
    whole = set(raw.decode().splitlines())
    # A decoder without a checksum of blocks gives some wrong bytes before it sees the damage.
    assert sum(line not in whole for line in found) < len(found) / 2


def test_on_error_is_checked_when_the_graph_is_built() -> None:
    with pytest.raises(gaia.PipelineError, match=r"expected on_error to be gaia\.fail, .* got 1"):
        gaia.Pipeline("p").read_text("x", on_error=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("codec", CODECS)
def test_little_input_that_stands_for_much_takes_little_memory(codec: str) -> None:
    from gaia.io.compression import decompress

    bomb = CODECS[codec](bytes(100 << 20))

    sizes = [len(piece) for piece in decompress(iter([bomb]), codec, "bomb")]

    assert sum(sizes) == 100 << 20
    assert max(sizes) <= 1 << 20


TOOLS = {
    "gzip": ["gzip", "-c"],
    "pigz": ["pigz", "-c", "-b", "128"],
    "bgzip": ["bgzip", "-c"],
    "zstd": ["zstd", "-c", "-q"],
    "pzstd": ["pzstd", "-c", "-q"],
    "bzip2": ["bzip2", "-c"],
    "xz": ["xz", "-c", "-0"],
    "lz4": ["lz4", "-c", "-q"],
}


@pytest.mark.parametrize("tool", TOOLS)
def test_what_tools_write_is_read(tmp_path: Path, tool: str) -> None:
    command = TOOLS[tool]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{tool} is not installed")
    raw = text(40_000)
    path = tmp_path / "file"
    with path.open("wb") as file:
        subprocess.run(command, input=raw, stdout=file, check=True)

    assert read(path)[0] == raw.decode().splitlines()


@pytest.mark.parametrize("tool", ["gzip", "zstd"])
def test_what_gaia_writes_is_read_by_tools(tmp_path: Path, tool: str) -> None:
    codec = {"gzip": gaia.GZIP, "zstd": gaia.ZSTD}[tool]
    pipeline = gaia.Pipeline("write")
    lines = pipeline.from_records(text(40_000).decode().splitlines(), name="lines")
    lines.write("lines", gaia.TXT).with_mod_n_sharding(1).and_compress(codec)
    table = gaia.LocalRunner(tmp_path, workers=0).run(pipeline)["lines"]
    file = tmp_path / "lines" / table.shards[0].files[0].path

    out = subprocess.run([tool, "-dc", file], capture_output=True, check=True).stdout

    assert sorted(out.splitlines()) == sorted(text(40_000).splitlines())


# ----- parts


def small_splits(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Tasks of about so many bytes, and files cut however small they are."""
    monkeypatch.setattr(splits, "_MIN_SPLIT", size)
    monkeypatch.setattr(splits, "_MAX_SPLIT", size)
    monkeypatch.setattr(splits, "_SLIVER", 0)
    monkeypatch.setattr(splits, "_SMALL_FILE", 0)


class Place(gaia.Mapper[str, str]):
    """Where each line begins, and the line."""

    def do(self, line: str, ctx: gaia.Context[str]) -> None:
        ctx.write(f"{ctx.input_pos}:{line}")


def placed(raw: bytes) -> list[str]:
    found = []
    position = 0
    for line in raw.splitlines(keepends=True):
        found.append(f"{position}:{line.decode().removesuffix(chr(10))}")
        position += len(line)
    return found


def read_in_parts(path: Path) -> tuple[list[str], int]:
    """The lines of a file with their places, and how many tasks read them."""
    import json

    pipeline = gaia.Pipeline("read")
    lines = pipeline.read_text(path, name="lines").map(Place, name="place")
    lines.write("lines", gaia.TXT).with_mod_n_sharding(1)
    result = gaia.LocalRunner(path.parent / "out", workers=0).run(pipeline)
    record = json.loads(Path(result.report).with_name("run.json").read_text())
    return list(result["lines"].records()), record["stages"][0]["tasks"]


zstd_with_size = zstandard.ZstdCompressor(write_checksum=True, write_content_size=True).compress


@pytest.mark.parametrize("kind", ["zstd", "bgzip"])
@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), block=st.integers(1, 400), size=st.integers(150, 3000))
def test_files_of_frames_are_cut_without_a_trace(
    tmp_path_factory: pytest.TempPathFactory, kind: str, seed: int, block: int, size: int
) -> None:
    raw = text(40, seed)
    path = tmp_path_factory.mktemp("parts") / "file"
    pieces = [raw[start : start + block] for start in range(0, len(raw), block)]
    packed = b"".join(map(zstd_with_size, pieces)) if kind == "zstd" else bgzip(raw, block)
    path.write_bytes(packed)

    with pytest.MonkeyPatch.context() as monkeypatch:
        small_splits(monkeypatch, size)
        monkeypatch.setattr("gaia.io.frames.EVERY", 1)
        found, tasks = read_in_parts(path)

    assert sorted(found) == sorted(placed(raw))
    assert tasks > 1 or len(raw) <= size + block  # It is cut where the next block begins.


@pytest.mark.parametrize("tool", ["bgzip", "pzstd"])
def test_files_of_tools_are_cut(tmp_path: Path, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    raw = text(200_000)
    path = tmp_path / "file"
    with path.open("wb") as file:
        subprocess.run(TOOLS[tool] + ["-p", "4"] * (tool == "pzstd"), input=raw, stdout=file)
    small_splits(monkeypatch, 1 << 20)

    found, tasks = read_in_parts(path)

    assert sorted(found) == sorted(placed(raw))
    # pzstd does not tell how much is in its frames.
    assert tasks > 1 or tool == "pzstd"


def test_a_file_of_one_frame_is_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = text(5000)
    path = tmp_path / "file"
    path.write_bytes(zstd_with_size(raw))
    small_splits(monkeypatch, 1000)

    found, tasks = read_in_parts(path)

    assert sorted(found) == sorted(placed(raw))
    assert tasks == 1


@pytest.mark.parametrize("codec", [gaia.NONE, gaia.ZSTD])
def test_a_shard_of_gaias_is_read_by_all_workers(
    tmp_path: Path, codec: gaia.Compression, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = gaia.Pipeline("write")
    lines = pipeline.from_records(text(30_000).decode().splitlines(), name="lines")
    lines.write("lines", gaia.TXT).with_mod_n_sharding(1).and_compress(codec)
    gaia.LocalRunner(tmp_path, workers=0).run(pipeline)
    small_splits(monkeypatch, 300_000)
    monkeypatch.setattr("gaia.io.frames.EVERY", 1)

    again = gaia.Pipeline("read")
    table = again.read_table(tmp_path / "lines", type=str, name="lines").map(Place)
    table.write("out", gaia.TXT).with_mod_n_sharding(1)
    result = gaia.LocalRunner(tmp_path / "again", workers=0).run(again)

    found = dict(record.split(":", 1) for record in result["out"].records())
    assert sorted(found.values()) == sorted(text(30_000).decode().splitlines())
    assert '"tasks": 1,' not in Path(result.report).with_name("run.json").read_text()


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 1 << 20)), min_size=1))
def test_seek_tables_come_back(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.mktemp("table") / "file"
    stored = sum(size for size, _ in sizes)
    path.write_bytes(bytes(stored) + seek_table(sizes))

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("gaia.io.frames.EVERY", 1)
        found = frame_starts(LocalSource(str(path), path.stat().st_size), "zstd")

    assert found is not None
    assert found[-1] == (stored, sum(raw for _, raw in sizes))
    assert len(found) == len(sizes) + 1


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=20).map(
        lambda sizes: [(sum(sizes[:n]), sum(sizes[:n]) * 3) for n in range(len(sizes) + 1)]
    ),
    st.data(),
)
def test_the_byte_before_a_position_is_ahead(
    starts: list[tuple[int, int]], data: st.DataObject
) -> None:
    position = data.draw(st.integers(1, starts[-1][1]))

    stored, raw = before(starts, position)

    assert (stored, raw) in starts
    assert raw < position <= starts[starts.index((stored, raw)) + 1][1]


@settings(max_examples=200)
@given(st.binary(max_size=300), st.sampled_from(["zstd", "gzip"]))
def test_any_bytes_have_frames_or_none(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, codec: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "file"
    magic = {"zstd": b"\x28\xb5\x2f\xfd", "gzip": b"\x1f\x8b\x08\x04"}[codec]
    path.write_bytes(magic + content)

    found = frame_starts(LocalSource(str(path), path.stat().st_size), codec)

    assert found is None or found[-1][0] == path.stat().st_size


def test_a_large_file_that_cannot_be_cut_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file"
    monkeypatch.setattr("gaia.runner.runner._LONG_BYTES", 1000)
    for raw, told in ((bgzip(text(60_000)), ""), (gzip.compress(text(60_000)), "one gzip stream")):
        path.write_bytes(raw)
        read(path)
        assert told in (said := capsys.readouterr().err)
        assert bool(said) == bool(told)
