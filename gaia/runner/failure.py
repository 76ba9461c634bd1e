"""Telling users which of their code failed, and on what."""

import linecache
import traceback

from gaia import _core
from gaia.errors import StepError, users_part

_SHOWN = 200


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
            shown = record if len(record) <= _SHOWN else f"{record[:_SHOWN]}..."
            lines.append(f"  record: {shown}")
    linecache.checkcache()
    frames = traceback.extract_tb(users_part(error.__traceback__))
    if frames:
        lines.append("  in your code:")
        lines += [line.rstrip("\n") for line in traceback.format_list(frames)]
    what = "".join(traceback.format_exception_only(error)).strip()
    return StepError("\n".join([f"step `{step}` failed: {what}", *lines]))
