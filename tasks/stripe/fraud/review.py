"""Hold a risky payment until a person has decided: an approval goes on, a rejection releases it.

Invariant: a payment is judged once. What was found is recorded before people are asked, so a retry
asks the same, and counts nothing again. The review ends before the hold does.

It is an action of its own, between `stripe.authorize` and what follows, and not an option there.
The authorization is then recorded before people are asked, so its compensation releases the hold
whatever becomes of the review; and whoever reads the definition sees what waits for the decision.
https://docs.stripe.com/radar/reviews
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import Field, field_validator

from app import sightings
from app.engine.call import Call
from app.errors import Permanent, Suspend
from app.keys import name_of, signal_id, step_of
from app.platform import ASK, ActionInput, ActionOutput, Effect, Json, action
from tasks.stripe.client import StripeApi, api
from tasks.stripe.fraud import seen
from tasks.stripe.fraud.rules import broken, counted, parsed
from tasks.stripe.marks import claim
from tasks.stripe.settings import StripeSettings
from tasks.stripe.urgency import on_hold

_APPROVED = "approved"
_RISKS = ("normal", "elevated", "highest")
_STRIPE = "a person at Stripe"
_AT_A_TERMINAL = ("card_present", "interac_present")


class ReviewInput(ActionInput):
    """The authorized payment, and who decides if it is risky.

    `hold`: `when_risky`, if Radar or a rule of this installation says so; `always`. `by` are e-mail
    addresses and groups (`group:fraud`) of those who may decide; without it the workflow's owner
    does. `within_seconds` is the longest wait for them. `margin_seconds` before the hold ends, the
    review ends in any case: the steps that follow need that long to capture the payment.
    """

    payment_intent: str = Field(pattern=r"^pi_\w+$", max_length=255)
    hold: Literal["when_risky", "always"] = "when_risky"
    by: list[str] | None = Field(default=None, min_length=1, max_length=100)
    within_seconds: float | None = Field(default=None, gt=0, le=30 * 86400)
    margin_seconds: float = Field(default=3600.0, ge=60, le=30 * 86400)

    @field_validator("by")
    @classmethod
    def _are_named(cls, given: list[str] | None) -> list[str] | None:
        if given is not None and not all(each.strip() for each in given):
            raise ValueError("must have no empty address")
        return None if given is None else [each.strip().casefold() for each in given]


@action("stripe.review", input=ReviewInput, effect=Effect.REPEATABLE)
def review(call: Call, given: ReviewInput) -> Json:
    """Let a payment pass, or wait for a decision: {payment_intent, decision, by, comment, reasons,
    is_counted}.

    `decision` is `not_needed` or `approved`. Raises Permanent if it is rejected (`rejected`), if
    nobody decides in time (`review_timed_out`), if less than the margin is left of the hold
    (`hold_too_short`), or if the hold has ended (`hold_ended`). The workflow is then undone, and
    the compensation of `stripe.authorize` releases the hold.
    """
    with on_hold():
        return _reviewed(call, given)


def _reviewed(call: Call, given: ReviewInput) -> Json:
    stripe = api()
    asked = call.once(ASK, given.model_dump(), lambda request, key: _judged(call, stripe, request))
    answer = {"payment_intent": given.payment_intent, "reasons": asked["reasons"]}
    answer["is_counted"] = asked.get("is_counted")
    if not asked["is_held"]:
        return {**answer, "decision": "not_needed", "by": None, "comment": None}
    decisions = call.decisions(_signal(call))
    decision = next((each for each in decisions if _may_decide(each, given.by)), None)
    decision = decision or _decision_at_stripe(stripe, given.payment_intent, asked)
    if decision is None:
        raise _wait(call, given, asked)
    if not decision["approved"]:
        why = decision.get("comment") or "no reason given"
        raise Permanent(
            f"the payment was rejected by {decision['by']}: {why}",
            code="rejected",
            detail={"payment_intent": given.payment_intent},
        )
    told = {name: decision.get(name) for name in ("by", "comment")}
    return {**answer, "decision": _APPROVED, **told}


class Reviewed(ActionOutput):
    """What was decided, by whom, and why the payment was held.

    `is_counted` is false if payments are not counted: without `STRIPE_INDEX_KEY`, or without a rule
    that counts, no rule of a card, an e-mail or a postal address holds any. null: it was
    not recorded.
    """

    payment_intent: str
    decision: Literal["not_needed", "approved"]
    by: str | None
    comment: str | None
    reasons: list[str]
    is_counted: bool | None


review.describe(
    output=Reviewed,
    example={"payment_intent": "pi_3OqXyz", "by": ["group:fraud"], "within_seconds": 86400.0},
)
review.asks_people = True


def _judged(call: Call, stripe: StripeApi, request: Json) -> Json:
    """What is known of the payment, and the question to people: {is_held, is_counted, reasons,
    is_radars, until, show, by, on_timeout, on_reject}."""
    intent = stripe.retrieve_payment_intent(request["payment_intent"])
    claim(call, intent)
    if intent["status"] != "requires_capture":
        raise _ended(intent)
    radar = radars_reasons(intent)
    own = _own_reasons(call, intent)
    if request["hold"] == "always":
        own.append("every payment of this workflow is reviewed")
    now, ends = call.now(), held_until(intent)
    until = ends - timedelta(seconds=request["margin_seconds"])
    if (radar or own) and until <= now:
        raise Permanent(
            f"nobody can be asked: the hold ends at {ends.isoformat()}, which is less than the"
            f" margin of {request['margin_seconds']:g} s away",
            code="hold_too_short",
            detail={"payment_intent": intent["id"]},
        )
    if request["within_seconds"] is not None:
        until = min(until, now + timedelta(seconds=request["within_seconds"]))
    money = {"amount": intent["amount_capturable"], "currency": intent["currency"]}
    return {
        "is_held": bool(radar or own),
        "is_counted": seen.is_counting(),
        "is_radars": not own,
        "reasons": [*radar, *own],
        "until": until.isoformat(),
        "show": {"message": "; ".join([*radar, *own]), "amount": money},
        "by": request["by"],
        "on_timeout": "fail",
        "on_reject": "fail",
    }


def radars_reasons(intent: Json) -> list[str]:
    """Why Radar's judgement holds a payment: it asks for a review, or the risk is elevated."""
    outcome: Json = (intent.get("latest_charge") or {}).get("outcome") or {}
    risk, score = outcome.get("risk_level"), outcome.get("risk_score")
    found = []
    least = StripeSettings.current().review_risk
    if least != "never" and risk in _RISKS and _RISKS.index(risk) >= _RISKS.index(least):
        found.append(f"Radar: {risk} risk" + (f", score {score}" if score is not None else ""))
    if outcome.get("type") == "manual_review" or intent.get("review"):
        found.append("Radar has put the payment up for review")
    return found


