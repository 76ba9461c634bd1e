"""Object stores for tests: servers on this machine, and a fresh bucket for every test.

The stores are found by the environment, so workers and other processes use them as well. What the
tests themselves do to a bucket goes around the client libraries, which start threads.
"""

import http.client
import json
import os
import sys
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import attrs
import pytest
from children import running
from fault_proxy import KINDS

GCS_HOST = "STORAGE_EMULATOR_HOST"
S3_HOST = "AWS_ENDPOINT_URL"
"""The variables that name the servers."""

_TESTS = Path(__file__).parent
_MOTO = """
import logging
import sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://%s:%s" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


@attrs.frozen
class GcsBucket:
    """A bucket of the emulator of Google Cloud Storage."""

    server: str
    name: str

    def url(self, path: str = "") -> str:
        return f"gs://{self.name}/{path}"

    def objects(self) -> dict[str, int]:
        """The sizes of all complete objects, by name."""
        return dict(self._look()["objects"])

    def requests(self) -> dict[str, int]:
        """How many requests there were, by kind: `download`, `upload_chunk` and so on."""
        return dict(self._look()["requests"])

    def unfinished_uploads(self) -> int:
        """How many uploads were begun, and neither completed nor cancelled."""
        return int(self._look()["unfinished_uploads"])

    def read(self, name: str) -> bytes:
        return self._control("GET", f"/{quote(name, safe='')}")

    def write(self, name: str, content: bytes) -> None:
        self._control("PUT", f"/{quote(name, safe='')}", content)

    def allow(self, access: str) -> None:
        """From now on callers may do that: `read-write`, `read-only`, `forbidden` or
        `unauthenticated`."""
        self._control("PUT", "", json.dumps({"access": access}).encode())

    def configure(self, **settings: float) -> None:
        """Sets `latency` or `page_size` of the whole server; the fixture sets them back."""
        _request(self.server, "PUT", "/_control/settings", json.dumps(settings).encode())

    def environment(self) -> dict[str, str]:
        """The variables by which gcsfs finds the server, and looks for no credentials."""
        return {
            GCS_HOST: self.server,
            "GOOGLE_APPLICATION_CREDENTIALS": os.devnull,
            "NO_GCE_CHECK": "true",
            # Or else gcsfs asks by gRPC, for which there is no emulator, what kind of bucket it is.
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        }

    def _look(self) -> Any:
        return json.loads(self._control("GET"))

    def _control(self, method: str, path: str = "", body: bytes | None = None) -> bytes:
        return _request(self.server, method, f"/_control/buckets/{self.name}{path}", body)


@attrs.frozen
class S3Bucket:
    """A bucket of an S3 that is simulated."""

    server: str
    name: str
    client: Any

    def url(self, path: str = "") -> str:
        return f"s3://{self.name}/{path}"

    def objects(self) -> dict[str, int]:
        """The sizes of all complete objects, by name."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", ())}

    def unfinished_uploads(self) -> int:
        """How many uploads were begun, and neither completed nor cancelled."""
        return len(self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", ()))

    def read(self, name: str) -> bytes:
        found = self.client.get_object(Bucket=self.name, Key=name)
        return bytes(found["Body"].read())

    def write(self, name: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=name, Body=content)

    def environment(self) -> dict[str, str]:
        """The variables by which s3fs finds the server, and looks for no other credentials."""
        return s3_environment(self.server)


def s3_environment(server: str) -> dict[str, str]:
    return {
        S3_HOST: server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _request(server: str, method: str, path: str, body: bytes | None = None) -> bytes:
    connection = http.client.HTTPConnection(urlsplit(server).netloc)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    if response.status == 404:
        raise FileNotFoundError(path)
    assert response.status < 400, answer
    return answer


def forget_clients() -> None:
    """Makes fsspec connect anew: its file systems keep connections and listings."""
    for module, name in (("gcsfs", "GCSFileSystem"), ("s3fs", "S3FileSystem")):
        if module in sys.modules:
            getattr(sys.modules[module], name).clear_instance_cache()


@contextmanager
def faulty(
    seed: int,
    rate: float = 0.1,
    kinds: Iterable[str] = tuple(KINDS),
    limit: int | None = None,
    *,
    host: str = GCS_HOST,
) -> Iterator[str]:
    """Requests fail, as `fault_proxy.KINDS` tells, on their way to the server that the variable
    `host` names; at most `limit` of them."""
    args = ["--target", os.environ[host], "--seed", str(seed), "--rate", str(rate)]
    args += ["--kinds", ",".join(kinds)]
    args += ["--limit", str(limit)] if limit is not None else []
    with running(str(_TESTS / "fault_proxy.py"), *args) as url, variables({host: url}):
        yield url


@contextmanager
def variables(variables: dict[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        forget_clients()
        try:
            yield
        finally:
            forget_clients()


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[str]:
    with running(str(_TESTS / "gcs_emulator.py")) as url:
        yield url


@pytest.fixture
def gcs(gcs_server: str) -> Iterator[GcsBucket]:
    """An empty bucket, on the server that the environment names."""
    bucket = GcsBucket(gcs_server, _new_name())
    bucket.allow("read-write")
    with variables(bucket.environment()):
        yield bucket
    bucket.configure(latency=0, page_size=1000)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    with running("-c", _MOTO) as url:
        yield url


@pytest.fixture(scope="session")
def s3_client(s3_server: str) -> Any:
    import boto3

    with variables(s3_environment(s3_server)):
        return boto3.client("s3", endpoint_url=s3_server)


@pytest.fixture
def s3(s3_server: str, s3_client: Any) -> Iterator[S3Bucket]:
    """An empty bucket, on the server that the environment names."""
    bucket = S3Bucket(s3_server, _new_name(), s3_client)
    s3_client.create_bucket(Bucket=bucket.name)
    with variables(bucket.environment()):
        yield bucket


def _new_name() -> str:
    return f"bucket-{uuid.uuid4().hex[:12]}"
