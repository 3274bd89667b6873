"""Take back a Checkout Session, whatever has become of it.

https://docs.stripe.com/api/checkout/sessions/expire
"""

from app.engine.call import Call
from app.errors import Permanent, Retryable
from app.platform import Json
from tasks.stripe import booking, books
from tasks.stripe.client import api
from tasks.stripe.customers.calls import ENDED
from tasks.stripe.customers.saving import undo_setup
from tasks.stripe.kinds import Kind
from tasks.stripe.paying.refunds import REFUND_POLL_SECONDS, give_back, refunds_by
from tasks.stripe.wording import id_of

SESSIONS = Kind("checkout.sessions")
_SUBSCRIPTIONS = Kind("subscriptions")
_INVOICE_PAYMENTS = Kind("invoice_payments")
_MADE = ("payment_intent.latest_charge", "setup_intent", "subscription")
_MOST_PAYMENTS = 10
"""Of the first invoice of a subscription; the page makes one."""


def read(session: str) -> Json:
    """Read a session with what it has made."""
    return SESSIONS.retrieve(session, *_MADE)


def undo_session(call: Call, session: str, number: int) -> str:
    """Take back a session, the `number`th of its step: `expired`, `refunded`, `canceled`,
    `detached`, `already` or `nothing`."""
    seen = read(session)
    if seen["status"] == "open":
        try:
            SESSIONS.end("expire", session)
        except Permanent:
            seen = read(session)
            if seen["status"] == "open":
                raise
            # The customer was quicker.
        else:
            return "expired"
    if seen["status"] == "expired":
        return "already"
    call.at(number * _MOST_PAYMENTS)
    if seen["mode"] == "setup":
        setup = seen.get("setup_intent")
        return undo_setup(setup) if setup else "nothing"
    if seen["mode"] == "subscription":
        return _end_subscription(call, seen)
    payment = seen.get("payment_intent")
    return _refund(call, payment) if payment else "nothing"


def _refund(call: Call, payment: Json) -> str:
    """Refund all that is left of a payment, or raise Retryable while it is under way."""
    stripe = api()
    known = refunds_by(stripe, payment["id"], call.reference)
    booking.refunds(call, *known)
    if payment["status"] == "processing":
        raise Retryable(
            f"{payment['id']} is under way, and can be refunded only when it has come",
            code="processing",
            after=REFUND_POLL_SECONDS,
        )
    if payment["status"] != "succeeded":
        return "nothing"
    call.book(*books.taken_facts(payment["latest_charge"]))
    return str(give_back(call, stripe, payment, known)["result"])


def _end_subscription(call: Call, seen: Json) -> str:
    """Cancel the subscription at once, and refund its first invoice.

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
    asked = {"invoice": invoice, "status": "paid", "limit": _MOST_PAYMENTS}
    for each in _INVOICE_PAYMENTS.page(asked)["data"]:
        payment = id_of(each["payment"].get("payment_intent"))
        if payment and _refund(call, api().retrieve_payment_intent(payment)) == "refunded":
            result = "refunded"
    return result
