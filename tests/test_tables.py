"""What a run leaves on disk, and how tables are read back."""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import msgspec
import pytest
import zstandard
from records import OWN, WordCount, tree, write_table

import gaia

WORDS = [f"word-{number:03}" for number in range(500)]
COUNTS = [WordCount("a\tb", 1), WordCount("ü", 2), WordCount("", 3)]


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "dest"


def into(shards: int, key: Any = None) -> Callable[[gaia.Output[Any]], gaia.Output[Any]]:
    return lambda output: output.with_mod_n_sharding(shards, key)


by_word = into(2, "word")


def fail(record: Any) -> str:
    raise ValueError(f"cannot shard {record}")


class TestFolder:
    def test_it_holds_n_shards_a_manifest_and_counters(self, dest: Path) -> None:
        write_table(dest, WORDS, into(64), compression=gaia.ZSTD)
        shards = [f"out-{shard:05}-of-00064.txt.zst" for shard in range(64)]
        assert sorted(os.listdir(dest / "out")) == ["counter_map.csv", "manifest.json", *shards]

    @pytest.mark.parametrize(
        ("format", "compression", "ending"),
        [
            (gaia.TXT, gaia.NONE, ".txt"),
            (gaia.TXT, gaia.GZIP, ".txt.gz"),
            (gaia.JSONL, gaia.ZSTD, ".jsonl.zst"),
        ],
    )
    def test_names_tell_format_and_compression(
        self, dest: Path, format: Any, compression: Any, ending: str
    ) -> None:
        write_table(dest, ["a"], format=format, compression=compression)
        assert (dest / "out" / f"out-00000-of-00002{ending}").is_file()

    def test_only_the_runs_record_lies_beside_the_tables(self, dest: Path) -> None:
        write_table(dest, WORDS, workers=2)
        assert sorted(os.listdir(dest)) == ["_gaia", "out"]
        assert sorted(os.listdir(dest / "_gaia")) == OWN

    def test_the_report_tells_what_ran(self, dest: Path) -> None:
        pipeline = gaia.Pipeline("report")
        records = pipeline.from_records(WORDS, name="words")
        records.write("out", gaia.TXT).with_mod_n_sharding(3)
        result = gaia.LocalRunner(dest).run(pipeline)
        assert result.report == str(dest / "_gaia" / "report.html")
        report = json.loads(Path(result.report).with_name("run.json").read_text())
        assert report["pipeline"] == "report"
        assert report["counters"] == result.counters
        assert 0 < report["elapsed"] <= result.elapsed
        assert [stage["name"] for stage in report["stages"]] == ["words"]
        assert report["phase"] == "done"
        (table,) = report["tables"].values()
        assert (table["shards"], table["records"]) == (3, len(WORDS))
        assert sum(bar["shards"] for bar in table["histogram"]) == 3
        (stage,) = report["stages"]
        assert (stage["records"], stage["finished"]) == (len(WORDS), stage["tasks"])

    @pytest.mark.parametrize("workers", [0, 2])
    def test_gzip_shards_are_read_by_zcat(self, dest: Path, workers: int) -> None:
        write_table(dest, WORDS, compression=gaia.GZIP, workers=workers)
        files = sorted(dest.glob("out/*.gz"))
        lines = subprocess.run(["zcat", *files], check=True, capture_output=True, text=True).stdout
        assert sorted(lines.splitlines()) == sorted(WORDS)

    @pytest.mark.parametrize("workers", [0, 2])
    def test_zstd_shards_are_read_by_other_programs(self, dest: Path, workers: int) -> None:
        write_table(dest, WORDS, compression=gaia.ZSTD, workers=workers)
        files = sorted(dest.glob("out/*.zst"))
        text = b"".join(map(unzstd, files))
        assert sorted(text.decode().splitlines()) == sorted(WORDS)
        if shutil.which("zstd"):
            assert subprocess.run(["zstd", "-dc", *files], stdout=-1, check=True).stdout == text


def unzstd(path: Path) -> bytes:
    raw = path.read_bytes()
    return zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True).read()


