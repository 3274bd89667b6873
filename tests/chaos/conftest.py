"""The short run comes last: what is found quickly is told first."""

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the run behind everything else, of other folders too."""
    items.sort(key=lambda item: item.path.name == "test_short_run.py")
