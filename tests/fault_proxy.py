"""An HTTP proxy in front of one server that makes requests fail as networks and stores do.

    python tests/fault_proxy.py --target http://127.0.0.1:PORT --seed 1 --rate 0.1

prints its URL and works until its stdin is closed. Requests are numbered as they arrive; whether
and how one fails follows from the seed and its number alone. `Host` is passed on as it is, so that
the URLs which a server makes of it lead through the proxy as well.
"""

import argparse
import asyncio
import itertools
import json
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

from children import serve_until_stdin_closes

KINDS = {
    "503": "an error, in place of doing what was asked",
    "429": "the same, as too many requests",
    "refuse": "the connection is reset before anything is done",
    "lost": "what was asked is done, but the connection is reset before the response",
    "reset": "the connection is reset within the response",
    "truncate": "the response ends early, and the connection is closed",
    "stall": "the response stops, and the connection stays open until the client gives up",
}
_ERRORS = {
    "503": ("Service Unavailable", "We encountered an internal error. Please try again."),
    "429": ("Too Many Requests", "The object exceeded the rate limit for object mutations."),
}
_PIECE = 1 << 18
_UNKNOWN_LENGTH = 1 << 16
"""Where faults are within a response that does not tell its length."""


class Fault(NamedTuple):
    kind: str
    where: float
    """The part of the response that arrives, below 1."""


def fault(seed: int, rate: float, kinds: list[str], number: int) -> Fault | None:
    """What happens to the request of that number."""
    chance = random.Random(f"{seed}/{number}")
    return Fault(chance.choice(kinds), chance.random()) if chance.random() < rate else None


class Head(NamedTuple):
    """The lines of a request or response above its body."""

    first: str
    lines: list[str]

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> "Head":
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = text[:-4].split("\r\n")
        return cls(first, lines)

    def __getitem__(self, name: str) -> str:
        for line in self.lines:
            key, _, value = line.partition(":")
            if key.lower() == name:
                return value.strip().lower()
        return ""

    def encode(self, *, without: str = "") -> bytes:
        lines = [line for line in self.lines if line.partition(":")[0].lower() != without]
        return "\r\n".join([self.first, *lines, "", ""]).encode("latin-1")

    def length(self) -> int | None:
        """The length of the body; None if only its end will tell it."""
        if "chunked" in self["transfer-encoding"]:
            return None
        request = not self.first.startswith("HTTP/")
        return int(self["content-length"] or 0) if request or self["content-length"] else None


class Proxy:
    def __init__(
        self, target: str, seed: int, rate: float, kinds: list[str], limit: int | None
    ) -> None:
        self.target = urlsplit(target)
        self.seed = seed
        self.rate = rate
        self.kinds = kinds
        self.left = limit
        self.numbers = itertools.count()

    def next_fault(self) -> Fault | None:
        found = fault(self.seed, self.rate, self.kinds, next(self.numbers))
        if found is None or self.left is None:
            return found
        self.left -= 1
        return found if self.left >= 0 else None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the requests of one connection, until either side is done with it."""
        writer.transport.set_write_buffer_limits(0)  # what was drained is with the kernel
        # Cancelled connections, those that are open at the end, would be reported as failures.
        ends = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with suppress(*ends):
            while await self._exchange(reader, writer):
                pass
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its response; whether others may follow on the connection."""
        head = await Head.read(reader)
        found = self.next_fault()
        kind, where = found or ("", 1.0)
        if kind == "refuse":
            return _reset(writer)
        if head["expect"] == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = _body(reader, head, head.length())
        if kind in _ERRORS:
            async for _ in body:
                pass
            return await _send(writer, _error(kind, bodyless=head.first.startswith("HEAD ")))
        below, above = await asyncio.open_connection(
            self.target.hostname, self.target.port, limit=_PIECE
        )
        try:
            await _send(above, head.encode(without="expect"))
            async for piece in body:
                await _send(above, piece)
            return await self._respond(head, below, reader, writer, kind, where)
        finally:
            above.close()

    async def _respond(
        self,
        request: Head,
        below: asyncio.StreamReader,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        kind: str,
        where: float,
    ) -> bool:
        head = await Head.read(below)
        bodyless = request.first.startswith("HEAD ") or head.first.split()[1] in ("204", "304")
        length = 0 if bodyless else head.length()
        pieces = _body(below, head, length)
        if kind == "lost":
            async for _ in pieces:
                pass
            return _reset(writer)
        encoded = head.encode()
        if not kind:
            await _send(writer, encoded)
            async for piece in pieces:
                await _send(writer, piece)
            framed = length is not None or "chunked" in head["transfer-encoding"]
            return framed and "close" not in (request["connection"], head["connection"])
        # A response without a body breaks off within its head, others within their body.
        cut = int(where * (_UNKNOWN_LENGTH if length is None else length or len(encoded)))
        if length == 0:
            await _send(writer, encoded[:cut])
        else:
            await _send(writer, encoded)
            async for piece in pieces:
                await _send(writer, piece[:cut])
                cut -= len(piece)
                if cut <= 0:
                    break
        if kind == "reset":
            return _reset(writer)
        if kind == "stall":
            while await reader.read(_PIECE):
                pass
        return False


async def _body(
    reader: asyncio.StreamReader, head: Head, length: int | None
) -> AsyncIterator[bytes]:
    """The bytes of a body as they are on the wire, chunk sizes included."""
    if length is None and "chunked" in head["transfer-encoding"]:
        size = 1
        while size:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            yield line + await reader.readexactly(size + 2)
        return
    while length is None or length:
        piece = await reader.read(_PIECE if length is None else min(length, _PIECE))
        if not piece and length is None:
            return
        if not piece:
            raise asyncio.IncompleteReadError(b"", length)
        if length is not None:
            length -= len(piece)
        yield piece


async def _send(writer: asyncio.StreamWriter, data: bytes) -> bool:
    writer.write(data)
    await writer.drain()
    return True


def _reset(writer: asyncio.StreamWriter) -> bool:
    """Ends the connection so that the other side sees `Connection reset by peer`."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
    return False


def _error(kind: str, *, bodyless: bool) -> bytes:
    """A response as Google's to a request that may be tried again."""
    status, message = _ERRORS[kind]
    cause = {"message": message, "domain": "global", "reason": "backendError"}
    error = {"code": int(kind), "message": message, "errors": [cause]}
    body = json.dumps({"error": error}).encode()
    head = f"HTTP/1.1 {kind} {status}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + (b"" if bodyless else body)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", required=True, metavar="URL")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.1, help="the part of requests that fail")
    parser.add_argument("--kinds", default=",".join(KINDS), help="separated by commas")
    parser.add_argument("--limit", type=int, help="as many fail at most; without it, no end")
    args = parser.parse_args()
    kinds = args.kinds.split(",")
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"expected kinds of {', '.join(KINDS)}; got {', '.join(sorted(unknown))}")
    proxy = Proxy(args.target, args.seed, args.rate, kinds, args.limit)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", args.port, limit=_PIECE)
    host, port = server.sockets[0].getsockname()
    await serve_until_stdin_closes(f"http://{host}:{port}")


if __name__ == "__main__":
    asyncio.run(main())
