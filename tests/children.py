"""Servers as child processes, which tell their URL and never outlive the tests."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


async def serve_until_stdin_closes(url: str) -> None:
    """In the child: tells the parent the URL, and returns when the parent is done or dead."""
    print(url, flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)


@contextmanager
def running(*args: str) -> Iterator[str]:
    """In the parent: the URL of a server that `python *args` runs.

    It is in a session of its own, so that a Ctrl-C meant for the tests does not reach it.
    """
    child = subprocess.Popen(
        [sys.executable, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        if not url:
            raise RuntimeError(f"expected a URL from {args}, got nothing; its stderr says why")
        try:
            yield url
        finally:
            child.stdin.close()
