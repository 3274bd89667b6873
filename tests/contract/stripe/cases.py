"""The cases of Stripe."""

import hashlib
import hmac
import uuid
from datetime import datetime

from app.platform import Json
from tasks.stripe.catalogue.products import PRODUCTS
from tasks.stripe.client import api
from tasks.stripe.customers.calls import CUSTOMERS, METHODS
from tests.contract.cases import Call, Cases, Claim, Effect, Headers, Hook
from tests.contract.stage import Step
from tests.contract.stripe import selling

PAYMENT = {
    "amount": 1000,
    "currency": "eur",
    "payment_method": "pm_card_visa",
    "allowed_payment_method_types": ["card"],
    "capture_method": "manual",
    "confirm": True,
}
AUTHORIZE: Json = {
    "customer_email": "ada@example.com",
    "payment_method": "pm_card_visa",
    "amount": 4900,
    "currency": "EUR",
    "description": "Campaign",
}
CHECKOUT: Json = {
    "line_items": [{"name": "Portrait", "unit_amount": 2450, "currency": "EUR", "quantity": 2}],
    "success_url": "https://shop.example.com/thanks",
    "customer_email": "ada@example.com",
    "metadata": {"shop": "7"},
}


def authorize(claim: Claim) -> Step:
    """A claimed step that authorizes a payment."""
    return claim("stripe.authorize", AUTHORIZE)


def capture(claim: Claim) -> Step:
    """A claimed step that captures a payment which a shop has authorized in the browser."""
    held = api().create_payment_intent(PAYMENT, uuid.uuid4().hex)
    return claim("stripe.capture", {"payment_intent": held["id"]})


def refund(claim: Claim) -> Step:
    """A claimed step that refunds a part of a payment which a shop has taken."""
    paid = api().create_payment_intent(PAYMENT | {"capture_method": "automatic"}, uuid.uuid4().hex)
    return claim("stripe.refund", {"payment_intent": paid["id"], "amount": 300})


def customer() -> str:
    """A customer whom a shop has made."""
    made = CUSTOMERS.create({"email": "ada@example.com", "name": "Ada"}, uuid.uuid4().hex)
    return str(made["id"])


def card(name: str = "tok_visa") -> str:
    """A card that a browser has made."""
    made = METHODS.create({"type": "card", "card": {"token": name}}, uuid.uuid4().hex)
    return str(made["id"])


def create_customer(claim: Claim) -> Step:
    """A claimed step that makes a customer."""
    given = {"email": "ada@example.com", "name": "Ada", "metadata": {"shop": "7"}}
    return claim("stripe.create_customer", given)


def update_customer(claim: Claim) -> Step:
    """A claimed step that changes a customer."""
    return claim("stripe.update_customer", {"customer": customer(), "name": "Ada King"})


def attach_payment_method(claim: Claim) -> Step:
    """A claimed step that attaches a card."""
    given = {"customer": customer(), "payment_method": card()}
    return claim("stripe.attach_payment_method", given)


def save_payment_method(claim: Claim) -> Step:
    """A claimed step that saves a card."""
    given = {"customer": customer(), "payment_method": "pm_card_visa"}
    return claim("stripe.save_payment_method", given)


def create_product(claim: Claim) -> Step:
    """A claimed step that makes a product."""
    return claim("stripe.create_product", {"name": "Portrait", "metadata": {"shop": "7"}})


def product() -> str:
    """A product that a shop has made."""
    return str(PRODUCTS.create({"name": "Portrait"}, uuid.uuid4().hex)["id"])


def create_price(claim: Claim) -> Step:
    """A claimed step that makes a price."""
    given = {"product": product(), "unit_amount": 4900, "currency": "EUR"}
    return claim("stripe.create_price", given)


def checkout(claim: Claim) -> Step:
    """A claimed step that opens a checkout page."""
    return claim("stripe.checkout", CHECKOUT)


