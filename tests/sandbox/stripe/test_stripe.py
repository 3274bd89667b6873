"""Stripe through stripe.StripeClient."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.running import Catcher, Sandbox, until

HOLD: dict[str, Any] = {
    "amount": 2500,
    "currency": "eur",
    "capture_method": "manual",
    "confirm": True,
    "payment_method": "pm_card_visa",
    "allowed_payment_method_types": ["card"],
    "metadata": {"workflow": "w-1"},
}


def authorize(client: stripe.StripeClient, key: str = "", **more: Any) -> stripe.PaymentIntent:
    options: Any = {"idempotency_key": key} if key else {}
    params: Any = {**HOLD, **more}
    return client.v1.payment_intents.create(params, options)


def test_hold_is_captured_and_refunded_and_every_step_is_in_the_books(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    intent = authorize(stripe_client, expand=["latest_charge"])
    assert (intent.status, intent.amount_capturable) == ("requires_capture", 2500)
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert not intent.latest_charge.captured
    captured = stripe_client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 2000})
    assert (captured.status, captured.amount_received) == ("succeeded", 2000)
    refund = stripe_client.v1.refunds.create({"payment_intent": intent.id})
    assert (refund.status, refund.amount) == ("succeeded", 2000)
    counts = sandbox.books("?metadata.workflow=w-1")
    assert [counts[name] for name in ("authorizations", "captures", "refunds")] == [1, 1, 1]
    assert sandbox.books("?metadata.workflow=w-2")["captures"] == 0


def test_second_refund_and_capture_of_cancelled_are_refused_as_stripe_does(
    stripe_client: stripe.StripeClient,
) -> None:
    intent = authorize(stripe_client)
    stripe_client.v1.payment_intents.capture(intent.id)
    stripe_client.v1.refunds.create({"payment_intent": intent.id})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        stripe_client.v1.refunds.create({"payment_intent": intent.id})
    assert refused.value.code == "charge_already_refunded"
    cancelled = stripe_client.v1.payment_intents.cancel(authorize(stripe_client).id)
    assert cancelled.status == "canceled"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        stripe_client.v1.payment_intents.capture(cancelled.id)
    assert refused.value.code == "payment_intent_unexpected_state"
    assert refused.value.error is not None
    assert refused.value.error.payment_intent is not None
    assert refused.value.error.payment_intent.status == "canceled"


def test_declined_card_is_a_card_error_that_carries_the_intent(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    with pytest.raises(stripe.CardError) as declined:
        authorize(stripe_client, payment_method="pm_card_chargeDeclined")
    assert (declined.value.http_status, declined.value.code) == (402, "card_declined")
    assert declined.value.error is not None
    assert declined.value.error.decline_code == "generic_decline"
    assert declined.value.error.payment_intent is not None
    intent_id = declined.value.error.payment_intent.id
    stored = stripe_client.v1.payment_intents.retrieve(intent_id)
    assert stored.status == "requires_payment_method"
    assert sandbox.books()["authorizations"] == 0


@pytest.mark.parametrize(
    ("card", "last4", "kind", "network"),
    [
        ("visa_chargeDeclinedLostCard", "9987", "issuer_declined", "declined_by_network"),
        ("radarBlock", "0019", "blocked", "not_sent_to_network"),
    ],
)
def test_charge_of_a_declined_card_says_who_declined_it(
    stripe_client: stripe.StripeClient, card: str, last4: str, kind: str, network: str
) -> None:
    with pytest.raises(stripe.CardError):
        authorize(stripe_client, payment_method=f"pm_card_{card}")
    (charge,) = stripe_client.v1.charges.list().data
    assert (charge.status, charge.paid, charge.balance_transaction) == ("failed", False, None)
    assert charge.outcome is not None
    assert (charge.outcome.type, charge.outcome.network_status) == (kind, network)
    assert charge.payment_method_details is not None
    assert charge.payment_method_details.card is not None
    assert charge.payment_method_details.card.last4 == last4


@pytest.mark.parametrize(
    ("wrong", "code", "param"),
    [
        ({"currency": "xyz"}, None, "currency"),
        ({"amount": 10}, "amount_too_small", "amount"),
        ({"amount": 0}, "parameter_invalid_integer", "amount"),
        ({"payment_method": "pm_none"}, "resource_missing", "payment_method"),
        ({"colour": "red"}, "parameter_unknown", "colour"),
    ],
)
def test_wrong_parameters_name_the_parameter(
    stripe_client: stripe.StripeClient, wrong: dict[str, Any], code: str | None, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        authorize(stripe_client, **wrong)
    assert (refused.value.http_status, refused.value.code) == (400, code)
    assert refused.value.param == param


def test_same_key_replays_and_other_parameters_are_refused(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    first = authorize(stripe_client, "key-1")
    again = authorize(stripe_client, "key-1")
    assert again.id == first.id
    assert again.last_response is not None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError) as refused:
        authorize(stripe_client, "key-1", amount=2600)
    assert refused.value.http_status == 400
    assert sandbox.books("?key=key-1")["authorizations"] == 1


def test_expired_key_runs_again(sandbox: Sandbox, stripe_client: stripe.StripeClient) -> None:
    first = authorize(stripe_client, "key-old")
    sandbox.settings(stripe__idempotency_seconds=0)
    assert authorize(stripe_client, "key-old").id != first.id


def test_lost_reply_leaves_the_effect_and_the_key_finds_it(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    intent = authorize(stripe_client)
    sandbox.fault(vendor="stripe", operation="payment_intents.capture", kind="lost_reply")
    with pytest.raises(stripe.APIConnectionError):
        stripe_client.v1.payment_intents.capture(intent.id, options={"idempotency_key": "cap"})
    assert sandbox.books("?key=cap")["captures"] == 1
    again = stripe_client.v1.payment_intents.capture(intent.id, options={"idempotency_key": "cap"})
    assert again.status == "succeeded"
    assert sandbox.books()["captures"] == 1


def test_reset_before_leaves_no_effect(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    sandbox.fault(vendor="stripe", operation="payment_intents.create", kind="reset_before")
    with pytest.raises(stripe.APIConnectionError):
        authorize(stripe_client, "gone")
    assert sandbox.books()["payment_intents"] == 0
    assert authorize(stripe_client, "gone").status == "requires_capture"


def test_stored_500_is_replayed_and_unstored_one_is_not(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    fault = {"vendor": "stripe", "operation": "payment_intents.create", "kind": "status"}
    sandbox.fault(**fault, status=500, stored=True)
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            authorize(stripe_client, "broken")
    sandbox.fault(**fault, status=429, retry_after=3)
    with pytest.raises(stripe.RateLimitError) as limited:
        authorize(stripe_client, "busy")
    assert limited.value.headers is not None
    assert limited.value.headers["Retry-After"] == "3"
    assert limited.value.headers["Stripe-Rate-Limited-Reason"] == "global-rate"
    sandbox.fault(**fault, status=429, code="lock_timeout")
    with pytest.raises(stripe.RateLimitError) as limited:
        authorize(stripe_client, "busy")
    assert limited.value.error is not None
    assert limited.value.error.code == "lock_timeout"
    assert limited.value.headers is not None
    assert "Stripe-Rate-Limited-Reason" not in limited.value.headers
    assert authorize(stripe_client, "busy").status == "requires_capture"


def test_concurrent_request_with_the_same_key_is_a_conflict(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    sandbox.fault(vendor="stripe", operation="payment_intents.create", kind="slow", seconds=0.7)
    slow = threading.Thread(target=authorize, args=(stripe_client, "twice"))
    slow.start()
    until(lambda: sandbox.control("GET", "/faults")["faults"][0]["hits"])
    with pytest.raises(stripe.APIError) as refused:
        authorize(stripe_client, "twice")
    slow.join()
    assert refused.value.http_status == 409
    assert "idempotency_key_in_use" in str(refused.value.http_body)
    assert sandbox.books()["authorizations"] == 1


def test_search_lags_while_retrieve_and_list_do_not(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    sandbox.settings(stripe__search_lag_seconds=60)
    intent = authorize(stripe_client)
    query = {"query": "metadata['workflow']:'w-1' AND status:'requires_capture'"}
    assert stripe_client.v1.payment_intents.search(query).data == []  # type: ignore[arg-type]  # a TypedDict from a variable
    assert stripe_client.v1.payment_intents.list().data[0].id == intent.id
    sandbox.settings(stripe__search_lag_seconds=0)
    found = stripe_client.v1.payment_intents.search(query).data  # type: ignore[arg-type]  # as above
    assert [each.id for each in found] == [intent.id]


def test_lists_page_backwards_in_time(stripe_client: stripe.StripeClient) -> None:
    made = [authorize(stripe_client).id for _ in range(5)]
    pages = stripe_client.v1.payment_intents.list({"limit": 2})
    assert pages.has_more
    assert [each.id for each in pages.auto_paging_iter()] == made[::-1]


def test_webhooks_are_signed_and_name_the_change(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, catcher: Catcher
) -> None:
    intent = authorize(stripe_client)
    stripe_client.v1.payment_intents.capture(intent.id)
    refund = stripe_client.v1.refunds.create({"payment_intent": intent.id})
    expected = {
        "payment_intent.created": intent.id,
        "charge.succeeded": intent.latest_charge,
        "payment_intent.amount_capturable_updated": intent.id,
        "charge.captured": intent.latest_charge,
        "payment_intent.succeeded": intent.id,
        "refund.created": refund.id,
        "charge.refunded": intent.latest_charge,
    }
    until(lambda: len(catcher.got) >= len(expected))
    told = {}
    for path, headers, raw in list(catcher.got):
        assert path == "/hooks/stripe"
        event = stripe_client.construct_event(
            raw, headers["stripe-signature"], sandbox.env("STRIPE_WEBHOOK_SECRET")
        )
        told[event.type] = event.data.object["id"]
    assert told == expected


def test_customer_is_found_by_email(stripe_client: stripe.StripeClient) -> None:
    customer = stripe_client.v1.customers.create({"email": "ada@example.com"})
    assert stripe_client.v1.customers.list({"email": "ada@example.com"}).data[0].id == customer.id
    found = stripe_client.v1.customers.search({"query": "email:'ada@example.com'"})
    assert found.data[0].id == customer.id


def test_wrong_key_and_unknown_id_are_stripes_401_and_404(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, http: requests.Session
) -> None:
    address = sandbox.env("STRIPE_BASE_URL") + "/v1/balance"
    answer = http.get(address, headers={"Authorization": "Bearer sk_test_wrong"}, timeout=10)
    assert answer.status_code == 401
    assert answer.json()["error"]["message"].startswith("Invalid API Key provided: sk_test_")
    with pytest.raises(stripe.InvalidRequestError) as missing:
        stripe_client.v1.payment_intents.retrieve("pi_none")
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
    assert missing.value.request_id


def test_the_types_of_methods_are_no_longer_a_parameter(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, http: requests.Session
) -> None:
    for path in ("payment_intents", "setup_intents"):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            stripe_client.raw_request(
                "post", f"/v1/{path}", amount=2000, currency="usd", payment_method_types=["card"]
            )
        assert caught.value.code == "payment_method_types_no_longer_supported"
    older = http.post(
        f"{sandbox.env('STRIPE_BASE_URL')}/v1/payment_intents",
        {"amount": 2000, "currency": "usd", "payment_method_types[]": "card"},
        headers={"Authorization": f"Bearer {sandbox.env('STRIPE_API_KEY')}"},
        timeout=10,
    )
    assert older.json()["payment_method_types"] == ["card"]
