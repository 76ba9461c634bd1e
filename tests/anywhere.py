"""Tests of what holds of all runners run on each of them: in this process, in workers of this
machine, in those of an executor, and on the nodes of a Ray cluster.

A module or a test is marked `anywhere`; arguments of the mark name some of `KINDS` alone, and the
mark that is nearest to the test counts. `Runner` and `run` use the kind that the test is run on.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.errors import InvalidArgument
from stores import GCS_HOST, S3_HOST

import gaia
import gaia.testing
from gaia.runner.engine import Engine, InlineEngine
from gaia.runner.executor import ExecutorEngine
from gaia.runner.processes import ProcessEngine
from gaia.runner.ray import RayEngine
from gaia.runner.shuffle import LocalShuffle, SharedShuffle, Shuffle

KINDS = ("inline", "processes", "executor", "ray")
IN_WORKERS = ("processes", "executor", "ray")
"""Where code runs that may kill its process."""

WORKERS = 2
_PROCESSOR = {"CPU": 1.0}

_kind = "inline"
_pool: Executor | None = None
_fresh: Executor | None = None

# So many examples does Hypothesis try elsewhere than in this process.
_EXAMPLES = 5
_with_few: set[Any] = set()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if mark := metafunc.definition.get_closest_marker("anywhere"):
        metafunc.parametrize("kind_of_runner", mark.args or KINDS, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: KINDS.index(kind_of(item) or "inline"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Has Hypothesis try fewer examples elsewhere: those in this process are over by then."""
    if not isinstance(item, pytest.Function) or kind_of(item) in (None, "inline"):
        return
    if item.get_closest_marker("hypothesis") and item.function not in _with_few:
        _with_few.add(item.function)
        with suppress(InvalidArgument):  # It says itself how many there are.
            settings(max_examples=_EXAMPLES)(item.function)


def kind_of(item: pytest.Item) -> str | None:
    """The kind of runners that a test is run on, if it is run on several."""
    call = getattr(item, "callspec", None)
    return call.params.get("kind_of_runner") if call else None


@pytest.fixture(scope="session", autouse=True)
def kind_of_runner(request: pytest.FixtureRequest) -> Iterator[str]:
    """Has `Runner` and `run` use runners of a kind. It outlives a test, so that Hypothesis takes
    it."""
    global _kind, _pool
    kind = getattr(request, "param", "inline")
    if kind == "executor":
        _pool = request.getfixturevalue("threads")
    if kind == "ray":
        request.getfixturevalue("ray_nodes")
    _kind = kind
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gaia.testing, "_engine", _engine)
        yield _kind
    _kind = "inline"


def is_local() -> bool:
    """Whether the test at hand runs on `LocalRunner`."""
    return _kind in ("inline", "processes")


def Runner(  # noqa: N802
    dest: str | os.PathLike[str], *, memory: int | None = None, **settings: Any
) -> Any:
    """A runner of the kind at hand, with settings that all runners have; `memory` is that of the
    whole run."""
    if _kind == "executor":
        part = None if memory is None else memory // WORKERS
        return gaia.ExecutorRunner(dest, _executor(), WORKERS, task_memory=part, **settings)
    if _kind == "ray":
        resources = {} if memory is None else {"memory": memory // WORKERS}
        return gaia.RayRunner(dest, resources_per_task=resources, **settings)
    workers = 0 if _kind == "inline" else WORKERS
    return gaia.LocalRunner(dest, workers, memory=memory, **settings)


def run(
    pipeline: gaia.Pipeline, inputs: Mapping[str, Iterable[Any]] | None = None, **settings: Any
) -> gaia.testing.TestResult:
    """`gaia.testing.run`, on a runner of the kind at hand."""
    return gaia.testing.run(pipeline, inputs, **settings)


def _engine() -> tuple[Engine, Shuffle]:
    if _kind == "executor":
        return ExecutorEngine(_executor(), WORKERS), SharedShuffle(None)
    if _kind == "ray":
        return RayEngine(_PROCESSOR, None), SharedShuffle(None)
    engine = InlineEngine() if _kind == "inline" else ProcessEngine(WORKERS, False)
    return engine, LocalShuffle()


def _executor() -> Executor:
    """An executor; a fresh one where workers of other tests would not know the store at hand."""
    global _fresh
    if GCS_HOST in os.environ or S3_HOST in os.environ:
        if _fresh is not None:
            _fresh.shutdown()
        _fresh = ThreadPoolExecutor(WORKERS)
        return _fresh
    assert _pool is not None
    return _pool


def journal_of(dest: Path) -> Path:
    """The journal of an unfinished run into a folder."""
    return dest / "_gaia" / "run" / "tasks" / "journal"
