"""The order of the tests, and the stores that they share."""

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

_LIBRARIES = (
    "test_arrow.py",
    "test_cat_columns.py",
    "test_column_files.py",
    "test_columns.py",
    "test_csv_peers.py",
    "test_limit.py",
    "test_tables.py",
)
_EXECUTORS = {"executor", "threads"}
_RAY = {"ray", "ray_nodes"}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "anywhere(*kinds): run on all kinds of runners, or on some")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Last what starts threads, beside which workers are not forked: clients of stores, then
    NumPy and Arrow, then executors, then Ray, whose nodes come with the stores' servers."""
    items.sort(key=_starts_threads)


def pytest_collection_finish() -> None:
    """A module of tests that starts threads where it is imported would make them all slow."""
    threads = Path("/proc/self/task")
    assert not threads.exists() or len(list(threads.iterdir())) == 1


def _starts_threads(item: pytest.Item) -> int:
    used = set(getattr(item, "fixturenames", ()))
    if call := getattr(item, "callspec", None):
        used |= {value for value in call.params.values() if isinstance(value, str)}
    if not used.isdisjoint(_RAY):
        return 4
    if not used.isdisjoint(_EXECUTORS):
        return 3
    if item.path.name in _LIBRARIES:
        return 2
    if item.path.name == "test_stores.py":
        return 1
    return int(not used.isdisjoint({"gcs", "s3"}))
