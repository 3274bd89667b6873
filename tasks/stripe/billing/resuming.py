"""Resume a subscription, or the collection of its invoices; the compensation pauses it again.

Invariant: nothing is charged at once. A step pauses again only what it has resumed itself, which
the subscription's metadata say. It succeeds only if the subscription, read afterwards, goes on: if
Stripe makes an invoice for a resumption, the subscription stays paused until that is paid, or is
past due if it cannot be, and is canceled if somebody has ended it meanwhile.
https://docs.stripe.com/billing/subscriptions/pause, /pause-payment
"""

from collections.abc import Sequence

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
from tasks.stripe.billing import calls, subscriptions
from tasks.stripe.billing.crediting import require_unprocessed, voided
from tasks.stripe.billing.ownership import require_own
from tasks.stripe.billing.pausing import PAUSED_AGAIN_AT, bill_for, paused_at
from tasks.stripe.billing.subscriptions import (
    ENDED,
    GOING_ON,
    SUBSCRIPTION_PATTERN,
    Subscription,
    not_resumed,
    summary,
)
from tasks.stripe.marks import KEY_LIFE, metadata_of
from tasks.stripe.wording import given as having
from tasks.stripe.wording import picked, without

RESUMED_BY = "resumed_by"
"""The name in a subscription's metadata of the step that has resumed it."""
_MARK, _RESUME, _COLLECT = range(3)
"""The numbers of the calls."""
_ASKED = "asked"
"""The value of PAUSED_AGAIN_AT while the pause is asked for."""
_OTHER_INVOICES = ("subscription_cycle", "subscription_threshold", "manual", "upcoming")
"""Why invoices are made that are not of a resumption."""
_UNPAID = ("void", "uncollectible")
_BEFORE = ("is_paused", "collection")


class ResumeSubscriptionInput(ActionInput):
    """The subscription. `charge_rest`: the rest of the present period is charged, with the next
    invoice; without it, the customer pays from the next period on."""

    subscription: str = Field(pattern=SUBSCRIPTION_PATTERN, max_length=255)
    charge_rest: bool = False


@action(
    "stripe.resume_subscription",
    input=ResumeSubscriptionInput,
    effect=Effect.LOOKUP,
    key_life=KEY_LIFE,
)
def resume_subscription(call: Call, given: ResumeSubscriptionInput) -> Json:
    """Resume a subscription whose status is `paused`, in its present period, and one of which no
    invoice is collected (Stripe's `pause_collection`), and return it.

    Invoices that were kept as drafts meanwhile stay drafts. Raises Permanent if it is not paused,
    if another organisation has made it, or if it does not go on (`subscription_not_resumed`): the
    compensation then voids the invoice that Stripe has made for it.
    """
    known = given.subscription
    marking = {"subscription": known, "metadata": {RESUMED_BY: call.reference}}
    made = call.once(
        "subscriptions.update", marking, lambda request, key: _mark(call, request, key)
    )
    before = picked(made, _BEFORE)
    if before["is_paused"]:
        request: Json = {
            "subscription": known,
            "billing_cycle_anchor": {"type": "unchanged"},
            "proration_behavior": "create_prorations" if given.charge_rest else "none",
        }
        call.at(_RESUME)
        is_last = before["collection"] is None
        made = call.once("subscriptions.resume", request, _resume, is_last=is_last)
        if made["status"] not in GOING_ON:
            raise not_resumed(made)
    if before["collection"] is not None:
        call.at(_COLLECT)
        request = {"subscription": known, "pause_collection": ""}
        call.once("subscriptions.update", request, _collect, is_last=True)
    seen = _state(subscriptions.read(known))
    is_resumed = not before["is_paused"] or seen["status"] in GOING_ON
    if not is_resumed or seen["status"] in ("paused", *ENDED):
        raise not_resumed(seen)
    if before["collection"] is not None and seen["collection"] is not None:
        raise not_resumed(seen, "its invoices are not collected")
    return without(seen, *_BEFORE)


resume_subscription.describe(
    output=Subscription, example={"subscription": "sub_1OqXyz", "charge_rest": True}
)


@resume_subscription.looked_up
def find_resumption(call: Call, intent: Intent) -> LookupAnswer:
    """Read how the subscription stands; Stripe's reads by id are strongly consistent."""
    seen = subscriptions.read(intent.request["subscription"])
    is_marked = metadata_of(seen).get(RESUMED_BY) == call.reference
    is_done = {
        _MARK: True,
        _RESUME: seen["status"] != "paused",
        _COLLECT: seen.get("pause_collection") is None,
    }
    return Found(_state(seen)) if is_marked and is_done[intent.ordinal] else Never()


