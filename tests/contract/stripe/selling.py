"""What a shop has at Stripe before a workflow bills: customers with cards, and prices."""

import uuid
from typing import Any

from app.platform import Json
from tasks.stripe.client import api


def ask(make: Any) -> Json:
    """An answer of the imitated Stripe to a call by the SDK, which `make` gets as its `v1`."""
    return api().perform("test", make, repeatable=False)


def customer(card: str | None = "pm_card_visa") -> str:
    """A customer, who pays by the card."""
    made = ask(lambda v1: v1.customers.create({"email": "ada@example.com", "name": "Ada"}))
    if card is not None:
        pays_by(made["id"], card)
    return str(made["id"])


def pays_by(known: str, card: str) -> str:
    """Let a customer pay by another card from now on."""
    method = ask(lambda v1: v1.payment_methods.attach(card, {"customer": known}))["id"]
    settings = {"invoice_settings": {"default_payment_method": method}}
    ask(lambda v1: v1.customers.update(known, settings))
    return str(method)


def debit(iban: str) -> str:
    """A bank account that a browser has named."""
    given = {
        "type": "sepa_debit",
        "sepa_debit": {"iban": iban},
        "billing_details": {"name": "Ada", "email": "ada@example.com"},
    }
    return str(ask(lambda v1: v1.payment_methods.create(given))["id"])


def price(amount: int = 2000, interval: str | None = "month", currency: str = "eur") -> str:
    """A price of a new product; without an interval it is paid once."""
    given: Json = {
        "currency": currency,
        "unit_amount": amount,
        "product_data": {"name": f"Product {uuid.uuid4().hex[:6]}"},
    }
    if interval is not None:
        given["recurring"] = {"interval": interval}
    return str(ask(lambda v1: v1.prices.create(given))["id"])


def open_invoice(known: str, amount: int, currency: str = "eur") -> str:
    """An invoice of a customer that is open."""
    given = {"customer": known, "currency": currency, "auto_advance": False}
    made = str(ask(lambda v1: v1.invoices.create(given))["id"])
    line = {"customer": known, "currency": currency, "amount": amount, "invoice": made}
    ask(lambda v1: v1.invoice_items.create(line))
    ask(lambda v1: v1.invoices.finalize_invoice(made))
    return made


def subscription(items: list[Json] | None = None, card: str = "pm_card_visa") -> Json:
    """A subscription that a shop has begun elsewhere."""
    given = {
        "customer": customer(card),
        "items": items or [{"price": price(), "quantity": 2}],
        "payment_behavior": "error_if_incomplete",
    }
    return ask(lambda v1: v1.subscriptions.create(given))


def meter(formula: str = "sum") -> Json:
    """A meter of what customers use."""
    given = {
        "display_name": "Pictures",
        "event_name": f"pictures_{uuid.uuid4().hex[:6]}",
        "default_aggregation": {"formula": formula},
    }
    return ask(lambda v1: v1.billing.meters.create(given))


def paused() -> Json:
    """A subscription that is paused because its trial ended without a card."""
    given = {
        "customer": customer(None),
        "items": [{"price": price(), "quantity": 2}],
        "trial_period_days": 7,
        "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}},
    }
    known = ask(lambda v1: v1.subscriptions.create(given))["id"]
    return ask(lambda v1: v1.subscriptions.update(known, {"trial_end": "now"}))


def pay(invoice: str, card: str = "pm_card_visa") -> None:
    """Let a customer pay an open invoice in the browser."""
    intent = payment_of(invoice)
    ask(lambda v1: v1.payment_intents.confirm(intent, {"payment_method": card}))


def payment_of(invoice: str) -> str:
    """The PaymentIntent of an invoice."""
    seen = ask(lambda v1: v1.invoices.retrieve(invoice, {"expand": ["payments"]}))
    return str(seen["payments"]["data"][0]["payment"]["payment_intent"])


def payout(amount: int = 300) -> str:
    """A payout by hand of what a payment has brought that is available at once."""
    paid = {
        "amount": 2 * amount,
        "currency": "usd",
        "payment_method": "pm_card_bypassPending",
        "allowed_payment_method_types": ["card"],
        "confirm": True,
    }
    ask(lambda v1: v1.payment_intents.create(paid))
    given = {"amount": amount, "currency": "usd"}
    return str(ask(lambda v1: v1.payouts.create(given))["id"])
