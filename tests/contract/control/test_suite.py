"""The suite of all platforms, over the actions that call no platform."""
# ruff: noqa: F403 - pytest collects the tests of the suite from this module

from tests.contract.control.cases import CASES  # noqa: F401
from tests.contract.suite.effectless import *
from tests.contract.suite.parameters import *
