"""End a subscription: at the end of what is paid, which can be taken back, or at once for good.

https://docs.stripe.com/billing/subscriptions/cancel
"""

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

ENDED_BY = "ended_by"
"""The name in a subscription's metadata of the step that lets it end with its period."""
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
        request |= {"cancel_at_period_end": True, "metadata": {ENDED_BY: call.reference}}
        operation = "subscriptions.update"
    else:
        request |= {"prorate": given.credit_unused, "invoice_now": given.invoice_now}
        operation = "subscriptions.cancel"
    return call.once(
        operation, request, lambda request, key: _end(call, request, key), is_last=True
    )


cancel_subscription.describe(
    output=Subscription,
    example={"subscription": "sub_1OqXyz", "at": "period_end", "feedback": "too_expensive"},
)


@cancel_subscription.looked_up
def find_end(call: Call, intent: Intent) -> LookupAnswer:
    """Read how the subscription stands; Stripe's reads by id are strongly consistent."""
    seen = subscriptions.read(intent.request["subscription"])
    return Found(summary(seen)) if _is_done(seen, intent.request) else Never()


@cancel_subscription.compensation
def take_back(call: Call, undo: Undo) -> Json:
    """Let the subscription go on that this step lets end with its period.

    `final`: it has ended, and cannot be taken back.
    """
    known = dict.fromkeys(
        str(each.request["subscription"]) for each in undo.intents if each.resolution != "refused"
    )
    results = [_take_back(call, each) for each in known]
    order = ("final", "taken_back", "already")
    return {"result": min(results, key=order.index) if results else "nothing"}


def _take_back(call: Call, subscription: str) -> str:
    seen = subscriptions.read(subscription)
    if seen["status"] in ENDED:
        return "final"
    if metadata_of(seen).get(ENDED_BY) != call.reference:
        # It never began, is taken back already, or another step lets the subscription end.
        return "already"
    request = {
        "subscription": subscription,
        "cancel_at_period_end": False,
        "metadata": {ENDED_BY: ""},
    }
    subscriptions.update(request)
    return "taken_back"


def _end(call: Call, request: Json, key: str) -> Json:
    seen = subscriptions.read(request["subscription"])
    require_own(call, seen)
    if _is_done(seen, request):
        return summary(seen)
    if "cancel_at_period_end" not in request:
        return summary(subscriptions.cancel(request))
    if seen["status"] in ENDED:
        raise Permanent(
            f"the subscription is {seen['status']} already",
            code="subscription_ended",
            detail={"subscription": seen["id"]},
        )
    return summary(subscriptions.update(request, key))


def _is_done(seen: Json, request: Json) -> bool:
    if "cancel_at_period_end" not in request:
        return seen["status"] in ENDED
    return bool(seen["cancel_at_period_end"])
