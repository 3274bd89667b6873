"""Make an invoice, and collect it; the compensation voids it, or gives back what it has taken.

Invariant: the metadata of an invoice name the step that has made it. An invoice is finalized by the
step, never by Stripe's clock, so that no half-made invoice is sent.
https://docs.stripe.com/invoicing/integration
"""

from typing import Literal

from pydantic import Field, model_validator

from app.engine.call import Call
from app.errors import Permanent, Retryable, Suspend
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
from tasks.stripe.billing.crediting import ORDER, book_payments, payments_of, undo_invoice
from tasks.stripe.marks import (
    CLOCKS_DIFFER,
    KEY_LIFE,
    MOST_AMOUNT,
    POLL_SECONDS,
    metadata_of,
    own_marks,
)
from tasks.stripe.wording import given as having
from tasks.stripe.wording import picked, time_of

INVOICE_PATTERN = r"^in_\w+$"
CUSTOMER_PATTERN = r"^cus_\w+$"
MOST_LINES = 100
SEND_POLL_SECONDS = 3600.0
_CLOSED = ("paid", "void", "uncollectible")
_OPENED = ("open", *_CLOSED)
_FAILED = ("requires_payment_method", "canceled")
"""The states of a PaymentIntent by which nothing will be paid unless a person acts."""


class InvoiceLine(ActionInput):
    """A line: so many of a one-time price, or an amount in minor units with its description."""

    price: str | None = Field(default=None, min_length=1, max_length=255)
    quantity: int | None = Field(default=None, ge=1, le=1_000_000)
    amount: int | None = Field(default=None, ge=-MOST_AMOUNT, le=MOST_AMOUNT)
    description: str | None = Field(default=None, min_length=1, max_length=500)

    @model_validator(mode="after")
    def _is_priced(self) -> "InvoiceLine":
        if (self.price is None) == (self.amount is None):
            raise ValueError("a line has either a price or an amount")
        if self.amount is not None and (self.quantity is not None or self.description is None):
            raise ValueError("a line with an amount has a description and no quantity")
        return self


class InvoiceInput(ActionInput):
    """The customer at Stripe and what is invoiced.

    `collection` is `charge` (the customer's saved method, or `payment_method`, is charged at once)
    or `send` (Stripe sends the invoice, which is due in `days_until_due` days). With `wait` the
    step waits until the invoice is paid, void or uncollectible.
    """

    customer: str = Field(pattern=CUSTOMER_PATTERN, max_length=255)
    currency: str = Field(pattern=r"^[A-Za-z]{3}$")
    lines: list[InvoiceLine] = Field(min_length=1, max_length=MOST_LINES)
    collection: Literal["charge", "send"] = "charge"
    days_until_due: int | None = Field(default=None, ge=0, le=3650)
    payment_method: str | None = Field(default=None, min_length=1, max_length=255)
    description: str | None = Field(default=None, max_length=1500)
    wait: bool = True

    @model_validator(mode="after")
    def _fits(self) -> "InvoiceInput":
        if (self.collection == "send") != (self.days_until_due is not None):
            raise ValueError("days_until_due is for an invoice that is sent, and is needed there")
        if self.collection == "send" and self.payment_method is not None:
            raise ValueError("a payment_method is only for an invoice that is charged")
        for line in self.lines:
            # A price has its own currency, which Stripe compares.
            if line.amount and (fault := fault_of(abs(line.amount), self.currency)):
                raise ValueError(fault)
        return self


@action("stripe.invoice", input=InvoiceInput, effect=Effect.LOOKUP, key_life=KEY_LIFE)
def invoice(call: Call, given: InvoiceInput) -> Json:
    """Invoice a customer, and return the invoice.

    Raises Permanent if the payment is declined, as a debit is after days; the invoice stays open
    until the step is undone. A step that waits for an invoice which a person voids succeeds with
    the status `void`.
    """
    made = call.once(
        "invoices.create", _draft(call, given), lambda request, key: _created(call, request, key)
    )
    known = made["invoice"]
    call.once("invoices.add_lines", _lines(given, known), _filled)
    if given.collection == "send":
        seen = call.once("invoices.send", {"invoice": known}, _sent)
    else:
        closing = {"invoice": known, "auto_advance": False}
        call.once("invoices.finalize", closing, _finalized)
        paying = {"invoice": known, "off_session": True, "payment_method": given.payment_method}
        seen = call.once("invoices.pay", having(paying), _paid)
    if seen["status"] == "open" or call.external_id is not None:
        poll = SEND_POLL_SECONDS if given.collection == "send" else POLL_SECONDS
        seen, failure = call.state_of(known, lambda: _state(known), poll)
        if seen["status"] == "open" and given.wait:
            if given.collection == "charge" and failure is not None:
                raise Permanent("the payment has failed", code="payment_failed", detail=failure)
            raise Suspend(known, poll_seconds=poll)
    if seen["status"] == "paid":
        book_payments(call, calls.read_invoice(known))
    return seen


class Invoice(ActionOutput):
    """An invoice, with its amounts in minor units of the currency. `hosted_invoice_url` is the page
    on which the customer can pay it."""

    invoice: str
    number: str | None
    status: str
    customer: str
    currency: str
    total: int
    amount_due: int
    amount_paid: int
    due_date: str | None
    hosted_invoice_url: str | None


