"""One instance for the folder."""

from collections.abc import Iterator

import pytest

from tests.e2e.instance import running_instance
from tests.e2e.stack import Stack


@pytest.fixture(scope="package")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The folder's instance. Its steps run in processes, so that one can be killed alone."""
    with running_instance(tmp_path_factory.mktemp("kills"), "--processes", "4") as stack:
        yield stack
