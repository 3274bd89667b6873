"""The suite of all platforms, over the cases of OpenAI."""
# ruff: noqa: F403 - pytest collects the tests of the suite from this module

from tests.contract.openai.cases import CASES  # noqa: F401
from tests.contract.suite.calls import *
from tests.contract.suite.ceilings import *
from tests.contract.suite.effectless import *
from tests.contract.suite.effects import *
from tests.contract.suite.erasing import *
from tests.contract.suite.failures import *
from tests.contract.suite.hooks import *
from tests.contract.suite.lags import *
from tests.contract.suite.lookups import *
from tests.contract.suite.losses import *
from tests.contract.suite.parameters import *
from tests.contract.suite.rotation import *
from tests.contract.suite.undoing import *
from tests.contract.suite.waits import *
