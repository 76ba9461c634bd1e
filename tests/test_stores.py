"""Pipelines whose inputs and tables are in stores: the same records as on local disk."""

import gzip
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anywhere
import attrs
import pytest
from children import running
from records import OWN, WordCount

import gaia

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
import movies_join
import word_count

TEXT = "the quick brown fox\njumps over the lazy dog\n" * 200


@pytest.fixture(params=["gs", "s3", "memory"])
def bucket(request: pytest.FixtureRequest, kind_of_runner: str) -> Any:
    """A bucket of each kind of store."""
    if request.param == "memory":
        if kind_of_runner != "inline":
            pytest.skip("this process alone sees the files of memory://")
        return MemoryBucket()
    if request.param == "s3" and kind_of_runner not in ("inline", "ray"):
        pytest.skip("this process and Ray stand for all")
    return request.getfixturevalue({"gs": "gcs", "s3": "s3"}[request.param])


class MemoryBucket:
    """Files of this process, used as the buckets of `stores` are."""

    def __init__(self) -> None:
        import fsspec

        self.fs = fsspec.filesystem("memory")
        self.fs.rm("/", recursive=True)

    def url(self, path: str = "") -> str:
        return f"memory://bucket/{path}"

    def objects(self) -> dict[str, int]:
        found = self.fs.find("/bucket", detail=True)
        return {name.removeprefix("/bucket/"): info["size"] for name, info in found.items()}

    def read(self, name: str) -> bytes:
        content: bytes = self.fs.cat_file(f"/bucket/{name}")
        return content

    def write(self, name: str, content: bytes) -> None:
        self.fs.pipe_file(f"/bucket/{name}", content)

    def unfinished_uploads(self) -> int:
        return 0


def copied(paths: Iterable[str], bucket: Any) -> list[str]:
    """The files in the bucket's folder `in`, as URLs."""
    for path in paths:
        bucket.write(f"in/{Path(path).name}", Path(path).read_bytes())
    return [bucket.url(f"in/{Path(path).name}") for path in paths]


def expected_objects(tables: dict[str, int], suffix: str = ".txt.zst") -> set[str]:
    """What is in `out` when tables of so many shards have been written."""
    names = {f"out/_gaia/{name}" for name in OWN}
    for table, shards in tables.items():
        names |= {f"out/{table}/manifest.json", f"out/{table}/counter_map.csv"}
        names |= {
            f"out/{table}/{table}-{shard:05}-of-{shards:05}{suffix}" for shard in range(shards)
        }
    return names


def in_out(bucket: Any) -> set[str]:
    return {name for name in bucket.objects() if name.startswith("out/")}


def seen_in_out(bucket: Any) -> set[str]:
    """The same without what a run that failed keeps there, if another machine may go on with it."""
    kept = () if anywhere.is_local() else ("out/_gaia/run/",)
    return {name for name in in_out(bucket) if not name.startswith(kept)}


def records(table: gaia.Table[Any]) -> list[Any]:
    return sorted(table.records(), key=repr)


