"""Buckets, objects and uploads in memory, as Google Cloud Storage keeps them."""

import base64
import bisect
import hashlib
import itertools
import mmap
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import attrs
import google_crc32c

QUANTUM = 256 * 1024
"""What an unfinished upload holds is a multiple of this; the rest of a chunk must be sent anew."""

MAX_MD5_BYTES = 64 << 20
"""Larger objects have no MD5, as composite ones have none: hashing them would be measured too."""

MAX_COMPOSED = 32

READ_WRITE = "read-write"
READ_ONLY = "read-only"
FORBIDDEN = "forbidden"
UNAUTHENTICATED = "unauthenticated"
"""What a bucket lets its callers do. The last is a private bucket for callers without
credentials: Google answers 401 to these, and 403 to those that it knows."""

_WRITING = ("create", "update", "delete")
_CRC_PIECE = 1 << 18
_generations = itertools.count(time.time_ns() // 1000)


class StoreError(Exception):
    """An error that Google reports as JSON with a code, a reason and a message."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message


def now() -> str:
    """The time as Google writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@attrs.frozen
class Object:
    """A complete object. Its content is in memory, or in a file that is mapped when it is read."""

    name: str
    content: bytes | bytearray | Path
    fields: dict[str, Any]
    """What the client set: `contentType`, `metadata` and so on."""
    checksums: dict[str, str]
    generation: int = attrs.field(factory=lambda: next(_generations))
    time: str = attrs.field(factory=now)

    @property
    def size(self) -> int:
        if isinstance(self.content, Path):
            return self.content.stat().st_size
        return len(self.content)

    def view(self) -> memoryview:
        """The bytes, without a copy."""
        if not isinstance(self.content, Path):
            return memoryview(self.content)
        with self.content.open("rb") as file:
            empty = not self.content.stat().st_size
            return memoryview(b"" if empty else mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))

    def resource(self, bucket: str) -> dict[str, Any]:
        """The JSON of the object."""
        return {
            "contentType": "application/octet-stream",
            **self.fields,
            **self.checksums,
            "kind": "storage#object",
            "id": f"{bucket}/{self.name}/{self.generation}",
            "bucket": bucket,
            "name": self.name,
            "size": str(self.size),
            "generation": str(self.generation),
            "metageneration": "1",
            "etag": f"{self.generation}/1",
            "storageClass": "STANDARD",
            "timeCreated": self.time,
            "updated": self.time,
        }


def checksums(content: bytes | bytearray) -> dict[str, str]:
    """The checksums of an object, as Google writes them."""
    crc, view = 0, memoryview(content)
    for start in range(0, len(view), _CRC_PIECE):  # it takes nothing but bytes
        crc = google_crc32c.extend(crc, bytes(view[start : start + _CRC_PIECE]))
    found = {"crc32c": base64.b64encode(crc.to_bytes(4, "big")).decode()}
    if len(content) <= MAX_MD5_BYTES:
        found["md5Hash"] = base64.b64encode(hashlib.md5(content).digest()).decode()
    return found


@attrs.frozen
class Condition:
    """The generation that an object must have, or must not have; 0 is that of no object."""

    match: int | None = None
    no_match: int | None = None

    @classmethod
    def of(cls, query: Any) -> "Condition":
        match, no_match = query.get("ifGenerationMatch"), query.get("ifGenerationNotMatch")
        return cls(match and int(match), no_match and int(no_match))

    def check(self, found: Object | None) -> None:
        generation = found.generation if found else 0
        if self.match not in (None, generation) or self.no_match == generation:
            message = "At least one of the pre-conditions you specified did not hold."
            raise StoreError(412, "conditionNotMet", message)


@attrs.define
class Bucket:
    name: str
    access: str = READ_WRITE
    objects: dict[str, Object] = attrs.field(factory=dict)
    requests: Counter[str] = attrs.field(factory=Counter)
    time: str = attrs.field(factory=now)

    def check(self, permission: str) -> None:
        """Refuses what the bucket does not let its callers do."""
        writing = permission.endswith(_WRITING)
        if self.access == READ_WRITE or (self.access == READ_ONLY and not writing):
            return
        known = self.access != UNAUTHENTICATED
        caller = "tester@example.com" if known else "Anonymous caller"
        what = "object" if ".objects." in permission else "bucket"
        raise StoreError(
            403 if known else 401,
            "forbidden" if known else "required",
            f"{caller} does not have {permission} access to the Google Cloud Storage {what}. "
            f"Permission '{permission}' denied on resource (or it may not exist).",
        )

    def get(self, name: str, generation: str | None = None) -> Object:
        found = self.objects.get(name)
        if found is None or generation not in (None, str(found.generation)):
            raise StoreError(404, "notFound", f"No such object: {self.name}/{name}")
        return found

    def put(
        self,
        name: str,
        content: bytes | bytearray | Path,
        fields: dict[str, Any],
        condition: Condition = Condition(),
        known_checksums: dict[str, str] | None = None,
    ) -> Object:
        condition.check(self.objects.get(name))
        if known_checksums is None:
            known_checksums = {} if isinstance(content, Path) else checksums(content)
        self.objects[name] = Object(name, content, fields, known_checksums)
        return self.objects[name]

    def delete(self, name: str, condition: Condition) -> None:
        condition.check(self.get(name))
        del self.objects[name]

    def resource(self) -> dict[str, Any]:
        """The JSON of the bucket."""
        return {
            "kind": "storage#bucket",
            "id": self.name,
            "name": self.name,
            "timeCreated": self.time,
            "updated": self.time,
            "metageneration": "1",
            "location": "US",
            "locationType": "multi-region",
            "storageClass": "STANDARD",
        }

    def page(
        self, prefix: str, delimiter: str, start: str, end: str, after: str, limit: int
    ) -> tuple[list[Object], list[str], str]:
        """Objects and prefixes of a listing behind the entry `after`, at most `limit` in all, and
        the last of them if more follow."""
        items: list[Object] = []
        prefixes: list[str] = []
        last = ""
        for entry in self._entries(prefix, delimiter, max(start, prefix), end, after):
            if len(items) + len(prefixes) == limit:
                return items, prefixes, last
            if isinstance(entry, str):
                prefixes.append(entry)
            else:
                items.append(entry)
            last = entry if isinstance(entry, str) else entry.name
        return items, prefixes, ""

    def _entries(
        self, prefix: str, delimiter: str, start: str, end: str, after: str
    ) -> Iterator[Object | str]:
        names = sorted(self.objects)
        for name in names[bisect.bisect_left(names, max(start, after)) :]:
            if not name.startswith(prefix) or (end and name >= end):
                return
            folder, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("",) * 3
            entry = prefix + folder + delimiter if found else name
            if entry > after:
                after = entry
                yield entry if found else self.objects[name]


