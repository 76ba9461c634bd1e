"""The exceptions of Gaia.

::

    GaiaError
    ├── PipelineError   the graph is wired wrongly; raised while it is built
    ├── InputError      an input is missing, unreadable or damaged
    ├── OutputError     the destination cannot be written, or is not Gaia's to replace
    ├── TableError      a folder is no table, or holds another type than was asked for
    ├── StepError       user code raised while the pipeline ran
    └── WorkerError     a worker process died
"""

import os
import sys
from contextlib import contextmanager
from types import FrameType, TracebackType

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
# Frames of it stand between those of this package where a context manager is entered.
_CONTEXTS = contextmanager.__code__.co_filename


class GaiaError(Exception):
    """Any error that Gaia raises on purpose."""


class PipelineError(GaiaError):
    """The graph is wired wrongly.

    Raised while the graph is built, or when it is planned if a part is missing. The message names
    the step and the user's own file and line.

    >>> import gaia
    >>> gaia.Pipeline("p").from_records([1], name="ones").map(lambda n: n + 1, name="next")
    Traceback (most recent call last):
    ...
    gaia.errors.PipelineError: step `next`: expected a function with an annotated result, got \
`<lambda>` without one; annotate it or pass output=TYPE
      at <doctest gaia.errors.PipelineError[1]>:1
    """

    def __init__(self, message: str, *, step: str = "", location: str = "") -> None:
        where = f"step `{step}`: " if step else ""
        super().__init__(f"{where}{message}\n  at {location or caller()}")


class InputError(GaiaError):
    """An input is missing, unreadable or damaged; the message names the file."""


class OutputError(GaiaError):
    """The destination cannot be written, or holds something that Gaia did not make."""


class TableError(GaiaError):
    """A folder is not a table, or holds records of another type than was asked for."""


class StepError(GaiaError):
    """User code raised. The message names step, file, position and record, and shows the
    traceback through the user's own code."""


class WorkerError(GaiaError):
    """A worker process died."""


def is_gaias(frame: FrameType) -> bool:
    """Whether a frame runs this package's code."""
    return is_own_file(frame.f_code.co_filename)


def is_own_file(path: str) -> bool:
    """Whether a file is one of this package."""
    return path.startswith(_PACKAGE)


def caller() -> str:
    """`file:line` of the innermost frame outside this package: where the user called it."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (is_gaias(frame) or frame.f_code.co_filename == _CONTEXTS):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "<unknown>"


def users_part(traceback: TracebackType | None) -> TracebackType | None:
    """A traceback without this package's frames."""
    frames = []
    while traceback is not None:
        if not is_gaias(traceback.tb_frame):
            frames.append(traceback)
        traceback = traceback.tb_next
    kept = None
    for entry in reversed(frames):
        kept = TracebackType(kept, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return kept


def hide_own_frames() -> None:
    """Lets an uncaught `GaiaError` print with the frames of the user's code only."""
    previous = sys.excepthook

    def hook(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, GaiaError):
            traceback = users_part(traceback)
            error.__traceback__ = traceback
        previous(kind, error, traceback)

    sys.excepthook = hook
