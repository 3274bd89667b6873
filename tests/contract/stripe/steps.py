"""Steps of each of Stripe's actions that are ready to run, and what a shop has made for them."""

import uuid

from app.platform import Json
from tasks.stripe.catalogue.products import PRODUCTS
from tasks.stripe.client import api
from tasks.stripe.customers.calls import CUSTOMERS, METHODS
from tests.contract.cases import Claim
from tests.contract.stage import Step
from tests.contract.stripe import held, selling

PAYMENT = held.PAYMENT
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
    return claim("stripe.capture", {"payment_intent": held.made()})


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


def review(claim: Claim) -> Step:
    """A claimed step that reviews a payment which a shop has authorized in the browser."""
    held = api().create_payment_intent(PAYMENT, uuid.uuid4().hex)
    return claim("stripe.review", {"payment_intent": held["id"]})


def read_dispute(claim: Claim) -> Step:
    """A claimed step that reads a dispute."""
    return claim("stripe.read_dispute", {"dispute": disputed()})


def read_fraud_warning(claim: Claim) -> Step:
    """A claimed step that reads an early fraud warning of a payment which a shop has taken."""
    taken = {"capture_method": "automatic", "payment_method": "pm_card_createIssuerFraudRecord"}
    api().create_payment_intent(PAYMENT | taken, uuid.uuid4().hex)
    (known,) = selling.ask(lambda v1: v1.radar.early_fraud_warnings.list())["data"]
    return claim("stripe.read_fraud_warning", {"warning": known["id"]})


def read_balance(claim: Claim) -> Step:
    """A claimed step that reads the balance."""
    return claim("stripe.read_balance", {})


def list_payouts(claim: Claim) -> Step:
    """A claimed step that lists the payouts, of which there is one."""
    selling.payout()
    return claim("stripe.list_payouts", {})


def read_payout(claim: Claim) -> Step:
    """A claimed step that reads a payout."""
    return claim("stripe.read_payout", {"payout": selling.payout()})


def list_balance_transactions(claim: Claim) -> Step:
    """A claimed step that lists the balance transactions, of which there is one of a payout."""
    selling.payout()
    return claim("stripe.list_balance_transactions", {"type": "payout"})
