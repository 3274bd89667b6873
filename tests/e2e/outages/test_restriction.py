"""An account that Stripe restricts holds all payments, is told once, and all go on afterwards."""

import pytest

from tests.e2e.definitions import ended, register, started
from tests.e2e.outages.load import PAYMENT
from tests.e2e.stack import Json, Stack, until

WORKFLOWS = 20


def refusing(stack: Stack) -> list[Json]:
    found: list[Json] = stack.api("GET", "/v1/attention").json()["platforms"]
    return found


@pytest.mark.long
@pytest.mark.timeout(240)
def test_payments_of_a_restricted_account_are_held_told_once_and_go_on(stack: Stack) -> None:
    register(stack, PAYMENT)
    stack.control("POST", "/stripe/restrict", {"reason": "under_review"})
    ids = [started(stack, PAYMENT["name"], {}) for _ in range(WORKFLOWS)]

    def is_told() -> bool:
        return [each["workflows"] for each in refusing(stack)] == [WORKFLOWS]

    until("the one call for a person", is_told, 60.0, stack.dump)
    (told,) = refusing(stack)
    assert (told["platform"], told["reason"]) == ("stripe", "account_restricted")
    assert stack.api("GET", "/v1/attention").json()["items"] == []
    tried = "SELECT DISTINCT tries FROM steps WHERE workflow_id = ANY (%s::uuid[])"
    assert [row["tries"] for row in stack.rows(tried, ids)] == [0]
    stack.control("POST", "/stripe/restrict", {"reason": None})
    assert {ended(stack, each, 120.0)["status"] for each in ids} == {"succeeded"}
    assert refusing(stack) == []
    paid = [each["details"]["metadata"]["workflow"] for each in stack.journal()
            if each["effect"] == "captures"]  # fmt: skip
    assert sorted(each for each in paid if each in set(ids)) == sorted(ids)
