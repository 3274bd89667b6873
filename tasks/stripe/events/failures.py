"""Refunds that have failed after they succeeded, as events report them."""

import re

from app.platform import FailedUndo, Json
from tasks import signatures
from tasks.stripe.books import FAILED_REFUND
from tasks.stripe.events.versions import is_ours

_GENERATION = re.compile(r"[0-9]{1,9}", re.ASCII)


def failed_refund(event: Json) -> FailedUndo | None:
    """The refund of a step or a compensation that this event reports as failed, possibly weeks
    after it succeeded. A refund that has failed stays so, whatever event comes later. An event in
    another version of the API tells nothing until its refund is read (see completing.py).
    https://docs.stripe.com/refunds#failed-refunds"""
    if not is_ours(event):
        return None
    about = ("data", "object")
    refund, reference = (
        signatures.text_at(event, *about, *path) for path in (("id",), ("metadata", "reference"))
    )
    is_refund = signatures.text_at(event, *about, "object") == "refund"
    status = signatures.text_at(event, *about, "status")
    if not is_refund or status not in FAILED_REFUND or refund is None or reference is None:
        return None
    why = signatures.text_at(event, *about, "failure_reason") or "no reason given"
    told = signatures.text_at(event, *about, "metadata", "generation") or ""
    return FailedUndo(
        refund,
        reference,
        f"the refund {refund} is {status} at Stripe ({why}): the customer must be paid otherwise",
        int(told) if _GENERATION.fullmatch(told) else None,
    )
