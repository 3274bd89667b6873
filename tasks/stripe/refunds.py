"""Refunds, as the compensation of a capture makes them.

https://docs.stripe.com/refunds
"""

from app.errors import Permanent, Retryable
from app.platform import Json
from tasks.stripe.books import FAILED_REFUND
from tasks.stripe.client import StripeApi
from tasks.stripe.marks import metadata_of

REFUND_POLL_SECONDS = 3600.0
"""A refund that is not made at once takes days (https://docs.stripe.com/refunds)."""


def require_end(made: Json | None) -> None:
    """Raise Retryable while Stripe still works on a refund, and Permanent if the refund failed."""
    if made is None or made["status"] == "succeeded":
        return
    if made["status"] in FAILED_REFUND:
        raise Permanent(f"the refund is {made['status']}", code="refund_failed", detail=made)
    raise Retryable(
        f"the refund is {made['status']} at Stripe",
        code="refund_pending",
        after=REFUND_POLL_SECONDS,
    )


def refunds_by(stripe: StripeApi, payment_intent: str, reference: str) -> list[Json]:
    """The refunds of a PaymentIntent that the step with this reference has made, newest first."""
    return [
        refund_summary(each)
        for each in stripe.refunds_of(payment_intent)
        if metadata_of(each).get("reference") == reference
    ]


def make_refund(stripe: StripeApi, request: Json, key: str) -> Json:
    """Make a refund, and summarize it."""
    return refund_summary(stripe.create_refund(request, key))


def refund_summary(made: Json) -> Json:
    """What is recorded of a refund."""
    names = ("amount", "status", "currency", "balance_transaction", "charge", "payment_intent")
    return {"refund": made["id"], **{name: made.get(name) for name in names}}
