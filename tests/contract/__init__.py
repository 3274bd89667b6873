"""The platforms with the sandbox over real HTTP: a suite for all, and a folder for each of them."""

import pytest

# pytest rewrites the assertions of test modules only. These modules are imported by them.
pytest.register_assert_rewrite("tests.contract.suite", "tests.contract.cases")
