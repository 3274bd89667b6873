"""Checkout, payment links, the portal and quotes, through Stripe's own SDK.

The calls of Stripe's page are made as Stripe's CLI makes them.
"""

from __future__ import annotations

from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.running import Sandbox
from tests.sandbox.stripe.test_catalogue import price
from tests.sandbox.stripe.test_invoices import customer, told


def session(client: stripe.StripeClient, cost: str, **more: Any) -> Any:
    given: Any = {
        "success_url": "https://shop.example", "mode": "payment",
        "line_items": [{"price": cost, "quantity": 2}], **more,
    }  # fmt: skip
    return client.v1.checkout.sessions.create(given)


def pay(
    sandbox: Sandbox, client: stripe.StripeClient, found: str, card: str = "tok_visa", **more: str
) -> requests.Response:
    """Pay on the page of a session."""
    details: Any = {"name": "Ann", "email": "ann@b.example"}
    method = client.v1.payment_methods.create(
        {"type": "card", "card": {"token": card}, "billing_details": details}
    )
    return requests.post(
        f"{sandbox.env('STRIPE_BASE_URL')}/v1/payment_pages/{found}/confirm",
        {"payment_method": method.id, **more},
        headers={"Authorization": f"Bearer {sandbox.env('STRIPE_API_KEY')}"},
        timeout=10,
    )


def test_a_session_is_paid_once(sandbox: Sandbox, stripe_client: stripe.StripeClient) -> None:
    made = session(stripe_client, price(stripe_client).id)
    assert (made.status, made.payment_status, made.amount_total) == ("open", "unpaid", 3000)
    assert pay(sandbox, stripe_client, made.id, expected_amount="1").status_code == 400
    assert pay(sandbox, stripe_client, made.id, expected_amount="3000").ok
    done = stripe_client.v1.checkout.sessions.retrieve(made.id, {"expand": ["payment_intent"]})
    assert (done.status, done.payment_status, done.url) == ("complete", "paid", None)
    assert isinstance(done.payment_intent, stripe.PaymentIntent)
    assert (done.payment_intent.status, done.payment_intent.amount) == ("succeeded", 3000)
    assert done.customer_details is not None
    assert done.customer_details.email == "ann@b.example"
    assert pay(sandbox, stripe_client, made.id).status_code == 400
    with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
        stripe_client.v1.checkout.sessions.expire(made.id)
    assert told(stripe_client).count("checkout.session.completed") == 1


def test_a_declined_session_stays_open(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    made = session(stripe_client, price(stripe_client).id)
    assert pay(sandbox, stripe_client, made.id, "tok_chargeDeclined").status_code == 402
    assert stripe_client.v1.checkout.sessions.retrieve(made.id).status == "open"
    assert "checkout.session.completed" not in told(stripe_client)
    assert stripe_client.v1.checkout.sessions.expire(made.id).status == "expired"
    assert pay(sandbox, stripe_client, made.id).status_code == 400


def test_a_session_begins_a_subscription(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    cost = price(stripe_client, recurring={"interval": "month"}).id
    with pytest.raises(stripe.InvalidRequestError, match="recurring price"):
        session(stripe_client, cost)
    made = session(stripe_client, cost, mode="subscription")
    assert pay(sandbox, stripe_client, made.id).ok
    done = stripe_client.v1.checkout.sessions.retrieve(made.id)
    kept = stripe_client.v1.subscriptions.retrieve(str(done.subscription))
    assert (kept.status, kept.customer) == ("active", done.customer)
    assert kept.default_payment_method is not None


def test_a_session_saves_a_method(sandbox: Sandbox, stripe_client: stripe.StripeClient) -> None:
    owner = stripe_client.v1.customers.create({}).id
    made = stripe_client.v1.checkout.sessions.create(
        {"mode": "setup", "success_url": "https://a.example", "customer": owner, "currency": "eur"}
    )
    assert pay(sandbox, stripe_client, made.id).ok
    done = stripe_client.v1.checkout.sessions.retrieve(made.id)
    assert (done.status, done.payment_status) == ("complete", "no_payment_required")
    assert len(stripe_client.v1.payment_methods.list({"customer": owner}).data) == 1


def test_a_discount_lowers_the_total(stripe_client: stripe.StripeClient) -> None:
    coupon = stripe_client.v1.coupons.create({"amount_off": 1000, "currency": "usd"})
    made = session(
        stripe_client, price(stripe_client).id, discounts=[{"coupon": coupon.id}],
        expand=["line_items"],
    )  # fmt: skip
    assert (made.amount_subtotal, made.amount_total) == (3000, 2000)
    assert made.total_details.amount_discount == 1000
    assert [line.amount_total for line in made.line_items.data] == [2000]
    assert stripe_client.v1.coupons.retrieve(coupon.id).times_redeemed == 1


def test_a_quote_becomes_a_subscription(stripe_client: stripe.StripeClient) -> None:
    cost = price(stripe_client, recurring={"interval": "month"}).id
    made = stripe_client.v1.quotes.create(
        {"customer": customer(stripe_client), "line_items": [{"price": cost, "quantity": 3}]}
    )
    assert (made.status, made.amount_total, made.number) == ("draft", 4500, None)
    with pytest.raises(stripe.InvalidRequestError, match="must be open"):
        stripe_client.v1.quotes.accept(made.id)
    assert stripe_client.v1.quotes.finalize_quote(made.id).status == "open"
    accepted = stripe_client.v1.quotes.accept(made.id)
    kept = stripe_client.v1.subscriptions.retrieve(str(accepted.subscription))
    assert [item.quantity for item in kept["items"].data] == [3]
    assert told(stripe_client).count("quote.accepted") == 1


def test_a_quote_of_one_time_prices_becomes_a_draft(stripe_client: stripe.StripeClient) -> None:
    made = stripe_client.v1.quotes.create(
        {"customer": customer(stripe_client), "line_items": [{"price": price(stripe_client).id}]}
    )
    stripe_client.v1.quotes.finalize_quote(made.id)
    invoice = str(stripe_client.v1.quotes.accept(made.id).invoice)
    assert stripe_client.v1.invoices.retrieve(invoice).status == "draft"
    assert stripe_client.v1.invoices.pay(invoice).amount_paid == 1500


def test_a_payment_link_has_lines(stripe_client: stripe.StripeClient) -> None:
    cost = price(stripe_client).id
    made = stripe_client.v1.payment_links.create({"line_items": [{"price": cost, "quantity": 1}]})
    stripe_client.v1.payment_links.update(made.id, {"allow_promotion_codes": True, "active": False})
    kept = stripe_client.v1.payment_links.retrieve(made.id)
    assert (kept.active, kept.allow_promotion_codes, kept.currency) == (False, True, "usd")
    lines = stripe_client.v1.payment_links.line_items.list(made.id).data
    assert [line.amount_total for line in lines] == [1500]


def test_a_portal_session_has_the_default_configuration(
    stripe_client: stripe.StripeClient,
) -> None:
    owner = stripe_client.v1.customers.create({}).id
    made = stripe_client.v1.billing_portal.sessions.create({"customer": owner})
    found = stripe_client.v1.billing_portal.configurations.retrieve(str(made.configuration))
    assert (found.is_default, made.customer) == (True, owner)
