"""Where the outcomes of steps are written, and which outcome each move of an attempt is.

The module `app.protocol.outcomes` writes to PostgreSQL; a rehearsal writes to memory.
"""

from dataclasses import replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

from app.engine.moves import Moves, Result, finish_of
from app.platform import Json
from app.protocol import outcomes
from app.protocol.claims import Advance, Claim
from app.protocol.outcomes import Attempt, Finish


class OutcomeWriter(Protocol):
    """The functions of `app.protocol.outcomes`, which documents what each does and answers."""

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
    ) -> str: ...

    def suspend_step(
        self, claim: Claim, attempt: Attempt, external_id: str, seconds: float, timeout: float
    ) -> str: ...

    def wait_step(
        self, claim: Claim, attempt: Attempt, external_id: str, until: datetime, signal: str | None
    ) -> str: ...

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

    def has_delivery(self, external_id: str) -> bool: ...

    def wake_step(self, workflow_id: UUID, key: str, external_id: str) -> bool: ...


def record(
    claim: Claim, result: Result, *, fraction: float, writer: OutcomeWriter = outcomes
) -> Advance:
    """Write the outcome; `fraction` in [0, 1) is the jitter of a retry."""
    if result.move is Moves.RETRY:
        return _record_retry(claim, result, fraction, writer)
    if result.move is Moves.FINISH:
        return writer.finish_step(claim, result.attempt, result.finish)
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
    return Advance("fenced")


def _record_retry(claim: Claim, result: Result, fraction: float, writer: OutcomeWriter) -> Advance:
    # What a store of ours does to a step is no failed try of the step.
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
    )
    if verdict == "timed_out":
        message = f"its time is over; the last error: {result.error.get('message', '')}"
        return _record_failure(claim, result, {"code": "timed_out", "message": message}, writer)
    return Advance(verdict)


def _record_failure(claim: Claim, result: Result, error: Json, writer: OutcomeWriter) -> Advance:
    """The step fails for good: tolerated, held for a person, or the workflow is undone."""
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
        # Nobody waits for it any more, and it may go on for long.
        finish = replace(finish, orphan=result.passed_over)
    return writer.finish_step(claim, result.attempt, finish)


def _record_suspension(claim: Claim, result: Result, writer: OutcomeWriter) -> Advance:
    assert result.suspend is not None
    external_id = result.suspend.external_id
    if result.suspend.until is not None:
        until, signal = result.suspend.until, result.suspend.signal
        verdict = writer.wait_step(claim, result.attempt, external_id, until, signal)
        woken = verdict == "woken"
        return Advance("released", (claim.key,)) if woken else Advance(verdict)
    verdict = writer.suspend_step(
        claim, result.attempt, external_id, result.suspend.poll_seconds, result.timeout_seconds
    )
    if verdict not in {"recorded", "draining"} or not writer.has_delivery(external_id):
        return Advance(verdict)
    if writer.wake_step(claim.workflow_id, claim.key, external_id):
        # The delivery was there first: the step is published again, by whoever dispatches.
        return Advance("released", (claim.key,))
    return Advance(verdict)
