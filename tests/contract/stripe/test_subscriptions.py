"""Subscriptions: begun with or without the customer, changed within a limit, paused and ended."""

import threading
from dataclasses import replace

import pytest

from app import db
from app.errors import NotServed, Permanent, Retryable, Suspend, Unknown
from app.identity import keys
from app.platform import Found, Json
from tasks.stripe import authentication
from tests.contract.cases import Claim
from tests.contract.stage import Step
from tests.contract.stripe import selling
from tests.contract.stripe.steps import cancel_subscription as ending
from tests.contract.stripe.steps import change_subscription as changing
from tests.contract.stripe.steps import pause_subscription as pausing
from tests.contract.stripe.steps import subscribe
from tests.contract.stripe.test_books import balances
from tests.contract.vendors import Vendors

DECLINED, WANTS_CUSTOMER = "pm_card_chargeCustomerFail", "pm_card_authenticationRequired"


def read(known: str) -> Json:
    """A subscription at Stripe."""
    return selling.ask(lambda v1: v1.subscriptions.retrieve(known))


def quantity(known: str) -> int:
    """The quantity of the only item of a subscription."""
    (item,) = read(known)["items"]["data"]
    return int(item["quantity"])


def test_the_first_invoice_is_booked_and_given_back(step: Claim, vendors: Vendors) -> None:
    given = subscribe(step)
    made = given.run()
    assert (made["status"], made["currency"], len(made["items"])) == ("active", "eur", 1)
    assert made["items"][0]["current_period_end"] > made["items"][0]["current_period_start"]
    assert read(made["subscription"])["billing_mode"]["type"] == "flexible"
    assert balances() == {"revenue": -4000, "stripe:settling": 4000}
    done = given.undo()
    assert done["subscriptions"][0]["invoice"]["result"] == "credited"
    assert read(made["subscription"])["status"] == "canceled"
    assert balances() == {"revenue": -4000, "refunds": 4000}


@pytest.mark.parametrize("card", [DECLINED, WANTS_CUSTOMER])
def test_without_the_customer_a_refused_payment_leaves_no_subscription(
    step: Claim, vendors: Vendors, card: str
) -> None:
    given = subscribe(step)
    selling.pays_by(given.given["customer"], card)
    with pytest.raises(Permanent):
        given.run()
    assert given.undo(status="failed")["result"] == "nothing"
    assert (vendors.count("subscriptions"), balances()) == (0, {})


def waiting(step: Claim) -> tuple[Step, str]:
    """A step that waits until its customer pays in the browser, and the subscription."""
    items = [{"price": selling.price()}]
    given = step(
        "stripe.subscribe",
        {"customer": selling.customer(None), "items": items, "session": "on"},
    )
    with pytest.raises(Suspend) as caught:
        given.run()
    return given, caught.value.external_id


def test_the_customer_pays_the_first_invoice_in_the_browser(step: Claim, vendors: Vendors) -> None:
    given, known = waiting(step)
    shown = authentication.read_subscription(known)
    assert shown.status == "incomplete"
    assert shown.client_secret is not None
    with pytest.raises(Suspend):
        given.run(external_id=known)
    intent = shown.client_secret.partition("_secret_")[0]
    selling.ask(lambda v1: v1.payment_intents.confirm(intent, {"payment_method": "pm_card_visa"}))
    made = given.run(external_id=known)
    assert (made["status"], balances()["revenue"]) == ("active", -2000)
    assert authentication.read_subscription(known).client_secret is None
    recorded = str([each.response for each in given.intents])
    assert "_secret_" not in recorded


def test_a_customer_who_never_pays_leaves_an_invoice_that_is_voided(
    step: Claim, vendors: Vendors
) -> None:
    given, known = waiting(step)
    done = given.undo(status="waiting")
    assert (done["result"], done["subscriptions"][0]["invoice"]["result"]) == ("canceled", "voided")
    with pytest.raises(Permanent) as caught:
        given.run(external_id=known)
    assert caught.value.code == "first_payment_missing"