invoice.describe(
    output=Invoice,
    example={
        "customer": "cus_OqXyz",
        "currency": "eur",
        "lines": [
            {"amount": 12000, "description": "Workshop on 12 November"},
            {"price": "price_1OqXyz", "quantity": 3},
        ],
        "collection": "send",
        "days_until_due": 14,
    },
)


@invoice.looked_up
def find_invoice(call: Call, intent: Intent) -> LookupAnswer:
    """Read how far the invoice is; its draft is found by its metadata in the customer's list, which
    is strongly consistent."""
    if intent.operation == "invoices.create":
        found = _made_by(intent, intent.request["metadata"])
        return Found(summary(found[0])) if found else Never()
    seen = calls.read_invoice(intent.request["invoice"])
    is_done = {
        "invoices.add_lines": bool(seen["lines"]["data"]),
        "invoices.pay": seen["status"] == "paid",
    }.get(intent.operation, seen["status"] in _OPENED)
    return Found(summary(seen)) if is_done else Never()


@invoice.compensation
def undo(call: Call, undo: Undo) -> Json:
    """Delete, void or credit the step's invoices; a second run finds that it is done."""
    known = _invoices(call, undo)
    results: list[Json] = []
    for number, each in enumerate(known):
        call.at(number)
        results.append(undo_invoice(call, each))
    found = [each["result"] for each in results]
    result = min(found, key=ORDER.index) if found else "nothing"
    return {"result": result, "invoices": results}


def _invoices(call: Call, undo: Undo) -> list[str]:
    creations = [each for each in undo.intents if each.operation == "invoices.create"]
    recorded = [str(each.response["invoice"]) for each in creations if each.response]
    lost = [each for each in creations if each.resolution is None]
    found = [seen["id"] for each in lost for seen in _made_by(each, {"reference": call.reference})]
    return list(dict.fromkeys(recorded + found))


def _made_by(intent: Intent, marks: dict[str, str]) -> list[Json]:
    sent = intent.first_sent_at
    wanted = {"customer": intent.request["customer"]}
    listed = calls.invoices_of(wanted, sent - CLOCKS_DIFFER, sent + KEY_LIFE)
    return calls.carrying(listed, marks)


def summary(seen: Json) -> Json:
    """What is recorded of an invoice."""
    own = {"invoice": seen["id"], "due_date": time_of(seen["due_date"])}
    return picked(seen, Invoice.model_fields) | own


def _state(known: str) -> tuple[Json, Json | None]:
    """An invoice, and how its payment has failed if it is open and nothing will pay it."""
    seen = calls.read_invoice(known)
    payments = payments_of(seen) if seen["status"] == "open" else []
    if not payments or not all(each["status"] in _FAILED for each in payments):
        return summary(seen), None
    error = payments[0].get("last_payment_error") or {}
    return summary(seen), {"invoice": known, "error": error.get("code")}


def _draft(call: Call, given: InvoiceInput) -> Json:
    is_sent = given.collection == "send"
    request = {
        "customer": given.customer,
        "currency": given.currency.lower(),
        "collection_method": "send_invoice" if is_sent else "charge_automatically",
        "days_until_due": given.days_until_due,
        "description": given.description,
        "auto_advance": False,
        "pending_invoice_items_behavior": "exclude",
        "metadata": own_marks(call),
    }
    return having(request)


def _lines(given: InvoiceInput, known: str) -> Json:
    lines = [
        having(
            {
                "pricing": None if each.price is None else {"price": each.price},
                "quantity": each.quantity,
                "amount": each.amount,
                "description": each.description,
            }
        )
        for each in given.lines
    ]
    return {"invoice": known, "lines": lines}


def _created(call: Call, request: Json, key: str) -> Json:
    _close_earlier(call)
    return summary(calls.create_invoice(request, key))


def _close_earlier(call: Call) -> None:
    """Delete or void what earlier generations of the step have left unpaid.

    A customer could still pay it, beside the new invoice. Raises Retryable while a payment of it is
    not at its end.
    """
    earlier = [
        each for each in call.sendings("invoices.create") if each.generation < call.generation
    ]
    marks = {"reference": call.reference}
    own = str(call.generation)
    found = {seen["id"]: seen for each in earlier for seen in _made_by(each, marks)}
    for seen in found.values():
        if metadata_of(seen)["generation"] == own:
            continue
        if seen["status"] == "draft":
            calls.delete_draft(seen["id"])
        elif seen["status"] == "open":
            read = calls.read_invoice(seen["id"])
            if any(each["status"] == "processing" for each in payments_of(read)):
                raise Retryable(
                    "Stripe still processes the payment of the first invoice",
                    code="processing",
                    after=POLL_SECONDS,
                )
            calls.void_invoice(seen["id"])


def _filled(request: Json, key: str) -> Json:
    seen = calls.read_invoice(request["invoice"])
    # An earlier sending has added them, and Stripe may have forgotten the key of that call.
    return summary(seen if seen["lines"]["data"] else calls.add_lines(request, key))


def _finalized(request: Json, key: str) -> Json:
    return _unless(_OPENED, calls.finalize_invoice, request, key)


def _sent(request: Json, key: str) -> Json:
    return _unless(_OPENED, calls.send_invoice, request, key)


def _paid(request: Json, key: str) -> Json:
    return _unless(_CLOSED, calls.pay_invoice, request, key)


def _unless(done: tuple[str, ...], make: calls.Make, request: Json, key: str) -> Json:
    """Make the call, unless the invoice is as the call leaves it."""
    seen = calls.read_invoice(request["invoice"])
    return summary(seen if seen["status"] in done else make(request, key))
