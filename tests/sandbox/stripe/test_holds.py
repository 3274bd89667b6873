"""Holds: their expiry, and captures in parts. https://docs.stripe.com/payments/flexible-payments"""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.running import Catcher, Sandbox, until
from tests.sandbox.stripe.test_books import assert_books_balance, transactions
from tests.sandbox.stripe.test_stripe import authorize

DAY = 86400


def granted(client: stripe.StripeClient, intent: stripe.PaymentIntent) -> stripe.StripeObject:
    """What was granted with the hold's charge."""
    charge = client.v1.charges.retrieve(str(intent.latest_charge))
    assert charge.payment_method_details is not None
    assert charge.payment_method_details.card is not None
    return charge.payment_method_details.card


def test_hold_that_is_not_captured_expires(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, catcher: Catcher
) -> None:
    intent = authorize(stripe_client)
    assert granted(stripe_client, intent)["capture_before"] == intent.created + 7 * DAY
    sandbox.control("POST", "/stripe/advance", {"seconds": 6 * DAY})
    assert stripe_client.v1.payment_intents.retrieve(intent.id).status == "requires_capture"
    sandbox.control("POST", "/stripe/advance", {"seconds": DAY + 1})
    ended = stripe_client.v1.payment_intents.retrieve(intent.id)
    assert (ended.status, ended.cancellation_reason) == ("canceled", "expired")
    (told,) = until(lambda: catcher.events("/hooks/stripe", "charge.expired"))
    assert told["data"]["object"]["id"] == intent.latest_charge
    until(lambda: catcher.events("/hooks/stripe", "payment_intent.canceled"))
    assert transactions(stripe_client) == []


def test_captured_hold_does_not_expire_and_an_extended_one_lasts_thirty_days(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    taken = authorize(stripe_client)
    stripe_client.v1.payment_intents.capture(taken.id)
    wish = {"card": {"request_extended_authorization": "if_available"}}
    long = authorize(stripe_client, payment_method_options=wish)
    card = granted(stripe_client, long)
    assert card["extended_authorization"]["status"] == "enabled"
    assert card["capture_before"] == long.created + 30 * DAY
    sandbox.control("POST", "/stripe/advance", {"seconds": 29 * DAY})
    assert stripe_client.v1.payment_intents.retrieve(taken.id).status == "succeeded"
    assert stripe_client.v1.payment_intents.retrieve(long.id).status == "requires_capture"


def test_hold_is_captured_in_parts_where_that_was_granted(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    wish = {"card": {"request_multicapture": "if_available"}}
    intent = authorize(stripe_client, amount=10_000, payment_method_options=wish)
    assert granted(stripe_client, intent)["multicapture"]["status"] == "available"
    capture = stripe_client.v1.payment_intents.capture
    part = capture(intent.id, {"amount_to_capture": 3000, "final_capture": False})
    assert part.status == "requires_capture"
    assert (part.amount_received, part.amount_capturable) == (3000, 7000)
    assert not stripe_client.v1.charges.retrieve(str(intent.latest_charge)).captured
    last = capture(intent.id, {"amount_to_capture": 2000})
    assert last.status == "succeeded"
    assert (last.amount_received, last.amount_capturable) == (5000, 0)
    assert [each.amount for each in transactions(stripe_client)] == [3000, 2000]
    refund = stripe_client.v1.refunds.create({"payment_intent": intent.id})
    assert refund.amount == 5000
    assert_books_balance(sandbox, stripe_client)


def test_more_than_the_hold_is_captured_where_that_was_granted(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    wish = {"card": {"request_overcapture": "if_available"}}
    intent = authorize(stripe_client, amount=10_000, payment_method_options=wish)
    over = granted(stripe_client, intent)["overcapture"]
    assert (over["status"], over["maximum_amount_capturable"]) == ("available", 11_500)
    assert intent.amount_capturable == 10_000
    capture = stripe_client.v1.payment_intents.capture
    with pytest.raises(stripe.InvalidRequestError) as refused:
        capture(intent.id, {"amount_to_capture": 11_501})
    assert refused.value.code == "amount_too_large"
    taken = capture(intent.id, {"amount_to_capture": 11_500})
    assert (taken.status, taken.amount, taken.amount_received) == ("succeeded", 10_000, 11_500)
    assert [each.amount for each in transactions(stripe_client)] == [11_500]
    assert stripe_client.v1.refunds.create({"payment_intent": intent.id}).amount == 11_500
    assert_books_balance(sandbox, stripe_client)


def test_no_more_than_the_hold_is_captured_of_a_card_without_overcapture(
    stripe_client: stripe.StripeClient,
) -> None:
    wish = {"card": {"request_overcapture": "if_available"}}
    method: dict[str, Any] = {"payment_method": "pm_card_mastercard"}
    intent = authorize(stripe_client, amount=10_000, payment_method_options=wish, **method)
    assert granted(stripe_client, intent)["overcapture"]["status"] == "unavailable"
    with pytest.raises(stripe.InvalidRequestError):
        stripe_client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 10_001})


def test_second_capture_is_refused_where_multicapture_was_not_granted(
    stripe_client: stripe.StripeClient,
) -> None:
    intent = authorize(stripe_client)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        stripe_client.v1.payment_intents.capture(
            intent.id, {"amount_to_capture": 1000, "final_capture": False}
        )
    assert refused.value.param == "final_capture"
    assert stripe_client.v1.payment_intents.capture(intent.id).amount_received == 2500