class TestRerun:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (into(5), into(2)),
            (into(2), lambda o: o.with_custom_sharding(lambda w: w)),
            (
                lambda o: o.with_custom_sharding(lambda w: f"old/deep/{w}"),
                lambda o: o.with_custom_sharding(lambda w: f"new/{w}"),
            ),
        ],
        ids=["other n", "other sharding", "other names"],
    )
    def test_nothing_stale_is_left(self, dest: Path, before: Any, after: Any) -> None:
        write_table(dest, ["a", "b", "c"], before, compression=gaia.GZIP)
        table = write_table(dest, ["a", "b"], after)
        own = {file.path for shard in table.shards for file in shard.files}
        assert set(tree(dest / "out")) == {*own, "manifest.json", "counter_map.csv"}
        assert not (dest / "out" / "old").exists()
        assert sorted(table.records()) == ["a", "b"]

    def test_files_that_are_not_gaias_are_kept(self, dest: Path) -> None:
        write_table(dest, ["a"], lambda o: o.with_custom_sharding(lambda _: "old/a"))
        (dest / "out" / "notes.txt").write_text("mine")
        (dest / "out" / "old" / "notes.txt").write_text("mine too")
        for _ in range(2):
            write_table(dest, ["a"])
        left = tree(dest / "out")
        assert (left["notes.txt"], left["old/notes.txt"]) == (b"mine", b"mine too")
        assert "old/a.txt" not in left

    @pytest.mark.parametrize(
        "content",
        [
            {"notes.txt": "mine"},
            {"manifest.json": '{"name": "my web app"}'},
            {"out-00000-of-00002.txt": "a\n"},
        ],
        ids=["files", "foreign manifest", "shards without manifest"],
    )
    def test_a_folder_that_gaia_did_not_write_is_refused(
        self, dest: Path, content: dict[str, str]
    ) -> None:
        (dest / "out").mkdir(parents=True)
        for name, text in content.items():
            (dest / "out" / name).write_text(text)
        before = tree(dest)
        with pytest.raises(gaia.OutputError, match=re.escape(f"{dest / 'out'}")):
            write_table(dest, ["a"])
        assert tree(dest) == before

    def test_a_file_in_a_tables_place_is_refused(self, dest: Path) -> None:
        dest.mkdir()
        (dest / "out").write_text("mine")
        with pytest.raises(gaia.OutputError, match=re.escape(f"{dest / 'out'}")):
            write_table(dest, ["a"])
        assert (dest / "out").read_text() == "mine"

    def test_an_empty_folder_is_taken(self, dest: Path) -> None:
        (dest / "out").mkdir(parents=True)
        assert list(write_table(dest, ["a"]).records()) == ["a"]

    @pytest.mark.parametrize(
        ("mine", "shard"),
        [("a.txt", "a"), ("a", "a/b"), ("a.txt/notes", "a")],
        ids=["a shard's name", "a folder's name", "a folder with a shard's name"],
    )
    def test_files_in_the_way_of_a_shard_are_refused(
        self, dest: Path, mine: str, shard: str
    ) -> None:
        path = Path(write_table(dest, ["old"]).path) / mine
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
        before = tree(dest)
        with pytest.raises(gaia.OutputError, match=re.escape(str(path))):
            write_table(dest, ["new"], lambda o: o.with_custom_sharding(lambda _: shard))
        assert tree(dest) == before

    def test_links_in_a_tables_folder_are_kept(self, dest: Path) -> None:
        link = Path(write_table(dest, ["a"]).path) / "link"
        link.symlink_to(dest.parent)
        write_table(dest, ["a"])
        assert link.is_symlink()

    def test_a_table_behind_a_link_is_replaced_behind_it(self, dest: Path) -> None:
        behind = dest.with_name("behind")
        write_table(dest, ["old"])
        (dest / "out").rename(behind)
        (dest / "out").symlink_to(behind)
        write_table(dest, ["new"])
        assert (dest / "out").is_symlink()
        assert list(gaia.read_table(behind).records()) == ["new"]

    def test_what_a_killed_run_has_left_behind_a_link_is_removed(self, dest: Path) -> None:
        behind = dest.with_name("behind")
        write_table(dest, ["old"])
        (dest / "out").rename(behind)
        (dest / "out").symlink_to(behind)
        left = dest.with_name("behind.gaia-unfinished")
        left.mkdir()
        (left / "out-00000-of-00002.txt").write_text("half")
        write_table(dest, ["new"])
        assert list(gaia.read_table(behind).records()) == ["new"]
        assert not left.exists()

    @pytest.mark.parametrize("done", range(6))
    def test_an_interruption_leaves_one_table_or_the_other(
        self, dest: Path, monkeypatch: pytest.MonkeyPatch, done: int
    ) -> None:
        notes = Path(write_table(dest, ["old"]).path) / "notes.txt"
        notes.write_text("mine")
        renames = [os.rename] * done

        def rename(*paths: Any) -> None:
            if not renames:
                raise KeyboardInterrupt
            renames.pop()(*paths)

        monkeypatch.setattr(os, "rename", rename)
        with contextlib.suppress(KeyboardInterrupt):
            write_table(dest, ["new"])
        assert list(gaia.read_table(dest / "out").records()) in (["old"], ["new"])
        assert notes.read_text() == "mine"

    @pytest.mark.parametrize("workers", [0, 2])
    def test_a_failure_leaves_the_previous_table_as_it_was(self, dest: Path, workers: int) -> None:
        write_table(dest, ["a", "b"])
        before = tree(dest)
        with pytest.raises(gaia.StepError):
            write_table(dest, ["c", "d"], lambda o: o.with_custom_sharding(fail), workers=workers)
        assert tree(dest) == before


