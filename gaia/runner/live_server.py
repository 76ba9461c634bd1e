"""The server of the live page, in a thread of its own, once somebody looks."""

import asyncio
import ipaddress
import json
import socket
from contextlib import suppress
from typing import Any

from aiohttp import web

from gaia.runner.metrics import metrics
from gaia.runner.page import page
from gaia.runner.published import Published

# Seconds that open pages are given to take what was published last.
_PARTING = 2.0
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "gaia",
    "X-Content-Type-Options": "nosniff",
}


class Server:
    """Answers with what was published, until it is closed."""

    def __init__(self, listening: socket.socket, published: Published) -> None:
        self._socket = listening
        self._published = published
        self._loop = asyncio.new_event_loop()
        # Set when there is something new, and then replaced by the next one.
        self._news = asyncio.Event()
        self._closing = asyncio.Event()
        self._streams: set[asyncio.Task[Any]] = set()

    def wake(self) -> None:
        """There is something new; may be called in any thread."""
        self._loop.call_soon_threadsafe(self._wake)

    def close(self) -> None:
        """Ends it, once open pages have got what was published last; may be called in any
        thread."""
        self._loop.call_soon_threadsafe(self._closing.set)

    def run(self) -> None:
        """Serves until it is closed."""
        try:
            self._loop.run_until_complete(self._served())
        finally:
            self._loop.close()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _served(self) -> None:
        app = web.Application(middlewares=[self._checked])
        app.on_response_prepare.append(_with_headers)
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/status.json", self._status),
                web.get("/events", self._events, allow_head=False),
                web.get("/metrics", self._metrics),
                web.get("/healthz", _healthy),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.0)
        await runner.setup()
        await web.SockSite(runner, self._socket).start()
        await self._closing.wait()
        self._published.over = True
        self._wake()
        if self._streams:
            await asyncio.wait(self._streams, timeout=_PARTING)
        await runner.cleanup()

    @property
    def _checked(self) -> Any:
        host = ipaddress.ip_address(self._socket.getsockname()[0])

        @web.middleware
        async def checked(request: web.Request, handler: Any) -> web.StreamResponse:
            # A page from elsewhere whose name was made to lead here would be read by its owner.
            if host.is_loopback and not _is_local(request.host):
                raise web.HTTPForbidden(text=f"expected a name of this machine, got {request.host}")
            answer: web.StreamResponse = await handler(request)
            return answer

        return checked

    async def _page(self, request: web.Request) -> web.Response:
        content = page(self._published.content.decode(), self._published.drawing, live=True)
        return web.Response(body=content, content_type="text/html", charset="utf-8")

    async def _status(self, request: web.Request) -> web.Response:
        return web.Response(body=self._published.content, content_type="application/json")

    async def _metrics(self, request: web.Request) -> web.Response:
        text = metrics(json.loads(self._published.content))
        # The version is that of the text format.
        kind = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=text.encode(), headers=kind)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Every snapshot as it comes, or the latest where they come faster than they are taken."""
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)
        # Whoever looked may be gone at any time.
        with suppress(ConnectionResetError):
            await answer.prepare(request)
            sent = b""
            while True:
                # Asked for before the content is looked at, so that nothing new is missed.
                news, over, content = self._news, self._published.over, self._published.content
                if content is not sent:
                    await answer.write(b"data: " + content + b"\n\n")
                    sent = content
                if over and content is self._published.content:
                    break
                await news.wait()
        return answer


async def _healthy(request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _with_headers(request: web.Request, answer: web.StreamResponse) -> None:
    answer.headers.update(_HEADERS)


def _is_local(host: str) -> bool:
    """Whether a Host header names this machine; the port may be that of a tunnel.

    >>> [_is_local(host) for host in ("localhost:9000", "[::1]:80", "127.0.0.1", "evil.example:80")]
    [True, True, True, False]
    """
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
