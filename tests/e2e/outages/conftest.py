"""One instance for the folder, whose circuits and limits are those of a plain installation."""

from collections.abc import Iterator

import pytest

from tests.e2e.instance import running_instance
from tests.e2e.stack import Stack


@pytest.fixture(scope="package")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The folder's instance."""
    with running_instance(tmp_path_factory.mktemp("outages")) as stack:
        yield stack