def test_a_trial_takes_nothing_and_nothing_is_given_back(step: Claim, vendors: Vendors) -> None:
    given = subscribe(step)
    made = replace(given, given=given.given | {"trial_days": 14}).run()
    assert (made["status"], made["trial_end"] is not None) == ("trialing", True)
    done = given.undo()
    assert done["subscriptions"][0]["invoice"]["result"] == "nothing"
    assert (vendors.count("credit_notes"), balances()) == (0, {})


def test_a_change_that_costs_more_than_it_may_is_not_made(step: Claim, vendors: Vendors) -> None:
    given = changing(step)
    known = given.given["subscription"]
    cheap = replace(given, given=given.given | {"most_amount": 1900})
    with pytest.raises(Permanent) as caught:
        cheap.run()
    assert (caught.value.code, quantity(known)) == ("costs_too_much", 2)
    assert "20.00 EUR, more than 19.00 EUR" in caught.value.message
    assert cheap.undo(status="failed")["result"] == "nothing"


def test_a_downgrade_costs_nothing_and_a_new_price_is_charged_at_once(
    step: Claim, vendors: Vendors
) -> None:
    known = selling.subscription()
    item = known["items"]["data"][0]["id"]
    less = {"subscription": known["id"], "items": [{"item": item, "quantity": 1}], "most_amount": 0}
    lowered = step("stripe.change_subscription", less)
    assert lowered.run()["items"][0]["quantity"] == 1
    assert lowered.undo()["result"] == "changed_back"
    more = {
        "subscription": known["id"],
        "items": [{"item": item, "price": selling.price(5000)}, {"price": selling.price(100)}],
        "most_amount": 6100,
        "billing": "now",
    }
    given = step("stripe.change_subscription", more)
    made = given.run()
    assert sorted(each["quantity"] for each in made["items"]) == [1, 2]
    # Two at 50.00 instead of 20.00, and one at 1.00.
    assert balances() == {"revenue": -6100, "stripe:settling": 6100}
    assert given.undo()["result"] == "changed_back"
    (left,) = read(known["id"])["items"]["data"]
    assert (left["id"], left["quantity"], left["price"]["unit_amount"]) == (item, 2, 2000)
    assert [given.undo()["result"], vendors.count("subscriptions.lowered")] == ["already", 2]


def test_older_prorations_do_not_hide_what_a_change_costs(step: Claim, vendors: Vendors) -> None:
    given = changing(step)
    known, item = given.given["subscription"], given.given["items"][0]["item"]
    vendors.advance(5)
    selling.ask(lambda v1: v1.subscriptions.update(known, {"items": [{"id": item, "quantity": 1}]}))
    with pytest.raises(Permanent) as caught:
        replace(given, given=given.given | {"most_amount": 3000}).run()
    assert caught.value.code == "costs_too_much"
    customer = read(known)["customer"]
    extra = {"customer": customer, "currency": "eur", "amount": 500, "subscription": known}
    selling.ask(lambda v1: v1.invoice_items.create(extra))
    less = {"items": [{"item": item, "price": selling.price(1000)}], "most_amount": 0}
    assert step("stripe.change_subscription", {"subscription": known, **less}).run()


def test_a_change_whose_cost_is_not_shown_whole_is_not_made(step: Claim, vendors: Vendors) -> None:
    known = selling.subscription([{"price": selling.price()} for _ in range(5)])
    items = [{"item": each["id"], "quantity": 2} for each in known["items"]["data"]]
    given = {"subscription": known["id"], "items": items, "most_amount": 99_000}
    with pytest.raises(Permanent) as caught:
        step("stripe.change_subscription", given).run()
    assert caught.value.code == "cost_unknown"
    assert step("stripe.change_subscription", {**given, "billing": "now"}).run()


