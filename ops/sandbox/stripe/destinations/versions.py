"""Objects in the form of an older version of the API, as an endpoint of that version gets them.

Only this is turned back: what 2025-03-31.basil moved from a subscription to its items, and from
invoices, charges and PaymentIntents to the payments of an invoice and to its parent. All else has
the newest form. https://docs.stripe.com/changelog/basil
"""

from __future__ import annotations

from ops.sandbox.store import Json
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.wire import API_VERSION

_BASIL = "2025-03-31"
_PERIOD = ("current_period_start", "current_period_end")


def rendered(desk: Desk, event: Json, version: str | None) -> Json:
    """Return an event in a version of the API; None is the version of the account."""
    named = event | {"api_version": version or API_VERSION}
    if version is None or version[: len(_BASIL)] >= _BASIL:
        return named
    about = event["data"]["object"]
    return named | {"data": event["data"] | {"object": about | _before_basil(desk, about)}}


def _before_basil(desk: Desk, about: Json) -> Json:
    """Return the fields that an object had before."""
    kind = about.get("object")
    if kind == "subscription":
        items = about["items"]["data"]
        return {name: items[0][name] if items else None for name in _PERIOD}
    if kind == "charge":
        return {"invoice": _invoice_of(desk, about.get("payment_intent"))}
    if kind == "payment_intent":
        return {"invoice": _invoice_of(desk, about["id"])}
    return _of_invoice(desk, about) if kind == "invoice" else {}


def _of_invoice(desk: Desk, invoice: Json) -> Json:
    payments = desk.all("invoice_payment", invoice=invoice["id"])
    intent = next((each["payment"].get("payment_intent") for each in payments), None)
    paid_by = desk.find("payment_intent", intent) if intent else None
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    return {
        "charge": paid_by["latest_charge"] if paid_by else None,
        "paid": invoice["status"] == "paid",
        "payment_intent": intent,
        "subscription": details.get("subscription"),
    }


def _invoice_of(desk: Desk, intent: str | None) -> str | None:
    """Return the invoice that a PaymentIntent pays, if it pays one."""
    payments = desk.where("invoice_payment", "$.payment.payment_intent", intent) if intent else []
    return payments[0]["invoice"] if payments else None