def disputed(card: str = "pm_card_createDispute") -> str:
    """A dispute of a payment which a shop has taken."""
    given = PAYMENT | {"capture_method": "automatic", "payment_method": card}
    payment = api().create_payment_intent(given, uuid.uuid4().hex)["id"]
    found = api().perform(
        "disputes.list",
        lambda v1: v1.disputes.list({"payment_intent": payment}),
        repeatable=True,
    )
    return str(found["data"][0]["id"])


def submit_evidence(claim: Claim) -> Step:
    """A claimed step that answers a dispute."""
    given = {"dispute": disputed(), "evidence": {"uncategorized_text": "it was delivered"}}
    return claim("stripe.submit_evidence", given)


def accept_dispute(claim: Claim) -> Step:
    """A claimed step that accepts a dispute."""
    return claim("stripe.accept_dispute", {"dispute": disputed()})


def invoice(claim: Claim) -> Step:
    """A claimed step that invoices a customer and charges the saved card."""
    given: Json = {
        "customer": selling.customer(),
        "currency": "eur",
        "lines": [{"amount": 1500, "description": "Workshop"}],
    }
    return claim("stripe.invoice", given)


def credit_note(claim: Claim) -> Step:
    """A claimed step that credits a part of an invoice which is open."""
    known = selling.open_invoice(selling.customer(None), 1500)
    return claim("stripe.credit_note", {"invoice": known, "amount": 500})


def subscribe(claim: Claim) -> Step:
    """A claimed step that begins a subscription."""
    items = [{"price": selling.price(), "quantity": 2}]
    return claim("stripe.subscribe", {"customer": selling.customer(), "items": items})


def change_subscription(claim: Claim) -> Step:
    """A claimed step that raises the quantity of a subscription."""
    known = selling.subscription()
    items = [{"item": known["items"]["data"][0]["id"], "quantity": 3}]
    given = {"subscription": known["id"], "items": items, "most_amount": 2000}
    return claim("stripe.change_subscription", given)


def pause_subscription(claim: Claim) -> Step:
    """A claimed step that pauses a subscription."""
    return claim("stripe.pause_subscription", {"subscription": selling.subscription()["id"]})


def resume_subscription(claim: Claim) -> Step:
    """A claimed step that resumes a subscription which is paused since its trial ended."""
    known = selling.paused()["id"]
    return claim("stripe.resume_subscription", {"subscription": known})


def report_usage(claim: Claim) -> Step:
    """A claimed step that reports what a customer has used."""
    given = {"customer": customer(), "event_name": selling.meter()["event_name"], "value": 12}
    return claim("stripe.report_usage", given)


def cancel_subscription(claim: Claim) -> Step:
    """A claimed step that lets a subscription end with its period."""
    return claim("stripe.cancel_subscription", {"subscription": selling.subscription()["id"]})


def sign(body: bytes, at: datetime, secret: str) -> Headers:
    """Sign as https://docs.stripe.com/webhooks says, beside the signature by another secret."""
    stamp = str(int(at.timestamp()))
    mac = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={stamp},v1={'0' * 64},v1={mac},v0=old"}