@pytest.mark.anywhere
def test_word_count_is_that_of_local_disk(bucket: Any, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"part{number}.txt").write_text(TEXT * (number + 1))
    (tmp_path / "part3.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    paths = [str(path) for path in sorted(tmp_path.glob("part*"))]
    copied(paths, bucket)

    local = gaia.LocalRunner(tmp_path / "out", workers=0).run(word_count.build(paths, 5))
    there = anywhere.Runner(bucket.url("out")).run(word_count.build([bucket.url("in/*")], 5))

    assert records(there["wordcounts"]) == records(local["wordcounts"])
    assert in_out(bucket) == expected_objects({"word_interim": 5, "wordcounts": 5})
    assert bucket.unfinished_uploads() == 0
    again = gaia.read_table(bucket.url("out/wordcounts"), word_count.WordCount)
    assert [shard.records for shard in again.shards] == [
        shard.records for shard in local["wordcounts"].shards
    ]
    assert records(again) == records(local["wordcounts"])


@pytest.mark.anywhere
def test_movies_join_is_that_of_local_disk(bucket: Any, tmp_path: Path) -> None:
    movies, cast = movies_join.make_movies(tmp_path)

    local = gaia.LocalRunner(tmp_path / "out", workers=0).run(movies_join.build(movies, cast))
    there = anywhere.Runner(bucket.url("out/")).run(
        movies_join.build(copied(movies, bucket), copied(cast, bucket))
    )

    assert records(there["movies"]) == records(local["movies"])
    names = expected_objects({"movies_interim": 8, "cast_interim": 8})
    names |= {"out/movies/manifest.json", "out/movies/counter_map.csv"}
    assert in_out(bucket) == names | {"out/movies/adult.jsonl", "out/movies/family.jsonl"}


def copy_pipeline(inputs: Any, shards: int = 2, **options: Any) -> gaia.Pipeline:
    pipeline = gaia.Pipeline("copy")
    lines = pipeline.read_text(inputs, name="lines", **options)
    lines.write("copy", gaia.TXT).with_mod_n_sharding(shards).and_compress(gaia.ZSTD)
    return pipeline


def run(bucket: Any, pipeline: gaia.Pipeline, **options: Any) -> gaia.RunResult:
    return anywhere.Runner(bucket.url("out"), **options).run(pipeline)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("in/a.txt", ["a"]),
        ("in/*.txt", ["a", "b"]),
        ("in/**/*.txt", ["a", "b", "c", "d"]),
        ("in/**", ["a", "b", "c", "d", "e"]),
        ("in/?.txt", ["a", "b"]),
        ("in/[b-z].txt", ["b"]),
    ],
)
@pytest.mark.anywhere
def test_globs_are_those_of_the_store(bucket: Any, pattern: str, found: list[str]) -> None:
    names = {"a": "in/a.txt", "b": "in/b.txt", "c": "in/x/c.txt", "d": "in/x/y/d.txt", "e": "in/e"}
    for line, name in names.items():
        bucket.write(name, f"{line}\n".encode())

    result = run(bucket, copy_pipeline(bucket.url(pattern)))

    assert records(result["copy"]) == found


@pytest.mark.anywhere
def test_a_missing_input_stops_the_run_before_it_starts(bucket: Any) -> None:
    with pytest.raises(gaia.InputError, match=r"step `lines`: no file matches '.*nothing\*'"):
        run(bucket, copy_pipeline(bucket.url("nothing*")))

    assert in_out(bucket) == set()


@pytest.mark.anywhere
def test_a_folder_is_no_input(bucket: Any) -> None:
    bucket.write("in/a.txt", b"a\n")

    with pytest.raises(gaia.InputError, match=r"is a folder; expected a file or a glob such as"):
        run(bucket, copy_pipeline(bucket.url("in")))


@pytest.mark.anywhere
def test_a_rerun_leaves_no_stale_shard(bucket: Any) -> None:
    bucket.write("in/a.txt", TEXT.encode())
    run(bucket, copy_pipeline(bucket.url("in/*"), shards=9))
    bucket.write("out/copy/notes.md", b"mine")

    result = run(bucket, copy_pipeline(bucket.url("in/*"), shards=3))

    assert in_out(bucket) == expected_objects({"copy": 3}) | {"out/copy/notes.md"}
    assert len(records(result["copy"])) == 400


class Refuse(gaia.Mapper[str, str]):
    """Fails in the middle of the input."""

    def __init__(self, word: str) -> None:
        self.word = word

    def do(self, line: str, ctx: gaia.Context[str]) -> None:
        if line == self.word:
            raise ValueError(self.word)
        ctx.write(line)


