"""The ways in which an attempt can end, and which of them an exception means."""

import enum
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from app import db
from app.card_numbers import without_card_numbers
from app.cards import masked
from app.db import UNABLE
from app.engine.call import Call
from app.engine.lookups import Doubt, LeftToUndo, pause_after
from app.engine.prepared import Prepared
from app.engine.releases import Misfit
from app.engine.reserving import PutOff
from app.engine.retry import (
    NOT_SERVED_POLICY,
    PATIENT_POLICY,
    STORE_POLICY,
    TURN_POLICY,
    UNDO_POLICY,
    RetryPolicy,
)
from app.errors import (
    NotConfigured,
    NotServed,
    Outcome,
    Permanent,
    Retryable,
    Suspend,
    Unavailable,
    Unknown,
)
from app.keys import orphan
from app.payload import clean, dumps_or_none
from app.platform import DEFAULT_TIMEOUT_SECONDS, Json
from app.protocol.claims import Fenced
from app.protocol.outcomes import Attempt, Finish

log = structlog.get_logger()

FIRST_LOOKUP_SECONDS = 1.0
_POLICY, _FINISH = RetryPolicy(), Finish()


class Moves(enum.Enum):
    """How an attempt ended."""

    FINISH = "succeeded"
    FAIL = "failed"
    RETRY = "retried"
    SUSPEND = "suspended"
    DOUBT = "unknown"
    CANCEL = "cancelled"
    LEAVE = "left"
    PUT_OFF = "put off"
    FENCED = "fenced"


@dataclass
class Result:
    """How an attempt ended, before it is recorded."""

    move: Moves
    attempt: Attempt
    error: Json = field(default_factory=dict)
    seconds: float = 0.0
    suspend: Suspend | None = None
    platform: str = ""
    """The platform whose deliveries may wake the step, if it is suspended."""
    policy: RetryPolicy = _POLICY
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    after: float | None = None
    is_try: bool = True
    """Whether the attempt counts as a try for the retry policy."""
    is_turn: bool = False
    """Whether the step waits for its turn at a limit, so that its pauses do not grow."""
    new_generation: bool = False
    attention: str | None = None
    was_sent: bool = True
    prepared: Prepared | None = None
    finish: Finish = _FINISH
    verdict: str = ""
    """What the transaction led to that has recorded the end already."""
    is_special: bool = False
    """Whether its success does more than release the next step (adds rows, ends the workflow, has
    an event of its own)."""
    passed_over: Json | None = None
    """The work that still runs at the vendor for this step, as an orphan effect. It is recorded if
    the workflow goes on without waiting for it."""


def finish_of(prepared: Prepared, status: str, output: Any) -> Finish:
    """What the end of a step records. Raises Permanent if a payload is too large."""
    make = prepared.workflow_output
    ends = None if make is None else make(output, status, prepared.error)
    ends = without_card_numbers(ends, "output of a workflow")
    # A payload that is too large must be found here, where it can fail the step. Later, while the
    # outcome is recorded, it would be a fault of the engine.
    for payload in (output, prepared.turn):
        dumps_or_none(payload)
    return Finish(output, status, prepared.error, prepared.turn, ends, prepared.is_pivot)


def at_vendor(call: Call) -> Json | None:
    """The work that runs at the vendor for this step, as an orphan effect, or None."""
    if call.external_id is None or not call.action.is_traced:
        return None
    return orphan(call.step_key, call.external_id)


def ended(err: Exception, call: Call, prepared: Prepared | None, attempt: Attempt) -> Result:
    """How an attempt ended whose action raised `err`, with the policy for its retry."""
    policy = UNDO_POLICY if call.claim.undo else RetryPolicy(tries=call.action.tries)
    timeout = call.action.wait_seconds
    if prepared is not None:
        if prepared.policy is not None:
            policy = replace(prepared.policy, tries=prepared.policy.tries or call.action.tries)
        if call.external_id is not None and not call.claim.expired and not call.claim.undo:
            # The work runs at the vendor and is paid for, so that it is polled until its time-out.
            policy = PATIENT_POLICY
        timeout = prepared.timeout_seconds or timeout
    result = Result(Moves.FAIL, attempt, prepared=prepared, policy=policy, timeout_seconds=timeout)
    result.passed_over = at_vendor(call)
    if isinstance(err, (Fenced, LeftToUndo, PutOff)):
        _without_outcome(result, err)
    elif isinstance(err, (Misfit, NotConfigured)):
        _by_worker(result, err, call)
    elif isinstance(err, Doubt):
        result.move, result.error, result.was_sent = Moves.DOUBT, err.error, False
        result.seconds, result.attention = err.seconds, err.attention
    elif isinstance(err, Outcome):
        _by_outcome(result, err, call)
    elif isinstance(err, (Unavailable, *UNABLE)):
        _by_store(result, err, call)
    else:
        log.error("step.unexpected", action=call.action.name, exc_info=err)
        _unexpected(result, err, call)
    result.error = without_card_numbers(result.error, f"error of {call.action.platform}")
    return result


