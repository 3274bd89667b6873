"""Records how an attempt ended: chooses the outcome of each move, and writes it.

The module `app.protocol.outcomes` writes outcomes to PostgreSQL. A rehearsal passes a writer that
keeps them in memory.
"""

from dataclasses import replace
from typing import Protocol
from uuid import UUID

from app.engine.moves import Moves, Result, finish_of
from app.errors import Suspend
from app.platform import Json
from app.protocol import outcomes
from app.protocol.claims import Advance, Claim
from app.protocol.outcomes import Attempt, Finish

CONTROL = "control"
"""The platform of what waits for times, people and events, and not for a vendor's webhooks."""


class OutcomeWriter(Protocol):
    """The functions of `app.protocol.outcomes`, which documents what each does and returns."""

    def finish_step(self, claim: Claim, attempt: Attempt, finish: Finish) -> Advance: ...

    def retry_step(
        self,
        claim: Claim,
        attempt: Attempt,
        error: Json,
        seconds: float,
        *,
        new_generation: bool,
        timeout: float | None = None,
        is_try: bool = True,
        is_turn: bool = False,
        attention: str | None = None,
    ) -> str: ...

    def suspend_step(
        self, claim: Claim, attempt: Attempt, external_id: str, seconds: float, timeout: float
    ) -> str: ...

    def wait_step(self, claim: Claim, attempt: Attempt, wait: Suspend) -> str: ...

    def doubt_step(
        self,
        claim: Claim,
        attempt: Attempt,
        error: Json,
        seconds: float,
        attention: str | None,
        *,
        was_sent: bool = True,
    ) -> str: ...

    def fail_step(
        self,
        claim: Claim,
        attempt: Attempt,
        error: Json,
        *,
        is_holding: bool = False,
        pivot: str | None = None,
    ) -> str: ...

    def cancel_step(self, claim: Claim, attempt: Attempt) -> str: ...

    def leave_step(self, claim: Claim, attempt: Attempt, error: Json) -> str: ...

    def has_delivery(self, platform: str, external_id: str) -> bool: ...

    def wake_step(self, workflow_id: UUID, key: str, platform: str, external_id: str) -> bool: ...


def record(
    claim: Claim, result: Result, *, fraction: float, writer: OutcomeWriter = outcomes
) -> Advance:
    """Record how the attempt ended, and return what that led to.

    `fraction` in [0, 1) says how much of its jitter a retry uses.
    """
    if result.move is Moves.RETRY:
        return _record_retry(claim, result, fraction, writer)
    if result.move is Moves.FINISH:
        return _record_finish(claim, result, writer)
    if result.move is Moves.SUSPEND:
        return _record_suspension(claim, result, writer)
    if result.move is Moves.FAIL:
        return _record_failure(claim, result, result.error, writer)
    if result.move is Moves.DOUBT:
        return Advance(
            writer.doubt_step(
                claim,
                result.attempt,
                result.error,
                result.seconds,
                result.attention,
                was_sent=result.was_sent,
            )
        )
    if result.move is Moves.CANCEL:
        return Advance(writer.cancel_step(claim, result.attempt))
    if result.move is Moves.LEAVE:
        return Advance(writer.leave_step(claim, result.attempt, result.error))
    # A step that was put off has been recorded by the transaction that put it off.
    return Advance(result.verdict if result.move is Moves.PUT_OFF else "fenced")


def _record_finish(claim: Claim, result: Result, writer: OutcomeWriter) -> Advance:
    advance = writer.finish_step(claim, result.attempt, result.finish)
    if advance.verdict != "no_room":
        return advance
    # Nothing was recorded. The step would add rows, and the workflow has too many for them.
    assert result.prepared is not None
    assert result.prepared.no_room is not None
    result.move, result.error = Moves.FAIL, result.prepared.no_room
    return _record_failure(claim, result, result.error, writer)


def _record_retry(claim: Claim, result: Result, fraction: float, writer: OutcomeWriter) -> Advance:
    # A failure of our own storage does not count as a failed try of the step.
    failed = claim.tries + 1 if result.is_try else 1
    delay = result.policy.delay(failed, after=result.after, fraction=fraction)
    if delay is None:
        return _record_failure(claim, result, {**result.error, "tries": claim.tries + 1}, writer)
    verdict = writer.retry_step(
        claim,
        result.attempt,
        result.error,
        delay,
        new_generation=result.new_generation,
        timeout=result.prepared.timeout_seconds if result.prepared else None,
        is_try=result.is_try,
        is_turn=result.is_turn,
        attention=result.attention,
    )
    if verdict == "timed_out":
        message = f"the step timed out; its last error: {result.error.get('message', '')}"
        return _record_failure(claim, result, {"code": "timed_out", "message": message}, writer)
    return Advance(verdict)


def _record_failure(claim: Claim, result: Result, error: Json, writer: OutcomeWriter) -> Advance:
    """Record that the step fails and is not retried.

    The definition may tolerate the failure. Otherwise the step is held for a person, or the
    workflow is undone.
    """
    prepared = result.prepared
    if prepared is None or claim.undo:
        return Advance(writer.fail_step(claim, result.attempt, error))
    tolerance = prepared.tolerance
    if tolerance is None or claim.stopping:
        verdict = writer.fail_step(
            claim, result.attempt, error, is_holding=prepared.is_holding, pivot=prepared.pivot
        )
        return Advance(verdict)
    tolerant = replace(prepared, turn=tolerance.turn, error=error)
    finish = finish_of(tolerant, tolerance.status, tolerance.output)
    if error.get("code") == "timed_out":
        # The vendor may go on with the work for long, but the workflow no longer waits for it.
        finish = replace(finish, orphan=result.passed_over)
    return writer.finish_step(claim, result.attempt, finish)


def _record_suspension(claim: Claim, result: Result, writer: OutcomeWriter) -> Advance:
    assert result.suspend is not None
    platform, external_id = result.platform, result.suspend.external_id
    if result.suspend.until is not None:
        verdict = writer.wait_step(claim, result.attempt, result.suspend)
        if verdict == "woken":
            return Advance("released", (claim.key,))
        if platform == CONTROL:
            return Advance(verdict)
    else:
        verdict = writer.suspend_step(
            claim, result.attempt, external_id, result.suspend.poll_seconds, result.timeout_seconds
        )
    if verdict not in {"recorded", "draining"} or not writer.has_delivery(platform, external_id):
        return Advance(verdict)
    if writer.wake_step(claim.workflow_id, claim.key, platform, external_id):
        # The webhook came before the suspension was recorded. The caller publishes the step again.
        return Advance("released", (claim.key,))
    return Advance(verdict)
