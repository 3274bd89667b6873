"""End a subscription: at the end of what is paid, which can be taken back, or at once for good.

Invariant: an end is taken back only if a step has asked for it, nobody has asked again since, and
no other step wants it. Each step that wants it has its own mark in the subscription's metadata.
https://docs.stripe.com/billing/subscriptions/cancel
"""

import hashlib
from typing import Literal

from pydantic import Field, model_validator

from app.engine.call import Call
from app.errors import Permanent
from app.platform import (
    ActionInput,
    Effect,
    Found,
    Intent,
    Json,
    LookupAnswer,
    Never,
    Undo,
    action,
)
from tasks.stripe.billing import subscriptions
from tasks.stripe.billing.ownership import require_own
from tasks.stripe.billing.subscriptions import ENDED, SUBSCRIPTION_PATTERN, Subscription, summary
from tasks.stripe.marks import KEY_LIFE, metadata_of
from tasks.stripe.wording import given as having
from tasks.stripe.wording import without

ENDED_BY = "ended_by_"
"""So begin the names in a subscription's metadata of the steps that let it end with its period."""
END_BEFORE = "end_before"
"""The name in a subscription's metadata of the later end, in Unix seconds, that it had before."""
_FEEDBACK = Literal[
    "customer_service",
    "low_quality",
    "missing_features",
    "other",
    "switched_service",
    "too_complex",
    "too_expensive",
    "unused",
]


class CancelSubscriptionInput(ActionInput):
    """The subscription, and whether it ends with its period or `now`.

    For one that ends now, `credit_unused` credits the unused time, and `invoice_now` bills at once
    what is not billed yet. `feedback` and `comment` are the customer's reasons.
    """

    subscription: str = Field(pattern=SUBSCRIPTION_PATTERN, max_length=255)
    at: Literal["period_end", "now"] = "period_end"
    credit_unused: bool = False
    invoice_now: bool = False
    feedback: _FEEDBACK | None = None
    comment: str | None = Field(default=None, max_length=500)

    @model_validator(mode="after")
    def _fits(self) -> "CancelSubscriptionInput":
        if self.at == "period_end" and (self.credit_unused or self.invoice_now):
            raise ValueError("credit_unused and invoice_now are for a subscription that ends now")
        return self


@action(
    "stripe.cancel_subscription",
    input=CancelSubscriptionInput,
    effect=Effect.LOOKUP,
    key_life=KEY_LIFE,
)
def cancel_subscription(call: Call, given: CancelSubscriptionInput) -> Json:
    """End a subscription, and return it.

    One that has ended already is no fault. An end `now` cannot be undone. Raises Permanent if
    another organisation has made the subscription.
    """
    details = having({"feedback": given.feedback, "comment": given.comment})
    request: Json = {"subscription": given.subscription}
    if details:
        request["cancellation_details"] = details
    if given.at == "period_end":
        request |= {"cancel_at_period_end": True, "metadata": {_mark(call): call.reference}}
        operation = "subscriptions.update"
    else:
        request |= {"prorate": given.credit_unused, "invoice_now": given.invoice_now}
        operation = "subscriptions.cancel"
    made = call.once(
        operation, request, lambda request, key: _end(call, request, key), is_last=True
    )
    return without(made, "canceled_at")


cancel_subscription.describe(
    output=Subscription,
    example={"subscription": "sub_1OqXyz", "at": "period_end", "feedback": "too_expensive"},
)


@cancel_subscription.looked_up
def find_end(call: Call, intent: Intent) -> LookupAnswer:
    """Read how the subscription stands; Stripe's reads by id are strongly consistent."""
    seen = subscriptions.read(intent.request["subscription"])
    return Found(_state(seen)) if _is_done(call, seen, intent.request) else Never()


@cancel_subscription.compensation
def take_back(call: Call, undo: Undo) -> Json:
    """Let the subscription go on that this step lets end with its period.

    An end that a person or another step wants too is left. `final`: it has ended, and cannot be
    taken back.
    """
    known: dict[str, int | None] = {}
    for each in undo.intents:
        if each.resolution != "refused":
            told = (each.response or {}).get("canceled_at")
            known[each.request["subscription"]] = told
    results = [_take_back(call, each, told) for each, told in known.items()]
    order = ("final", "taken_back", "already")
    return {"result": min(results, key=order.index) if results else "nothing"}


def _take_back(call: Call, subscription: str, canceled_at: int | None) -> str:
    seen = subscriptions.read(subscription)
    if seen["status"] in ENDED:
        return "final"
    found = _marks(seen)
    if _mark(call) not in found:
        # It never began, is taken back already, or the end was never this step's.
        return "already"
    request: Json = {"subscription": subscription, "metadata": {_mark(call): ""}}
    is_same = canceled_at is None or canceled_at == seen["canceled_at"]
    is_ours = is_same and len(found) == 1 and _ends_with_period(seen)
    if is_ours:
        before = metadata_of(seen).get(END_BEFORE)
        request["metadata"][END_BEFORE] = ""
        request |= {"cancel_at": int(before)} if before else {"cancel_at_period_end": False}
    subscriptions.update(request)
    return "taken_back" if is_ours else "already"


def _end(call: Call, request: Json, key: str) -> Json:
    seen = subscriptions.read(request["subscription"])
    require_own(call, seen)
    if _is_done(call, seen, request):
        return _state(seen)
    if "cancel_at_period_end" not in request:
        return _state(subscriptions.cancel(request))
    if seen["status"] in ENDED:
        raise Permanent(
            f"the subscription is {seen['status']} already",
            code="subscription_ended",
            detail={"subscription": seen["id"]},
        )
    if _ends_with_period(seen):
        # Another step has asked for it. With both marks neither undoing takes it from the other.
        names = ("subscription", "metadata")
        return _state(subscriptions.update({name: request[name] for name in names}))
    stale = dict.fromkeys(_marks(seen), "")
    before = {END_BEFORE: str(seen.get("cancel_at") or "")}
    metadata = stale | before | request["metadata"]
    return _state(subscriptions.update(request | {"metadata": metadata}, key))


def _is_done(call: Call, seen: Json, request: Json) -> bool:
    """Whether the step has nothing to do: a person's end has no mark, and is never taken back."""
    if "cancel_at_period_end" not in request:
        return seen["status"] in ENDED
    found = _marks(seen)
    return _ends_with_period(seen) and (not found or _mark(call) in found)


def _ends_with_period(seen: Json) -> bool:
    """Whether it ends with its period or before; the Customer Portal sets only `cancel_at`."""
    last = max(each["current_period_end"] for each in seen["items"]["data"])
    is_soon = seen.get("cancel_at") is not None and seen["cancel_at"] <= last
    return is_soon or bool(seen["cancel_at_period_end"])


def _mark(call: Call) -> str:
    return ENDED_BY + hashlib.sha256(call.reference.encode()).hexdigest()[:16]


def _marks(seen: Json) -> list[str]:
    return [name for name in metadata_of(seen) if name.startswith(ENDED_BY)]


def _state(seen: Json) -> Json:
    return summary(seen) | {"canceled_at": seen.get("canceled_at")}
