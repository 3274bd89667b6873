"""Refunds and what becomes of them. https://docs.stripe.com/refunds"""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.running import Catcher, Sandbox, until
from tests.sandbox.stripe.test_books import assert_books_balance, pay, transactions
from tests.sandbox.stripe.test_stripe import authorize


def kinds(catcher: Catcher, *about: str) -> list[str]:
    """The kinds of events that came, of those that begin with one of the texts."""
    return sorted(
        each["type"] for each in catcher.events("/hooks/stripe") if each["type"].startswith(about)
    )


def test_partial_refunds_add_up_to_the_charge(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    intent = pay(stripe_client)
    for amount in (3000, 5000):
        refund = stripe_client.v1.refunds.create({"payment_intent": intent.id, "amount": amount})
        assert (refund.status, refund.payment_method) == ("succeeded", intent.payment_method)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        stripe_client.v1.refunds.create({"payment_intent": intent.id, "amount": 2001})
    assert "greater than unrefunded amount on charge (€20.00)" in str(refused.value)
    stripe_client.v1.refunds.create({"payment_intent": intent.id, "reason": "duplicate"})
    booked = [each.amount for each in transactions(stripe_client, type="refund")]
    assert booked == [-3000, -5000, -2000]
    charge = stripe_client.v1.charges.retrieve(str(refund.charge), {"expand": ["refunds"]})
    assert (charge.amount_refunded, charge.refunded) == (10_000, True)
    assert charge.refunds is not None
    assert [each.amount for each in charge.refunds.data] == [2000, 5000, 3000]
    assert_books_balance(sandbox, stripe_client)


def test_card_whose_refund_fails_after_it_succeeded(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, catcher: Catcher
) -> None:
    sandbox.settings(stripe__refund_turn_seconds=7 * 86400)
    intent = pay(stripe_client, card="refundFail")
    refund = stripe_client.v1.refunds.create({"payment_intent": intent.id})
    assert stripe_client.v1.refunds.retrieve(refund.id).status == "succeeded"
    sandbox.control("POST", "/stripe/advance", {"seconds": 8 * 86400})
    failed = stripe_client.v1.refunds.retrieve(
        refund.id, {"expand": ["failure_balance_transaction", "balance_transaction", "charge"]}
    )
    assert (failed.status, failed.failure_reason) == ("failed", "lost_or_stolen_card")
    assert isinstance(failed.failure_balance_transaction, stripe.BalanceTransaction)
    assert isinstance(failed.balance_transaction, stripe.BalanceTransaction)
    assert failed.failure_balance_transaction.net == -failed.balance_transaction.net == 10_000
    assert failed.failure_balance_transaction.reporting_category == "refund_failure"
    assert isinstance(failed.charge, stripe.Charge)
    assert (failed.charge.refunded, failed.charge.amount_refunded) == (False, 0)
    until(lambda: len(kinds(catcher, "refund.", "charge.refund")) == 5)
    assert kinds(catcher, "refund.", "charge.refund") == [
        "charge.refund.updated", "charge.refunded", "refund.created", "refund.failed",
        "refund.updated",
    ]  # fmt: skip
    assert_books_balance(sandbox, stripe_client)


def test_card_whose_refund_is_pending_first(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    sandbox.settings(stripe__refund_turn_seconds=86400)
    intent = pay(stripe_client, card="pendingRefund")
    refund = stripe_client.v1.refunds.create({"payment_intent": intent.id})
    assert (refund.status, refund.pending_reason) == ("pending", "processing")
    assert stripe_client.v1.refunds.retrieve(refund.id).status == "pending"
    sandbox.control("POST", "/stripe/advance", {"seconds": 86400})
    done = stripe_client.v1.refunds.retrieve(refund.id)
    assert (done.status, "pending_reason" in done) == ("succeeded", False)
    assert_books_balance(sandbox, stripe_client)


def test_only_a_refund_that_waits_for_the_customer_is_cancelled(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    intent = pay(stripe_client)
    made = stripe_client.v1.refunds.create({"payment_intent": intent.id, "amount": 100})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        stripe_client.v1.refunds.cancel(made.id)
    assert "has a status of succeeded" in str(refused.value)
    sandbox.settings(stripe__refund_status="requires_action")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        stripe_client.v1.refunds.create({"payment_intent": intent.id})
    assert refused.value.param == "instructions_email"
    waiting = stripe_client.v1.refunds.create(
        {"payment_intent": intent.id, "instructions_email": "ada@example.com"}
    )
    assert waiting.status == "requires_action"
    assert waiting.next_action is not None
    assert waiting.next_action.display_details is not None
    assert waiting.next_action.display_details.email_sent.email_sent_to == "ada@example.com"
    cancelled = stripe_client.v1.refunds.cancel(waiting.id)
    assert cancelled.status == "canceled"
    assert cancelled.failure_balance_transaction in [
        each.id for each in transactions(stripe_client)
    ]
    charge = stripe_client.v1.charges.retrieve(str(made.charge))
    assert (charge.amount_refunded, charge.refunded) == (100, False)
    assert sandbox.books()["refunds_canceled"] == 1
    assert_books_balance(sandbox, stripe_client)


def test_update_changes_only_metadata(stripe_client: stripe.StripeClient) -> None:
    intent = pay(stripe_client)
    refund = stripe_client.v1.refunds.create(
        {"payment_intent": intent.id, "metadata": {"a": "1", "b": "2"}}
    )
    changed = stripe_client.v1.refunds.update(refund.id, {"metadata": {"a": "", "c": "3"}})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"b": "2", "c": "3"}
    wrong: Any = {"reason": "duplicate"}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        stripe_client.v1.refunds.update(refund.id, wrong)
    assert refused.value.code == "parameter_unknown"


def test_refunds_that_fail_at_the_control_api_give_the_money_back(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    intent = pay(stripe_client)
    stripe_client.v1.refunds.create({"payment_intent": intent.id, "amount": 4000})
    stripe_client.v1.refunds.create({"payment_intent": intent.id, "amount": 1000})
    assert sandbox.control("POST", "/stripe/fail_refunds") == {"failed": 2}
    listed = stripe_client.v1.refunds.list({"payment_intent": intent.id}).data
    assert [each.status for each in listed] == ["failed", "failed"]
    lines = sandbox.control("GET", "/stripe/books")["currencies"]["eur"]
    assert (lines["refund"]["net"], lines["refund_failure"]["net"]) == (-5000, 5000)
    again = stripe_client.v1.refunds.create({"payment_intent": intent.id})
    assert again.amount == 10_000
    assert_books_balance(sandbox, stripe_client)


def test_the_charge_of_a_refund_or_a_capture_says_what_it_was(
    stripe_client: stripe.StripeClient, catcher: Catcher
) -> None:
    intent = authorize(stripe_client)
    stripe_client.v1.payment_intents.capture(intent.id)
    stripe_client.v1.refunds.create({"payment_intent": intent.id, "amount": 500})
    stripe_client.v1.refunds.create({"payment_intent": intent.id})
    until(lambda: len(catcher.events("/hooks/stripe", "charge.refunded")) == 2)
    found = {
        (each["type"], str(each["data"]["previous_attributes"]))
        for each in catcher.events("/hooks/stripe")
        if each["type"] in ("charge.captured", "charge.refunded")
    }
    assert found == {
        ("charge.captured", "{'amount_captured': 0, 'captured': False}"),
        ("charge.refunded", "{'amount_refunded': 0}"),
        ("charge.refunded", "{'amount_refunded': 500, 'refunded': False}"),
    }
