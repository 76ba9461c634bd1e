"""Overrides: arguments of runners that win over those in a script.

`gaia run script.py --workers 4` runs a script that makes its own `gaia.LocalRunner`. While it runs,
what was given on the command line takes the place of what the script says.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ParamSpec

from gaia.errors import PipelineError

P = ParamSpec("P")

RUNNER = "runner"
"""The override that is no argument, but tells which runner it is."""

RUNNERS = {"local": "LocalRunner", "ray": "RayRunner"}
"""The runners' classes in `gaia`, by what they are called on the command line."""

# Of the process, as `sys.argv` is: the threads that a script starts make runners as well.
_current: dict[str, Any] = {}


@contextmanager
def overriding(arguments: Mapping[str, Any]) -> Iterator[None]:
    """Meanwhile, runners take these arguments, by keyword, in place of their own."""
    global _current
    before, _current = _current, dict(arguments)
    try:
        yield
    finally:
        _current = before


def current(keyword: str) -> Any:
    """What overrides an argument; None if nothing does."""
    return _current.get(keyword)


def overridable(init: Callable[P, None]) -> Callable[P, None]:
    """The constructor of a runner, which takes the overrides into account."""
    signature = inspect.signature(init)

    @functools.wraps(init)
    def wrapped(*args: P.args, **keywords: P.kwargs) -> None:
        if not _current:
            return init(*args, **keywords)
        bound = signature.bind(*args, **keywords)
        name = type(args[0]).__name__
        for keyword, value in _current.items():
            if keyword == RUNNER:
                _check_runner(name, value)
            elif keyword not in signature.parameters:
                raise PipelineError(f"gaia.{name} takes no --{keyword}")
            else:
                bound.arguments[keyword] = value
        return init(*bound.args, **bound.kwargs)

    return wrapped


def _check_runner(name: str, chosen: str) -> None:
    """Refuses another runner than the one that is being made."""
    if name in RUNNERS.values() and name != RUNNERS[chosen]:
        raise PipelineError(
            f"expected a script that leaves the runner open for --runner {chosen}, but it makes a "
            f"gaia.{name} itself; use gaia.runner_from_args(args) in place of that"
        )