@attrs.define
class Upload:
    """A resumable upload. Its object is visible once all bytes are there, never before."""

    bucket: Bucket
    name: str
    fields: dict[str, Any]
    condition: Condition
    data: bytearray = attrs.field(factory=bytearray)
    result: Object | None = None
    cancelled: bool = False

    @property
    def persisted(self) -> int:
        """How many bytes need not be sent again."""
        return self.result.size if self.result else len(self.data)

    def receive(self, offset: int, piece: bytes) -> None:
        """Takes what is new of bytes at an offset: clients send again what they are unsure of,
        maybe while an earlier request is still on its way."""
        known = len(self.data) - offset
        if self.result is None and 0 <= known < len(piece):
            self.data += piece[known:] if known else piece

    def settle(self, total: int | None) -> None:
        """Completes the object if all is there, or else forgets what is beyond a whole quantum."""
        if self.result is not None or self.cancelled:
            return
        if total is not None and len(self.data) == total:
            self.result = self.bucket.put(self.name, self.data, self.fields, self.condition)
            self.data = bytearray()
        else:
            del self.data[len(self.data) // QUANTUM * QUANTUM :]


@attrs.define
class Store:
    buckets: dict[str, Bucket] = attrs.field(factory=dict)
    uploads: dict[str, Upload] = attrs.field(factory=dict)

    def bucket(self, name: str, permission: str) -> Bucket:
        """The bucket, for a caller that needs this permission."""
        if name not in self.buckets:
            raise StoreError(404, "notFound", "The specified bucket does not exist.")
        self.buckets[name].check(permission)
        return self.buckets[name]

    def make_bucket(self, name: str) -> Bucket:
        if name in self.buckets:
            message = "Your previous request to create the named bucket succeeded and you own it."
            raise StoreError(409, "conflict", message)
        self.buckets[name] = Bucket(name)
        return self.buckets[name]

    def delete_bucket(self, name: str) -> None:
        if self.bucket(name, "storage.buckets.delete").objects:
            raise StoreError(409, "conflict", "The bucket you tried to delete is not empty.")
        del self.buckets[name]

    def copy(self, source: tuple[str, str], dest: tuple[str, str], query: Any) -> Object:
        """The object under another name, with the same bytes."""
        found = self.bucket(source[0], "storage.objects.get").get(
            source[1], query.get("sourceGeneration")
        )
        bucket = self.bucket(dest[0], "storage.objects.create")
        return bucket.put(
            dest[1], found.content, found.fields, Condition.of(query), found.checksums
        )

    def compose(self, bucket: Bucket, name: str, request: dict[str, Any], query: Any) -> Object:
        """An object of the bytes of others. Like Google's, it has no MD5."""
        parts = request.get("sourceObjects", [])
        if not 1 <= len(parts) <= MAX_COMPOSED:
            message = f"The number of source components provided ({len(parts)}) is not 1 to 32."
            refuse(message)
        content = _joined(bucket.get(part["name"], part.get("generation")) for part in parts)
        crc = {"crc32c": checksums(content)["crc32c"]}
        fields = {**settable(request.get("destination", {})), "componentCount": len(parts)}
        return bucket.put(name, content, fields, Condition.of(query), crc)

    def unfinished(self, bucket: str) -> int:
        """How many uploads to the bucket were begun, and neither completed nor cancelled."""
        uploads = [each for each in self.uploads.values() if each.bucket.name == bucket]
        return sum(each.result is None and not each.cancelled for each in uploads)


def refuse(message: str) -> NoReturn:
    """Says that a request makes no sense."""
    raise StoreError(400, "badRequest", message)


def settable(resource: dict[str, Any]) -> dict[str, Any]:
    """What a client may set of an object's JSON."""
    encoding = ("contentType", "contentEncoding", "contentDisposition", "contentLanguage")
    keys = (*encoding, "cacheControl", "customTime", "metadata")
    return {key: resource[key] for key in keys if key in resource}


def _joined(objects: Iterable[Object]) -> bytes:
    return b"".join(each.view() for each in objects)
