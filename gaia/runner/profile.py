"""Where a run spends its time: step by step, in users' code or in Gaia, and the hottest lines.

The core keeps a mark of the step that a task is in, and of whether that is user code; a thread of
the core, which needs no GIL, looks at it every `EVERY` seconds (`_core.Sampler`). When it finds
user code, it sends the task's thread a signal, whose handler Python calls with the frame between
two instructions of that code. A request that the thread comes to when it is elsewhere is dropped.
(`Py_AddPendingCall` would need no signal, but Python 3.11 and 3.12 do not come to such calls
while user code computes.)

Neither a thread of Python's nor a timer's signals would do without the mark: both get their turn
between two instructions of Python code alone. What Gaia does for a record, holding the GIL, would
be taken for the first line of the user's function that is called next.

A sample counts with the time that has passed since the one before, so that a thread which is late
distorts nothing. What runs without the GIL, or in C, counts for the line that called it. Native
steps have no user code. Lines are told where the task runs in its process's main thread, as in
workers.
"""

import linecache
import signal
import sysconfig
import threading
from collections.abc import Iterable, Iterator, Sequence
from types import FrameType
from typing import Any

import attrs

from gaia import _core
from gaia.errors import is_gaias

# One that nobody else uses; macOS has none.
_SIGNAL = signal.SIGRTMAX - 7 if hasattr(signal, "SIGRTMAX") else signal.SIGPROF
# Seconds between two looks.
EVERY = 0.005
# Of so many lines a task tells those that took longest, and a stage keeps them of all its tasks.
_LINES = 1_000
_SHOWN = 20
_PRINTED = 5
_TEXT = 200


@attrs.frozen
class Line:
    """A line of user code, as the step that ran it."""

    step: str
    file: str
    line: int
    function: str


@attrs.define
class Spent:
    """Seconds, and the samples that they come from."""

    seconds: float = 0.0
    samples: int = 0

    def add(self, seconds: float, samples: int) -> None:
        """That much more."""
        self.seconds += seconds
        self.samples += samples


@attrs.define
class Profile:
    """What was sampled: by step and whether it is user code, and by line of that."""

    steps: dict[tuple[str, bool], Spent] = attrs.field(factory=dict)
    lines: dict[Line, Spent] = attrs.field(factory=dict)

    def add(self, other: "Profile") -> None:
        """Adds what another task has spent."""
        for step, spent in other.steps.items():
            self.steps.setdefault(step, Spent()).add(spent.seconds, spent.samples)
        for line, spent in other.lines.items():
            self.lines.setdefault(line, Spent()).add(spent.seconds, spent.samples)
        if len(self.lines) > 2 * _LINES:
            self.lines = _hottest(self.lines, _LINES)


class Sampler:
    """Samples this thread until the `with` block ends; then it has a `profile`, with `steps` in
    their order, of which the first is where it begins, in Gaia."""

    def __init__(self, steps: list[str]) -> None:
        self.profile = Profile()
        self._order = steps
        # Signals are handled in the main thread alone.
        self._handler: Any = None

    def __enter__(self) -> "Sampler":
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(_SIGNAL, self._tell)
            # What system calls it interrupts go on.
            signal.siginterrupt(_SIGNAL, False)
        self._core = _core.Sampler(EVERY, 0 if self._handler is None else _SIGNAL)
        for step in reversed(self._order):
            self._core.enter(step, False)
        return self

    def __exit__(self, *_: object) -> None:
        found = {
            (step, users): Spent(seconds, samples)
            for step, users, seconds, samples in self._core.stop()
        }
        if self._handler is not None:
            # A signal that user code holds back is forgotten; by default it would end the process.
            signal.signal(_SIGNAL, signal.SIG_IGN)
            signal.signal(_SIGNAL, self._handler)
        for step in self._order:
            # Also where nothing was found, so that the order is that of all tasks.
            self.profile.steps[step, False] = found.get((step, False), Spent())
            if (step, True) in found:
                self.profile.steps[step, True] = found[step, True]
        self.profile.lines = _hottest(self.profile.lines, _LINES)

    def enter(self, step: str, users: bool) -> None:
        """The task goes on to a step: to the user's code of it, or to what Gaia does for it."""
        self._core.enter(step, users)

    def _tell(self, _: int, frame: FrameType | None) -> None:
        """Tells the line of a frame, if that is user code of the step that was asked for."""
        asked = self._core.asked()
        frame = _users(frame)
        if asked is not None and frame is not None:
            step, seconds, samples = asked
            code = frame.f_code
            line = Line(step, code.co_filename, frame.f_lineno, code.co_qualname)
            self.profile.lines.setdefault(line, Spent()).add(seconds, samples)


def _hottest(lines: dict[Line, Spent], count: int) -> dict[Line, Spent]:
    ordered = sorted(lines.items(), key=lambda item: -item[1].seconds)
    return dict(ordered[:count])


