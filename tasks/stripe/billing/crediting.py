"""Undo an invoice: delete a draft, void an open one, and give back what a paid one has taken.

Invariant: what is given back is a credit note whose metadata name the step. So it is made once. Its
refund is marked as the step's too, since a bank may send it back later; what then takes its place
is a refund without a note.
https://docs.stripe.com/invoicing/overview, https://docs.stripe.com/api/credit_notes/create
"""

from collections.abc import Mapping

from app.engine.call import Call
from app.errors import Permanent, Retryable
from app.platform import Json
from tasks.stripe import booking
from tasks.stripe.billing import calls
from tasks.stripe.books import FAILED_REFUND
from tasks.stripe.client import api
from tasks.stripe.marks import POLL_SECONDS, marks, metadata_of
from tasks.stripe.paying.refunds import make_refund, refund_summary, refunds_by, require_end
from tasks.stripe.wording import given, id_of

ORDER = ("credited", "voided", "deleted", "already", "nothing")
"""The results of undoing, that which says most first."""
_DELETE, _NOTE, _REFUND, _CALLS = range(4)
"""The numbers of the calls for one invoice, and how many they are."""
_FIRST = 10
"""The calls before are left to the compensation that undoes the invoice beside other things."""


def undo_invoice(call: Call, invoice: str) -> Json:
    """Undo an invoice, and say how: {result, invoice, credit_note}.

    `already`: it is void, or credited by this step. `nothing`: nothing of it is left to credit.
    Raises Retryable while a payment of it, or a refund, is not at its end, and Permanent if the
    refund fails. A compensation that undoes several invoices numbers them by `call.at`.
    """
    first = _FIRST + _CALLS * call.ordinal
    seen = _read(call, invoice)
    if seen is None:
        return {"result": "already", "invoice": invoice}
    book_payments(call, seen)
    status = seen["status"]
    if status == "draft":
        call.at(first + _DELETE)
        call.once("invoices.delete", {"invoice": invoice}, _delete)
        return {"result": "deleted", "invoice": invoice}
    if status == "void":
        return {"result": "already", "invoice": invoice}
    if status != "paid":
        require_unprocessed(seen)
        seen = voided(invoice)
        if seen["status"] != "paid":
            return {"result": "voided", "invoice": invoice}
        book_payments(call, seen)
    return _credit(call, seen, first)


def require_unprocessed(seen: Json) -> None:
    """Raise Retryable while Stripe processes a payment of an invoice, which cannot be voided."""
    if is_processed(seen):
        raise Retryable("Stripe still processes the payment", code="processing", after=POLL_SECONDS)


def is_processed(seen: Json) -> bool:
    """Whether Stripe processes a payment of an invoice that was read with its payments."""
    return any(each["status"] == "processing" for each in payments_of(seen))


def voided(invoice: str) -> Json:
    """Void an open invoice, and return it. It is not void if its customer has paid it meanwhile."""
    try:
        return calls.void_invoice(invoice)
    except Permanent:
        seen = calls.read_invoice(invoice)
        if seen["status"] not in ("void", "paid"):
            raise
        return seen


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


def _credit(call: Call, seen: Json, first: int) -> Json:
    listed = calls.credit_notes_of(seen["id"])
    known = calls.carrying(listed, {"reference": call.reference})
    ours = [each for each in known if each["status"] == "issued"]
    if ours:
        standing, owed = standing_refunds(call, ours)
        if owed is not None:
            standing.append(_refund_again(call, seen["id"], owed, first + _REFUND))
        end_refunds(call, standing, marks(call))
        return {"result": "already", "invoice": seen["id"], "credit_note": ours[0]["id"]}
    parts = credit_parts(seen, listed)
    if parts is None:
        return {"result": "nothing", "invoice": seen["id"]}
    request = {"invoice": seen["id"], "metadata": marks(call), **parts}
    call.at(first + _NOTE)
    made = call.once(
        "credit_notes.create",
        request,
        lambda request, key: credit_summary(calls.create_credit_note(request, key)),
    )
    end_refunds(call, made["refunds"], marks(call))
    return {"result": "credited", **made}


def _refund_again(call: Call, invoice: str, owed: Json, number: int) -> str:
    """Refund what a failed refund owes, in a later generation than that which has made it."""
    about = {("credit_notes.create", invoice), ("refunds.create", owed["payment_intent"])}
    for name, known in about:
        for each in call.sendings(name):
            is_its = known in (each.request.get("invoice"), each.request.get("payment_intent"))
            if not is_its or each.generation != call.generation:
                continue
            if call.tries == 0:
                # It has failed before, and a person has said that it is to be tried again.
                raise Retryable(
                    "the refund has failed", code="refund_failed", after=0.0, stored=True
                )
            raise Permanent("the refund has failed", code="refund_failed", detail=owed)
    request = {**owed, "reason": "requested_by_customer", "metadata": marks(call)}
    call.at(number)
    made = call.once("refunds.create", request, lambda r, key: make_refund(api(), r, key))
    return str(made["refund"])


def standing_refunds(call: Call, notes: list[Json]) -> tuple[list[str], Json | None]:
    """The refunds of the step's notes that have not failed, with those that the step has made in
    place of failed ones; and what the failed ones still owe, {payment_intent, amount}, or None.

    The failed ones are booked.
    """
    own = [
        refund_summary(api().retrieve_refund(each))
        for note in notes
        for each in credit_summary(note)["refunds"]
    ]
    failed = [each for each in own if each["status"] in FAILED_REFUND]
    standing = [each["refund"] for each in own if each not in failed]
    if not failed:
        return standing, None
    booking.refunds(call, *failed)
    payment, known = failed[0]["payment_intent"], {each["refund"] for each in own}
    instead = [
        each
        for each in refunds_by(api(), payment, call.reference)
        if each["refund"] not in known and each["status"] not in FAILED_REFUND
    ]
    amount = sum(each["amount"] for each in failed) - sum(each["amount"] for each in instead)
    owed = {"payment_intent": payment, "amount": amount} if amount > 0 else None
    return standing + [each["refund"] for each in instead], owed


def credit_parts(seen: Json, notes: list[Json], amount: int | None = None) -> Json | None:
    """How the rest of a paid invoice, or `amount` of it, is given back, in Stripe's parameters.

    `notes` are the credit notes of the invoice. What was refunded without a note is not left, as
    Stripe counts too. What was paid by Stripe is refunded; what was paid by the customer's balance
    goes back there. None if nothing is left.
    """
    payments = payments_of(seen)
    refunded = sum(_refunded(each) for each in payments)
    noted = sum(
        each["amount_refunded"] or 0
        for note in notes
        if note["status"] == "issued"
        for each in note.get("refunds") or []
    )
    credited = seen["post_payment_credit_notes_amount"] + seen["pre_payment_credit_notes_amount"]
    left = seen["total"] - credited - max(0, refunded - noted)
    wanted = left if amount is None else amount
    if wanted <= 0:
        return None
    refund = min(wanted, sum(each["amount_received"] for each in payments) - refunded)
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


def end_refunds(call: Call, refunds: list[str], named: Mapping[str, str]) -> None:
    """Mark refunds as the step's, and book them; Stripe makes that of a credit note without marks.

    Raises Retryable or Permanent unless they have ended well.
    """
    for each in refunds:
        seen = api().retrieve_refund(each)
        if not named.items() <= metadata_of(seen).items():
            seen = calls.mark_refund(each, named)
        made = refund_summary(seen)
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
