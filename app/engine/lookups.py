"""What became of a call that may have happened: the lookup of an unknown step's open intents.

Invariant: only a proof that nothing happened, or a key that is alive, lets a call be sent again.
"""

from app.engine.call import Call
from app.errors import NotConfigured, Outcome, Permanent, Retryable, Unavailable, Unknown
from app.platform import CannotTell, Effect, Found, Intent, Json, Lookup, LookupAnswer, Never
from app.protocol import intents
from app.protocol.claims import Fenced

AGAIN_SECONDS = 10.0
SELDOM_SECONDS = 900.0
PERSON_AFTER_SECONDS = 86_400.0
PERSON_SECONDS = 3600.0
IN_FLIGHT_SECONDS = 2.0
"""What left in the last moment of its time may arrive so much later."""


class Doubt(Exception):
    """Nobody can tell yet: the step stays unknown and is looked up again in `seconds`."""

    def __init__(self, message: str, seconds: float, attention: str | None) -> None:
        super().__init__(message)
        self.error: Json = {"code": Unknown.default_code, "message": message}
        self.seconds = seconds
        self.attention = attention


class LeftToUndo(Exception):
    """The workflow is stopping: the step is cancelled, its intents say what has to be undone."""


def look_up(call: Call, *, is_pivot: bool) -> None:
    """Settle the open intent of an unknown step, or end the attempt. A pivot that proves to have
    happened is recorded as done, whatever the workflow was stopped for."""
    open_intents = [
        intent
        for intent in intents.intents(call.workflow_id, call.step_key)
        if intent.resolution is None
    ]
    answers = [_settle(call, intent) for intent in open_intents]
    is_done = is_pivot and bool(answers) and all(answer == "accepted" for answer in answers)
    if call.claim.stopping and not call.claim.undo and not is_done:
        raise LeftToUndo


def _settle(call: Call, intent: Intent) -> str | None:
    """The open intent's resolution, None where it stays open; or end the attempt."""
    action = call.action
    if action.lookup is None:
        if call.claim.stopping or action.effect in {
            Effect.NONE,
            Effect.REPEATABLE,
            Effect.IDEMPOTENT,
        }:
            return None
        raise Doubt("nobody can look this call up", PERSON_SECONDS, "unknown_outcome")
    age = intents.age_seconds(intent)
    answer = _ask(action.lookup, call, intent)
    is_over = action.attempt_seconds + IN_FLIGHT_SECONDS
    if isinstance(answer, Never) and age < is_over:
        # The call may still be on its way until its own deadline has passed.
        answer = CannotTell(is_over - age, "the call's deadline has not passed")
    if isinstance(answer, Found):
        _resolve(call, intent, "accepted", answer.response)
        return "accepted"
    if isinstance(answer, Never):
        _resolve(call, intent, "never", None)
        if call.tries >= action.tries and not call.claim.stopping:
            raise Permanent(
                f"{intent.operation} was sent {call.tries} times and never took effect",
                code="never_took_effect",
            )
        return "never"
    # Asked less and less often; after a day a person is told, and it goes on.
    seconds = max(answer.after_seconds, min(age / 4.0, SELDOM_SECONDS))
    attention = "unknown_outcome" if age > PERSON_AFTER_SECONDS else None
    raise Doubt(answer.reason or "the platform cannot tell yet", seconds, attention)


def _ask(lookup: Lookup, call: Call, intent: Intent) -> LookupAnswer:
    try:
        return lookup(call, intent)
    except NotConfigured:
        raise
    except Permanent as err:
        # A refused key, say: only a person can mend that.
        raise Doubt(err.message, PERSON_SECONDS, "lookup_refused") from err
    except Outcome as err:
        # Limited or away: the platform says nothing about the call in doubt.
        after = err.after if isinstance(err, Retryable) else None
        return CannotTell(after or AGAIN_SECONDS, err.message)
    except Unavailable as err:
        return CannotTell(AGAIN_SECONDS, err.message)


def _resolve(call: Call, intent: Intent, resolution: str, response: Json | None) -> None:
    if not intents.resolve_intent(
        call.claim, intent.ordinal, resolution, response, generation=intent.generation
    ):
        raise Fenced
