"""Inputs that are made to harm: names that lead elsewhere, sizes that are not true, bombs."""

import bz2
import gzip
import json
import lzma
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import lz4.frame
import pytest
import zstandard
from records import OWN, WordCount, tree, write_table

import gaia
from gaia.io.frames import frame_starts
from gaia.io.sources import LocalSource
from gaia.io.warc import records

ZEROS = bytes(20 << 20)
PACKED = {
    "none": ZEROS,
    "gzip": gzip.compress(ZEROS, 1),
    "zstd": zstandard.compress(ZEROS),
    "bzip2": bz2.compress(ZEROS),
    "xz": lzma.compress(ZEROS, preset=0),
    "lz4": bytes(lz4.frame.compress(ZEROS)),
}


def written(folder: Path, word: str) -> gaia.Table[WordCount]:
    """The table `out` of one record."""
    return write_table(
        folder, [WordCount(word, 1)], lambda output: output.with_mod_n_sharding(2, "word")
    )


class TestBombs:
    READ = """
import resource, sys
import attrs, gaia

@attrs.frozen
class Pair:
    word: str
    count: int | None

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[2:]:
    for read, tp in (("text", None), ("jsonl", dict), ("csv", Pair)):
        pipeline = gaia.Pipeline("bomb")
        options = {} if tp is None else {"type": tp}
        lines = getattr(pipeline, f"read_{read}")(path, name="lines", **options)
        lines.write("out", gaia.JSONL).with_mod_n_sharding(1, lambda record: 0)
        try:
            gaia.LocalRunner(sys.argv[1], workers=0, memory="300MB").run(pipeline)
        except gaia.InputError as error:
            assert path in str(error), error
            assert "position 0 is longer than" in str(error), error
        else:
            raise AssertionError((path, read))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""

    def test_a_line_without_an_end_is_refused_before_it_is_held(self, tmp_path: Path) -> None:
        paths = []
        for name, packed in PACKED.items():
            paths.append(tmp_path / name)
            with paths[-1].open("wb") as file:
                for _ in range(10):
                    file.write(packed)

        command = [sys.executable, "-c", self.READ, tmp_path / "out", *paths]
        done = subprocess.run(command, capture_output=True, text=True)

        assert done.returncode == 0, done.stderr
        assert int(done.stdout) < 130 << 10

    def test_lines_up_to_the_bound_are_read(self, tmp_path: Path) -> None:
        (tmp_path / "long").write_text("a" * 10_000_000 + "\nb\n")
        pipeline = gaia.Pipeline("long")
        lines = pipeline.read_text(tmp_path / "long", name="lines").map(len, output=int)
        lines.write("out", gaia.TXT).with_mod_n_sharding(1)

        result = gaia.LocalRunner(tmp_path / "out", workers=0, memory="300MB").run(pipeline)

        assert sorted(result["out"].records()) == [1, 10_000_000]

    def test_a_dictionary_of_xz_is_bounded(self, tmp_path: Path) -> None:
        packed = bytearray(lzma.compress(b"text\n"))
        packed[16] = 40  # 4 GiB, in the header of the block, which ends in its checksum.
        end = 12 + 4 * packed[12]
        packed[end : end + 4] = struct.pack("<I", zlib.crc32(packed[12:end]))
        (tmp_path / "file").write_bytes(packed)

        pipeline = gaia.Pipeline("xz")
        pipeline.read_text(tmp_path / "file", name="x").write("x", gaia.TXT).with_mod_n_sharding(1)
        with pytest.raises(gaia.InputError, match=r"file .*: Memory usage limit exceeded"):
            gaia.LocalRunner(tmp_path / "out", workers=0).run(pipeline)

    def test_a_body_that_decodes_to_too_much_stays_as_it_was_sent(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gaia.io.warc._MAX_BODY", 1 << 16)
        bodies = [gzip.compress(bytes(size)) for size in (1 << 16, (1 << 16) + 1)]
        path = tmp_path / "a.warc"
        path.write_bytes(b"".join(map(response, bodies)))

        found = [record.payload for _, record in read_archive(path)]

        assert found == [bytes(1 << 16), bodies[1]]

    def test_newlines_without_end_are_not_held(self, tmp_path: Path) -> None:
        path = tmp_path / "a.warc.gz"
        path.write_bytes(gzip.compress(response(b"") + b"\r\n" * 100_000 + b"more"))

        with pytest.raises(gaia.InputError, match=f"{path} is damaged at byte 0"):
            read_archive(path)


def response(body: bytes) -> bytes:
    http = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    return (
        b"WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http; msgtype=response\r\n"
        b"Content-Length: %d\r\n\r\n%s%s\r\n\r\n" % (len(http) + len(body), http, body)
    )


def read_archive(path: Path) -> list[Any]:
    source = LocalSource(str(path), path.stat().st_size)
    packed = "gzip" if path.suffix == ".gz" else "none"
    return list(records(source, packed, 0, source.size, None))


class TestSizes:
    def test_the_contents_of_frames_cannot_add_up_beyond_all_numbers(self, tmp_path: Path) -> None:
        frame = b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 8 + b"\1\0\0"
        path = tmp_path / "file"
        path.write_bytes(2 * frame)

        assert frame_starts(LocalSource(str(path), len(frame)), "zstd") is None

    def test_json_that_is_nested_without_end_is_an_error_of_its_line(self, tmp_path: Path) -> None:
        (tmp_path / "deep").write_text('{"a": 1}\n' + "[" * 100_000 + "\n")
        pipeline = gaia.Pipeline("deep")
        lines = pipeline.read_jsonl(tmp_path / "deep", type=dict, name="lines")
        lines.write("out", gaia.JSONL).with_mod_n_sharding(1, lambda record: 0)

        result = gaia.LocalRunner(tmp_path / "out", workers=0).run(pipeline)

        assert list(result["out"].records()) == [{"a": 1}]
        assert result.counters["parse-errors"] == 1


OUTSIDE = ["../x", "..", "a/../../x", "/tmp/x", "./x", "a//b", "a/", "", "a\\b", "a\0b", "a\nb"]


class TestNames:
    @pytest.mark.parametrize("name", OUTSIDE)
    def test_a_shard_cannot_leave_its_table(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(gaia.StepError, match="shard name"):
            write_table(
                tmp_path / "out", ["a"], lambda output: output.with_custom_sharding(lambda _: name)
            )

        assert set(tree(tmp_path)) <= {f"out/_gaia/{name}" for name in OWN}

    @pytest.mark.parametrize("name", [*OUTSIDE[:7], "", "a\0b", 7, None])
    def test_a_manifest_cannot_name_files_elsewhere(self, tmp_path: Path, name: Any) -> None:
        self.change(tmp_path, lambda found: found["shards"][0]["files"][0].update(path=name))

        with pytest.raises(gaia.TableError, match=r"manifest\.json is damaged or unreadable"):
            gaia.read_table(tmp_path / "out", WordCount)

    @pytest.mark.parametrize(
        "fields",
        [
            [["x=print('run')", "int", "int", False]],
            [["class", "int", "int", False]],
            [["word", "str"]],
            [[1, "str", "str", False]],
            "word",
            7,
        ],
    )
    def test_a_class_is_made_of_names_alone(self, tmp_path: Path, fields: Any) -> None:
        self.change(tmp_path, lambda found: found["record"].update(fields=fields, module="gone"))

        with pytest.raises(gaia.TableError, match=r"manifest\.json is damaged or unreadable"):
            gaia.read_table(tmp_path / "out")

    @pytest.mark.parametrize(
        ("part", "value"),
        [("sharding", "other"), ("sharding", []), ("table", None), ("format", {}), ("record", [])],
    )
    def test_a_manifest_says_what_gaia_writes(self, tmp_path: Path, part: str, value: Any) -> None:
        self.change(tmp_path, lambda found: found.update({part: value}))

        with pytest.raises(gaia.TableError, match=r"manifest\.json is damaged or unreadable"):
            gaia.read_table(tmp_path / "out", WordCount)

    @pytest.mark.parametrize("count", [-1, 1.5, "1", None, True])
    def test_counts_are_counts(self, tmp_path: Path, count: Any) -> None:
        self.change(tmp_path, lambda found: found["shards"][0].update(records=count))

        with pytest.raises(gaia.TableError, match=r"manifest\.json is damaged or unreadable"):
            gaia.read_table(tmp_path / "out", WordCount)

    def test_links_are_followed_when_a_table_is_read_and_left_alone_when_it_is_replaced(
        self, tmp_path: Path
    ) -> None:
        table = written(tmp_path, "a")
        file = next(
            tmp_path / "out" / shard.files[0].path for shard in table.shards if shard.records
        )
        kept = file.rename(tmp_path / "kept")
        file.symlink_to(kept)
        content = kept.read_bytes()

        assert list(gaia.read_table(tmp_path / "out", WordCount).records()) == [WordCount("a", 1)]
        written(tmp_path, "b")

        assert kept.read_bytes() == content
        assert list(gaia.read_table(tmp_path / "out", WordCount).records()) == [WordCount("b", 1)]

    @staticmethod
    def change(folder: Path, change: Any) -> None:
        """Writes a table, and changes its manifest."""
        written(folder, "a")
        path = folder / "out" / "manifest.json"
        found = json.loads(path.read_text())
        change(found)
        path.write_text(json.dumps(found))
