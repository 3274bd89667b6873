"""What a customer uses is reported once, and charged after the period."""

from dataclasses import replace

import pytest

from app import db
from app.errors import Permanent, Unknown
from tasks.stripe.billing.subscriptions import invoices_of
from tests.contract.cases import Claim
from tests.contract.stage import Step
from tests.contract.stripe import selling
from tests.contract.stripe.checkout.test_checkout import MONTHLY, opened
from tests.contract.stripe.steps import card, product, report_usage
from tests.contract.stripe.test_subscriptions import quantity, read
from tests.contract.vendors import Vendors

MONTH = 32 * 86_400


def reporting(step: Claim, customer: str, event_name: str, value: int = 12) -> Step:
    """A claimed step that reports usage."""
    given = {"customer": customer, "event_name": event_name, "value": value}
    return step("stripe.report_usage", given)


def test_what_is_used_is_charged_after_the_period_unless_it_is_undone(
    step: Claim, vendors: Vendors
) -> None:
    meter, customer = selling.meter(), selling.customer()
    monthly = {"interval": "month", "meter": meter["id"]}
    wanted = {"product": product(), "unit_amount": 30, "currency": "eur", "recurring": monthly}
    price = step("stripe.create_price", wanted).run()["price"]
    begun = step("stripe.subscribe", {"customer": customer, "items": [{"price": price}]}).run()
    assert begun["items"][0]["quantity"] is None
    reporting(step, customer, meter["event_name"]).run()
    mistaken = reporting(step, customer, meter["event_name"], 5)
    mistaken.run()
    assert [mistaken.undo()["result"] for _ in range(2)] == ["canceled", "already"]
    vendors.advance(MONTH)
    latest, first = invoices_of(begun["subscription"])
    assert (first["total"], latest["total"]) == (0, 12 * 30)
    assert latest["lines"]["data"][0]["quantity"] == 12


def metered_price() -> str:
    """A metered price that a shop has made."""
    recurring = {"interval": "month", "usage_type": "metered", "meter": selling.meter()["id"]}
    given = {"product": product(), "unit_amount": 30, "currency": "eur", "recurring": recurring}
    return str(selling.ask(lambda v1: v1.prices.create(given))["id"])


def test_an_item_becomes_metered_and_is_given_its_quantity_again(
    step: Claim, vendors: Vendors
) -> None:
    known = selling.subscription()
    item = {"item": known["items"]["data"][0]["id"], "price": metered_price()}
    change = {"subscription": known["id"], "items": [item], "most_amount": 0}
    given = step("stripe.change_subscription", change)
    vendors.fault("stripe", "subscriptions.update", "lost_reply")
    with pytest.raises(Unknown):
        given.run()
    assert given.run()["items"][0]["quantity"] is None
    assert given.undo()["result"] == "changed_back"
    assert quantity(known["id"]) == 2


def test_a_metered_price_is_begun_on_a_page_without_a_quantity(
    step: Claim, vendors: Vendors
) -> None:
    line = {"price": metered_price(), "quantity": None}
    waiting, session = opened(step, {**MONTHLY, "line_items": [line]})
    vendors.complete(session, card())
    subscription = waiting.run(external_id=session)["subscription"]
    (item,) = read(subscription)["items"]["data"]
    assert item["quantity"] is None
    assert waiting.undo()["result"] == "canceled"


def test_a_report_that_stripe_knows_already_is_done(step: Claim, vendors: Vendors) -> None:
    given = report_usage(step)
    vendors.fault("stripe", "billing.meter_events.create", "lost_reply")
    with pytest.raises(Unknown):
        given.run()
    # Stripe forgets the key of a call before it forgets the identifier of a report.
    vendors.advance(25 * 3600)
    assert given.run()["value"] == 12
    assert vendors.count("usage") == 1


def test_a_report_that_may_have_been_made_is_made_once_under_another_key(
    step: Claim, vendors: Vendors
) -> None:
    given = report_usage(step)
    vendors.fault("stripe", "billing.meter_events.create", "lost_reply")
    with pytest.raises(Unknown):
        given.run()
    # As after an answer of 500 that Stripe has stored under the first key.
    row = db.row("UPDATE steps SET generation = generation + 1 RETURNING generation", ())
    assert row is not None
    again = replace(given, claim=replace(given.claim, generation=row["generation"]))
    assert again.run()["value"] == 12
    assert vendors.count("usage") == 1


def test_a_metered_item_has_no_quantity_and_an_event_needs_a_meter(
    step: Claim, vendors: Vendors
) -> None:
    customer = selling.customer()
    items = [{"price": metered_price(), "quantity": 2}]
    with pytest.raises(Permanent, match="usage_type is `metered`"):
        step("stripe.subscribe", {"customer": customer, "items": items}).run()
    with pytest.raises(Permanent):
        reporting(step, customer, "unheard_of").run()
    assert vendors.count("usage") == 0
