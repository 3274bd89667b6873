"""The suite of all platforms, over the cases of HTTP, which has no vendor: no webhook is signed, no
setting has its address, and no compensation is its own."""
# ruff: noqa: F403 - pytest collects the tests of the suite from this module

from tests.contract.http.cases import CASES  # noqa: F401
from tests.contract.suite.calls import (  # noqa: F401
    test_429_is_no_failure_of_the_step_and_says_what_the_platform_asks,
    test_500_is_unknown_unless_the_call_may_be_repeated,
    test_a_probe_passes_and_changes_nothing,
    test_a_slow_answer_ends_with_the_lease,
    test_an_effect_answers,
    test_an_error_is_not_retried_within_the_attempt,
    test_no_answer_is_unknown_unless_the_call_may_be_repeated,
    test_nothing_is_sent_once_the_lease_is_over,
    test_nothing_is_sent_when_the_lease_is_nearly_over,
)
from tests.contract.suite.effects import *
from tests.contract.suite.failures import (  # noqa: F401
    test_each_failure_of_its_call_has_its_outcome,
    test_each_other_failure_of_its_call_has_its_outcome,
)
from tests.contract.suite.lookups import (  # noqa: F401
    test_a_lost_reply_is_found_and_the_step_goes_on,
    test_a_retried_step_does_not_take_its_earlier_effect_for_a_lost_one,
    test_what_never_arrived_is_never_in_time,
)
from tests.contract.suite.parameters import *