# What is no code of the user's own: a line there counts for the line that called it.
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
_MADE = ("<attrs generated", "<frozen ", "<string>", "<__array_function__")


def _users(frame: FrameType | None) -> FrameType | None:
    """The innermost frame of the user's own code; of a library, where there is no other; None where
    Gaia called something that has no frame."""
    library = None
    while frame is not None and not is_gaias(frame):
        path = frame.f_code.co_filename
        if path.startswith(_LIBRARIES):
            library = library or frame
        elif not path.startswith(_MADE):
            return frame
        frame = frame.f_back
    return library


def shown(profiles: Iterable[tuple[str, Profile]]) -> dict[str, Any]:
    """Profiles of stages as plain data, which is `snapshot()["profile"]` of a run with
    `profile=True`; without it, that is None.

    `seconds` are summed over all workers; `share` is of all seconds of the run. Steps are in the
    order in which records go through them: first the stage's own, which for Gaia is reading and
    decoding, last the writes, which for Gaia are sharding, combining, encoding and compressing, and
    for users key functions and the like. Lines are the hottest of the whole run, at most 20; what
    a step's lines lack of its `user` seconds is in code that has no lines.

        {
            "every": 0.005,              # seconds between two samples
            "seconds": 12.5, "user": 9.0, "gaia": 3.5, "samples": 2480,
            "stages": [
                {
                    "stage": "inp1", "seconds": 12.5, "user": 9.0, "gaia": 3.5, "samples": 2480,
                    "steps": [
                        {"step": "word_splitter", "seconds": 9.5, "user": 9.0, "gaia": 0.5,
                         "samples": 1880, "share": 0.76},
                    ],
                },
            ],
            "lines": [
                {"stage": "inp1", "step": "word_splitter", "file": "/home/me/words.py", "line": 12,
                 "function": "WordSplitter.do", "text": "for word in self.regex.findall(line):",
                 "seconds": 6.2, "samples": 1220, "share": 0.5},
            ],
        }
    """
    profiles = list(profiles)
    total = _sum(spent for _, profile in profiles for spent in profile.steps.items())
    every = total["seconds"] or 1.0
    lines = [
        (stage, line, spent) for stage, profile in profiles for line, spent in profile.lines.items()
    ]
    lines.sort(key=lambda entry: -entry[2].seconds)
    linecache.checkcache()
    return {
        "every": EVERY,
        **total,
        "stages": [
            {
                "stage": stage,
                **_sum(profile.steps.items()),
                "steps": [
                    {"step": step, **spent, "share": spent["seconds"] / every}
                    for step, spent in _by_step(profile)
                ],
            }
            for stage, profile in profiles
        ],
        "lines": [
            {
                "stage": stage,
                **attrs.asdict(line),
                "text": linecache.getline(line.file, line.line).strip()[:_TEXT],
                **attrs.asdict(spent),
                "share": spent.seconds / every,
            }
            for stage, line, spent in lines[:_SHOWN]
        ],
    }


def _by_step(profile: Profile) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in dict.fromkeys(step for step, _ in profile.steps):
        yield name, _sum(item for item in profile.steps.items() if item[0][0] == name)


def _sum(steps: Iterable[tuple[tuple[str, bool], Spent]]) -> dict[str, Any]:
    user = gaia = 0.0
    samples = 0
    for (_, users), spent in steps:
        if users:
            user += spent.seconds
        else:
            gaia += spent.seconds
        samples += spent.samples
    return {"seconds": user + gaia, "user": user, "gaia": gaia, "samples": samples}


def table(profile: dict[str, Any]) -> Iterator[str]:
    """The lines of a short table of what `shown` has returned, for the terminal."""
    total = profile["seconds"]
    if not total:
        yield "gaia: profile: the run was too short to be sampled"
        return
    yield (
        f"gaia: profile: {total:.1f} s in all workers, {profile['user'] / total:.0%} of it in your "
        f"code ({profile['samples']} samples)"
    )
    rows = [("stage", "step", "your code", "Gaia", "share")]
    for stage in profile["stages"]:
        rows += [
            (
                stage["stage"],
                step["step"],
                f"{step['user']:.2f} s",
                f"{step['gaia']:.2f} s",
                f"{step['share']:.0%}",
            )
            for step in stage["steps"]
        ]
    yield from _aligned(rows, left=2)
    if profile["lines"]:
        yield "  hottest lines of your code:"
    found = [
        (f"{line['share']:.0%}", f"{line['file']}:{line['line']}", line["function"], line["text"])
        for line in profile["lines"][:_PRINTED]
    ]
    yield from _aligned(found, left=4)


def _aligned(rows: Sequence[tuple[str, ...]], left: int) -> Iterator[str]:
    """Rows of cells below each other: `left` of them to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if number < left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"  {'  '.join(cells)}".rstrip()
