"""The live page: a small server beside a run, which tells of it and takes no orders."""

import asyncio
import ipaddress
import json
import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gaia.errors import PipelineError
from gaia.io.tell import tell
from gaia.runner.metrics import metrics
from gaia.runner.page import drawing_of, page
from gaia.runner.status import Status

if TYPE_CHECKING:
    from aiohttp import web

# Seconds between two snapshots; more where one takes long to make, so that they never take more
# than a twentieth of the time.
_EVERY = 0.5
_SHARE = 1 / 20
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


class LivePage:
    """Serves the page of a run, and the same as data, until it is closed.

    The thread that runs the pipeline publishes snapshots as bytes. The server has a thread of its
    own, which sees these bytes and nothing else of the run.

    Raises:
        PipelineError: The port is taken, or the address is none of this machine's.
    """

    def __init__(self, host: str, port: int) -> None:
        self._socket = _bound(host, port)
        self._content = b"{}"
        self._drawing = ""
        self._over = False
        self._due = 0.0
        self._begun = threading.Event()
        self._loop = asyncio.new_event_loop()
        # Set when there is something new, and then replaced by the next one.
        self._news = asyncio.Event()
        self._closing = asyncio.Event()
        self._streams: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._serve, name="gaia-live-page", daemon=True)

    @property
    def url(self) -> str:
        """Where the page is."""
        host, port = self._socket.getsockname()[:2]
        if ipaddress.ip_address(host).is_unspecified:
            host = socket.gethostname()
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def start(self, status: Status) -> None:
        """Begins to serve, and says where."""
        import aiohttp.web  # noqa: F401  Here, so that a broken installation is seen in this thread.

        self._drawing = drawing_of(status.plan)
        self._publish(status)
        self._thread.start()
        self._begun.wait()
        tell(f"gaia: live page at {self.url}")

    def changed(self, status: Status) -> None:
        """See `Listener.changed`."""
        if time.monotonic() >= self._due:
            self._publish(status)

    def ended(self, status: Status) -> None:
        """See `Listener.ended`."""
        self._publish(status)

    def close(self) -> None:
        """Ends the server, once open pages have got what was published last."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()
        self._socket.close()

    def _publish(self, status: Status) -> None:
        begin = time.monotonic()
        self._content = json.dumps(status.snapshot(), separators=(",", ":")).encode()
        self._over = status.phase != "running"
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._wake)
        now = time.monotonic()
        self._due = now + max(_EVERY, (now - begin) / _SHARE)

    # From here on, everything happens in the server's thread.

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _serve(self) -> None:
        try:
            self._loop.run_until_complete(self._served())
        finally:
            self._begun.set()
            self._loop.close()

    async def _served(self) -> None:
        from aiohttp import web

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
        self._begun.set()
        await self._closing.wait()
        self._over = True
        self._wake()
        if self._streams:
            await asyncio.wait(self._streams, timeout=_PARTING)
        await runner.cleanup()

    @property
    def _checked(self) -> Any:
        from aiohttp import web

        host = ipaddress.ip_address(self._socket.getsockname()[0])

        @web.middleware
        async def checked(request: web.Request, handler: Any) -> web.StreamResponse:
            # A page from elsewhere whose name was made to lead here would be read by its owner.
            if host.is_loopback and not _is_local(request.host):
                raise web.HTTPForbidden(text=f"expected a name of this machine, got {request.host}")
            answer: web.StreamResponse = await handler(request)
            return answer

        return checked

    async def _page(self, request: "web.Request") -> "web.Response":
        from aiohttp import web

        content = page(self._content.decode(), self._drawing, live=True)
        return web.Response(body=content, content_type="text/html", charset="utf-8")

    async def _status(self, request: "web.Request") -> "web.Response":
        from aiohttp import web

        return web.Response(body=self._content, content_type="application/json")

    async def _metrics(self, request: "web.Request") -> "web.Response":
        from aiohttp import web

        text = metrics(json.loads(self._content))
        # The version is that of the text format.
        kind = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=text.encode(), headers=kind)

    async def _events(self, request: "web.Request") -> "web.StreamResponse":
        """Every snapshot as it comes, or the latest where they come faster than they are taken."""
        from aiohttp import web

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
                news, over, content = self._news, self._over, self._content
                if content is not sent:
                    await answer.write(b"data: " + content + b"\n\n")
                    sent = content
                if over and content is self._content:
                    break
                await news.wait()
        return answer


async def _healthy(request: "web.Request") -> "web.Response":
    from aiohttp import web

    return web.Response(text="ok\n")


async def _with_headers(request: "web.Request", answer: "web.StreamResponse") -> None:
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


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise PipelineError(
            f"cannot listen on {host}, port {port}, for the live page: {why}; choose another "
            "http_port (0 takes one that is free), or http_host"
        ) from None
