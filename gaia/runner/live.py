"""The live page: a small server beside a run, which tells of it and takes no orders."""

import ipaddress
import json
import os
import select
import socket
import threading
import time
from typing import TYPE_CHECKING

from gaia.errors import PipelineError
from gaia.io.tell import tell
from gaia.runner.page import drawing_of
from gaia.runner.published import Published
from gaia.runner.status import Status

if TYPE_CHECKING:
    from gaia.runner.live_server import Server

# Seconds between two snapshots; more where one takes long to make, so that they never take more
# than a twentieth of the time.
_EVERY = 0.5
_SHARE = 1 / 20


class LivePage:
    """Serves the page of a run, and the same as data, until it is closed.

    The thread that runs the pipeline publishes snapshots as bytes. The server has a thread of its
    own, which sees these bytes and nothing else of the run. What it is made of takes a while to
    import; that is done when somebody looks for the first time.

    Raises:
        PipelineError: The port is taken, or the address is none of this machine's.
    """

    def __init__(self, host: str, port: int) -> None:
        self._socket = _bound(host, port)
        self._published = Published()
        self._due = 0.0
        self._server: Server | None = None
        self._closed = False
        # Who closes and who begins to serve know of each other.
        self._lock = threading.Lock()
        self._awake, self._wakes = socket.socketpair()
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
        self._published.drawing = drawing_of(status.plan)
        self._publish(status)
        self._thread.start()
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
        with self._lock:
            self._closed = True
            if self._server is not None:
                self._server.close()
        self._wakes.send(b".")
        if self._thread.is_alive():
            self._thread.join()
        for held in (self._socket, self._awake, self._wakes):
            held.close()

    def _publish(self, status: Status) -> None:
        begin = time.monotonic()
        content = json.dumps(status.snapshot(), separators=(",", ":")).encode()
        self._published.content, self._published.over = content, status.phase != "running"
        if self._server is not None:
            self._server.wake()
        now = time.monotonic()
        self._due = now + max(_EVERY, (now - begin) / _SHARE)

    def _serve(self) -> None:
        """What the thread does."""
        poll = select.poll()
        for readable in (self._socket, self._awake):
            poll.register(readable, select.POLLIN)
        poll.poll()
        if self._closed:
            return
        from gaia.runner.live_server import Server

        server = Server(self._socket, self._published)
        with self._lock:
            if self._closed:
                server.close()
            self._server = server
        server.run()


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
