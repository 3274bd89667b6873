"""The calls about invoices and credit notes.

Each request is recorded as JSON; the parameter in the call's URL stands in it under its own name.
https://docs.stripe.com/api/invoices, https://docs.stripe.com/api/credit_notes
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from app.errors import Retryable
from app.platform import Json
from tasks.stripe.client import api
from tasks.stripe.marks import metadata_of
from tasks.stripe.wording import id_of, without

Make = Callable[[Json, str], Json]
"""A call that changes something: takes the recorded request and the idempotency key."""
_PAGE = 100
_MOST_PAGES = 30


def create_invoice(request: Json, key: str) -> Json:
    """Make a draft."""
    params: Any = request
    return api().perform(
        "invoices.create",
        lambda v1: v1.invoices.create(params, {"idempotency_key": key}),
        repeatable=False,
    )


def add_lines(request: Json, key: str) -> Json:
    """Add lines to a draft."""
    return _on_invoice("add_lines", request, key)


def finalize_invoice(request: Json, key: str) -> Json:
    """Open a draft."""
    return _on_invoice("finalize_invoice", request, key)


def pay_invoice(request: Json, key: str) -> Json:
    """Pay an open invoice. Raises Permanent if the payment is declined."""
    return _on_invoice("pay", request, key)


def send_invoice(request: Json, key: str) -> Json:
    """Send an invoice to its customer, which opens a draft."""
    return _on_invoice("send_invoice", request, key)


def void_invoice(invoice: str) -> Json:
    """Void an open invoice. A second call is refused."""
    return api().perform(
        "invoices.void", lambda v1: v1.invoices.void_invoice(invoice), repeatable=True
    )


def delete_draft(invoice: str) -> Json:
    """Delete a draft. A second call is refused."""
    return api().perform("invoices.delete", lambda v1: v1.invoices.delete(invoice), repeatable=True)


def read_invoice(invoice: str) -> Json:
    """One invoice with its payments."""
    return api().perform(
        "invoices.retrieve",
        lambda v1: v1.invoices.retrieve(invoice, {"expand": ["payments"]}),
        repeatable=True,
    )


def invoices_of(wanted: Mapping[str, Any], since: datetime, until: datetime) -> list[Json]:
    """The invoices that have these values, such as the customer, and were created in the interval.

    Raises Retryable if there are more than are read, which is 3000. The list is strongly
    consistent.
    """
    created = {"gte": int(since.timestamp()), "lte": int(until.timestamp())}
    return all_of(
        "invoices.list", lambda v1, params: v1.invoices.list(params), {**wanted, "created": created}
    )


def invoices_paid_by(payment_intent: str) -> list[str]:
    """The ids of the invoices that a PaymentIntent pays or is to pay; usually there is one."""
    asked: Json = {"payment": {"type": "payment_intent", "payment_intent": payment_intent}}
    found = all_of(
        "invoice_payments.list", lambda v1, params: v1.invoice_payments.list(params), asked
    )
    return list(dict.fromkeys(str(id_of(each["invoice"])) for each in found))


def create_credit_note(request: Json, key: str) -> Json:
    """Credit an invoice."""
    params: Any = request
    return api().perform(
        "credit_notes.create",
        lambda v1: v1.credit_notes.create(params, {"idempotency_key": key}),
        repeatable=False,
    )


def read_credit_note(credit_note: str) -> Json:
    """One credit note."""
    return api().perform(
        "credit_notes.retrieve", lambda v1: v1.credit_notes.retrieve(credit_note), repeatable=True
    )


def void_credit_note(credit_note: str) -> Json:
    """Void the credit note of an open invoice. A second call is refused."""
    return api().perform(
        "credit_notes.void",
        lambda v1: v1.credit_notes.void_credit_note(credit_note),
        repeatable=True,
    )


def credit_notes_of(invoice: str) -> list[Json]:
    """The credit notes of an invoice, newest first; the list is strongly consistent."""
    return all_of(
        "credit_notes.list", lambda v1, params: v1.credit_notes.list(params), {"invoice": invoice}
    )


def mark_refund(refund: str, marks: Mapping[str, str]) -> Json:
    """Add the marks to the metadata of a refund, which a credit note has made without any."""
    return api().perform(
        "refunds.update",
        lambda v1: v1.refunds.update(refund, {"metadata": dict(marks)}),
        repeatable=True,
    )


def all_of(name: str, list_page: Any, params: Json) -> list[Json]:
    """All objects of a list: `list_page` gets the SDK's `v1` and the parameters of a page.

    Raises Retryable if there are more than are read, which is 3000.
    """
    found: list[Json] = []
    asked: Any = {**params, "limit": _PAGE}
    for _ in range(_MOST_PAGES):
        page = api().perform(name, lambda v1: list_page(v1, asked), repeatable=True)  # noqa: B023 - called at once
        found += page["data"]
        if not page["has_more"]:
            return found
        asked = {**asked, "starting_after": page["data"][-1]["id"]}
    raise Retryable("Stripe lists more objects than are read", code="list_too_long", after=300.0)


def carrying(found: list[Json], marks: Mapping[str, str]) -> list[Json]:
    """Those of the objects whose metadata contain the marks."""
    return [each for each in found if marks.items() <= metadata_of(each).items()]


def _on_invoice(verb: str, request: Json, key: str) -> Json:
    params: Any = without(request, "invoice")
    name = {"finalize_invoice": "finalize", "send_invoice": "send"}.get(verb, verb)
    return api().perform(
        f"invoices.{name}",
        lambda v1: getattr(v1.invoices, verb)(request["invoice"], params, {"idempotency_key": key}),
        repeatable=False,
    )
