"""Subscriptions, their items, schedules and test clocks, through Stripe's own SDK."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from tests.sandbox.running import Sandbox
from tests.sandbox.stripe.test_catalogue import price
from tests.sandbox.stripe.test_invoices import customer, told

START = int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp())


def day(month: int, number: int, hour: int = 12) -> int:
    return int(datetime(2026, month, number, hour, tzinfo=UTC).timestamp())


def monthly(client: stripe.StripeClient, amount: int = 3000) -> str:
    return price(client, unit_amount=amount, recurring={"interval": "month"}).id


def subscribe(client: stripe.StripeClient, owner: str, cost: str, **more: Any) -> Any:
    given: Any = {"customer": owner, "items": [{"price": cost}], **more}
    return client.v1.subscriptions.create(given)


def clocked(client: stripe.StripeClient, **more: Any) -> tuple[str, str]:
    clock = client.v1.test_helpers.test_clocks.create({"frozen_time": START})
    return clock.id, customer(client, test_clock=clock.id, **more)


def advance(client: stripe.StripeClient, clock: str, to: int) -> None:
    begun = client.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": to})
    assert begun.status == "advancing"
    assert client.v1.test_helpers.test_clocks.retrieve(clock).status == "ready"


def test_a_subscription_is_active_when_its_first_invoice_is_paid(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    made = subscribe(stripe_client, customer(stripe_client), monthly(stripe_client))
    item = made["items"].data[0]
    assert (made.status, made.billing_mode.type) == ("active", "flexible")
    assert "current_period_end" not in made
    assert 27 * 86400 < item.current_period_end - item.current_period_start < 32 * 86400
    invoice = stripe_client.v1.invoices.retrieve(made.latest_invoice)
    assert (invoice.status, invoice.amount_paid) == ("paid", 3000)
    assert (invoice.billing_reason, sandbox.books()["payments"]) == ("subscription_create", 1)
    assert invoice.parent is not None
    assert invoice.parent.subscription_details is not None
    assert invoice.parent.subscription_details.subscription == made.id


def test_the_payment_behavior_decides_on_a_declined_card(
    stripe_client: stripe.StripeClient,
) -> None:
    owner = customer(stripe_client, "pm_card_chargeCustomerFail")
    cost = monthly(stripe_client)
    assert subscribe(stripe_client, owner, cost).status == "incomplete"
    with pytest.raises(stripe.CardError):
        subscribe(stripe_client, owner, cost, payment_behavior="error_if_incomplete")
    assert len(stripe_client.v1.subscriptions.list({"customer": owner}).data) == 1
    bare = stripe_client.v1.customers.create({}).id
    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source"):
        subscribe(stripe_client, bare, cost)


def test_a_browser_completes_the_first_payment(stripe_client: stripe.StripeClient) -> None:
    owner = stripe_client.v1.customers.create({}).id
    made = subscribe(
        stripe_client, owner, monthly(stripe_client), payment_behavior="default_incomplete",
        expand=["latest_invoice.confirmation_secret"],
    )  # fmt: skip
    assert made.status == "incomplete"
    intent = made.latest_invoice.confirmation_secret.client_secret.partition("_secret_")[0]
    stripe_client.v1.payment_intents.confirm(intent, {"payment_method": "pm_card_visa"})
    assert stripe_client.v1.subscriptions.retrieve(made.id).status == "active"
    kinds = told(stripe_client)
    assert kinds.index("customer.subscription.created") < kinds.index(
        "customer.subscription.updated"
    )


def test_periods_follow_the_calendar(stripe_client: stripe.StripeClient) -> None:
    clock, owner = clocked(stripe_client)
    made = subscribe(stripe_client, owner, monthly(stripe_client))
    advance(stripe_client, clock, day(4, 1))
    kept = stripe_client.v1.subscriptions.retrieve(made.id)
    item = kept["items"].data[0]
    # 31 January, 28 February, 31 March, 30 April.
    assert (item.current_period_start, item.current_period_end) == (day(3, 31), day(4, 30))
    invoices = stripe_client.v1.invoices.list({"subscription": made.id}).data
    assert [each.created for each in invoices] == [day(3, 31), day(2, 28), START]
    assert {each.status for each in invoices} == {"paid"}


def test_an_upgrade_is_prorated(stripe_client: stripe.StripeClient) -> None:
    clock, owner = clocked(stripe_client)
    made = subscribe(stripe_client, owner, monthly(stripe_client))
    start, end = START, day(2, 28)
    advance(stripe_client, clock, (start + end) // 2)
    item = made["items"].data[0].id
    stripe_client.v1.subscriptions.update(
        made.id, {"items": [{"id": item, "price": monthly(stripe_client, 5000)}]}
    )
    waiting = stripe_client.v1.invoice_items.list({"customer": owner, "pending": True}).data
    assert sorted(each.amount for each in waiting) == [-1500, 2500]
    advance(stripe_client, clock, day(3, 1))
    latest = stripe_client.v1.invoices.list({"subscription": made.id}).data[0]
    assert (latest.total, len(latest.lines.data)) == (6000, 3)


def test_a_change_can_be_billed_at_once_or_never(stripe_client: stripe.StripeClient) -> None:
    clock, owner = clocked(stripe_client)
    made = subscribe(stripe_client, owner, monthly(stripe_client))
    advance(stripe_client, clock, (START + day(2, 28)) // 2)
    item = made["items"].data[0].id
    stripe_client.v1.subscription_items.update(
        item, {"quantity": 2, "proration_behavior": "always_invoice"}
    )
    latest = stripe_client.v1.invoices.list({"subscription": made.id}).data[0]
    assert (latest.billing_reason, latest.amount_paid) == ("subscription_update", 1500)
    stripe_client.v1.subscription_items.update(item, {"quantity": 9, "proration_behavior": "none"})
    assert len(stripe_client.v1.invoices.list({"subscription": made.id}).data) == 2
    assert stripe_client.v1.invoice_items.list({"pending": True}).data == []
    told_of = stripe_client.v1.events.list({"type": "customer.subscription.updated"}).data[0]
    assert told_of.data.previous_attributes is not None
    assert told_of.data.previous_attributes["items"]["data"][0]["quantity"] == 2


def test_a_trial_ends_in_a_payment_or_a_pause(stripe_client: stripe.StripeClient) -> None:
    clock, owner = clocked(stripe_client)
    cost = monthly(stripe_client)
    pays = subscribe(stripe_client, owner, cost, trial_period_days=7)
    assert (pays.status, pays.trial_end) == ("trialing", START + 7 * 86400)
    first = stripe_client.v1.invoices.retrieve(pays.latest_invoice)
    assert (first.status, first.total) == ("paid", 0)
    bare = stripe_client.v1.customers.create({"test_clock": clock}).id
    ending: Any = {"end_behavior": {"missing_payment_method": "pause"}}
    pauses = subscribe(stripe_client, bare, cost, trial_period_days=7, trial_settings=ending)
    advance(stripe_client, clock, START + 5 * 86400)
    assert told(stripe_client).count("customer.subscription.trial_will_end") == 2
    advance(stripe_client, clock, START + 8 * 86400)
    assert stripe_client.v1.subscriptions.retrieve(pays.id).status == "active"
    assert stripe_client.v1.subscriptions.retrieve(pauses.id).status == "paused"
    paid = stripe_client.v1.invoices.list({"subscription": pays.id}).data[0]
    assert paid.amount_paid == 3000
    assert "customer.subscription.paused" in told(stripe_client)


def test_a_subscription_ends_at_its_period_or_now(stripe_client: stripe.StripeClient) -> None:
    clock, owner = clocked(stripe_client)
    cost = monthly(stripe_client)
    later, now = subscribe(stripe_client, owner, cost), subscribe(stripe_client, owner, cost)
    planned = stripe_client.v1.subscriptions.update(later.id, {"cancel_at_period_end": True})
    assert (planned.status, planned.cancel_at) == ("active", day(2, 28))
    assert stripe_client.v1.subscriptions.cancel(now.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="No such subscription"):
        stripe_client.v1.subscriptions.cancel(now.id)
    advance(stripe_client, clock, day(3, 2))
    ended = stripe_client.v1.subscriptions.retrieve(later.id)
    assert (ended.status, ended.ended_at) == ("canceled", day(2, 28))
    assert len(stripe_client.v1.invoices.list({"subscription": later.id}).data) == 1
    assert stripe_client.v1.subscriptions.list().data == []
    assert len(stripe_client.v1.subscriptions.list({"status": "canceled"}).data) == 2


def test_an_unpaid_renewal_is_past_due_until_paid(stripe_client: stripe.StripeClient) -> None:
    clock, owner = clocked(stripe_client)
    made = subscribe(stripe_client, owner, monthly(stripe_client))
    stripe_client.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": owner})
    bad = stripe_client.v1.payment_methods.list({"customer": owner}).data[0].id
    stripe_client.v1.subscriptions.update(made.id, {"default_payment_method": bad})
    advance(stripe_client, clock, day(3, 1))
    kept = stripe_client.v1.subscriptions.retrieve(made.id)
    assert kept.status == "past_due"
    good = stripe_client.v1.payment_methods.list({"customer": owner}).data[1].id
    stripe_client.v1.invoices.pay(str(kept.latest_invoice), {"payment_method": good})
    assert stripe_client.v1.subscriptions.retrieve(made.id).status == "active"


def test_an_unpaid_start_expires_after_23_hours(stripe_client: stripe.StripeClient) -> None:
    clock, _ = clocked(stripe_client)
    bare = stripe_client.v1.customers.create({"test_clock": clock}).id
    made = subscribe(
        stripe_client, bare, monthly(stripe_client), payment_behavior="default_incomplete"
    )
    advance(stripe_client, clock, START + 22 * 3600)
    assert stripe_client.v1.subscriptions.retrieve(made.id).status == "incomplete"
    advance(stripe_client, clock, START + 24 * 3600)
    assert stripe_client.v1.subscriptions.retrieve(made.id).status == "incomplete_expired"
    assert stripe_client.v1.invoices.retrieve(made.latest_invoice).status == "void"


def test_pause_and_resume(stripe_client: stripe.StripeClient) -> None:
    made = subscribe(stripe_client, customer(stripe_client), monthly(stripe_client))
    assert stripe_client.v1.subscriptions.pause(made.id, {"type": "subscription"}).status == (
        "paused"
    )
    # The billing cycle begins anew, which makes an invoice that the request does not pay.
    waiting = stripe_client.v1.subscriptions.resume(made.id)
    assert (waiting.status, waiting.latest_invoice == made.latest_invoice) == ("paused", False)
    stripe_client.v1.invoices.void_invoice(str(waiting.latest_invoice))
    assert stripe_client.v1.subscriptions.retrieve(made.id).status == "paused"
    again = stripe_client.v1.subscriptions.resume(made.id)
    stripe_client.v1.invoices.pay(str(again.latest_invoice))
    assert stripe_client.v1.subscriptions.retrieve(made.id).status == "active"
    assert {"customer.subscription.paused", "customer.subscription.resumed"} <= set(
        told(stripe_client)
    )


@pytest.mark.parametrize(
    ("behavior", "status"),
    [("resume_on_payment_attempt", "past_due"), ("resume_on_payment_success", "paused")],
)
def test_a_resumption_whose_payment_fails(
    stripe_client: stripe.StripeClient, behavior: str, status: str
) -> None:
    owner = customer(stripe_client)
    made = subscribe(stripe_client, owner, monthly(stripe_client))
    stripe_client.v1.subscriptions.pause(made.id)
    declined = stripe_client.v1.payment_methods.attach(
        "pm_card_chargeCustomerFail", {"customer": owner}
    )
    chosen: Any = {"default_payment_method": declined.id}
    stripe_client.v1.subscriptions.update(made.id, chosen)
    resuming: Any = {"payment_behavior": behavior}
    waiting = stripe_client.v1.subscriptions.resume(made.id, resuming)
    if behavior == "resume_on_payment_attempt":
        with pytest.raises(stripe.CardError):
            stripe_client.v1.invoices.pay(str(waiting.latest_invoice))
    assert stripe_client.v1.subscriptions.retrieve(made.id).status == status


def test_an_unpaid_resumption_ends_after_23_hours(stripe_client: stripe.StripeClient) -> None:
    clock, owner = clocked(stripe_client)
    made = subscribe(stripe_client, owner, monthly(stripe_client))
    stripe_client.v1.subscriptions.pause(made.id)
    invoice = str(stripe_client.v1.subscriptions.resume(made.id).latest_invoice)
    advance(stripe_client, clock, START + 22 * 3600)
    assert stripe_client.v1.invoices.retrieve(invoice).status == "open"
    advance(stripe_client, clock, START + 24 * 3600)
    assert stripe_client.v1.invoices.retrieve(invoice).status == "void"
    assert stripe_client.v1.subscriptions.retrieve(made.id).status == "paused"
    stripe_client.v1.subscriptions.resume(made.id)


def test_a_one_time_price_is_refused(stripe_client: stripe.StripeClient) -> None:
    owner = customer(stripe_client)
    with pytest.raises(stripe.InvalidRequestError, match="type=one_time"):
        subscribe(stripe_client, owner, price(stripe_client).id)


def test_a_schedule_changes_the_items_phase_by_phase(stripe_client: stripe.StripeClient) -> None:
    clock, owner = clocked(stripe_client)
    cost = monthly(stripe_client)
    month: Any = {"interval": "month"}
    made = stripe_client.v1.subscription_schedules.create(
        {
            "customer": owner, "start_date": "now", "end_behavior": "cancel",
            "phases": [
                {"items": [{"price": cost, "quantity": 1}], "duration": month},
                {"items": [{"price": cost, "quantity": 2}], "duration": month},
            ],
        }
    )  # fmt: skip
    assert (made.status, len(made.phases)) == ("active", 2)
    subscription = str(made.subscription)
    advance(stripe_client, clock, day(3, 1))
    kept = stripe_client.v1.subscriptions.retrieve(subscription)
    assert [item.quantity for item in kept["items"].data] == [2]
    assert stripe_client.v1.invoices.list({"subscription": subscription}).data[0].total == 6000
    advance(stripe_client, clock, day(4, 2))
    assert stripe_client.v1.subscription_schedules.retrieve(made.id).status == "completed"
    assert stripe_client.v1.subscriptions.retrieve(subscription).status == "canceled"
    assert "subscription_schedule.expiring" in told(stripe_client)


def test_a_released_schedule_leaves_its_subscription(stripe_client: stripe.StripeClient) -> None:
    made = subscribe(stripe_client, customer(stripe_client), monthly(stripe_client))
    schedule = stripe_client.v1.subscription_schedules.create({"from_subscription": made.id})
    released = stripe_client.v1.subscription_schedules.release(schedule.id)
    assert (released.status, released.released_subscription) == ("released", made.id)
    kept = stripe_client.v1.subscriptions.retrieve(made.id)
    assert (kept.status, kept.schedule) == ("active", None)


def test_a_clock_does_not_go_back(stripe_client: stripe.StripeClient) -> None:
    clock, _ = clocked(stripe_client)
    with pytest.raises(stripe.InvalidRequestError, match="after the current time"):
        stripe_client.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": START})


def test_a_subscription_without_a_test_clock_renews_too(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    made = subscribe(stripe_client, customer(stripe_client), monthly(stripe_client))
    end = made["items"].data[0].current_period_end
    sandbox.control("POST", "/stripe/advance", {"seconds": 32 * 86400})
    kept = stripe_client.v1.subscriptions.retrieve(made.id)
    assert kept["items"].data[0].current_period_start == end
    invoices = stripe_client.v1.invoices.list({"subscription": made.id}).data
    assert [each.billing_reason for each in invoices] == [
        "subscription_cycle", "subscription_create",
    ]  # fmt: skip
    told_of = stripe_client.v1.events.list({"type": "customer.subscription.updated"}).data
    assert [each.request.id for each in told_of if each.request] == [None]


def test_a_preview_is_what_will_be_billed(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    clock, owner = clocked(stripe_client)
    made = subscribe(stripe_client, owner, monthly(stripe_client))
    advance(stripe_client, clock, (START + day(2, 28)) // 2)
    books, kinds = sandbox.books(), told(stripe_client)
    change: Any = {"items": [{"id": made["items"].data[0].id, "quantity": 2}]}
    seen = stripe_client.v1.invoices.create_preview(
        {"subscription": made.id, "subscription_details": change}
    )
    # Two at 3000 for the next month, and one more for the half that is left.
    assert (seen.total, seen.status, len(seen.lines.data)) == (7500, "draft", 3)
    assert (sandbox.books(), told(stripe_client)) == (books, kinds)
    assert stripe_client.v1.subscriptions.retrieve(made.id)["items"].data[0].quantity == 1
    stripe_client.v1.subscriptions.update(made.id, change)
    advance(stripe_client, clock, day(3, 1))
    assert stripe_client.v1.invoices.list({"subscription": made.id}).data[0].total == 7500


def test_a_new_subscription_and_single_items_are_previewed(
    stripe_client: stripe.StripeClient,
) -> None:
    owner = stripe_client.v1.customers.create({}).id
    cost = monthly(stripe_client)
    fresh = stripe_client.v1.invoices.create_preview(
        {"customer": owner, "subscription_details": {"items": [{"price": cost}]}}
    )
    assert fresh.total == 3000
    single = stripe_client.v1.invoices.create_preview(
        {"customer": owner, "invoice_items": [{"amount": 700, "currency": "usd"}]}
    )
    assert single.total == 700
    assert stripe_client.v1.subscriptions.list({"customer": owner}).data == []
    assert stripe_client.v1.invoice_items.list({"customer": owner}).data == []
    with pytest.raises(stripe.InvalidRequestError, match="customer_details"):
        stripe_client.v1.invoices.create_preview({})


def test_a_classic_subscription_migrates_once(stripe_client: stripe.StripeClient) -> None:
    made = subscribe(
        stripe_client, customer(stripe_client), monthly(stripe_client),
        billing_mode={"type": "classic"},
    )  # fmt: skip
    assert made.billing_mode.type == "classic"
    moved = stripe_client.v1.subscriptions.migrate(made.id, {"billing_mode": {"type": "flexible"}})
    assert moved.billing_mode.type == "flexible"
    with pytest.raises(stripe.InvalidRequestError, match="already has"):
        stripe_client.v1.subscriptions.migrate(made.id, {"billing_mode": {"type": "flexible"}})