def test_the_items_of_a_subscription_are_read_beyond_its_first_page(
    step: Claim, vendors: Vendors
) -> None:
    items = [{"price": selling.price(100)} for _ in range(12)]
    begun = step("stripe.subscribe", {"customer": selling.customer(), "items": items})
    vendors.fault("stripe", "subscription_items.list", "status", status=500)
    with pytest.raises(Unknown):
        begun.run()
    found = begun.look_up()
    assert isinstance(found, Found)
    begun.adopt(found)
    made = begun.run()
    assert {each["price"] for each in made["items"]} == {each["price"] for each in items}
    last = made["items"][-1]["item"]
    change = {"items": [{"item": last, "quantity": 3}], "most_amount": 200, "billing": "now"}
    changed = step("stripe.change_subscription", {"subscription": made["subscription"], **change})
    assert sorted(each["quantity"] for each in changed.run()["items"]) == [1] * 11 + [3]
    assert changed.undo()["result"] == "changed_back"
    asked = {"subscription": made["subscription"], "limit": 100}
    listed = selling.ask(lambda v1: v1.subscription_items.list(asked))
    assert [each["quantity"] for each in listed["data"]] == [1] * 12


def test_a_change_that_comes_late_is_prorated_in_the_present_period(
    step: Claim, vendors: Vendors
) -> None:
    given = changing(step)
    vendors.fault("stripe", "subscriptions.update", "reset_before")
    with pytest.raises(Unknown):
        given.run()
    vendors.advance(40 * 86_400)
    assert given.run()["items"][0]["quantity"] == 3


def test_a_change_names_an_item_that_exists_and_once(step: Claim, vendors: Vendors) -> None:
    given = changing(step)
    known, item = given.given["subscription"], given.given["items"][0]["item"]
    unknown = {"subscription": known, "items": [{"item": "si_x", "quantity": 3}], "most_amount": 0}
    with pytest.raises(Permanent) as caught:
        step("stripe.change_subscription", unknown).run()
    assert caught.value.code == "item_unknown"
    twice = [{"item": item, "quantity": 3}, {"item": item, "quantity": 4}]
    with pytest.raises(ValueError, match="changed once"):
        step("stripe.change_subscription", {**unknown, "items": twice}).run()
    nothing = {"items": [{"id": item, "quantity": 0}]}
    selling.ask(lambda v1: v1.subscriptions.update(known, nothing))
    one = {**unknown, "items": [{"item": item, "quantity": 1}], "most_amount": 2000}
    assert step("stripe.change_subscription", one).run()["items"][0]["quantity"] == 1


def test_a_change_that_somebody_has_changed_since_is_left_alone(
    step: Claim, vendors: Vendors
) -> None:
    given = changing(step)
    given.run()
    item = {"id": given.given["items"][0]["item"], "quantity": 7}
    known = given.given["subscription"]
    selling.ask(lambda v1: v1.subscriptions.update(known, {"items": [item]}))
    assert (given.undo()["result"], quantity(known)) == ("superseded", 7)


def unpaid(step: Claim) -> tuple[Step, str]:
    """A step whose change waits for its payment, and the invoice."""
    given = changing(step)
    known = given.given["subscription"]
    selling.pays_by(read(known)["customer"], DECLINED)
    given = replace(given, given=given.given | {"billing": "now", "unpaid": "wait"})
    with pytest.raises(Suspend) as caught:
        given.run()
    assert caught.value.external_id == known
    assert quantity(known) == 2
    return given, str(read(known)["latest_invoice"])


def test_a_change_takes_effect_when_its_invoice_is_paid(step: Claim, vendors: Vendors) -> None:
    given, invoice = unpaid(step)
    known = given.given["subscription"]
    with pytest.raises(Suspend):
        given.run(external_id=known)
    read_by_browser = given.action.authentication
    assert read_by_browser is not None
    assert read_by_browser(known).client_secret is not None
    selling.pay(invoice)
    assert read_by_browser(known).client_secret is None
    assert given.run(external_id=known)["items"][0]["quantity"] == 3
    assert balances() == {"revenue": -2000, "stripe:settling": 2000}


