"""The order of the tests."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Last what imports NumPy or Arrow: they start threads, beside which workers are not forked."""
    items.sort(key=lambda item: item.path.name in ("test_arrow.py", "test_columns.py"))
