"""Stores: the file systems behind URLs, with what a network needs: retries, time limits, and
errors that tell what was forbidden."""

import errno
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import attrs

X = TypeVar("X")
Y = TypeVar("Y")

# Seconds that one request may take, and for how long a failing one is repeated: what clients of
# stores repeat themselves comes on top.
TIMEOUT = float(os.environ.get("GAIA_STORE_TIMEOUT", "60"))
PATIENCE = float(os.environ.get("GAIA_STORE_PATIENCE", "120"))
# Bytes a second of the slowest connection over which a large upload is not given up.
_SLOWEST = 100_000
_STREAMED = 1 << 20
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
_REQUESTS = 16

_TRANSIENT_STATUS = (408, 429, 500, 502, 503, 504)
_TRANSIENT_NAMES = ("TransportError", "ChecksumError", "ConnectionError", "HTTPClientError")
_TRANSIENT_ERRNO = (
    errno.EIO,
    errno.EAGAIN,
    errno.EBUSY,
    errno.EPIPE,
    errno.ETIMEDOUT,
    errno.ECONNRESET,
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
)
_CREDENTIALS = {
    "gs": "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
    "gcs": "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
    "s3": "run `aws configure`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
}
_EXTRAS = {"s3": "pip install 'gaia-mr[s3]'", "s3a": "pip install 'gaia-mr[s3]'"}


@attrs.frozen(eq=False)
class Store:
    """The file system of URLs with one scheme: by its name and options for fsspec, or the user's
    own object."""

    scheme: str
    options: dict[str, Any] = attrs.field(factory=dict, repr=False)
    own: Any = None

    @property
    def filesystem(self) -> Any:
        """The fsspec file system, which fsspec keeps for each process.

        Raises:
            OSError: There is none for the scheme, or a package is missing.
        """
        if self.own is not None:
            return self.own
        import fsspec

        try:
            return fsspec.filesystem(self.scheme, **self.options)
        except (ImportError, ValueError) as error:
            hint = _EXTRAS.get(self.scheme)
            raise OSError(f"{self.scheme}:// needs {hint}" if hint else str(error)) from None

    @property
    def in_process(self) -> bool:
        """Whether its files are seen by this process alone."""
        return self.scheme == "memory"

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Calls a method of the file system; transient failures are repeated, with pauses that
        grow, and that differ from one client to the next.

        Raises:
            OSError: It failed for good.
        """
        return patiently(lambda: self._once(method, args, kwargs))

    def read(self, path: str, start: int, end: int) -> bytes:
        """Bytes `[start, end)` of a file, which has so many."""

        def once() -> bytes:
            found: bytes = self._once("cat_file", (path,), {"start": start, "end": end})
            if len(found) != end - start:
                raise ConnectionError(
                    f"the store sent {len(found)} bytes of {path} from byte {start} on, where "
                    f"{end - start} were expected"
                )
            return found

        return patiently(once)

    def has_ranges(self, url: str) -> bool:
        """Whether parts of a file can be asked for, as HTTP servers need not allow."""
        if self.scheme not in ("http", "https"):
            return True
        from fsspec.asyn import sync

        async def ask(fs: Any) -> bool:
            session = await fs.set_session()
            headers = {"Range": "bytes=0-0"}
            async with session.get(fs.encode_url(url), headers=headers) as answer:
                return bool(answer.status == 206)

        fs = self.filesystem
        return bool(patiently(lambda: sync(fs.loop, ask, fs, timeout=TIMEOUT)))

    def stream(self, url: str, start: int) -> Iterator[bytes]:
        """The content of a file from `start` on, where only the whole can be asked for: what fails
        in between begins anew, and passes over what has been there."""
        done = start

        def opened() -> Iterator[bytes]:
            with self.filesystem.open(url, "rb", block_size=0) as file:
                left = done
                while block := file.read(_STREAMED):
                    if left < len(block):
                        yield block[left:]
                    left = max(0, left - len(block))

        blocks = opened()

        def following() -> bytes | None:
            nonlocal blocks
            try:
                return next(blocks, None)
            except Exception:
                blocks = opened()
                raise

        while (block := patiently(following)) is not None:
            done += len(block)
            yield block

    def send(self, method: str, size: int, *args: Any) -> None:
        """Calls a method that sends so many bytes, which may take the longer.

        Raises:
            OSError: It failed for good.
        """
        patiently(lambda: self._once(method, args, {}, size))

    def below(self, folder: str) -> list[str]:
        """The URLs of all files below a folder; none where there is no such folder."""
        return list(self.sizes(folder))

    def sizes(self, folder: str) -> dict[str, int]:
        """The same with their sizes in bytes."""
        fs = self.filesystem
        fs.invalidate_cache()
        try:
            found = self.call("find", fs._strip_protocol(folder), detail=True)
        except FileNotFoundError:
            return {}
        return {fs.unstrip_protocol(name): info["size"] or 0 for name, info in found.items()}

    def remove(self, urls: Iterable[str]) -> None:
        """Removes files, if they are there."""

        def remove(url: str) -> None:
            with suppress(FileNotFoundError):
                self.call("rm_file", url)

        at_once(remove, urls)

    def _once(
        self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], size: int = 0
    ) -> Any:
        fs = self.filesystem
        # A time limit can be set where there is a coroutine. A file system that wraps another one
        # has them in name only if the other has none.
        limited = all(getattr(each, "async_impl", False) for each in (fs, getattr(fs, "fs", fs)))
        coroutine = getattr(fs, f"_{method}", None) if limited else None
        if coroutine is None:
            return getattr(fs, method)(*args, **kwargs)
        from fsspec.asyn import sync

        limit = TIMEOUT + size / _SLOWEST
        return sync(fs.loop, coroutine, *args, timeout=limit, **kwargs)


def store_of(url: str, options: dict[str, Any] | None = None, own: Any = None) -> Store | None:
    """The store of a path or URL; None for the local disk.

    >>> store_of("gs://bucket/words.txt").scheme, store_of("/data/words.txt")
    ('gs', None)
    """
    scheme, separator, _ = url.partition("://")
    if own is not None:
        return Store(scheme if separator else _scheme_of(own), {}, own)
    if not separator or scheme in ("file", "local"):
        return None
    return Store(scheme, options or {})


def _scheme_of(filesystem: Any) -> str:
    protocol = filesystem.protocol
    return protocol if isinstance(protocol, str) else str(protocol[0])


def local_path(path: str) -> str:
    """A local path or `file://` URL as an absolute path."""
    scheme, separator, rest = path.partition("://")
    plain = rest if separator and scheme in ("file", "local") else path
    return os.path.abspath(os.path.expanduser(plain))


def url_of(path: str, store: Store) -> str:
    """A path in a store as the URL by which its files are listed."""
    fs = store.filesystem
    url: str = fs.unstrip_protocol(fs._strip_protocol(path))
    return url


def join(folder: str, *names: str) -> str:
    """The path or URL of what is in a folder."""
    return "/".join([folder.rstrip("/"), *names])


def patiently(call: Callable[[], X]) -> X:
    """Repeats a call while it fails in a way that may pass."""
    chance = random.Random()
    pause = _FIRST_PAUSE
    begin = time.monotonic()
    while True:
        try:
            return call()
        except Exception as error:
            wait = pause * chance.uniform(0.5, 1.5)
            if not is_transient(error) or time.monotonic() + wait - begin > PATIENCE:
                raise
        time.sleep(wait)
        pause = min(2 * pause, _LONGEST_PAUSE)


def is_transient(error: BaseException) -> bool:
    """Whether a request may succeed when it is made again.

    >>> is_transient(ConnectionResetError()), is_transient(FileNotFoundError("x"))
    (True, False)
    """
    status = _status(error)
    if status is not None:
        return status in _TRANSIENT_STATUS
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    module = type(error).__module__.partition(".")[0]
    if module in ("aiohttp", "requests", "urllib3"):
        return "Certificate" not in type(error).__name__ and not isinstance(error, ValueError)
    if module in ("google", "botocore"):
        return any(base.__name__ in _TRANSIENT_NAMES for base in type(error).__mro__)
    return isinstance(error, OSError) and error.errno in _TRANSIENT_ERRNO


def _status(error: BaseException) -> int | None:
    """The HTTP status that an error tells."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's
        code = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        code = getattr(error, "status", None) or getattr(error, "code", None)
    if isinstance(code, str) and code.isdecimal():
        code = int(code)
    return code if isinstance(code, int) and 400 <= code < 600 else None


