"""The order of the tests, and the stores that they share."""

import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A machine may be busy; how long an example takes is not what is tested. Tests that run on several
# kinds of runners are called on several instances of their class, which hold nothing.
settings.register_profile(
    "steady",
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.differing_executors],
)
settings.load_profile("steady")

pytest_plugins = ["stores", "clusters", "anywhere"]

# Clients of stores, then NumPy and Arrow, then executors, then Ray, whose nodes come with the
# stores' servers.
_STORES, _LIBRARIES, _EXECUTORS, _RAY = range(1, 5)
_FILES = {
    "test_stores.py": _STORES,
    "test_executor.py": _EXECUTORS,
    "executor.py": _EXECUTORS,
}
_FIXTURES = {
    "gcs": _STORES,
    "s3": _STORES,
    "executor": _EXECUTORS,
    "threads": _EXECUTORS,
    "ray": _RAY,
    "ray_nodes": _RAY,
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "anywhere(*kinds): run on all kinds of runners, or on some")
    config.addinivalue_line("markers", "libraries: imports NumPy, Arrow or the like into pytest")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Last what starts threads, beside which workers are not forked."""
    items.sort(key=_starts_threads)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What starts threads too early would make tests slow, silently."""
    import anywhere  # Not before pytest has it, which rewrites what it asserts.

    if not _starts_threads(item) and anywhere.kind_of(item) == "processes":
        deadline = time.monotonic() + 10
        while len(threads := _threads()) > 1:
            # A thread that has been waited for may still be seen for a moment.
            assert time.monotonic() < deadline, f"workers are not forked beside {threads}"
            time.sleep(0.01)


def _threads() -> list[str]:
    """The names of this process's threads, as far as the system tells them."""
    names = []
    for thread in Path("/proc/self/task").glob("*"):
        with suppress(FileNotFoundError):
            names.append((thread / "comm").read_text().strip())
    return names


def _starts_threads(item: pytest.Item) -> int:
    used = set(getattr(item, "fixturenames", ()))
    if call := getattr(item, "callspec", None):
        used |= {value for value in call.params.values() if isinstance(value, str)}
    levels = [level for name, level in _FIXTURES.items() if name in used]
    if item.get_closest_marker("libraries"):
        levels.append(_LIBRARIES)
    return max([_FILES.get(item.path.name, 0), *levels])
