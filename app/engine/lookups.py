"""Lookups: asks the platform what became of the calls of an unknown step.

Invariant: a call that may have taken effect is sent again only after a proof that it did not, or
while the vendor still remembers its idempotency key.
"""

from app.card_numbers import refuse_masked
from app.engine import answers, refusals
from app.engine.call import Call
from app.errors import NotConfigured, NotServed, Outcome, Permanent, Retryable, Unavailable, Unknown
from app.platform import (
    CannotTell,
    Contract,
    Effect,
    Found,
    Intent,
    Json,
    Lookup,
    LookupAnswer,
    Lost,
    Never,
)

RETRY_SECONDS = 10.0
"""The pause after a lookup that failed."""
LONGEST_PAUSE_SECONDS = 900.0
PERSON_AFTER_SECONDS = 86_400.0
"""The age of a call at which the workflow is marked for attention: a person must look."""
PERSON_PAUSE_SECONDS = 3600.0
"""The pause between two lookups if only a person can help."""
HELD_SECONDS = 3600.0
"""The age of a call at which a refused lookup marks the workflow for attention."""
LONGEST_HELD_PAUSE_SECONDS = 60.0
IN_FLIGHT_SECONDS = 2.0
"""A request that is sent at the end of its attempt may arrive so much later at the vendor."""
_BY_HAND = "Look it up at the platform by hand, and resolve the step"


class Doubt(Exception):
    """It is still not known whether a call took effect.

    `look_up` raises this. The step stays unknown, and its call is looked up again after `seconds`.
    """

    def __init__(self, message: str, seconds: float, attention: str | None) -> None:
        super().__init__(message)
        self.error: Json = {"code": Unknown.default_code, "message": message}
        self.seconds = seconds
        self.attention = attention


class LeftToUndo(Exception):
    """The step does not run again, because the workflow is stopping.

    `look_up` raises this. The step is then cancelled, and its intents say what must be undone.
    """


def look_up(call: Call, *, is_pivot: bool) -> None:
    """Resolve the open intents of an unknown step.

    Raises Doubt if that is not possible yet, and Permanent if the call never took effect and no try
    is left. Raises LeftToUndo if the workflow is stopping, unless the step is a compensation or a
    pivot that proves to have succeeded.
    """
    answers = [_settle(call, intent) for intent in call.open_intents()]
    is_done = is_pivot and bool(answers) and all(answer == "accepted" for answer in answers)
    if call.claim.stopping and not call.claim.undo and not is_done:
        raise LeftToUndo


def _settle(call: Call, intent: Intent) -> str | None:
    """Look up one open intent. Returns its resolution, or None if it stays open."""
    action, contract = call.action, call.action.contract(intent.request)
    is_keyed = contract.effect is Effect.IDEMPOTENT
    if is_keyed and call.may_send_again(intent, call.key_age_seconds(intent)):
        return None
    if action.lookup is None or not contract.is_looked_up:
        is_left = call.claim.stopping and not call.claim.undo
        if is_left or contract.is_repeatable:
            return None
        raise Doubt(_not_to_be_known(contract), PERSON_PAUSE_SECONDS, "unknown_outcome")
    age = call.age_seconds(intent)
    answer = _ask(action.lookup, call, intent)
    is_over = action.attempt_seconds + IN_FLIGHT_SECONDS
    if isinstance(answer, Never) and age < is_over:
        # The call may still be on its way: its own deadline has not passed.
        answer = CannotTell(is_over - age, "the call's deadline has not passed")
    if isinstance(answer, Found):
        _resolve(call, intent, "accepted", answers.storable(action, answer.response))
        return "accepted"
    if isinstance(answer, Never):
        _resolve(call, intent, "never", None)
        if call.tries >= action.tries and not call.claim.stopping:
            raise Permanent(
                f"{intent.operation} was sent {call.tries} times and never took effect",
                code="never_took_effect",
            )
        return "never"
    if isinstance(answer, Lost):
        call.write_off(intent)
        if call.tries >= action.tries and not call.claim.stopping:
            raise Permanent(
                f"{intent.operation} was sent {call.tries} times and each answer was lost",
                code="always_lost",
            )
        return "refused"
    # After a day the workflow is marked for attention, and the lookups go on.
    seconds = max(answer.after_seconds, pause_after(age))
    attention = "unknown_outcome" if age > PERSON_AFTER_SECONDS else None
    raise Doubt(answer.reason or "the platform cannot tell yet", seconds, attention)


def pause_after(age_seconds: float) -> float:
    """The seconds until the next look at a call of that age: the pauses grow with the age."""
    return min(age_seconds / 4.0, LONGEST_PAUSE_SECONDS)


def _not_to_be_known(contract: Contract) -> str:
    if contract.effect is Effect.IDEMPOTENT:
        return "the call's idempotency key has expired, and the call cannot be looked up"
    return "the call cannot be looked up"


def _ask(lookup: Lookup, call: Call, intent: Intent) -> LookupAnswer:
    try:
        refuse_masked(intent.request, f"the recorded {intent.operation},", _BY_HAND)
        return lookup(call, intent)
    except NotConfigured:
        raise
    except NotServed as err:
        # That says nothing about the call, which is looked up again until the platform answers.
        refusals.report(call.action, err)
        age = call.age_seconds(intent)
        is_long = err.is_urgent or (not err.ends_by_itself and age > HELD_SECONDS)
        seconds = err.after or RETRY_SECONDS
        if not err.is_turn:
            seconds = max(seconds, min(pause_after(age), LONGEST_HELD_PAUSE_SECONDS))
        raise Doubt(err.message, seconds, "lookup_refused" if is_long else None) from err
    except Permanent as err:
        # For example, the platform refused the credential. Only a person can correct that.
        raise Doubt(err.message, PERSON_PAUSE_SECONDS, "lookup_refused") from err
    except Outcome as err:
        # The platform limited the lookup or gave no answer. That says nothing about the call.
        after = err.after if isinstance(err, Retryable) else None
        return CannotTell(after or RETRY_SECONDS, err.message)
    except Unavailable as err:
        return CannotTell(RETRY_SECONDS, err.message)


def _resolve(call: Call, intent: Intent, resolution: str, response: Json | None) -> None:
    answers.resolve(call.claim, call.action, intent, resolution, response)