def is_forbidden(error: BaseException) -> bool:
    """Whether the store knows the caller too little, or not at all."""
    names = ("NoCredentialsError", "DefaultCredentialsError", "RefreshError")
    return (
        isinstance(error, PermissionError)
        or _status(error) in (401, 403)
        or type(error).__name__ in names
        or (isinstance(error, OSError) and str(error).startswith("Forbidden"))
    )


def explain(error: BaseException, operation: str, url: str) -> str:
    """Why an operation on a store failed: what was not permitted where, or what was said."""
    scheme, remote, path = url.partition("://")
    if remote and is_forbidden(error):
        bucket = f"{scheme}://{path.partition('/')[0]}"
        hint = _CREDENTIALS.get(scheme)
        hint = f"; {hint}" if hint else ""
        return f"no permission to {operation} in {bucket}: {_said(error)}{hint}"
    return f"cannot {operation} {url}: {_said(error)}"


def _said(error: BaseException) -> str:
    """The first line of a message, or the error's name where there is none."""
    if isinstance(error, FileNotFoundError) and not error.strerror:
        return "there is no such file or bucket"
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {TIMEOUT:g} seconds, however often it was asked"
    text = (getattr(error, "strerror", None) or str(error)).strip()
    return " ".join(text.split())[:300] or type(error).__name__


def at_once(function: Callable[[X], Y], items: Iterable[X], count: int = _REQUESTS) -> list[Y]:
    """Calls a function that waits for a store with all items, some at the same time.

    The first failure is raised once the calls under way have ended; others are not begun.
    """
    pending = list(items)
    if len(pending) <= 1:
        return [function(item) for item in pending]
    with ThreadPoolExecutor(min(count, len(pending))) as pool:
        futures = [pool.submit(function, item) for item in pending]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def read_ahead(items: Iterator[X], count: int) -> Iterator[X]:
    """The same items, up to `count` of them made in advance by a thread of its own."""
    slots = threading.Semaphore(count)
    ready = threading.Semaphore(0)
    made: deque[tuple[bool, Any]] = deque()
    closed = False

    def work() -> None:
        try:
            for item in items:
                slots.acquire()
                if closed:
                    return
                made.append((True, item))
                ready.release()
            made.append((False, None))
        except BaseException as error:
            made.append((False, error))
        ready.release()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            ready.acquire()
            more, item = made.popleft()
            if not more:
                if item is not None:
                    raise item
                return
            slots.release()
            yield item
    finally:
        closed = True
        slots.release()
        thread.join()
        if isinstance(items, Generator):
            items.close()
