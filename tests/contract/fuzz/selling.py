"""Stripe's calls for subscriptions, usage, invoices, disputes and payouts."""

from typing import Any

from app.platform import Json
from tasks.stripe.balance import calls as balance
from tasks.stripe.billing import calls as billing
from tasks.stripe.billing import subscriptions
from tasks.stripe.client import api
from tasks.stripe.disputes import calls as disputes
from tasks.stripe.kinds import Kind
from tests.contract.fuzz.asked import LONG_AGO, YEAR, Asked, Client, Made, having, key
from tests.contract.fuzz.stripe import SETTING, a_page, an_object, made_id, objects
from tests.contract.stripe import selling
from tests.contract.stripe.steps import disputed


def _subscribing() -> Made:
    paused = selling.paused()
    selling.pays_by(paused["customer"], "pm_card_visa")
    return {
        "customer": {"id": selling.customer()},
        "price": {"id": selling.price()},
        "paused": {"id": paused["id"]},
    }


def _subscription(made: Made, **more: object) -> Json:
    return {"subscription": made_id(made, "subscriptions.create"), **more}


SUBSCRIPTIONS = Client(
    "stripe",
    SETTING,
    (
        Asked("subscriptions.create",
              lambda made: subscriptions.create(
                  {"customer": made_id(made, "customer"),
                   "items": [{"price": made_id(made, "price")}]}, key()),
              an_object, is_repeatable=False),
        Asked("subscriptions.retrieve",
              lambda made: subscriptions.read(made_id(made, "subscriptions.create")), an_object),
        Asked("subscriptions.update",
              lambda made: subscriptions.update(_subscription(made, metadata={"a": "b"}), key()),
              an_object, is_repeatable=False),
        Asked("subscriptions.list",
              lambda made: subscriptions.subscriptions_of(
                  made_id(made, "customer"), LONG_AGO, LONG_AGO + YEAR),
              objects),
        Asked("subscriptions.invoices",
              lambda made: subscriptions.invoices_of(made_id(made, "subscriptions.create")),
              objects),
        Asked("invoices.create_preview",
              lambda made: subscriptions.preview(_subscription(made)), an_object),
        Asked("subscriptions.pause", lambda made: subscriptions.pause(_subscription(made), key()),
              an_object, is_repeatable=False),
        Asked("subscriptions.resume",
              lambda made: subscriptions.resume(
                  {"subscription": made_id(made, "paused")}, key()),
              an_object, is_repeatable=False),
        Asked("subscriptions.cancel",
              lambda made: subscriptions.cancel(_subscription(made), is_read_again=True),
              an_object),
    ),
    family="subscriptions",
    setup=_subscribing,
)  # fmt: skip


def _using() -> Made:
    return {"customer": {"id": selling.customer(None)}, "meter": selling.meter()}


def _report(made: Made, report: str) -> Json:
    used = {"stripe_customer_id": made_id(made, "customer"), "value": "12"}
    name = made["meter"].get("event_name", "pictures")
    given: Any = {"event_name": name, "identifier": report, "payload": used}
    return api().perform(
        "billing.meter_events.create",
        lambda v1: v1.billing.meter_events.create(given, {"idempotency_key": report}),
        repeatable=False,
    )


USAGE = Client(
    "stripe",
    SETTING,
    (
        Asked("billing.meter_events.create", lambda made: _report(made, key()),
              having(), is_repeatable=False),
        Asked("billing.meters.retrieve",
              lambda made: Kind("billing.meters").retrieve(made_id(made, "meter")), an_object),
    ),
    family="usage",
    setup=_using,
)  # fmt: skip


def _invoicing() -> Made:
    return {"customer": {"id": selling.customer()}}


def _invoice(made: Made, **more: object) -> Json:
    return {"invoice": made_id(made, "invoices.create"), **more}


INVOICES = Client(
    "stripe",
    SETTING,
    (
        Asked("invoices.create",
              lambda made: billing.create_invoice(
                  {"customer": made_id(made, "customer"), "currency": "eur",
                   "auto_advance": False}, key()),
              an_object, is_repeatable=False),
        Asked("invoices.add_lines",
              lambda made: billing.add_lines(
                  _invoice(made, lines=[{"amount": 1500, "description": "Workshop"}]), key()),
              an_object, is_repeatable=False),
        Asked("invoices.finalize", lambda made: billing.finalize_invoice(_invoice(made), key()),
              an_object, is_repeatable=False),
        Asked("invoices.pay", lambda made: billing.pay_invoice(_invoice(made), key()), an_object,
              is_repeatable=False),
        Asked("invoices.retrieve",
              lambda made: billing.read_invoice(made_id(made, "invoices.create")), an_object),
        Asked("invoices.list",
              lambda made: billing.invoices_of(
                  {"customer": made_id(made, "customer")}, LONG_AGO, LONG_AGO + YEAR),
              objects),
        Asked("credit_notes.create",
              lambda made: billing.create_credit_note(
                  _invoice(made, amount=500, credit_amount=500), key()),
              an_object, is_repeatable=False),
        Asked("credit_notes.retrieve",
              lambda made: billing.read_credit_note(made_id(made, "credit_notes.create")),
              an_object),
        Asked("credit_notes.list",
              lambda made: billing.credit_notes_of(made_id(made, "invoices.create")), objects),
    ),
    family="invoices",
    setup=_invoicing,
)  # fmt: skip


def _disputing() -> Made:
    return {"dispute": {"id": disputed()}, "payout": {"id": selling.payout()}}


DISPUTES = Client(
    "stripe",
    SETTING,
    (
        Asked("disputes.retrieve",
              lambda made: disputes.read_dispute(made_id(made, "dispute")), an_object),
        Asked("disputes.update",
              lambda made: disputes.update_dispute(
                  {"dispute": made_id(made, "dispute"), "submit": False,
                   "evidence": {"uncategorized_text": "it was delivered"}}, key()),
              an_object, is_repeatable=False),
        Asked("disputes.close",
              lambda made: disputes.close_dispute(made_id(made, "dispute"), key()), an_object,
              is_repeatable=False),
        Asked("payouts.retrieve",
              lambda made: balance.read_payout(made_id(made, "payout")), an_object),
        Asked("payouts.list", lambda made: balance.list_payouts({"limit": 3}), a_page),
        Asked("balance_transactions.list",
              lambda made: balance.list_transactions({"limit": 3}), a_page),
    ),
    family="disputes",
    setup=_disputing,
)  # fmt: skip
FAMILIES = (SUBSCRIPTIONS, USAGE, INVOICES, DISPUTES)