class TestReading:
    def test_records_length_and_shards(self, dest: Path) -> None:
        table = write_table(dest, [1, 2, 3, 5, 7], into(3), compression=gaia.ZSTD)
        assert len(table) == 5
        assert [sorted(table.records(shard)) for shard in range(3)] == [[3], [1, 7], [2, 5]]
        assert [shard.key for shard in table.shards] == [0, 1, 2]
        assert [shard.records for shard in table.shards] == [1, 2, 2]
        assert [shard.raw_bytes for shard in table.shards] == [2, 4, 4]
        for shard in table.shards:
            (file,) = shard.files
            assert file.size == (Path(table.path) / file.path).stat().st_size

    @pytest.mark.parametrize("shard", [3, -1, "0", "out"])
    def test_a_shard_that_a_table_lacks_is_named(self, dest: Path, shard: Any) -> None:
        table = write_table(dest, ["a"], into(3))
        with pytest.raises(gaia.TableError, match=f"{table.path}.*shard {shard!r}"):
            list(table.records(shard))

    def test_a_table_that_was_not_written_is_named_among_those_that_were(self, dest: Path) -> None:
        pipeline = gaia.Pipeline("p")
        pipeline.from_records(["a"], name="records").write("a", gaia.TXT).with_mod_n_sharding(1)
        result = gaia.LocalRunner(dest).run(pipeline)
        with pytest.raises(KeyError, match="no table 'b'; there is a"):
            result["b"]

    @pytest.mark.parametrize("type", [None, WordCount])
    @pytest.mark.parametrize("format", [gaia.TXT, gaia.JSONL])
    def test_a_table_comes_back_as_its_class(self, dest: Path, format: Any, type: Any) -> None:
        write_table(dest, COUNTS, by_word, format=format)
        table = gaia.read_table(dest / "out", type)
        assert table.type is WordCount
        assert table.name == "out"
        assert sorted(table.records(), key=lambda wc: wc.count) == COUNTS

    @pytest.mark.parametrize("record", ["a", b"a\xff", 1, 0.5, True, {"a": [1]}])
    def test_single_values_need_no_class(self, dest: Path, record: Any) -> None:
        write_table(dest, [record], into(2, repr))
        assert list(gaia.read_table(dest / "out").records()) == [record]

    @pytest.mark.parametrize("format", [gaia.TXT, gaia.JSONL])
    @pytest.mark.parametrize(
        "make",
        [
            lambda fields: attrs.make_class("Row", {n: attrs.field(type=t) for n, t in fields}),
            lambda fields: dataclasses.make_dataclass("Row", fields),
            lambda fields: msgspec.defstruct("Row", fields),
            lambda fields: NamedTuple("Row", fields),
        ],
        ids=["attrs", "dataclass", "Struct", "NamedTuple"],
    )
    def test_a_class_that_the_program_lacks_is_made(
        self, dest: Path, make: Callable[[Any], Any], format: Any
    ) -> None:
        row = make([("word", str), ("count", int), ("score", float | None), ("tags", list[str])])
        rows = [row("a\tb", 1, 0.5, ["x"]), row("", -2, None, [])]
        write_table(dest, rows, into(2, "word"), format=format)
        table = gaia.read_table(dest / "out")
        assert table.type is not row
        assert sorted(map(repr, table.records())) == sorted(map(repr, rows))

    @pytest.mark.parametrize(
        "wrong",
        [
            str,
            dict,
            attrs.make_class("Other", {"word": attrs.field(type=str)}),
            attrs.make_class(
                "Other", {"word": attrs.field(type=str), "count": attrs.field(type=float)}
            ),
        ],
        ids=["str", "dict", "a field less", "a field of another type"],
    )
    def test_another_type_is_refused(self, dest: Path, wrong: Any) -> None:
        write_table(dest, COUNTS, by_word)
        with pytest.raises(
            gaia.TableError, match=f"{dest / 'out'}.*`WordCount`.*`{wrong.__name__}`"
        ):
            gaia.read_table(dest / "out", type=wrong)

    @pytest.mark.parametrize("wrong", [set, object, "WordCount"])
    def test_what_is_no_type_of_record_is_refused(self, dest: Path, wrong: Any) -> None:
        write_table(dest, COUNTS, by_word)
        with pytest.raises(
            gaia.TableError, match=f"expected .*{getattr(wrong, '__name__', wrong)}"
        ):
            gaia.read_table(dest / "out", type=wrong)

    @pytest.mark.parametrize("workers", [0, 2])
    def test_a_pipeline_reads_a_table(self, dest: Path, workers: int) -> None:
        write_table(dest, COUNTS, by_word)
        pipeline = gaia.Pipeline("again")
        counts = pipeline.read_table(dest / "out", type=WordCount)
        larger = counts.filter(lambda wc: wc.count > 1)
        larger.write("larger", gaia.TXT).with_mod_n_sharding(1, "word")
        result = gaia.LocalRunner(dest, workers=workers).run(pipeline)
        assert sorted(result["larger"].records(), key=lambda wc: wc.count) == COUNTS[1:]

    def test_a_pipeline_refuses_a_table_of_another_type(self, dest: Path) -> None:
        write_table(dest, COUNTS, by_word)
        pipeline = gaia.Pipeline("again")
        words = pipeline.read_table(dest / "out", type=str)
        words.write("words", gaia.TXT).with_mod_n_sharding(1)
        with pytest.raises(gaia.TableError, match=f"{dest / 'out'}.*`WordCount`.*`str`"):
            gaia.LocalRunner(dest).run(pipeline)


