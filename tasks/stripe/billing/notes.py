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
from tasks.stripe.billing.crediting import book_refunds, credit_parts, credit_summary
from tasks.stripe.billing.invoicing import INVOICE_PATTERN
from tasks.stripe.billing.ownership import require_own
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

    Of an open invoice it lowers what is due. Raises Permanent if the invoice is neither open nor
    paid, if less of it is left, or if another organisation has made it.
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
    book_refunds(call, calls.read_credit_note(made["credit_note"]))
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
    """Look for the note by its metadata among those of the invoice; the list is strongly
    consistent."""
    known = calls.credit_notes_of(intent.request["invoice"])
    found = calls.carrying(known, intent.request["metadata"])
    return Found(credit_summary(found[0])) if found else Never()


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
    known = calls.carrying(calls.credit_notes_of(seen["id"]), request["metadata"])
    if known:
        # An earlier sending made it, and Stripe may have forgotten the key of that call.
        return credit_summary(known[0])
    return credit_summary(calls.create_credit_note(_params(seen, request), key))


def _params(seen: Json, request: Json) -> Json:
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
    parts = credit_parts(seen, amount)
    if parts is None:
        raise Permanent("nothing of the invoice is left", code="nothing_left", detail=told)
    if request["to"] == "refund":
        return same | parts
    name = "credit_amount" if request["to"] == "balance" else "out_of_band_amount"
    return same | {"amount": parts["amount"], name: parts["amount"]}