def failing(bucket: Any) -> gaia.Pipeline:
    """Writes one table, and fails in the stage that makes the other."""
    pipeline = copy_pipeline(bucket.url("in/*"))
    other = pipeline.read_text(bucket.url("in/*"), name="again").map(Refuse, "poison")
    other.write("other", gaia.TXT).with_mod_n_sharding(2)
    return pipeline


@pytest.mark.anywhere
def test_a_failed_run_leaves_no_part_of_a_table(bucket: Any) -> None:
    bucket.write("in/a.txt", b"fine\npoison\n")

    with pytest.raises(gaia.StepError, match="poison"):
        run(bucket, failing(bucket))

    assert seen_in_out(bucket) == expected_objects({"copy": 2})
    assert bucket.unfinished_uploads() == 0


@pytest.mark.anywhere
def test_a_failed_run_leaves_the_old_table(bucket: Any) -> None:
    bucket.write("in/a.txt", b"fine\n")
    run(bucket, failing(bucket))
    bucket.write("in/a.txt", b"fine\npoison\n")

    with pytest.raises(gaia.StepError, match="poison"):
        run(bucket, failing(bucket))

    assert records(gaia.read_table(bucket.url("out/other"), str)) == ["fine"]
    assert seen_in_out(bucket) == expected_objects({"copy": 2}) | {
        "out/other/manifest.json",
        "out/other/counter_map.csv",
        "out/other/other-00000-of-00002.txt",
        "out/other/other-00001-of-00002.txt",
    }


@pytest.mark.anywhere
def test_what_is_no_table_is_not_replaced(bucket: Any) -> None:
    bucket.write("in/a.txt", b"a\n")
    bucket.write("out/copy/precious.txt", b"mine")

    with pytest.raises(gaia.OutputError, match=r"holds something else \(precious.txt\)"):
        run(bucket, copy_pipeline(bucket.url("in/*")))

    assert bucket.read("out/copy/precious.txt") == b"mine"


@pytest.mark.anywhere
def test_a_table_that_a_killed_run_left_is_told_and_replaced(bucket: Any) -> None:
    bucket.write("in/a.txt", b"a\n")
    run(bucket, copy_pipeline(bucket.url("in/*"), shards=5))
    bucket.write("out/copy/manifest.json", b'{"gaia_table": 1, "unfinished": true, "kept": []}\n')

    with pytest.raises(gaia.TableError, match=r"table .*out/copy is not finished"):
        gaia.read_table(bucket.url("out/copy"))
    run(bucket, copy_pipeline(bucket.url("in/*"), shards=2))

    assert in_out(bucket) == expected_objects({"copy": 2})


@pytest.mark.anywhere
def test_a_table_that_is_read_is_not_replaced(bucket: Any) -> None:
    bucket.write("in/a.txt", b"a\n")
    run(bucket, copy_pipeline(bucket.url("in/*")))

    with pytest.raises(gaia.OutputError, match="is read by this run"):
        run(bucket, copy_pipeline(bucket.url("out/copy/copy-*")))


@pytest.mark.anywhere
def test_a_stored_table_is_read_by_another_pipeline(bucket: Any) -> None:
    bucket.write("in/a.txt", TEXT.encode())
    run(bucket, copy_pipeline(bucket.url("in/*")))
    pipeline = gaia.Pipeline("second")
    lines = pipeline.read_table(bucket.url("out/copy"), type=str, name="copy")
    words = lines.map(gaia.ops.Words(type=WordCount))
    words.write("words", gaia.JSONL).with_mod_n_sharding(3, "word").and_combine("word", count="sum")

    result = run(bucket, pipeline)

    assert WordCount("the", 400) in records(result["words"])


@pytest.mark.anywhere
def test_a_damaged_shard_is_named(bucket: Any) -> None:
    bucket.write("in/a.txt", TEXT.encode())
    run(bucket, copy_pipeline(bucket.url("in/*"), shards=1))
    name = "out/copy/copy-00000-of-00001.txt.zst"
    bucket.write(name, bucket.read(name)[:-20])

    with pytest.raises(gaia.InputError, match=rf"{name} is damaged: it was written with"):
        list(gaia.read_table(bucket.url("out/copy"), str).records())