def _without_outcome(result: Result, err: Fenced | LeftToUndo | PutOff) -> None:
    """The action has not run, or the attempt may not record how it ended."""
    if isinstance(err, PutOff):
        result.move, result.verdict = Moves.PUT_OFF, err.verdict
    else:
        result.move = Moves.CANCEL if isinstance(err, LeftToUndo) else Moves.FENCED


def _by_worker(result: Result, err: Misfit | NotConfigured, call: Call) -> None:
    """This worker lacks the setting or the release that the step needs."""
    if call.claim.expired:
        # The wait is over, whether or not this worker could ask the platform.
        message = f"the step's time-out has passed: {err.error['message']}"
        result.error = {"code": "timed_out", "message": message}
        return
    # Another worker may have what this one lacks.
    result.move, result.error = Moves.LEAVE, err.error
    log.warning("step.left_to_others", action=call.action.name, **err.error)


def _by_outcome(result: Result, err: Outcome, call: Call) -> None:
    result.error = {"code": err.code, "message": err.message}
    if isinstance(err, Suspend) and call.claim.expired:
        result.error = {
            "code": "timed_out",
            "message": f"no answer for {err.external_id} within its time-out",
        }
    elif isinstance(err, Suspend):
        result.move, result.suspend, result.platform = Moves.SUSPEND, err, call.action.platform
    elif isinstance(err, Retryable):
        result.after, result.new_generation, result.is_try = err.after, err.stored, err.is_try
        result.move = Moves.RETRY if result.policy.allows(err.code) else Moves.FAIL
    elif isinstance(err, NotServed) and call.claim.expired:
        message = f"the step's time-out has passed: {err.message}"
        result.error = {"code": "timed_out", "message": message}
    elif isinstance(err, NotServed):
        # It says nothing about the step, so that the step's own policy does not apply.
        result.move, result.after = Moves.RETRY, err.after
        result.new_generation = err.stored
        result.policy, result.is_try = TURN_POLICY if err.is_turn else NOT_SERVED_POLICY, False
        result.is_turn = err.is_turn
        result.attention = "hold_at_risk" if err.is_urgent and not call.claim.undo else None
    elif isinstance(err, Unknown):
        _in_doubt(result, call)
    elif isinstance(err, Permanent) and err.detail:
        result.error["detail"] = clean(err.detail)


def _in_doubt(result: Result, call: Call) -> None:
    action, left = call.action, call.open_intents()
    contracts = [action.contract(intent.request) for intent in left] or [action.contract({})]
    repeats = call.is_compensating or all(each.is_repeatable for each in contracts)
    result.move = Moves.RETRY if repeats else Moves.DOUBT
    # A call that is sent again under its living key may fail in the same way again and again.
    pauses = [pause_after(call.age_seconds(intent)) for intent in left]
    result.seconds = max([FIRST_LOOKUP_SECONDS, *pauses])


def _by_store(result: Result, err: Exception, call: Call) -> None:
    """Handle an error of our own storage: its disk is full, or PostgreSQL is unreachable."""
    # The cause of an Unavailable is the last error for which `patiently` has retried.
    ailment = db.ailment(err.__cause__ or err if isinstance(err, Unavailable) else err)
    if isinstance(err, Unavailable):
        code, message = err.code, err.message
    else:
        code, message = ailment.code, ailment.words
    result.error = {"code": code, "message": message}
    if ailment.passes:
        result.policy, result.is_try = STORE_POLICY, False
        log.warning("step.waits_for_store", step=call.step_key, code=code, reason=message)
    else:
        log.error("step.beyond_limits", step=call.step_key, code=code, reason=message)
    _by_intents(result, call)


def _unexpected(result: Result, err: Exception, call: Call) -> None:
    result.error = {"code": "unexpected", "message": masked(f"{type(err).__name__}: {err}")[:1000]}
    _by_intents(result, call)


def _by_intents(result: Result, call: Call) -> None:
    if call.open_intents():
        _in_doubt(result, call)
    else:
        result.move = Moves.RETRY
