"""Undo an invoice: delete a draft, void an open one, and give back what a paid one has taken.

Invariant: what is given back is a credit note whose metadata name the step. So it is made once.
https://docs.stripe.com/invoicing/overview, https://docs.stripe.com/api/credit_notes/create
"""

from app.engine.call import Call
from app.errors import Permanent, Retryable
from app.platform import Json
from tasks.stripe import booking
from tasks.stripe.billing import calls
from tasks.stripe.client import api
from tasks.stripe.marks import POLL_SECONDS, marks
from tasks.stripe.paying.refunds import refund_summary, require_end
from tasks.stripe.wording import given, id_of

ORDER = ("credited", "voided", "deleted", "already", "nothing")
"""The results of undoing, that which says most first."""


def undo_invoice(call: Call, invoice: str) -> Json:
    """Undo an invoice, and say how: {result, invoice, credit_note}.

    `already`: it is void, or credited by this step. `nothing`: nothing of it is left to credit.
    Raises Retryable while a payment of it, or a refund, is not at its end, and Permanent if the
    refund fails.
    """
    seen = _read(call, invoice)
    if seen is None:
        return {"result": "already", "invoice": invoice}
    book_payments(call, seen)
    status = seen["status"]
    if status == "draft":
        call.once("invoices.delete", {"invoice": invoice}, _delete)
        return {"result": "deleted", "invoice": invoice}
    if status == "void":
        return {"result": "already", "invoice": invoice}
    if status != "paid":
        if any(each["status"] == "processing" for each in payments_of(seen)):
            raise Retryable(
                "Stripe still processes the payment", code="processing", after=POLL_SECONDS
            )
        calls.void_invoice(invoice)
        return {"result": "voided", "invoice": invoice}
    return _credit(call, seen)


def _read(call: Call, invoice: str) -> Json | None:
    """The invoice; None if this compensation has deleted it."""
    try:
        return calls.read_invoice(invoice)
    except Permanent as err:
        deleted = [each.request["invoice"] for each in call.sendings("invoices.delete")]
        # An invoice that Stripe does not know otherwise is another account's.
        if err.code != "resource_missing" or invoice not in deleted:
            raise
        return None


def _delete(request: Json, key: str) -> Json:
    return {"invoice": calls.delete_draft(request["invoice"])["id"]}


def _credit(call: Call, seen: Json) -> Json:
    known = calls.carrying(calls.credit_notes_of(seen["id"]), {"reference": call.reference})
    ours = [each for each in known if each["status"] == "issued"]
    if ours:
        book_refunds(call, ours[0])
        return {"result": "already", "invoice": seen["id"], "credit_note": ours[0]["id"]}
    parts = credit_parts(seen)
    if parts is None:
        return {"result": "nothing", "invoice": seen["id"]}
    request = {"invoice": seen["id"], "metadata": marks(call), **parts}
    made = call.once(
        "credit_notes.create",
        request,
        lambda request, key: credit_summary(calls.create_credit_note(request, key)),
    )
    book_refunds(call, calls.read_credit_note(made["credit_note"]))
    return {"result": "credited", **made}


def credit_parts(seen: Json, amount: int | None = None) -> Json | None:
    """How the rest of a paid invoice, or `amount` of it, is given back, in Stripe's parameters.

    What was paid by Stripe is refunded; what was paid by the customer's balance goes back there.
    None if nothing is left.
    """
    credited = seen["post_payment_credit_notes_amount"] + seen["pre_payment_credit_notes_amount"]
    left = seen["total"] - credited
    wanted = left if amount is None else amount
    if wanted <= 0:
        return None
    refundable = sum(each["amount_received"] - _refunded(each) for each in payments_of(seen))
    refund = min(wanted, refundable)
    parts = {"refund_amount": refund or None, "credit_amount": wanted - refund or None}
    return given({"amount": wanted, **parts})


def payments_of(seen: Json) -> list[Json]:
    """The PaymentIntents of an invoice that was read with its payments, each with its charge."""
    listed = (seen.get("payments") or {}).get("data") or []
    ids = [id_of((each.get("payment") or {}).get("payment_intent")) for each in listed]
    return [api().retrieve_payment_intent(each) for each in ids if each]


def book_payments(call: Call, seen: Json) -> None:
    """Book what the payments of an invoice have taken."""
    for intent in payments_of(seen) if seen["status"] == "paid" else ():
        charge = intent.get("latest_charge") or {}
        if intent["status"] == "succeeded" and charge.get("captured"):
            booking.taken(call, charge)


def book_refunds(call: Call, credit_note: Json) -> None:
    """Book the refunds of a credit note; raises Retryable or Permanent unless they have ended."""
    for each in credit_note.get("refunds") or []:
        refund = id_of(each.get("refund"))
        if refund is not None:
            made = refund_summary(api().retrieve_refund(refund))
            booking.refunds(call, made)
            require_end(made)


def credit_summary(made: Json) -> Json:
    """What is recorded of a credit note."""
    return {
        "credit_note": made["id"],
        "invoice": id_of(made["invoice"]),
        "amount": made["amount"],
        "currency": made["currency"],
        "status": made["status"],
        "type": made["type"],
        "refunds": [id_of(each.get("refund")) for each in made.get("refunds") or []],
    }


def _refunded(intent: Json) -> int:
    charge = intent.get("latest_charge") or {}
    return int(charge.get("amount_refunded") or 0)
