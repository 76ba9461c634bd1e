"""Object stores for tests: servers on this machine, and a fresh bucket for every test.

The stores are found by the environment, so workers and other processes use them as well. What the
tests themselves do to a bucket goes around the client libraries, which start threads.
"""

import http.client
import json
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import attrs
import pytest
from children import running

TESTS = Path(__file__).parent
"""Where the servers are."""

GCS_HOST = "STORAGE_EMULATOR_HOST"


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


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[str]:
    with running(str(TESTS / "gcs_emulator.py")) as url:
        yield url


@pytest.fixture
def gcs(gcs_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[GcsBucket]:
    """An empty bucket, on the server that the environment names."""
    bucket = GcsBucket(gcs_server, f"bucket-{uuid.uuid4().hex[:12]}")
    bucket.allow("read-write")
    for name, value in bucket.environment().items():
        monkeypatch.setenv(name, value)
    forget_clients()
    yield bucket
    forget_clients()
    bucket.configure(latency=0, page_size=1000)