CASES = Cases(
    "stripe",
    Call(
        "payment_intents.create",
        lambda: api().create_payment_intent(PAYMENT, "key-1"),
        "STRIPE_BASE_URL",
        "STRIPE_API_KEY",
    ),
    Hook(
        sign,
        lambda at: {
            "id": "evt_1",
            "type": "charge.refunded",
            "data": {"object": {"id": "ch_1", "payment_intent": "pi_1"}},
        },
        ("evt_1", "pi_1", "charge.refunded"),
    ),
    (
        Effect(
            "stripe.authorize",
            authorize,
            "payment_intents.create",
            "authorizations",
            is_looked_up=True,
            undone="cancellations",
            results=("canceled", "already"),
        ),
        Effect(
            "stripe.capture",
            capture,
            "payment_intents.capture",
            "captures",
            is_looked_up=True,
            undone="refunds",
            results=("refunded", "already"),
            is_single=True,
        ),
        Effect(
            "stripe.refund",
            refund,
            "refunds.create",
            "refunds",
            is_looked_up=True,
        ),
        Effect(
            "stripe.create_customer",
            create_customer,
            "customers.create",
            "customers",
            is_looked_up=True,
            undone="customers.deleted",
            results=("deleted", "already"),
        ),
        Effect(
            "stripe.update_customer",
            update_customer,
            "customers.update",
            "customers.updated",
            is_looked_up=True,
            undone="customers.updated",
            results=("restored", "already"),
            is_single=True,
        ),
        Effect(
            "stripe.attach_payment_method",
            attach_payment_method,
            "payment_methods.attach",
            "payment_methods.attached",
            is_looked_up=True,
            undone="payment_methods.detached",
            results=("detached", "already"),
            is_single=True,
        ),
        Effect(
            "stripe.save_payment_method",
            save_payment_method,
            "setup_intents.create",
            "setup_intents",
            is_looked_up=True,
            undone="payment_methods.detached",
            results=("detached", "already"),
        ),
        Effect(
            "stripe.create_product",
            create_product,
            "products.create",
            "products",
            is_looked_up=True,
            undone="products.updated",
            results=("archived", "already"),
        ),
        Effect(
            "stripe.create_price",
            create_price,
            "prices.create",
            "prices",
            is_looked_up=True,
            undone="prices.updated",
            results=("archived", "already"),
        ),
        Effect(
            "stripe.checkout",
            checkout,
            "checkout.sessions.create",
            "checkout.sessions",
            suspends=True,
            is_looked_up=True,
            undone="checkouts_expired",
            results=("expired", "already"),
            reads="checkout.sessions.retrieve",
            replaces=True,
        ),
        Effect(
            "stripe.invoice",
            invoice,
            "invoices.pay",
            "invoices.paid",
            is_looked_up=True,
            undone="credit_notes",
            results=("credited", "already"),
        ),
        Effect(
            "stripe.credit_note",
            credit_note,
            "credit_notes.create",
            "credit_notes",
            is_looked_up=True,
            undone="credit_notes.voided",
            results=("voided", "already"),
        ),
        Effect(
            "stripe.subscribe",
            subscribe,
            "subscriptions.create",
            "subscriptions",
            is_looked_up=True,
            undone="subscriptions.canceled",
            results=("canceled", "already"),
        ),
        Effect(
            "stripe.change_subscription",
            change_subscription,
            "subscriptions.update",
            "subscriptions.raised",
            is_looked_up=True,
            undone="subscriptions.lowered",
            results=("changed_back", "already"),
            is_single=True,
        ),
        Effect(
            "stripe.pause_subscription",
            pause_subscription,
            "subscriptions.pause",
            "subscriptions.paused",
            is_looked_up=True,
            undone="subscriptions.resumed",
            results=("resumed", "already"),
            is_single=True,
        ),
        Effect(
            "stripe.resume_subscription",
            resume_subscription,
            "subscriptions.resume",
            "subscriptions.resumed",
            is_looked_up=True,
            undone="subscriptions.paused",
            results=("paused_again", "already"),
            is_single=True,
        ),
        Effect(
            "stripe.report_usage",
            report_usage,
            "billing.meter_events.create",
            "usage",
            undone="usage_canceled",
            results=("canceled", "already"),
        ),
        Effect(
            "stripe.cancel_subscription",
            cancel_subscription,
            "subscriptions.update",
            "subscriptions.ending",
            is_looked_up=True,
            undone="subscriptions.going_on",
            results=("taken_back", "already"),
            is_single=True,
        ),
        Effect(
            "stripe.submit_evidence",
            submit_evidence,
            "disputes.update",
            "evidence",
            is_looked_up=True,
            is_single=True,
        ),
        Effect(
            "stripe.accept_dispute",
            accept_dispute,
            "disputes.close",
            "disputes_accepted",
            is_looked_up=True,
            is_single=True,
        ),
    ),
)
