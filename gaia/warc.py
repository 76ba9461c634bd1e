"""WARC records as mappers get them."""

import attrs

# In the order of the standard. Those that hold what was crawled are read unless others are asked
# for.
WARC_TYPES = (
    "warcinfo",
    "response",
    "resource",
    "request",
    "metadata",
    "revisit",
    "conversion",
    "continuation",
)
CONTENT_TYPES = ("response", "resource", "conversion")


@attrs.define
class WarcRecord:
    """A record of a WARC file, such as a crawled page (`response`) or its text (`conversion`).

    What a record does not tell is "", 0 or {}. The names of headers are in lower case; one that
    comes several times has its values joined by ", ".

    Args:
        type: WARC-Type.
        url: WARC-Target-URI, without the angle brackets that some writers put around it.
        date: WARC-Date as it stands, such as `2026-01-31T10:00:00Z`.
        id: WARC-Record-ID as it stands, such as `<urn:uuid:...>`.
        content_type: What the payload is: the Content-Type that HTTP tells, or the record's own.
        language: WARC-Identified-Content-Language: languages as `eng,deu`, the main one first.
        payload: The content: of HTTP the body, with chunks and compression undone where they can
            be; of other records all.
        http_status: The status code of an HTTP response.
        http_headers: The headers of HTTP.
        headers: All headers of the record itself.
    """

    type: str
    url: str
    date: str
    id: str
    content_type: str
    language: str
    payload: bytes
    http_status: int
    http_headers: dict[str, str]
    headers: dict[str, str]
