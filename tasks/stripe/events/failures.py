"""Refunds that have failed after they succeeded, as events report them."""

import re

from app import ledger
from app.money.facts import key_of
from app.platform import FailedUndo, Json
from tasks import signatures
from tasks.stripe.books import BOOK, FAILED_REFUND
from tasks.stripe.events.versions import is_ours

_ABOUT = ("data", "object")
_FAILED = "refund.failed"
_GENERATION = re.compile(r"[0-9]{1,9}", re.ASCII)


def failed_refund(event: Json) -> FailedUndo | None:
    """The refund of a step or a compensation that this event reports as failed, possibly weeks
    after it succeeded. A refund that has failed stays so, whatever event comes later. An event in
    another version of the API tells nothing until its refund is read, or cannot be read (see
    completing.py).
    https://docs.stripe.com/refunds#failed-refunds"""
    if not is_ours(event):
        return None
    refund = signatures.text_at(event, *_ABOUT, "id")
    reference = signatures.text_at(event, *_ABOUT, "metadata", "reference")
    is_refund = signatures.text_at(event, *_ABOUT, "object") == "refund"
    status = signatures.text_at(event, *_ABOUT, "status")
    if not is_refund or status not in FAILED_REFUND or refund is None or reference is None:
        return None
    why = signatures.text_at(event, *_ABOUT, "failure_reason") or "no reason given"
    return FailedUndo(
        refund,
        reference,
        f"the refund {refund} is {status} at Stripe ({why}): the customer must be paid otherwise",
        _generation(event),
    )


def unread_refund(event: Json, refund: str) -> FailedUndo | None:
    """As `failed_refund`, of an event about a refund that Stripe does not let us read.

    The type `refund.failed` says enough, in each version and in a thin event, and the books tell
    whose refund it is. What else the event shows counts only where they say nothing: a person who
    is called in vain loses less than a customer who is not paid. Raises Unavailable.
    """
    is_failed = (signatures.text_at(event, "type") or "").removeprefix("v1.") == _FAILED
    if not is_failed and signatures.text_at(event, *_ABOUT, "status") not in FAILED_REFUND:
        return None
    key = key_of(BOOK.platform, refund, "refund")
    shown = signatures.text_at(event, *_ABOUT, "metadata", "reference")
    reference = ledger.bookers([key]).get(key) or shown
    if reference is None:
        return None
    return FailedUndo(
        refund,
        reference,
        f"the refund {refund} has failed at Stripe, where it cannot be read, so that neither its"
        " amount nor the reason is known here: the customer must be paid otherwise",
        _generation(event) if reference == shown else None,
    )


def _generation(event: Json) -> int | None:
    told = signatures.text_at(event, *_ABOUT, "metadata", "generation") or ""
    return int(told) if _GENERATION.fullmatch(told) else None
