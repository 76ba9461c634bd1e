"""A worker process: takes items over a pipe, calls a function, sends back results."""

import faulthandler
import gc
import signal
import sys
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle

from gaia import _core
from gaia.errors import GaiaError, WorkerError
from gaia.pipeline.travel import dumps


def serve(connection: Connection, dump: int, progress: int) -> None:
    """Works until the other side closes the pipe.

    Messages are `("shared", pickled function, shared value and timeout)` and `("item", pickled
    item)`; the answers to items are `("done", result)` and `("failed", error)`, pickled. Where the
    code was when the process dies, or when an item takes longer than the timeout, which ends the
    process, is written to the file `dump`; how far it is with an item, to the file `progress`.
    """
    _core.die_with_parent()
    _core.tell_progress(progress)
    faulthandler.enable(dump)
    # Whatever the signals meant in the parent; it holds them back while it starts a worker.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    gc.freeze()
    function: Any = None
    shared: Any = None
    timeout: float | None = None
    while True:
        try:
            kind, payload = connection.recv()
        except EOFError:
            return
        if kind == "shared":
            function, shared, timeout = _loaded(payload)
            continue
        if timeout is not None:
            faulthandler.dump_traceback_later(timeout, exit=True, file=dump)
        try:
            answer: tuple[str, Any] = ("done", function(shared, cloudpickle.loads(payload)))
        except GaiaError as error:
            answer = ("failed", error.with_traceback(None))
        except BaseException:
            answer = ("failed", WorkerError(f"a task failed:\n{traceback.format_exc()}"))
        if timeout is not None:
            faulthandler.cancel_dump_traceback_later()
        flush()
        connection.send_bytes(_packed(answer))


def _loaded(payload: bytes) -> Any:
    try:
        return cloudpickle.loads(payload)
    except Exception as error:
        why = (
            f"a worker cannot load the pipeline's code: {type(error).__name__}: {error}; what it "
            "imports has to be there wherever workers run"
        )
    return _refuse, WorkerError(why), None


def _refuse(error: WorkerError, item: Any) -> Any:
    raise error


def flush() -> None:
    """Empties the buffers of standard output and error, if there are such."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.flush()


def _packed(answer: tuple[str, Any]) -> bytes:
    """The answer pickled; one that cannot be, or not read again, becomes an error."""
    try:
        packed = dumps(answer)
        if answer[0] == "failed":
            cloudpickle.loads(packed)
        return packed
    except Exception as error:
        what = "the error" if answer[0] == "failed" else "what a task counted"
        text = f"{what} cannot be sent back from a worker: {error}; it was {answer[1]!r:.2000}"
        return dumps(("failed", WorkerError(text)))