@pytest.mark.libraries
class TestColumns:
    def test_arrow_has_a_column_for_each_field(self, dest: Path) -> None:
        pyarrow = pytest.importorskip("pyarrow")
        table = write_table(dest, COUNTS, by_word).to_arrow().sort_by("count")
        assert table.schema == pyarrow.schema({"word": pyarrow.string(), "count": pyarrow.int64()})
        assert table.to_pylist() == [attrs.asdict(record) for record in COUNTS]

    def test_single_values_are_a_column_value(self, dest: Path) -> None:
        pytest.importorskip("pyarrow")
        columns = write_table(dest, [3, 1]).to_arrow().to_pydict()
        assert {name: sorted(values) for name, values in columns.items()} == {"value": [1, 3]}

    def test_dicts_are_columns_by_their_keys(self, dest: Path) -> None:
        pytest.importorskip("pyarrow")
        records = [{"a": 1}, {"a": 2, "b": "x"}]
        table = write_table(dest, records, into(1, repr)).to_arrow()
        assert sorted(table.column_names) == ["a", "b"]

    def test_columns_do_not_depend_on_the_records(self, dest: Path) -> None:
        pytest.importorskip("pyarrow")
        full = write_table(dest / "full", COUNTS, by_word).to_arrow()
        empty = write_table(dest / "empty", [], by_word, type=WordCount).to_arrow()
        assert empty.schema == full.schema

    def test_pandas(self, dest: Path) -> None:
        pytest.importorskip("pandas")
        frame = write_table(dest, COUNTS, by_word).to_pandas().sort_values("count")
        assert frame.to_dict("records") == [attrs.asdict(record) for record in COUNTS]

    def test_polars(self, dest: Path) -> None:
        pytest.importorskip("polars")
        frame = write_table(dest, COUNTS, by_word).to_polars().sort("count")
        assert frame.to_dicts() == [attrs.asdict(record) for record in COUNTS]


def rewrite(path: Path) -> gaia.Table[Any]:
    return write_table(path.parent, ["b"])


