"""Telling users which of their code failed, and on what."""

import linecache
import re
import traceback
from collections.abc import Iterable

import attrs

from gaia import _core
from gaia.errors import StepError, is_own_file, users_part
from gaia.runner import worker

_SHOWN = 200
_FRAME = re.compile(r'  File "(.*)", line (\d+) in (.*)')


class Terminated(SystemExit):
    """The process was asked to end; not an exit that user code called."""


@attrs.frozen
class Failure:
    """What failed in a step: the record, if it was a single one, where that stands, and the frames
    of user code that the error came through."""

    step: str
    error: str
    file: str = ""
    position: int | None = None
    record: str = ""
    frames: str = ""

    def __str__(self) -> str:
        lines = [f"step `{self.step}` failed: {self.error}"]
        if self.file:
            position = "" if self.position is None else f", position {self.position}"
            lines.append(f"  input: {self.file}{position}")
        if self.record:
            lines.append(f"  record: {shortened(self.record)}")
        if self.frames:
            lines.append(f"  in your code:\n{self.frames}")
        return "\n".join(lines)


def failure_of(error: BaseException, step: str, state: _core.TaskState) -> Failure:
    """What an exception that came out of user code tells.

    `step` is the one whose hook was running, where the exception did not come from a record.
    """
    file, position, record = "", None, ""
    if blamed := state.blame(error):
        step, record = blamed
        file = state.input_file
        # Without a record, it may be any of those that went on together.
        position = state.input_pos if record else None
    linecache.checkcache()
    frames = traceback.extract_tb(users_part(error.__traceback__))
    what = "".join(traceback.format_exception_only(error)).strip()
    return Failure(step, what, file, position, record, shown_frames(frames))


def step_error(error: BaseException, step: str, state: _core.TaskState) -> StepError:
    """The `StepError` for an exception that came out of user code; see `failure_of`."""
    return StepError(str(failure_of(error, step, state)))


def shortened(record: str) -> str:
    """The `repr` of a record, as much as a message can hold."""
    return record if len(record) <= _SHOWN else f"{record[:_SHOWN]}..."


def shown_frames(frames: Iterable[traceback.FrameSummary]) -> str:
    """Frames as in a traceback, the innermost last."""
    return "".join(traceback.format_list(list(frames))).rstrip("\n")


def dumped_frames(dump: str) -> str:
    """The frames of user code in what `faulthandler` wrote when a worker died."""
    linecache.checkcache()
    threads = []
    for thread in re.split(r"^.*[Tt]hread 0x.*$", dump, flags=re.MULTILINE)[1:]:
        found = []
        for file, line, function in _FRAME.findall(thread):
            if file == worker.__file__:
                break  # Before it comes what led to the worker's start, where it was forked.
            if not is_own_file(file):
                found.append(traceback.FrameSummary(file, int(line), function))
        threads.append(shown_frames(reversed(found)))
    return "\n".join(filter(None, threads))
