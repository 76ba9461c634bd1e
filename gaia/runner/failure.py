"""Telling users which of their code failed, and on what."""

import linecache
import re
import traceback
from collections.abc import Iterable

from gaia import _core
from gaia.errors import StepError, is_own_file, users_part
from gaia.runner import worker

_SHOWN = 200
_FRAME = re.compile(r'  File "(.*)", line (\d+) in (.*)')


class Terminated(SystemExit):
    """The process was asked to end; not an exit that user code called."""


def step_error(error: BaseException, step: str, state: _core.TaskState) -> StepError:
    """The `StepError` for an exception that came out of user code.

    `step` is the one whose hook was running, where the exception did not come from a record.
    """
    lines = []
    if blamed := state.blame(error):
        step, record = blamed
        if state.input_file:
            # Without a record, it may be any of those that went on together.
            position = f", position {state.input_pos}" if record else ""
            lines.append(f"  input: {state.input_file}{position}")
        if record:
            lines.append(f"  record: {shortened(record)}")
    linecache.checkcache()
    frames = in_users_code(traceback.extract_tb(users_part(error.__traceback__)))
    what = "".join(traceback.format_exception_only(error)).strip()
    return StepError("\n".join([f"step `{step}` failed: {what}", *lines]) + frames)


def shortened(record: str) -> str:
    """The `repr` of a record, as much as a message can hold."""
    return record if len(record) <= _SHOWN else f"{record[:_SHOWN]}..."


def in_users_code(frames: Iterable[traceback.FrameSummary]) -> str:
    """What a message tells of frames of user code: nothing if there are none."""
    lines = traceback.format_list(list(frames))
    return "\n  in your code:\n" + "".join(lines).rstrip("\n") if lines else ""


def dumped_frames(dump: str) -> str:
    """The frames of user code in what `faulthandler` wrote when a worker died."""
    linecache.checkcache()
    told = ""
    for thread in re.split(r"^.*[Tt]hread 0x.*$", dump, flags=re.MULTILINE)[1:]:
        found = []
        for file, line, function in _FRAME.findall(thread):
            # Before it comes what led to the worker's start, where it was forked.
            if file == worker.__file__:
                break
            if not is_own_file(file):
                found.append(traceback.FrameSummary(file, int(line), function))
        told += in_users_code(reversed(found))
    return told