def test_a_change_that_is_never_paid_is_not_made(step: Claim, vendors: Vendors) -> None:
    given, _ = unpaid(step)
    known = given.given["subscription"]
    assert [given.undo(status="waiting")["result"] for _ in range(2)] == ["changed_back", "already"]
    assert vendors.count("invoices.voided") == 1
    with pytest.raises(Permanent) as caught:
        given.run(external_id=known)
    assert (caught.value.code, quantity(known)) == ("change_expired", 2)


def test_a_change_that_is_paid_while_it_is_undone_is_given_back(
    step: Claim, vendors: Vendors
) -> None:
    given, invoice = unpaid(step)
    vendors.fault("stripe", "invoices.void", "slow", seconds=0.8)
    customer = threading.Timer(0.1, selling.pay, (invoice,))
    customer.start()
    try:
        assert given.undo(status="waiting")["result"] == "changed_back"
    finally:
        customer.join(10)
    assert given.undo(status="waiting")["result"] == "already"
    assert quantity(given.given["subscription"]) == 2
    assert balances() == {"revenue": -2000, "refunds": 2000}


def test_a_request_that_has_waited_is_prorated_from_another_time(
    step: Claim, vendors: Vendors
) -> None:
    given = changing(step)
    vendors.fault("stripe", "subscriptions.update", "status", status=429)
    with pytest.raises(NotServed):
        given.run()
    db.row(
        "UPDATE intents SET request = jsonb_set(request::jsonb, '{proration_date}', '1000')::json",
        (),
    )
    with pytest.raises(Retryable) as caught:
        given.run()
    assert caught.value.stored, "another generation has another time and another key"
    assert quantity(given.given["subscription"]) == 2
    assert given.retried().run()["items"][0]["quantity"] == 3


def test_a_step_resumes_only_what_it_has_paused(step: Claim, vendors: Vendors) -> None:
    given = pausing(step)
    known = given.given["subscription"]
    assert given.run()["status"] == "paused"
    other = step("stripe.pause_subscription", given.given)
    with pytest.raises(Permanent) as caught:
        other.run()
    assert caught.value.code == "subscription_not_pausable"
    assert other.undo(status="failed")["result"] == "already"
    assert read(known)["status"] == "paused"
    goes_on: Json = {"billing_cycle_anchor": {"type": "unchanged"}}
    selling.ask(lambda v1: v1.subscriptions.resume(known, goes_on))
    assert given.undo()["result"] == "superseded"
    assert vendors.count("subscriptions.resumed") == 1


def test_an_end_at_once_is_final_and_looked_up(step: Claim, vendors: Vendors) -> None:
    given = ending(step)
    given = replace(given, given=given.given | {"at": "now", "credit_unused": True})
    vendors.fault("stripe", "subscriptions.cancel", "lost_reply")
    with pytest.raises(Unknown):
        given.run()
    # Stripe keeps no key of a DELETE: sent again, it would be refused.
    assert given.run()["status"] == "canceled"
    assert given.undo()["result"] == "final"
    assert vendors.count("subscriptions.canceled") == 1


def test_an_end_that_somebody_else_has_asked_for_is_not_taken_back(
    step: Claim, vendors: Vendors
) -> None:
    first = ending(step)
    assert first.run()["cancel_at_period_end"]
    other = step("stripe.cancel_subscription", first.given)
    assert other.run()["cancel_at_period_end"]
    assert other.undo()["result"] == "already"
    assert read(first.given["subscription"])["cancel_at_period_end"]
    assert first.undo()["result"] == "taken_back"


def test_another_organisation_changes_no_subscription(step: Claim, vendors: Vendors) -> None:
    made = subscribe(step).run()
    stranger, _ = keys.create_key("eve@example.org")
    known = {"subscription": made["subscription"]}
    change = {"items": [{"item": made["items"][0]["item"], "quantity": 9}], "most_amount": 90000}
    for action, more in (
        ("change_subscription", change),
        ("pause_subscription", {}),
        ("cancel_subscription", {"at": "now"}),
    ):
        with pytest.raises(Permanent) as caught:
            step(f"stripe.{action}", {**known, **more}, user=stranger).run()
        assert caught.value.code == "belongs_to_other"
    assert quantity(made["subscription"]) == 2