@pytest.mark.parametrize("stored_in", ["out", "elsewhere"])
def test_scratch_is_on_this_machine_and_empty_afterwards(
    bucket: Any, tmp_path: Path, stored_in: str
) -> None:
    bucket.write("in/a.txt", TEXT.encode())
    scratch = tmp_path / "scratch"
    dest = bucket.url("out") if stored_in == "out" else str(tmp_path / "out")

    gaia.LocalRunner(dest, workers=0, scratch_dir=scratch).run(copy_pipeline(bucket.url("in/*")))

    assert scratch.is_dir()
    assert list(scratch.iterdir()) == []
    assert len(records(gaia.read_table(f"{dest}/copy", str))) == 400


def test_own_filesystem_objects_are_used(tmp_path: Path) -> None:
    from fsspec.implementations.dirfs import DirFileSystem
    from fsspec.implementations.local import LocalFileSystem

    fs = DirFileSystem(str(tmp_path), LocalFileSystem(auto_mkdir=True))
    (tmp_path / "a.txt").write_text("a\nb\n")
    pipeline = copy_pipeline("a.txt", filesystem=fs)

    result = gaia.LocalRunner("out", workers=2, filesystem=fs).run(pipeline)

    assert records(result["copy"]) == ["a", "b"]
    assert (tmp_path / "out" / "copy" / "manifest.json").is_file()
    assert records(gaia.read_table("out/copy", str, filesystem=fs)) == ["a", "b"]


def test_large_files_are_read_by_ranges_and_cut_at_lines(gcs: Any, tmp_path: Path) -> None:
    lines = [f"{number} {'x' * (number % 200)}" for number in range(60_000)]
    gcs.write("in/large.txt", "\n".join(lines).encode())

    result = gaia.LocalRunner(gcs.url("out"), workers=2).run(copy_pipeline(gcs.url("in/*")))

    assert sorted(result["copy"].records()) == sorted(lines)
    assert gcs.requests()["download"] > 5