def _own_reasons(call: Call, intent: Json) -> list[str]:
    settings = StripeSettings.current()
    rules = parsed(settings.review_rules)
    if not seen.is_counting():
        rules = tuple(rule for rule in rules if rule.kind == "amount")
        return broken(rules, [], intent["amount"], intent["currency"])
    seen.note(call, intent)
    asked: list[Any] = [(rule.kind, rule.seconds) for rule in counted(rules)]
    tallies = sightings.tally(call.user_id, "stripe", intent["id"], asked)
    return broken(rules, tallies, intent["amount"], intent["currency"])


def held_until(intent: Json) -> datetime:
    """When the hold ends. Stripe names it for cards; a hold at a terminal lives for two days, those
    of other methods for a week or more."""
    details: Json = (intent.get("latest_charge") or {}).get("payment_method_details") or {}
    kind = str(details.get("type"))
    before = (details.get(kind) or {}).get("capture_before")
    days = 2 if kind in _AT_A_TERMINAL else 7
    return datetime.fromtimestamp(before or intent["created"] + days * 86400, UTC)


def _decision_at_stripe(stripe: StripeApi, payment_intent: str, asked: Json) -> Json | None:
    """What became of the payment at Stripe, where people may decide too; None: nothing yet.

    An approval there counts only if Radar alone holds the payment: it does not know our rules.
    """
    intent = stripe.retrieve_payment_intent(payment_intent)
    if intent["status"] != "requires_capture":
        raise _ended(intent)
    if intent.get("review") is None:
        return None
    known = intent["review"]
    radars = stripe.perform(
        "reviews.retrieve", lambda v1: v1.reviews.retrieve(str(known)), repeatable=True
    )
    if radars["open"]:
        return None
    reason = radars["closed_reason"]
    if reason not in (_APPROVED, "acknowledged"):
        return {"approved": False, "by": _STRIPE, "comment": f"the review was closed: {reason}"}
    return {"approved": True, "by": _STRIPE, "comment": None} if asked["is_radars"] else None


def _wait(call: Call, given: ReviewInput, asked: Json) -> Suspend | Permanent:
    until = datetime.fromisoformat(asked["until"])
    if call.now() >= until:
        return Permanent(
            f"nobody has decided by {asked['until']}, and the hold ends soon",
            code="review_timed_out",
            detail={"payment_intent": given.payment_intent},
        )
    name = _signal(call)
    return Suspend(
        given.payment_intent,
        until=until,
        signal=name,
        early=signal_id(call.workflow_id, name),
        asked=None if given.by is None else tuple(given.by),
    )


def _signal(call: Call) -> str:
    return name_of(step_of(call.step_key))


def _may_decide(decision: Json, by: list[str] | None) -> bool:
    # A signal that an approval of the same name left over may have come from other people.
    if by is None:
        return bool(decision["is_owner"])
    if str(decision.get("by", "")).casefold() in by:
        return True
    return not {*by}.isdisjoint(decision.get("groups") or ())


def _ended(intent: Json) -> Permanent:
    return Permanent(
        f"nothing is held for the payment any more: its status is {intent['status']}",
        code="hold_ended",
        detail={"payment_intent": intent["id"]},
    )
