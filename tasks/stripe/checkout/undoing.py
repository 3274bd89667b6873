"""Take back a Checkout Session, whatever has become of it.

https://docs.stripe.com/api/checkout/sessions/expire
"""

from app.engine.call import Call
from app.errors import Permanent, Retryable
from app.platform import Json
from tasks.stripe import booking, books
from tasks.stripe.billing import calls
from tasks.stripe.billing.crediting import is_processed, voided
from tasks.stripe.client import api
from tasks.stripe.customers.calls import ENDED
from tasks.stripe.customers.saving import undo_setup
from tasks.stripe.kinds import Kind
from tasks.stripe.marks import POLL_SECONDS
from tasks.stripe.paying.refunds import REFUND_POLL_SECONDS, give_back, refunds_by
from tasks.stripe.wording import id_of

SESSIONS = Kind("checkout.sessions")
_SUBSCRIPTIONS = Kind("subscriptions")
_INVOICE_PAYMENTS = Kind("invoice_payments")
_MADE = ("payment_intent.latest_charge", "setup_intent", "subscription")
_MOST_PAYMENTS = 100
"""Of the first invoice of a subscription; the page makes one."""
_OPEN = ("open", "uncollectible")
"""The statuses of an invoice that its customer can pay."""
_UNPAID = ("requires_payment_method", "canceled")
"""The statuses of a PaymentIntent that pays nothing by itself any more."""


def read(session: str) -> Json:
    """Read a session with what it has made."""
    return SESSIONS.retrieve(session, *_MADE)


def expire_open(session: str, seen: Json | None = None) -> Json:
    """Expire a session if it is open, and read how it stands afterwards.

    Raises Retryable if it is still open: Stripe ends no page on which a customer pays at this
    moment.
    """
    seen = seen or read(session)
    if seen["status"] != "open":
        return seen
    try:
        return SESSIONS.end("expire", session)
    except Permanent as err:
        seen = read(session)
        if seen["status"] == "open":
            raise Retryable(err.message, code="still_open", after=POLL_SECONDS) from err
        return seen


def undo_session(call: Call, session: str, number: int) -> str:
    """Take back a session, the `number`th of its step: `expired`, `refunded`, `canceled`,
    `detached`, `kept`, `already` or `nothing`."""
    seen = read(session)
    if seen["status"] == "open":
        seen = expire_open(session, seen)
        if seen["status"] == "expired":
            return "expired"
    if seen["status"] == "expired":
        return "already"
    first = number * _MOST_PAYMENTS
    if seen["mode"] == "setup":
        setup = seen.get("setup_intent")
        return undo_setup(call, setup) if setup else "nothing"
    if seen["mode"] == "subscription":
        return _end_subscription(call, seen, first)
    payment = seen.get("payment_intent")
    return _refund(call, payment, first) if payment else "nothing"


def _refund(call: Call, payment: Json, number: int) -> str:
    """Refund all that is left of a payment, or raise Retryable while it is under way.

    The refund is the call of this number.
    """
    stripe = api()
    known = refunds_by(stripe, payment["id"], call.reference)
    booking.refunds(call, *known)
    if payment["status"] in _UNPAID:
        return "nothing"
    if payment["status"] != "succeeded":
        # A debit comes days later, and the customer may still pay with a voucher.
        raise Retryable(
            f"{payment['id']} may still be paid, and can be refunded only when it has come",
            code="processing",
            after=REFUND_POLL_SECONDS,
        )
    call.book(*books.taken_facts(payment["latest_charge"]))
    call.at(number)
    return str(give_back(call, stripe, payment, known)["result"])


def _end_subscription(call: Call, seen: Json, first: int) -> str:
    """Cancel the subscription at once, and void its first invoice, or refund it as soon as it is
    paid: an invoice that is left open can be paid on its own page.

    Later invoices are the subscription's own: it has run for as long as they say.
    """
    subscription, result = seen["subscription"], "already"
    if subscription is None:
        return "nothing"
    if subscription["status"] not in ENDED:
        _SUBSCRIPTIONS.end("cancel", subscription["id"])
        result = "canceled"
    invoice = id_of(seen.get("invoice"))
    if invoice is None:
        return result
    first_invoice = calls.read_invoice(invoice)
    # A payment that is processed may be a debit that comes days later.
    if first_invoice["status"] in _OPEN and not is_processed(first_invoice):
        voided(invoice)
    asked = {"invoice": invoice, "limit": _MOST_PAYMENTS}
    made = _INVOICE_PAYMENTS.page(asked)["data"]
    # A later payment must not get the number of an earlier one.
    for number, each in enumerate(sorted(made, key=lambda one: (one["created"], one["id"]))):
        payment = id_of(each["payment"].get("payment_intent"))
        if payment is None:
            continue
        if _refund(call, api().retrieve_payment_intent(payment), first + number) == "refunded":
            result = "refunded"
    return result
