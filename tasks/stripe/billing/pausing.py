"""Pause a subscription; the compensation resumes it.

Invariant: a step resumes only what it has paused itself, which the subscription's metadata say, and
the time since which it is paused.
https://docs.stripe.com/billing/subscriptions/pause
"""

from typing import Literal

from pydantic import Field

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
from tasks.stripe.billing.subscriptions import (
    ENDED,
    SUBSCRIPTION_PATTERN,
    Subscription,
    not_resumed,
    summary,
)
from tasks.stripe.marks import KEY_LIFE, metadata_of
from tasks.stripe.wording import without

PAUSED_BY = "paused_by"
"""The name in a subscription's metadata of the step that pauses it."""
PAUSED_AGAIN_AT = "paused_again_at"
"""The name of the time, in Unix seconds, since which it is paused again because the step that had
resumed it was undone."""


class PauseSubscriptionInput(ActionInput):
    """The subscription. `credit_unused`: the unused time of the present period is credited to the
    customer, on the next invoice."""

    subscription: str = Field(pattern=SUBSCRIPTION_PATTERN, max_length=255)
    credit_unused: bool = False


@action(
    "stripe.pause_subscription",
    input=PauseSubscriptionInput,
    effect=Effect.LOOKUP,
    key_life=KEY_LIFE,
)
def pause_subscription(call: Call, given: PauseSubscriptionInput) -> Json:
    """Pause a subscription, and return it: it makes no invoices until it is resumed.

    Raises Permanent if it is paused already, has ended, or if another organisation has made it.
    """
    known = given.subscription
    call.once(
        "subscriptions.update",
        {"subscription": known, "metadata": {PAUSED_BY: call.reference}},
        lambda request, key: _mark(call, request, key),
    )
    unused: Literal["now", "none"] = "now" if given.credit_unused else "none"
    request = {"subscription": known, "bill_for": bill_for(unused)}
    return without(call.once("subscriptions.pause", request, _pause, is_last=True), "paused_at")


pause_subscription.describe(
    output=Subscription, example={"subscription": "sub_1OqXyz", "credit_unused": True}
)


@pause_subscription.looked_up
def find_pause(call: Call, intent: Intent) -> LookupAnswer:
    """Read how the subscription stands; Stripe's reads by id are strongly consistent."""
    seen = subscriptions.read(intent.request["subscription"])
    is_marked = metadata_of(seen).get(PAUSED_BY) == call.reference
    is_done = is_marked and (
        intent.operation == "subscriptions.update" or seen["status"] == "paused"
    )
    return Found(_state(seen)) if is_done else Never()


@pause_subscription.compensation
def resume(call: Call, undo: Undo) -> Json:
    """Resume what this step has paused, in the period in which it was paused.

    If the rest of the period was credited, it is charged again with the next invoice.
    `superseded`: somebody else has resumed it, paused it anew or ended it meanwhile. Raises
    Permanent if it stays paused because its resumption is to be paid first.
    """
    known: dict[str, Json] = {}
    for each in undo.intents:
        told = known.setdefault(each.request["subscription"], {})
        told |= {"bill_for": each.request.get("bill_for"), **(each.response or {})}
    results = [_resume(call, each, told) for each, told in known.items()]
    order = ("resumed", "superseded", "already")
    return {"result": min(results, key=order.index) if results else "nothing"}


def _resume(call: Call, subscription: str, told: Json) -> str:
    seen = subscriptions.read(subscription)
    if metadata_of(seen).get(PAUSED_BY) != call.reference:
        return "already"
    since = paused_at(seen)
    is_same = told.get("paused_at") in (None, since)
    # Undone, a step that had resumed it has paused it again.
    is_same |= since is not None and metadata_of(seen).get(PAUSED_AGAIN_AT) == str(since)
    is_ours = seen["status"] == "paused" and is_same
    if is_ours:
        is_credited = told["bill_for"] == bill_for("now")
        request = {
            "subscription": subscription,
            "billing_cycle_anchor": {"type": "unchanged"},
            "proration_behavior": "create_prorations" if is_credited else "none",
        }
        resumed = summary(subscriptions.resume(request))
        if resumed["status"] == "paused":
            # It goes on when the invoice is paid that Stripe has made: a person must see to that.
            raise not_resumed(resumed)
    if seen["status"] not in ENDED:
        # Only now another run may take it for done.
        cleared = {"subscription": subscription, "metadata": {PAUSED_BY: "", PAUSED_AGAIN_AT: ""}}
        subscriptions.update(cleared)
    return "resumed" if is_ours else "superseded"


def _mark(call: Call, request: Json, key: str) -> Json:
    seen = subscriptions.read(request["subscription"])
    require_own(call, seen)
    if metadata_of(seen).get(PAUSED_BY) == call.reference:
        return summary(seen)
    if seen["status"] not in ("active", "trialing", "past_due"):
        raise Permanent(
            f"the subscription cannot be paused: its status is {seen['status']}",
            code="subscription_not_pausable",
            detail={"subscription": seen["id"], "status": seen["status"]},
        )
    return summary(subscriptions.update(request, key))


def _pause(request: Json, key: str) -> Json:
    seen = subscriptions.read(request["subscription"])
    # Only a step that has marked it comes here.
    is_done = seen["status"] == "paused"
    return _state(seen if is_done else subscriptions.pause(request, key))


def bill_for(unused: Literal["now", "none"]) -> Json:
    """What a pause does with the unused time of the period: credits it (`now`) or not."""
    return {"unused_time_from": {"type": unused}}


def _state(seen: Json) -> Json:
    return summary(seen) | {"paused_at": paused_at(seen)}


def paused_at(seen: Json) -> int | None:
    """The time in Unix seconds since which a subscription is paused, if Stripe says so."""
    details = (seen.get("status_details") or {}).get("paused") or {}
    return details.get("transitioned_at")
