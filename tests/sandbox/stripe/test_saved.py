"""Cards that are saved with the customer's authentication, and what is charged with them."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.running import Sandbox
from tests.sandbox.stripe.test_catalogue import price
from tests.sandbox.stripe.test_checkout import session
from tests.sandbox.stripe.test_invoices import told
from tests.sandbox.stripe.test_stripe import authorize

ASKS = "pm_card_authenticationRequired"
BACK = "https://shop.example/cards"


def setup(client: stripe.StripeClient, **more: Any) -> stripe.SetupIntent:
    """A SetupIntent of a new customer, whose bank wants authentication."""
    owner = client.v1.customers.create({"email": "ann@b.example"})
    given: Any = {"customer": owner.id, "payment_method": ASKS, "confirm": True}
    given |= {"allowed_payment_method_types": ["card"], **more}
    return client.v1.setup_intents.create(given)


def test_customer_authenticates_a_card_on_the_banks_page(
    stripe_client: stripe.StripeClient, http: requests.Session
) -> None:
    made = setup(stripe_client, return_url=BACK)
    assert made.status == "requires_action"
    assert made.next_action is not None
    redirect = made.next_action.redirect_to_url
    assert redirect is not None
    assert redirect.url is not None
    assert "card that is to be saved" in http.get(redirect.url, timeout=10).text
    done = http.post(redirect.url, data={"outcome": "complete"}, timeout=10, allow_redirects=False)
    assert done.headers["Location"].startswith(f"{BACK}?setup_intent={made.id}&")
    assert "redirect_status=succeeded" in done.headers["Location"]
    seen = stripe_client.v1.setup_intents.retrieve(made.id, {"expand": ["payment_method"]})
    assert seen.status == "succeeded"
    assert isinstance(seen.payment_method, stripe.PaymentMethod)
    assert seen.payment_method.customer == made.customer


def test_a_card_whose_authentication_fails_is_not_saved(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    made = setup(stripe_client)
    wish = {"setup_intent": made.id, "outcome": "fail"}
    assert sandbox.control("POST", "/stripe/authenticate", wish)["status"] == (
        "requires_payment_method"
    )
    seen = stripe_client.v1.setup_intents.retrieve(made.id)
    assert seen.last_setup_error is not None
    assert seen.last_setup_error.code == "setup_intent_authentication_failure"
    assert "setup_intent.setup_failed" in told(stripe_client)


def test_a_saved_card_is_charged_only_with_its_customer(stripe_client: stripe.StripeClient) -> None:
    made = setup(stripe_client, payment_method="pm_card_visa")
    method, owner = str(made.payment_method), str(made.customer)
    with pytest.raises(stripe.InvalidRequestError, match="include the Customer"):
        authorize(stripe_client, payment_method=method)
    other = stripe_client.v1.customers.create({"email": "bob@b.example"})
    with pytest.raises(stripe.InvalidRequestError, match="must be attached to the customer"):
        authorize(stripe_client, payment_method=method, customer=other.id)
    assert authorize(stripe_client, payment_method=method, customer=owner).status == (
        "requires_capture"
    )


def test_a_session_expires_by_itself(sandbox: Sandbox, stripe_client: stripe.StripeClient) -> None:
    made = session(stripe_client, price(stripe_client).id)
    sandbox.control("POST", "/stripe/advance", {"seconds": 86_500})
    seen = stripe_client.v1.checkout.sessions.retrieve(made.id)
    assert (seen.status, seen.url) == ("expired", None)
    assert "checkout.session.expired" in told(stripe_client)
