"""Payments that the customer must authenticate: 3-D Secure.

https://docs.stripe.com/payments/3d-secure/authentication-flow
"""

from __future__ import annotations

import pytest
import requests
import stripe

from tests.sandbox.running import Catcher, Sandbox, until
from tests.sandbox.stripe.test_books import assert_books_balance, pay, transactions
from tests.sandbox.stripe.test_stripe import authorize

REQUIRED = "pm_card_authenticationRequired"
BACK = "https://shop.example/back?order=7"


def test_customer_completes_the_payment_on_the_banks_page(
    sandbox: Sandbox,
    stripe_client: stripe.StripeClient,
    http: requests.Session,
    catcher: Catcher,
) -> None:
    intent = authorize(stripe_client, payment_method=REQUIRED, return_url=BACK)
    assert (intent.status, intent.latest_charge) == ("requires_action", None)
    assert intent.client_secret
    assert intent.next_action is not None
    assert intent.next_action.type == "redirect_to_url"
    redirect = intent.next_action.redirect_to_url
    assert redirect is not None
    assert redirect.url is not None
    assert redirect.return_url == BACK
    assert transactions(stripe_client) == []
    page = http.get(redirect.url, timeout=10)
    assert page.headers["Content-Type"].startswith("text/html")
    assert "€25.00" in page.text
    done = http.post(redirect.url, data={"outcome": "complete"}, timeout=10, allow_redirects=False)
    assert done.status_code == 303
    assert done.headers["Location"].startswith(f"{BACK}&payment_intent={intent.id}&")
    assert done.headers["Location"].endswith("redirect_status=succeeded")
    held = stripe_client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    assert (held.status, held.next_action) == ("requires_capture", None)
    assert isinstance(held.latest_charge, stripe.Charge)
    assert held.latest_charge.payment_method_details is not None
    assert held.latest_charge.payment_method_details.card is not None
    secure = held.latest_charge.payment_method_details.card.three_d_secure
    assert secure is not None
    assert (secure.result, secure.authentication_flow) == ("authenticated", "challenge")
    until(lambda: catcher.events("/hooks/stripe", "payment_intent.amount_capturable_updated"))
    assert len(catcher.events("/hooks/stripe", "payment_intent.requires_action")) == 1
    http.post(redirect.url, data={"outcome": "fail"}, timeout=10, allow_redirects=False)
    assert stripe_client.v1.payment_intents.retrieve(intent.id).status == "requires_capture"


def test_failed_authentication_asks_for_another_method(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, catcher: Catcher
) -> None:
    intent = pay(stripe_client, card="threeDSecure2Required")
    assert intent.next_action is not None
    assert intent.next_action.type == "use_stripe_sdk"
    wish = {"payment_intent": intent.id, "outcome": "fail"}
    assert sandbox.control("POST", "/stripe/authenticate", wish)["status"] == (
        "requires_payment_method"
    )
    failed = stripe_client.v1.payment_intents.retrieve(intent.id)
    assert (failed.status, failed.payment_method) == ("requires_payment_method", None)
    assert failed.last_payment_error is not None
    assert failed.last_payment_error.code == "payment_intent_authentication_failure"
    until(lambda: catcher.events("/hooks/stripe", "payment_intent.payment_failed"))
    again = stripe_client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (again.status, again.last_payment_error) == ("succeeded", None)
    assert_books_balance(sandbox, stripe_client)


def test_absent_customer_is_declined_and_confirms_the_same_payment_when_present(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    with pytest.raises(stripe.CardError) as declined:
        authorize(stripe_client, payment_method=REQUIRED, off_session=True)
    assert (declined.value.http_status, declined.value.code) == (402, "authentication_required")
    assert declined.value.error is not None
    assert declined.value.error.decline_code == "authentication_required"
    intent = declined.value.error.payment_intent
    assert intent is not None
    assert intent.status == "requires_payment_method"
    present = stripe_client.v1.payment_intents.confirm(intent.id, {"payment_method": REQUIRED})
    assert present.status == "requires_action"
    sandbox.control("POST", "/stripe/authenticate", {"payment_intent": intent.id})
    assert stripe_client.v1.payment_intents.retrieve(intent.id).status == "requires_capture"


def test_error_on_requires_action_fails_instead_of_waiting(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    with pytest.raises(stripe.CardError) as failed:
        authorize(stripe_client, payment_method=REQUIRED, error_on_requires_action=True)
    assert failed.value.code == "authentication_required"
    assert failed.value.error is not None
    assert failed.value.error.payment_intent is not None
    assert failed.value.error.payment_intent.status == "requires_payment_method"
    assert failed.value.error.payment_intent.latest_charge is None
    assert sandbox.books()["challenges"] == 0


def test_card_that_is_declined_after_authentication(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    intent = pay(stripe_client, card="threeDSecureRequiredChargeDeclined")
    sandbox.control("POST", "/stripe/authenticate", {"payment_intent": intent.id})
    failed = stripe_client.v1.payment_intents.retrieve(intent.id)
    assert failed.last_payment_error is not None
    assert (failed.status, failed.last_payment_error.code) == (
        "requires_payment_method",
        "card_declined",
    )


@pytest.mark.parametrize(
    ("asked", "status"), [("automatic", "succeeded"), ("any", "requires_action")]
)
def test_optional_authentication_is_made_when_it_is_asked_for(
    stripe_client: stripe.StripeClient, asked: str, status: str
) -> None:
    options = {"card": {"request_three_d_secure": asked}}
    intent = pay(stripe_client, card="threeDSecureOptional", payment_method_options=options)
    assert intent.status == status
