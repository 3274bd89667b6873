"""The examples in docstrings are true."""

import doctest
from types import ModuleType

import pytest

from app import links, payload, retry
from chains import definition, expressions, plan


@pytest.mark.parametrize("module", [links, payload, retry, definition, expressions, plan])
def test_examples_in_docstrings_hold(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
