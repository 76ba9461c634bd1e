"""The stores that tests run against behave as the real ones, and fail as these do."""

import http.client
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import fsspec
import pytest
from children import running
from fault_proxy import KINDS, fault
from stores import GCS_HOST, S3_HOST, GcsBucket, S3Bucket, faulty

MIB = 1 << 20
QUARTER = 256 * 1024
PATIENCE = 30.0
"""Seconds that a client waits for the next bytes."""


def client(url: str) -> Any:
    """The file system of a URL, as fsspec makes it of the environment."""
    return fsspec.core.url_to_fs(url)[0]


@pytest.fixture
def instantly(monkeypatch: pytest.MonkeyPatch) -> None:
    """gcsfs tries again without its pauses, of which the shortest is a second."""

    async def sleep(seconds: float) -> None:
        pass

    monkeypatch.setattr("gcsfs.retry.asyncio", SimpleNamespace(sleep=sleep))


def content(size: int) -> bytes:
    """Bytes of which each part differs from the others."""
    return b"".join(number.to_bytes(8, "big") for number in range(size // 8 + 1))[:size]


@pytest.mark.parametrize("name", ["a", "a/b.txt", "a b%2F+ü?#&=.txt"])
@pytest.mark.parametrize("data", [b"", b"one\r\ntwo\n", b"\n--==0==\n\r\n"])
def test_what_is_written_at_once_is_read_back(gcs: GcsBucket, name: str, data: bytes) -> None:
    fs = client(gcs.url())
    fs.pipe_file(gcs.url(name), data, consistency="md5")
    assert gcs.objects() == {name: len(data)}
    assert gcs.read(name) == fs.cat_file(gcs.url(name)) == data
    assert fs.info(gcs.url(name))["size"] == len(data)


def test_a_large_object_is_sent_in_chunks_and_seen_when_whole(gcs: GcsBucket) -> None:
    data = content(5 * MIB + 3)
    fs = client(gcs.url())
    fs.pipe_file(gcs.url("piped"), data, chunksize=MIB, consistency="md5")
    assert gcs.read("piped") == data
    assert gcs.requests()["upload_chunk"] == 6

    with fs.open(gcs.url("opened"), "wb", block_size=MIB, consistency="md5") as file:
        for start in range(0, len(data), 300_000):
            file.write(data[start : start + 300_000])
        assert list(gcs.objects()) == ["piped"]
        assert gcs.unfinished_uploads() == 1
    assert gcs.read("opened") == data
    assert gcs.unfinished_uploads() == 0


def test_an_object_beyond_fifty_mebibytes(gcs: GcsBucket) -> None:
    data = bytes(51 * MIB)
    client(gcs.url()).pipe_file(gcs.url("large"), data)
    assert gcs.objects() == {"large": len(data)}
    assert gcs.requests() == {"upload_resumable": 1, "upload_chunk": 2}


def test_an_upload_that_is_discarded_leaves_nothing(gcs: GcsBucket) -> None:
    file = client(gcs.url()).open(gcs.url("a"), "wb", block_size=QUARTER, autocommit=False)
    file.write(content(MIB))
    file.flush()
    assert gcs.unfinished_uploads() == 1
    file.discard()
    assert gcs.unfinished_uploads() == 0
    assert gcs.objects() == {}


def test_chunks_that_are_cut_or_sent_twice(gcs: GcsBucket) -> None:
    data = content(3 * QUARTER)
    start = f"/upload/storage/v1/b/{gcs.name}/o?uploadType=resumable&name=a"
    where = urlsplit(request(gcs.server, "POST", start)[1]["Location"])
    assert where.netloc == urlsplit(gcs.server).netloc

    def send(range: str, body: bytes = b"") -> tuple[int, str | None]:
        headers = {"Content-Range": f"bytes {range}"}
        target = f"{where.path}?{where.query}"
        status, answer, _ = request(gcs.server, "PUT", target, body, headers)
        return status, answer.get("Range")

    assert send("*/*") == (308, None)
    assert send("0-299999/*", data[:300_000]) == (308, f"bytes=0-{QUARTER - 1}")
    beyond = f"{2 * QUARTER}-{len(data) - 1}/{len(data)}"
    assert send(beyond, data[2 * QUARTER :]) == (400, None)
    assert send(f"0-{len(data) - 1}/{len(data)}", data) == (200, None)
    assert send(f"*/{len(data)}") == (200, None)
    assert send(f"0-{len(data) - 1}/{len(data)}", data) == (200, None)
    assert gcs.read("a") == data


def test_ranges(gcs: GcsBucket) -> None:
    gcs.write("a", b"0123456789")
    fs = client(gcs.url())
    assert fs.cat_file(gcs.url("a"), 2, 5) == b"234"
    assert fs.cat_file(gcs.url("a"), 8, 99) == b"89"
    assert fs.cat_file(gcs.url("a"), start=-3) == b"789"
    with pytest.raises(Exception, match="not satisfiable"):
        fs.cat_file(gcs.url("a"), 10, 20)
    with fs.open(gcs.url("a"), "rb") as file:
        file.seek(4)
        assert file.read() == b"456789"


def test_names_are_listed_page_by_page(gcs: GcsBucket) -> None:
    names = [f"{folder}/{number}.txt" for folder in "ab" for number in range(5)]
    for name in [*names, "c", "d"]:
        gcs.write(name, b"x")
    gcs.configure(page_size=3)
    fs = client(gcs.url())
    bucket = gcs.name
    assert fs.ls(gcs.url()) == [f"{bucket}/{name}" for name in ("a", "b", "c", "d")]
    assert gcs.requests()["list_objects"] == 2
    assert fs.find(gcs.url("a")) == [f"{bucket}/{name}" for name in names[:5]]
    assert fs.glob(gcs.url("*/[12].txt")) == [
        f"{bucket}/{name}" for name in names if name[2] in "12"
    ]
    assert fs.isdir(gcs.url("a"))
    assert not fs.isdir(gcs.url("c"))


def test_objects_are_copied_moved_joined_and_removed(gcs: GcsBucket) -> None:
    gcs.write("a", b"one")
    gcs.write("b", b"two")
    fs = client(gcs.url())
    fs.cp_file(gcs.url("a"), gcs.url("copied"))
    fs.mv(gcs.url("b"), gcs.url("moved/b"))
    fs.merge(gcs.url("joined"), [gcs.url("a"), gcs.url("moved/b")])
    assert gcs.objects() == {"a": 3, "copied": 3, "joined": 6, "moved/b": 3}
    assert gcs.read("joined") == b"onetwo"
    assert gcs.requests().keys() >= {"rewrite", "move", "compose"}

    fs.rm(gcs.url("moved"), recursive=True)
    fs.rm(gcs.url("a"))
    assert list(gcs.objects()) == ["copied", "joined"]
    assert not fs.exists(gcs.url("moved"))


def test_many_objects_are_removed_by_one_request(gcs: GcsBucket) -> None:
    fs = client(gcs.url())
    for name in ("a/1", "a/2"):
        gcs.write(name, b"x")
    paths = [f"{gcs.name}/{name}" for name in ("a/1", "a/missing", "a/2")]
    # `rm` makes batches on the real store alone.
    first, absent, second = fsspec.asyn.sync(fs.loop, fs._rm_files, paths)
    assert (first, second) == (paths[0], paths[2])
    assert "No such object" in str(absent)
    assert gcs.objects() == {}


def test_an_object_is_written_only_where_there_is_none(gcs: GcsBucket) -> None:
    fs = client(gcs.url())
    fs.pipe_file(gcs.url("a"), b"first", mode="create")
    with pytest.raises(FileExistsError):
        fs.pipe_file(gcs.url("a"), b"second", mode="create")
    with pytest.raises(FileExistsError):
        fs.pipe_file(gcs.url("a"), bytes(MIB), mode="create", chunksize=QUARTER)
    assert gcs.read("a") == b"first"


def test_buckets(gcs: GcsBucket) -> None:
    fs = client(gcs.url())
    name = f"{gcs.name}-other"
    fs.mkdir(name)
    assert {f"{name}/", f"{gcs.name}/"} <= set(fs.ls(""))
    fs.pipe_file(f"{name}/a", b"x")
    with pytest.raises(Exception, match="not empty"):
        fs.rmdir(name)
    fs.rm_file(f"{name}/a")
    fs.rmdir(name)
    assert f"{name}/" not in fs.ls("", refresh=True)


@pytest.mark.parametrize("path", ["missing", "missing/*"])
def test_missing_objects(gcs: GcsBucket, path: str) -> None:
    fs = client(gcs.url())
    assert fs.glob(gcs.url(path)) == []
    with pytest.raises(FileNotFoundError):
        fs.cat_file(gcs.url(path))
    with pytest.raises(FileNotFoundError):
        fs.info(gcs.url(path))


def test_a_missing_bucket(gcs: GcsBucket) -> None:
    fs = client(gcs.url())
    for attempt in (fs.ls, fs.info, fs.rmdir):
        with pytest.raises(FileNotFoundError):
            attempt("missing-bucket")
    with pytest.raises(FileNotFoundError):
        fs.pipe_file("missing-bucket/a", b"x")


def test_what_a_bucket_forbids(gcs: GcsBucket) -> None:
    gcs.write("a", b"x")
    fs = client(gcs.url())
    gcs.allow("read-only")
    assert fs.cat_file(gcs.url("a")) == b"x"
    with pytest.raises(OSError, match=r"storage\.objects\.create access"):
        fs.pipe_file(gcs.url("b"), b"x")
    with pytest.raises(OSError, match=r"storage\.objects\.create access"):
        fs.pipe_file(gcs.url("b"), bytes(MIB), chunksize=QUARTER)
    with pytest.raises(OSError, match=r"storage\.objects\.delete access"):
        fs.rm_file(gcs.url("a"))
    gcs.allow("forbidden")
    with pytest.raises(OSError, match=r"Forbidden.*\n.*storage\.objects\.get access"):
        fs.cat_file(gcs.url("a"))
    with pytest.raises(OSError, match=r"storage\.objects\.list access"):
        fs.ls(gcs.url())
    gcs.allow("unauthenticated")
    with pytest.raises(Exception, match=r"Anonymous caller does not have .* 401") as caught:
        fs.cat_file(gcs.url("a"))
    assert not isinstance(caught.value, OSError)
    assert gcs.objects() == {"a": 1}


def test_a_folder_is_a_bucket(
    gcs: GcsBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.txt").write_bytes(b"0123456789")
    (tmp_path / "empty").touch()
    emulator = str(Path(__file__).parent / "gcs_emulator.py")
    with running(emulator, "--folder", f"{tmp_path}=local") as url:
        monkeypatch.setenv(GCS_HOST, url)
        fs = client("gs://local")
        assert fs.find("local") == ["local/empty", "local/sub/a.txt"]
        assert fs.cat_file("local/sub/a.txt", 2, 5) == b"234"
        assert fs.cat_file("local/empty") == b""
        with pytest.raises(OSError, match="Forbidden"):
            fs.pipe_file("local/b", b"x")


def test_a_server_ends_when_its_stdin_is_closed() -> None:
    emulator = str(Path(__file__).parent / "gcs_emulator.py")
    with running(emulator) as url:
        assert request(url, "GET", "/storage/v1/b")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        request(url, "GET", "/storage/v1/b")


def request(
    server: str,
    method: str,
    target: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """One request without a client that tries again: status, headers and body."""
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=PATIENCE)
    try:
        connection.request(method, target, body, headers or {})
        response = connection.getresponse()
        return response.status, dict(response.headers), response.read()
    finally:
        connection.close()


def outcome(server: str, gcs: GcsBucket) -> str:
    """What a client sees of one download."""
    target = f"/download/storage/v1/b/{gcs.name}/o/a?alt=media"
    try:
        return str(request(server, "GET", target)[0])
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__


@pytest.mark.parametrize(
    ("kind", "seen", "forwarded"),
    [
        ("503", "503", 0),
        ("429", "429", 0),
        ("refuse", "ConnectionResetError", 0),
        ("lost", "ConnectionResetError", 1),
        ("reset", "ConnectionResetError", 1),
        ("truncate", "IncompleteRead", 1),
        ("stall", "TimeoutError", 1),
    ],
)
def test_a_client_sees_each_fault(
    gcs: GcsBucket, monkeypatch: pytest.MonkeyPatch, kind: str, seen: str, forwarded: int
) -> None:
    gcs.write("a", content(MIB))
    with faulty(1, 1.0, [kind], limit=1) as url:
        monkeypatch.setattr(f"{__name__}.PATIENCE", 0.1 if kind == "stall" else 30)
        assert outcome(url, gcs) == seen
        monkeypatch.undo()
        assert gcs.requests().get("download", 0) == forwarded
        assert outcome(url, gcs) == "200"


def test_a_connection_outlives_an_error(gcs: GcsBucket) -> None:
    target = f"/download/storage/v1/b/{gcs.name}/o/a?alt=media"
    gcs.write("a", b"x")
    with faulty(1, 1.0, ["503"], limit=2) as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
        statuses = []
        for method in ("HEAD", "GET", "HEAD", "GET"):
            connection.request(method, target)
            socket = connection.sock
            response = connection.getresponse()
            statuses.append((response.status, bool(response.read())))
            assert connection.sock is socket
        connection.close()
    assert statuses == [(503, False), (503, True), (200, False), (200, True)]


def test_clients_of_a_proxy_are_forgotten_after_an_error(s3: S3Bucket) -> None:
    s3.write("a", b"x")

    def fail() -> None:
        with faulty(1, 0.0, host=S3_HOST):
            assert client(s3.url()).cat_file(s3.url("a")) == b"x"
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fail()
    assert client(s3.url()).cat_file(s3.url("a")) == b"x"


def test_every_kind_has_a_test() -> None:
    marks = test_a_client_sees_each_fault.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in marks[0].args[1]} == set(KINDS)


def test_faults_follow_from_the_seed(gcs: GcsBucket) -> None:
    gcs.write("a", b"x")
    kinds = ["503", "429", "refuse"]

    def outcomes(seed: int) -> list[str]:
        with faulty(seed, 0.4, kinds) as url:
            return [outcome(url, gcs) for _ in range(30)]

    first = outcomes(1)
    told = [fault(1, 0.4, kinds, number) for number in range(30)]
    seen = {"503": "503", "429": "429", "refuse": "ConnectionResetError"}
    assert first == [seen[found.kind] if found else "200" for found in told]
    assert first == outcomes(1)
    assert first != outcomes(2)


def test_a_client_that_tries_again_gets_through(gcs: GcsBucket, instantly: None) -> None:
    data = content(4 * MIB)
    kinds = [kind for kind in KINDS if kind != "stall"]
    with faulty(3, 0.3, kinds):
        fs = client(gcs.url())
        fs.pipe_file(gcs.url("a"), data, chunksize=MIB)
        parts = [fs.cat_file(gcs.url("a"), at, at + QUARTER) for at in range(0, len(data), QUARTER)]
        assert b"".join(parts) == data
    assert gcs.read("a") == data
    assert gcs.requests()["download"] + gcs.requests()["upload_chunk"] > 20


def test_faults_without_end(gcs: GcsBucket, instantly: None) -> None:
    gcs.write("a", b"x")
    with faulty(1, 1.0, ["503"]), pytest.raises(Exception, match="503"):
        client(gcs.url()).cat_file(gcs.url("a"))
    assert gcs.requests() == {}


def test_other_processes_find_the_stores(gcs: GcsBucket, s3: S3Bucket) -> None:
    for bucket in (gcs, s3):
        bucket.write("a", b"seen")
        code = f"import fsspec; print(fsspec.open({bucket.url('a')!r}).open().read())"
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert (found.stdout, found.stderr) == ("b'seen'\n", "")


def test_s3(s3: S3Bucket) -> None:
    fs = client(s3.url())
    data = content(11 * MIB)
    fs.pipe_file(s3.url("small"), b"x")
    with fs.open(s3.url("folder/large"), "wb", block_size=5 * MIB) as file:
        file.write(data)
        assert s3.objects() == {"small": 1}
        assert s3.unfinished_uploads() == 1
    assert s3.objects() == {"small": 1, "folder/large": len(data)}
    assert s3.unfinished_uploads() == 0
    assert s3.read("folder/large") == data
    assert fs.cat_file(s3.url("folder/large"), start=5, end=25) == data[5:25]
    assert fs.glob(s3.url("*/*")) == [f"{s3.name}/folder/large"]
    fs.rm(s3.url("folder"), recursive=True)
    assert s3.objects() == {"small": 1}
    with pytest.raises(FileNotFoundError):
        fs.cat_file(s3.url("missing"))


def test_s3_through_the_proxy(s3: S3Bucket) -> None:
    data = content(6 * MIB)
    with faulty(1, 0.0, host=S3_HOST):
        fs = client(s3.url())
        fs.pipe_file(s3.url("a"), data, chunksize=5 * MIB)
        assert fs.cat_file(s3.url("a")) == data
    s3.write("b", b"x")
    with faulty(1, 1.0, ["503"], host=S3_HOST) as url:
        assert os.environ[S3_HOST] == url
        assert request(url, "GET", f"/{s3.name}/b")[0] == 503
