"""What Google Cloud Storage's clients say in headers and bodies."""

import json
import re
from typing import Any

from gcs_objects import refuse


def byte_range(header: str | None, size: int) -> range | None:
    """The bytes that a `Range` asks of an object; None if it has none of them."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "bytes=-")
    if found is None or not any(found.groups()):
        return range(size)
    first, last = found.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    return range(start, end) if start < end else None


def content_range(header: str | None, length: int | None) -> tuple[int, int | None]:
    """Where a chunk starts, and the size of the object as far as the client knows it.

    A chunk without that header is the whole object.
    """
    if header is None:
        return 0, length
    found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", header)
    if found is None:
        refuse(f"Failed to parse Content-Range header: {header}")
    return int(found[1] or 0), None if found[2] == "*" else int(found[2])


def multipart(content_type: str, body: bytearray) -> tuple[dict[str, Any], bytes]:
    """The JSON of an object and its content, which follow each other in one body.

    Lines end with CRLF, as they should, or with LF, as those of gcsfs.
    """
    boundary = re.escape(content_type.partition("boundary=")[2].strip('"').encode())
    delimiter = rb"--" + boundary + rb"[ \t]*\r?\n"
    head = rb"((?:[^\r\n]+\r?\n)*)\r?\n"
    opening = re.compile(delimiter + head + rb"(.*?)\r?\n" + delimiter + head, re.S)
    closing = re.compile(rb"\r?\n--" + boundary + rb"--\s*$")
    found = opening.match(body)
    # Only the end is searched: content may be long.
    tail = max(found.end() if found else 0, len(body) - len(boundary) - 16)
    closed = closing.search(body, tail)
    if found is None or closed is None:
        refuse("Malformed multipart body.")
    resource = json.loads(found[2])
    if given := re.search(rb"content-type:\s*([^\r\n]+)", found[3], re.I):
        resource.setdefault("contentType", given[1].decode())
    return resource, bytes(memoryview(body)[found.end() : closed.start()])
