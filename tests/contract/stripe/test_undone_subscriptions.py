"""Undoing a step on a subscription takes back what the step did, and nothing of anybody else."""

from dataclasses import replace
from typing import Any

import pytest

from app.errors import Permanent, Unknown
from app.platform import Json
from tests.contract.cases import Claim
from tests.contract.stripe import selling
from tests.contract.stripe.steps import cancel_subscription as ending
from tests.contract.stripe.steps import change_subscription as changing
from tests.contract.stripe.steps import pause_subscription as pausing
from tests.contract.stripe.steps import subscribe
from tests.contract.stripe.test_books import balances
from tests.contract.stripe.test_subscriptions import quantity, read
from tests.contract.vendors import Vendors


def by_hand(known: str, **changes: Any) -> Json:
    """A subscription that a person has changed in Stripe's dashboard."""
    return selling.ask(lambda v1: v1.subscriptions.update(known, changes))


def taken(known: str) -> int:
    """What the invoices of a subscription have taken from its customer."""
    listed = selling.ask(lambda v1: v1.invoices.list({"subscription": known}))
    return sum(each["amount_paid"] for each in listed["data"])


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


def test_a_change_that_was_charged_at_once_is_given_back_before_the_subscription_ends(
    step: Claim, vendors: Vendors
) -> None:
    first = subscribe(step)
    made = first.run()
    items = [{"item": made["items"][0]["item"], "quantity": 4}]
    more = {"items": items, "most_amount": 4000, "billing": "now"}
    second = step("stripe.change_subscription", {"subscription": made["subscription"], **more})
    second.run()
    assert balances() == {"revenue": -8000, "stripe:settling": 8000}
    assert [second.undo()["result"] for _ in range(2)] == ["changed_back", "already"]
    first.undo()
    assert balances() == {"revenue": -8000, "refunds": 8000}
    waiting = selling.ask(lambda v1: v1.invoice_items.list({"customer": made["customer"]}))
    assert [each for each in waiting["data"] if each["invoice"] is None] == []


@pytest.mark.parametrize("is_by_hand", [True, False])
def test_a_change_that_somebody_else_has_made_is_not_undone(
    step: Claim, vendors: Vendors, is_by_hand: bool
) -> None:
    given = changing(step)
    known = given.given["subscription"]
    if is_by_hand:
        vendors.fault("stripe", "subscriptions.update", "reset_before")
        with pytest.raises(Unknown):
            given.run()
        by_hand(known, items=[{"id": given.given["items"][0]["item"], "quantity": 3}])
        assert given.undo(status="unknown")["result"] == "superseded"
    else:
        given.run()
        other = step("stripe.change_subscription", given.given)
        other.run()
        assert [given.undo()["result"], other.undo()["result"]] == ["superseded", "already"]
    assert quantity(known) == 3


def test_the_changes_of_all_generations_of_a_step_are_undone(step: Claim, vendors: Vendors) -> None:
    given = changing(step)
    given.run()
    items = [{**given.given["items"][0], "quantity": 4}]
    again = given.retried()
    # In one second the prorations of both changes begin at the same time.
    again = replace(again, given=given.given | {"items": items, "most_amount": 4000})
    again.run()
    assert again.undo()["result"] == "changed_back"
    assert quantity(given.given["subscription"]) == 2


@pytest.mark.parametrize("billing", ["none", "next_invoice"])
def test_undoing_a_change_of_the_interval_never_charges_the_customer(
    step: Claim, vendors: Vendors, billing: str
) -> None:
    known = selling.subscription([{"price": selling.price(24000, "year")}])
    item = known["items"]["data"][0]["id"]
    monthly = [{"item": item, "price": selling.price(2000)}]
    more = {"items": monthly, "most_amount": 2000, "billing": billing}
    given = step("stripe.change_subscription", {"subscription": known["id"], **more})
    given.run()
    before = taken(known["id"])
    if billing == "none":
        with pytest.raises(Permanent) as caught:
            given.undo()
        assert caught.value.code == "undo_charges"
    else:
        # The unused year was credited to the customer's balance, which pays the way back.
        assert given.undo()["result"] == "changed_back"
    assert taken(known["id"]) == before


def test_undoing_a_pause_that_credited_the_rest_of_the_period_charges_it_again(
    step: Claim, vendors: Vendors
) -> None:
    given = pausing(step)
    given = replace(given, given=given.given | {"credit_unused": True})
    given.run()
    assert [given.undo()["result"] for _ in range(2)] == ["resumed", "already"]
    customer = read(given.given["subscription"])["customer"]
    listed = selling.ask(lambda v1: v1.invoice_items.list({"customer": customer}))
    assert sorted(each["amount"] for each in listed["data"]) == [-4000, 4000]


def test_a_pause_that_a_person_asked_for_again_is_not_ended(step: Claim, vendors: Vendors) -> None:
    given = pausing(step)
    known = given.given["subscription"]
    given.run()
    goes_on: Json = {"billing_cycle_anchor": {"type": "unchanged"}}
    selling.ask(lambda v1: v1.subscriptions.resume(known, goes_on))
    vendors.advance(60)
    selling.ask(lambda v1: v1.subscriptions.pause(known))
    assert given.undo()["result"] == "superseded"
    assert read(known)["status"] == "paused"
