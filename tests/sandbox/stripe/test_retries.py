"""Unpaid renewals are tried again. https://docs.stripe.com/billing/revenue-recovery/smart-retries"""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.running import Catcher, Sandbox, until
from tests.sandbox.stripe.test_subscriptions import advance, clocked, day, monthly, subscribe

DAY = 86400
RENEWAL = day(2, 28)


def overdue(client: stripe.StripeClient, card: str = "chargeCustomerFail") -> tuple[str, Any, str]:
    """A clock, its subscription, whose first renewal could not be paid, and the good card."""
    clock, owner = clocked(client)
    made = subscribe(client, owner, monthly(client))
    good = client.v1.payment_methods.list({"customer": owner}).data[0].id
    client.v1.payment_methods.attach(f"pm_card_{card}", {"customer": owner})
    bad = client.v1.payment_methods.list({"customer": owner}).data[0].id
    client.v1.subscriptions.update(made.id, {"default_payment_method": bad})
    advance(client, clock, RENEWAL)
    return clock, client.v1.subscriptions.retrieve(made.id), good


def invoice_of(client: stripe.StripeClient, subscription: Any) -> Any:
    found = client.v1.subscriptions.retrieve(subscription.id)
    return client.v1.invoices.retrieve(str(found.latest_invoice))


@pytest.mark.parametrize(
    ("end", "status"), [("cancel", "canceled"), ("unpaid", "unpaid"), ("past_due", "past_due")]
)
def test_a_renewal_is_tried_again_until_the_last_time(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, end: str, status: str
) -> None:
    sandbox.settings(stripe__retry_days="1 2", stripe__retries_end=end)
    clock, made, _ = overdue(stripe_client)
    seen = []
    for days in (0, 1, 3):
        if days:
            advance(stripe_client, clock, RENEWAL + days * DAY)
        bill = invoice_of(stripe_client, made)
        seen.append((bill.attempt_count, bill.next_payment_attempt))
    assert seen == [(1, RENEWAL + DAY), (2, RENEWAL + 3 * DAY), (3, None)]
    ended = stripe_client.v1.subscriptions.retrieve(made.id)
    assert (ended.status, invoice_of(stripe_client, made).status) == (status, "open")
    if end == "cancel":
        assert ended.cancellation_details is not None
        assert ended.cancellation_details.reason == "payment_failed"


def test_a_retry_with_a_good_card_makes_the_subscription_active(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, catcher: Catcher
) -> None:
    sandbox.settings(stripe__retry_days="1")
    clock, made, good = overdue(stripe_client)
    assert made.status == "past_due"
    (failed,) = until(lambda: catcher.events("/hooks/stripe", "invoice.payment_failed"))
    assert failed["data"]["object"]["next_payment_attempt"] == RENEWAL + DAY
    stripe_client.v1.subscriptions.update(made.id, {"default_payment_method": good})
    advance(stripe_client, clock, RENEWAL + DAY)
    paid = invoice_of(stripe_client, made)
    assert (paid.status, paid.next_payment_attempt) == ("paid", None)
    assert stripe_client.v1.subscriptions.retrieve(made.id).status == "active"


def test_a_payment_by_hand_does_not_move_the_retries(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    sandbox.settings(stripe__retry_days="1 2")
    _, made, _ = overdue(stripe_client)
    bill = invoice_of(stripe_client, made)
    with pytest.raises(stripe.CardError):
        stripe_client.v1.invoices.pay(bill.id, {"payment_method": made.default_payment_method})
    again = invoice_of(stripe_client, made)
    assert (again.attempt_count, again.next_payment_attempt) == (2, RENEWAL + DAY)


def test_an_unpaid_subscription_leaves_its_later_invoices_as_drafts(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    sandbox.settings(stripe__retry_days="1", stripe__retries_end="unpaid")
    clock, made, _ = overdue(stripe_client)
    advance(stripe_client, clock, day(4, 1))
    later = invoice_of(stripe_client, made)
    assert (later.status, later.auto_advance, later.attempt_count) == ("draft", False, 0)


def test_a_renewal_in_real_time_is_tried_again_too(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    sandbox.settings(stripe__retry_days="1", stripe__retries_end="cancel")
    owner = stripe_client.v1.customers.create({"payment_method": "pm_card_chargeCustomerFail"})
    bad = stripe_client.v1.payment_methods.list({"customer": owner.id}).data[0].id
    made = subscribe(
        stripe_client, owner.id, monthly(stripe_client), trial_period_days=1,
        default_payment_method=bad,
    )  # fmt: skip
    sandbox.control("POST", "/stripe/advance", {"seconds": 1.5 * DAY})
    assert stripe_client.v1.subscriptions.retrieve(made.id).status == "past_due"
    sandbox.control("POST", "/stripe/advance", {"seconds": DAY})
    assert stripe_client.v1.subscriptions.retrieve(made.id).status == "canceled"