def test_large_shards_are_sent_in_parts_and_composed(
    gcs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gaia.io import upload

    monkeypatch.setattr(upload, "_PART", 1000)
    monkeypatch.setattr(upload, "_COMPOSED", 4)
    lines = [f"{number:08}" for number in range(10_000)]
    (tmp_path / "in.txt").write_text("\n".join(lines))
    pipeline = gaia.Pipeline("p")
    pipeline.read_text(tmp_path / "in.txt").write("t", gaia.TXT).with_mod_n_sharding(1)

    result = gaia.LocalRunner(gcs.url("out"), workers=0).run(pipeline)

    assert sorted(result["t"].records()) == lines
    assert gcs.requests()["compose"] > 20
    assert set(gcs.objects()) == expected_objects({"t": 1}, ".txt")


def test_large_shards_are_sent_to_s3_in_parts(s3: Any, tmp_path: Path) -> None:
    from gaia.io.stores import Store
    from gaia.io.upload import Upload

    content = bytes(range(256)) * (120 << 12)
    (tmp_path / "large").write_bytes(content)

    Upload(Store("s3"), s3.url("out"), s3.url("parts"), keep=True).all(
        [(str(tmp_path / "large"), "large")]
    )

    assert s3.read("out/large") == content
    assert s3.unfinished_uploads() == 0


@attrs.frozen
class Denied:
    access: str
    message: str


@pytest.mark.parametrize("access", ["forbidden", "unauthenticated"])
def test_a_bucket_that_may_not_be_read_is_named(gcs: Any, tmp_path: Path, access: str) -> None:
    gcs.write("in/a.txt", b"a\n")
    gcs.allow(access)

    with pytest.raises(
        gaia.InputError, match=rf"no permission to read in gs://{gcs.name}: .*; run `gcloud auth"
    ):
        gaia.LocalRunner(tmp_path / "out", workers=0).run(copy_pipeline(gcs.url("in/*")))


def test_a_bucket_that_may_not_be_written_stops_the_run_before_it_starts(
    gcs: Any, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("a\n")
    gcs.allow("read-only")

    with pytest.raises(
        gaia.OutputError, match=rf"no permission to write to in gs://{gcs.name}: .*; run `gcloud"
    ):
        run(gcs, copy_pipeline(str(tmp_path / "a.txt")))


def test_a_bucket_that_is_not_there_is_named(gcs: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a\n")

    with pytest.raises(gaia.OutputError, match="cannot write to gs://no-such-bucket/out"):
        gaia.LocalRunner("gs://no-such-bucket/out").run(copy_pipeline(str(tmp_path / "a.txt")))
    with pytest.raises(gaia.InputError, match=r"gs://no-such-bucket/\*"):
        gaia.LocalRunner(tmp_path / "out").run(copy_pipeline("gs://no-such-bucket/*"))


@pytest.fixture(params=["ranges", "whole"])
def web(request: pytest.FixtureRequest, tmp_path: Path, gcs: Any) -> Any:
    """Files of a web server that gives parts of files, or only whole ones: how to write a file,
    and its URL."""
    if request.param == "ranges":
        server = f"{gcs.server}/download/storage/v1/b/{gcs.name}/o"
        yield gcs.write, lambda name: f"{server}/{name}?alt=media"
        return
    script = (
        "import functools, http.server, sys\n"
        "handler = http.server.SimpleHTTPRequestHandler\n"
        "handler.log_message = lambda *args: None\n"
        "server = http.server.ThreadingHTTPServer(\n"
        "    ('127.0.0.1', 0), functools.partial(handler, directory=sys.argv[1]))\n"
        "server.handle_error = lambda *args: None\n"
        "import threading; threading.Thread(target=server.serve_forever, daemon=True).start()\n"
        "print(f'http://127.0.0.1:{server.server_port}', flush=True)\n"
        "sys.stdin.read()\n"
    )

    def write(name: str, content: bytes) -> None:
        (tmp_path / name).write_bytes(content)

    with running("-c", script, str(tmp_path)) as url:
        yield write, lambda name: f"{url}/{name}"


def test_files_of_web_servers_are_read(web: Any, tmp_path: Path) -> None:
    write, url = web
    lines = [f"{number} {'x' * (number % 90)}" for number in range(60_000)]
    write("plain.txt", "\n".join(lines).encode())
    write("packed.txt.gz", gzip.compress(b"packed\n" * 10))
    write("empty.txt", b"")

    inputs = [url("plain.txt"), url("packed.txt.gz"), url("empty.txt")]
    result = gaia.LocalRunner(tmp_path / "out", workers=2).run(copy_pipeline(inputs))

    assert sorted(result["copy"].records()) == sorted([*lines, *["packed"] * 10])


def test_the_web_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a\n")

    with pytest.raises(gaia.OutputError, match=r"http://example.org/out can only be read"):
        gaia.LocalRunner("http://example.org/out").run(copy_pipeline(str(tmp_path / "a.txt")))


def test_an_unknown_scheme_is_named(tmp_path: Path) -> None:
    with pytest.raises(gaia.InputError, match=r"step `lines`: .*nosuch"):
        gaia.LocalRunner(tmp_path).run(copy_pipeline("nosuch://bucket/a.txt"))


def test_files_of_this_process_need_it_to_run_them(tmp_path: Path) -> None:
    bucket = MemoryBucket()
    bucket.write("in/a.txt", b"a\n")

    with pytest.raises(gaia.PipelineError, match="expected workers=0 for files of memory://"):
        gaia.LocalRunner(tmp_path, workers=2).run(copy_pipeline(bucket.url("in/*")))