@resume_subscription.compensation
def pause_again(call: Call, undo: Undo) -> Json:
    """Pause what this step has resumed, as it was paused before.

    If the rest of the period was charged, it is credited with the next invoice. An invoice that
    Stripe has made for the resumption, and nobody has paid, is voided. `superseded`: somebody else
    has paused or ended it meanwhile.
    """
    made = [each for each in undo.intents if each.resolution not in ("refused", "never")]
    known = dict.fromkeys(str(each.request["subscription"]) for each in made)
    results = [_pause_again(call, each, made) for each in known]
    order = ("paused_again", "superseded", "already")
    return {"result": min(results, key=order.index) if results else "nothing"}


def _pause_again(call: Call, subscription: str, made: Sequence[Intent]) -> str:
    seen = subscriptions.read(subscription)
    if metadata_of(seen).get(RESUMED_BY) != call.reference:
        return "already"
    if seen["status"] in ENDED:
        return "superseded"
    own = [each for each in made if each.request["subscription"] == subscription]
    change: Json = {"subscription": subscription, "metadata": {RESUMED_BY: ""}}
    result = "already"
    resumed = [each for each in own if each.ordinal == _RESUME]
    ended = _ended_invoice(resumed[-1], own, seen) if resumed else None
    if ended == "void":
        seen, result = subscriptions.read(subscription), "paused_again"
    if resumed and seen["status"] != "paused":
        seen = _paused(subscription, resumed[-1].request, is_unpaid=ended in _UNPAID)
    if resumed and metadata_of(seen).get(PAUSED_AGAIN_AT) == _ASKED:
        # The step that had paused it before may resume it.
        change["metadata"][PAUSED_AGAIN_AT] = str(paused_at(seen) or "")
        result = "paused_again"
    elif resumed and (resumed[-1].response or {}).get("status", "paused") != "paused":
        result = "superseded"
    collection = _collection_before(call, own)
    if collection is not None and seen.get("pause_collection") is None:
        change["pause_collection"] = collection
        result = "paused_again"
    subscriptions.update(change)
    return result


def _ended_invoice(resumed: Intent, own: Sequence[Intent], seen: Json) -> str | None:
    """The status of the invoice that a resumption has made, which is voided if it is still to be
    paid; None if it has made none.

    Raises Retryable while Stripe processes its payment.
    """
    before = [
        each.response["latest_invoice"]
        for each in own
        if (each.ordinal, each.generation) == (_MARK, resumed.generation) and each.response
    ]
    made = (resumed.response or summary(seen))["latest_invoice"]
    if made is None or made in before:
        return None
    invoice = calls.read_invoice(made)
    if invoice["billing_reason"] in _OTHER_INVOICES:
        return None
    if invoice["status"] == "open":
        require_unprocessed(invoice)
        invoice = voided(made)
    return str(invoice["status"])


def _paused(subscription: str, resumed: Json, *, is_unpaid: bool) -> Json:
    """Pause a subscription as the counterpart of its resumption, and return it. What is unpaid is
    not credited.

    It is marked before, so that after a lost answer the pause is not taken for a person's.
    """
    asked = {"subscription": subscription, "metadata": {PAUSED_AGAIN_AT: _ASKED}}
    subscriptions.update(asked)
    is_credited = resumed["proration_behavior"] != "none" and not is_unpaid
    unused = bill_for("now" if is_credited else "none")
    return subscriptions.pause({"subscription": subscription, "bill_for": unused})


def _collection_before(call: Call, own: Sequence[Intent]) -> Json | None:
    """How the collection that the step has resumed was paused, unless that would be over now."""
    if not any(each.ordinal == _COLLECT for each in own):
        return None
    told = [each.response for each in own if each.ordinal == _MARK and each.response]
    found: Json | None = told[0]["collection"] if told else None
    ends = None if found is None else found.get("resumes_at")
    if found is None or (ends is not None and ends <= call.now().timestamp()):
        return None
    return having(picked(found, ("behavior", "resumes_at")))


def _mark(call: Call, request: Json, key: str) -> Json:
    seen = subscriptions.read(request["subscription"])
    require_own(call, seen)
    if metadata_of(seen).get(RESUMED_BY) == call.reference:
        return _state(seen)
    if seen["status"] != "paused" and (
        seen["status"] in ENDED or seen.get("pause_collection") is None
    ):
        raise Permanent(
            f"the subscription is not paused: its status is {seen['status']}",
            code="subscription_not_paused",
            detail={"subscription": seen["id"], "status": seen["status"]},
        )
    return _state(subscriptions.update(request, key))


def _resume(request: Json, key: str) -> Json:
    seen = subscriptions.read(request["subscription"])
    # Only a step that has marked it comes here.
    return _state(subscriptions.resume(request, key) if seen["status"] == "paused" else seen)


def _collect(request: Json, key: str) -> Json:
    return _state(subscriptions.update(request, key))


def _state(seen: Json) -> Json:
    before = {"is_paused": seen["status"] == "paused", "collection": seen.get("pause_collection")}
    return summary(seen) | before
