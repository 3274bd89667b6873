"""Credit an invoice, or a part of it.

Invariant: the metadata of a credit note name the step that has made it.
https://docs.stripe.com/invoicing/credit-notes
"""

from typing import Literal

from pydantic import Field

from app.engine.call import Call
from app.errors import Permanent
from app.money.currencies import fault_of
from app.platform import (
    ActionInput,
    ActionOutput,
    Effect,
    Found,
    Intent,
    Json,
    LookupAnswer,
    Never,
    Undo,
    action,
)
from tasks.stripe.billing import calls
from tasks.stripe.billing.crediting import (
    credit_parts,
    credit_summary,
    end_refunds,
    standing_refunds,
)
from tasks.stripe.billing.invoicing import INVOICE_PATTERN
from tasks.stripe.billing.ownership import require_own
from tasks.stripe.client import api
from tasks.stripe.marks import KEY_LIFE, MOST_AMOUNT, own_marks
from tasks.stripe.wording import given as having


class CreditNoteInput(ActionInput):
    """The invoice that is credited.

    `amount` is in minor units of the invoice's currency; without it, all that is left is credited.
    What a paid invoice has taken is given back by `to`: to the payment (`refund`), to the
    customer's balance, which pays the next invoices (`balance`), or by you elsewhere (`outside`).
    """

    invoice: str = Field(pattern=INVOICE_PATTERN, max_length=255)
    amount: int | None = Field(default=None, ge=1, le=MOST_AMOUNT)
    to: Literal["refund", "balance", "outside"] = "refund"
    reason: Literal["duplicate", "fraudulent", "order_change", "product_unsatisfactory"] | None = (
        None
    )
    memo: str | None = Field(default=None, max_length=1000)


@action("stripe.credit_note", input=CreditNoteInput, effect=Effect.LOOKUP, key_life=KEY_LIFE)
def credit_note(call: Call, given: CreditNoteInput) -> Json:
    """Credit an invoice, and return the credit note.

    Of an open invoice it lowers what is due. If the refund of the note has failed, a retry refunds
    again, and makes no other note. Raises Permanent if the invoice is neither open nor paid, if
    less of it is left, if the refund fails, or if another organisation has made the invoice.
    """
    request = {
        "invoice": given.invoice,
        "amount": given.amount,
        "to": given.to,
        "reason": given.reason,
        "memo": given.memo,
        "metadata": own_marks(call),
    }
    made = call.once(
        "credit_notes.create",
        having(request),
        lambda request, key: _credit(call, request, key),
        is_last=True,
    )
    end_refunds(call, made["refunds"], own_marks(call))
    return made


class CreditNote(ActionOutput):
    """A credit note, in minor units of the currency. `type` is `pre_payment` if the invoice was
    open, else `post_payment`. `refunds` are the refunds that it has made."""

    credit_note: str
    invoice: str
    amount: int
    currency: str
    status: str
    type: str
    refunds: list[str]


credit_note.describe(
    output=CreditNote,
    example={"invoice": "in_1OqXyz", "amount": 500, "to": "balance", "reason": "order_change"},
)


@credit_note.looked_up
def find_credit_note(call: Call, intent: Intent) -> LookupAnswer:
    """Look for the note by its metadata among those of the invoice, or for the refund in its place;
    the lists are strongly consistent."""
    listed = calls.credit_notes_of(intent.request["invoice"])
    found = _made_by(call, listed, intent.request["metadata"])
    return Found(found) if found else Never()


@credit_note.compensation
def void(call: Call, undo: Undo) -> Json:
    """Void the step's notes of an invoice that is still open.

    A note of a paid invoice cannot be taken back, since its money is given back already: `kept`.
    """
    invoices = dict.fromkeys(str(each.request["invoice"]) for each in undo.intents)
    found = [
        _void(each)
        for invoice in invoices
        for each in calls.carrying(calls.credit_notes_of(invoice), {"reference": call.reference})
    ]
    order = ("kept", "voided", "already")
    return {"result": min(found, key=order.index) if found else "nothing"}


def _void(note: Json) -> str:
    if note["status"] == "void":
        return "already"
    if note["type"] != "pre_payment" or calls.read_invoice(note["invoice"])["status"] != "open":
        return "kept"
    calls.void_credit_note(note["id"])
    return "voided"


def _credit(call: Call, request: Json, key: str) -> Json:
    seen = calls.read_invoice(request["invoice"])
    require_own(call, seen)
    listed = calls.credit_notes_of(seen["id"])
    made = _made_by(call, listed, request["metadata"])
    if made is not None:
        # An earlier sending made it, and Stripe may have forgotten the key of that call.
        return made
    earlier = _earlier(call, listed)
    _, owed = standing_refunds(call, earlier)
    if owed is None:
        return credit_summary(calls.create_credit_note(_params(seen, listed, request), key))
    if request["to"] != "refund":
        message = f"the note {earlier[0]['id']} is made, and only its refund has failed"
        raise Permanent(message, code="refund_failed", detail=owed)
    again = api().create_refund({**owed, "metadata": request["metadata"]}, key)
    return credit_summary(earlier[0]) | {"refunds": [again["id"]]}


def _earlier(call: Call, listed: list[Json]) -> list[Json]:
    """The step's notes, by whichever generation of it."""
    known = calls.carrying(listed, {"reference": call.reference})
    return [each for each in known if each["status"] == "issued"]


def _made_by(call: Call, listed: list[Json], wanted: dict[str, str]) -> Json | None:
    """The summary of the note that has these marks, or of an earlier note of the step in whose
    place a refund with these marks stands."""
    found = calls.carrying(listed, wanted)
    if found:
        return credit_summary(found[0])
    for note in _earlier(call, listed):
        for refund in credit_summary(note)["refunds"]:
            payment = api().retrieve_refund(refund)["payment_intent"]
            again = calls.carrying(api().refunds_of(payment), wanted)
            if again:
                return credit_summary(note) | {"refunds": [again[0]["id"]]}
    return None


def _params(seen: Json, listed: list[Json], request: Json) -> Json:
    """Stripe's parameters for the wish. They depend on what the invoice has taken until now."""
    same = {
        name: request[name] for name in ("invoice", "reason", "memo", "metadata") if name in request
    }
    amount, told = request.get("amount"), {"invoice": seen["id"], "status": seen["status"]}
    if amount is not None and (fault := fault_of(amount, seen["currency"])):
        raise Permanent(fault, code="amount_invalid", detail=told)
    if seen["status"] not in ("open", "paid"):
        message = f"the invoice cannot be credited: its status is {seen['status']}"
        raise Permanent(message, code="invoice_not_creditable", detail=told)
    if seen["status"] == "open":
        return same | {"amount": seen["amount_remaining"] if amount is None else amount}
    parts = credit_parts(seen, listed, amount)
    if parts is None:
        raise Permanent("nothing of the invoice is left", code="nothing_left", detail=told)
    if request["to"] == "refund":
        return same | parts
    name = "credit_amount" if request["to"] == "balance" else "out_of_band_amount"
    return same | {"amount": parts["amount"], name: parts["amount"]}