class TestDamage:
    @pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", '{"name": "x"}', "\x00\xff"])
    def test_a_manifest_that_is_none_is_refused(self, dest: Path, content: str) -> None:
        write_table(dest, ["a"])
        path = dest / "out" / "manifest.json"
        path.write_bytes(content.encode("latin-1"))
        with pytest.raises(gaia.TableError, match=re.escape(str(path))):
            gaia.read_table(dest / "out")

    @pytest.mark.parametrize("folder", ["missing", "."])
    def test_a_folder_without_a_manifest_is_no_table(self, dest: Path, folder: str) -> None:
        write_table(dest, ["a"])
        with pytest.raises(gaia.TableError, match=re.escape(f"{(dest / folder)} is not a table")):
            gaia.read_table(dest / folder)

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("gaia_table", 2),
            ("format", "exe"),
            ("compression", "rar"),
            ("record", {}),
            ("record", None),
            ("record", {"kind": "set", "name": "set", "fields": []}),
            ("shards", None),
            ("shards", [{"key": 0}]),
            ("more", 1),
        ],
    )
    def test_a_manifest_of_other_content_is_refused(self, dest: Path, key: str, value: Any) -> None:
        path = Path(write_table(dest, ["a"]).path) / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
        with pytest.raises(gaia.TableError, match=re.escape(str(path.parent))):
            gaia.read_table(dest / "out")

    @pytest.mark.parametrize("outside", ["../secret", "/etc/hosts", "a/../../secret", "a\0b"])
    @pytest.mark.parametrize("use", [gaia.read_table, rewrite])
    def test_a_manifest_that_leads_outside_is_refused(
        self, dest: Path, outside: str, use: Callable[[Path], Any]
    ) -> None:
        path = Path(write_table(dest, ["a"]).path) / "manifest.json"
        (dest / "secret").write_text("a\n")
        manifest = json.loads(path.read_text())
        manifest["shards"][0]["files"][0]["path"] = outside
        path.write_text(json.dumps(manifest))
        with pytest.raises(gaia.GaiaError, match=re.escape(f"{path}") + ".*outside"):
            use(dest / "out")
        assert (dest / "secret").read_text() == "a\n"

    @pytest.mark.parametrize("compression", [gaia.NONE, gaia.GZIP, gaia.ZSTD])
    @pytest.mark.parametrize(
        "cut",
        [
            lambda raw: b"",
            lambda raw: raw[:9],
            lambda raw: raw[: len(raw) // 2],
            lambda raw: raw[:-1],
        ],
        ids=["to nothing", "behind a line", "in the middle", "by a byte"],
    )
    def test_a_truncated_shard_is_named(
        self, dest: Path, compression: Any, cut: Callable[[bytes], bytes]
    ) -> None:
        path = shard_of(dest, compression)
        path.write_bytes(cut(path.read_bytes()))
        assert_named(path)

    @pytest.mark.parametrize("compression", [gaia.GZIP, gaia.ZSTD])
    def test_a_corrupted_shard_is_named(self, dest: Path, compression: Any) -> None:
        path = shard_of(dest, compression)
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 0x10
        path.write_bytes(raw)
        assert_named(path)

    def test_a_missing_shard_is_named(self, dest: Path) -> None:
        path = shard_of(dest, gaia.NONE)
        path.unlink()
        assert_named(path)

    def test_a_line_that_is_no_record_is_named(self, dest: Path) -> None:
        write_table(dest, COUNTS, into(1, "word"))
        path = dest / "out" / "out-00000-of-00001.txt"
        path.write_text(path.read_text().replace("\t2", "\tx"))
        assert_named(path, WordCount)


def shard_of(dest: Path, compression: Any) -> Path:
    """The one shard of a table of words."""
    table = write_table(dest, WORDS, into(1), compression=compression)
    return Path(table.path) / table.shards[0].files[0].path


def assert_named(path: Path, type: Any = str) -> None:
    """Asserts that a damaged shard is an error that names it, for a program and a pipeline."""
    with pytest.raises(gaia.InputError, match=re.escape(str(path))):
        list(gaia.read_table(path.parent, type).records())
    pipeline = gaia.Pipeline("again")
    again = pipeline.read_table(path.parent, type=type).write("again", gaia.TXT)
    again.with_mod_n_sharding(1, repr)
    with pytest.raises(gaia.InputError, match=re.escape(str(path))):
        gaia.LocalRunner(path.parent.parent, workers=0).run(pipeline)


def test_a_destination_in_place_of_a_table_tells_its_tables(tmp_path):
    pipeline = gaia.Pipeline("p")
    for name in ("b", "a"):
        numbers = pipeline.from_records([1], name=name)
        numbers.write(name, gaia.TXT).with_mod_n_sharding(1)
    gaia.LocalRunner(tmp_path, workers=0).run(pipeline)
    with pytest.raises(gaia.TableError, match=r"manifest\.json; the tables in it are a, b$"):
        gaia.read_table(tmp_path)
    with pytest.raises(gaia.TableError, match=r"manifest\.json$"):
        gaia.read_table(tmp_path / "_gaia")
