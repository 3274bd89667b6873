"""Undoing a step on a subscription takes back what the step did, and nothing of anybody else."""

from typing import Any

import pytest

from app.platform import Json
from tests.contract.cases import Claim
from tests.contract.stripe import selling
from tests.contract.stripe.cases import cancel_subscription as ending
from tests.contract.stripe.test_subscriptions import read
from tests.contract.vendors import Vendors


def by_hand(known: str, **changes: Any) -> Json:
    """A subscription that a person has changed in Stripe's dashboard."""
    return selling.ask(lambda v1: v1.subscriptions.update(known, changes))


def test_an_end_that_two_steps_want_is_taken_back_with_the_last_of_them(
    step: Claim, vendors: Vendors
) -> None:
    first = ending(step)
    known = first.given["subscription"]
    first.run()
    other = step("stripe.cancel_subscription", first.given)
    other.run()
    assert first.undo()["result"] == "already"
    assert read(known)["cancel_at_period_end"]
    assert [other.undo()["result"] for _ in range(2)] == ["taken_back", "already"]
    assert not read(known)["cancel_at_period_end"]
    assert not read(known)["metadata"]


def test_an_end_that_a_person_asked_for_again_is_not_taken_back(
    step: Claim, vendors: Vendors
) -> None:
    given = ending(step)
    known = given.given["subscription"]
    given.run()
    by_hand(known, cancel_at_period_end=False)
    vendors.advance(60)
    by_hand(known, cancel_at_period_end=True)
    assert given.undo()["result"] == "already"
    assert read(known)["cancel_at_period_end"]


@pytest.mark.parametrize("days_later", [0, 10])
def test_an_end_that_the_customer_has_set_by_its_time_is_kept(
    step: Claim, vendors: Vendors, days_later: int
) -> None:
    given = ending(step)
    known = given.given["subscription"]
    period_end = read(known)["items"]["data"][0]["current_period_end"]
    wanted = period_end + days_later * 86_400
    by_hand(known, cancel_at=wanted)
    assert given.run()["cancel_at"] is not None
    assert read(known)["cancel_at"] == period_end
    assert given.undo()["result"] == ("taken_back" if days_later else "already")
    assert read(known)["cancel_at"] == wanted
