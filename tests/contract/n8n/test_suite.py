"""The suite of all platforms, over the cases of n8n."""
# ruff: noqa: F403 - pytest collects the tests of the suite from this module

from tests.contract.n8n.cases import CASES  # noqa: F401
from tests.contract.suite.calls import *
from tests.contract.suite.effects import *
from tests.contract.suite.failures import *
from tests.contract.suite.hooks import *
from tests.contract.suite.parameters import *
from tests.contract.suite.rotation import *
from tests.contract.suite.waits import *
