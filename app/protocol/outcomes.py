"""Records how an attempt of a step ended. Each outcome is one SQL function and one transaction.

Only the attempt whose fence (the id of its claim) is current may record. For any other the verdict
is `fenced`, and nothing is recorded. app/db/sql/outcomes and app/db/sql/waits list all verdicts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg2

from app import db, settings
from app.errors import Suspend, Unavailable
from app.payload import dumps, dumps_or_none
from app.platform import Json
from app.protocol.claims import Advance, Claim, claim_of, republish_seconds
from app.protocol.intents import Answer, record_answer


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is recorded of an attempt beside its outcome.

    `input` is the step's input if it is not recorded yet. `cost` is in micro-USD. `calls` are the
    HTTP calls, as `log_calls_v1` takes them. `answer` is the answer to the attempt's last call, if
    it is not recorded yet. Only `finish_step` and `advance_step` record it. `reused` is the result
    that the step has taken from another, as `finish_step_v1` takes it; only `finish_step` records
    it.
    """

    input: Json | None
    cost: int
    calls: list[Json]
    answer: Answer | None = None
    reused: Json | None = None

    def parameters(self) -> tuple[Any, ...]:
        """Return (input, cost, calls) as the SQL functions take them."""
        return dumps_or_none(self.input), self.cost, dumps(self.calls) if self.calls else None

    def answered(self) -> tuple[Any, ...]:
        """Return the answer as `finish_step_v1` and `advance_step_v1` take it."""
        return (None, None, None, None) if self.answer is None else self.answer.parameters()


@dataclass(frozen=True, slots=True)
class Finish:
    """How a step ended. `status` is succeeded, skipped, or failed if the failure is tolerated.

    `turn` says what the end changes beside the step's row (see `finish_step_v1`). `orphan` is the
    effect that the step leaves at the vendor.
    """

    output: Any = None
    status: str = "succeeded"
    error: Json | None = None
    turn: Json | None = None
    workflow_output: Json | None = None
    is_pivot: bool = False
    orphan: Json | None = None

    def tell(self, claim: Claim) -> None:
        """Let the message of a step know this end, which is recorded."""
        if self.status == "succeeded" and self.error is None:
            claim.known.note(claim.key, self.output)


_FINISHES = db.Together(
    "finish_step_v1",
    "finish_steps_v1",
    "uuid, text, uuid, jsonb, jsonb, bigint, jsonb, text, jsonb, text, jsonb, jsonb, boolean,"
    " float8, jsonb, integer, jsonb, text, text, jsonb",
    seconds=db.OUTCOME_PATIENCE_SECONDS,
)
_ADVANCES = db.Together(
    "advance_step_v1",
    "advance_steps_v1",
    "uuid, text, uuid, jsonb, jsonb, bigint, jsonb, float8, text, float8, float8, integer, jsonb,"
    " text, text",
    seconds=db.OUTCOME_PATIENCE_SECONDS,
)


def finish_step(claim: Claim, attempt: Attempt, finish: Finish) -> Advance:
    """Record the end of a step, with the attempt's answer, and release what follows."""
    given, cost, calls = attempt.parameters()
    # Budgets are shared by workflows, and a transaction must not lock those of several.
    is_plain = not claim.is_budgeted and not claim.undo and finish.turn is None
    call = _FINISHES.call if is_plain else _FINISHES.alone
    (row,) = _with_answer(
        call,
        claim,
        attempt,
        (
            claim.workflow_id,
            claim.key,
            claim.fence,
            given,
            dumps_or_none(finish.output),
            cost,
            calls,
            finish.status,
            dumps_or_none(finish.error),
            _code(finish.error),
            dumps_or_none(finish.turn),
            dumps_or_none(finish.workflow_output),
            finish.is_pivot,
            republish_seconds(),
            dumps_or_none(finish.orphan),
            *attempt.answered(),
            dumps_or_none(attempt.reused),
        ),
    )
    return Advance(
        row["verdict"], tuple(row["released"] or ()), row["joined"], has_flow=row["has_flow"]
    )


def advance_step(
    claim: Claim, attempt: Attempt, output: Any, next_key: str, attempt_seconds: float
) -> Advance:
    """Record the success of the step, with the attempt's answer, and claim the step `next_key` in
    the same statement.

    `attempt_seconds` limits the attempt of the next step.
    """
    given, cost, calls = attempt.parameters()
    call = _ADVANCES.alone if claim.is_budgeted else _ADVANCES.call
    (row,) = _with_answer(
        call,
        claim,
        attempt,
        (
            claim.workflow_id,
            claim.key,
            claim.fence,
            given,
            dumps_or_none(output),
            cost,
            calls,
            republish_seconds(),
            next_key,
            settings.current().lease_seconds,
            attempt_seconds,
            *attempt.answered(),
        ),
    )
    is_taken = row["verdict"] == "advanced"
    taken = claim_of(claim.workflow_id, next_key, row, claim.known) if is_taken else None
    return Advance(row["verdict"], tuple(row["released"] or ()), row["joined"], taken)


def _with_answer(
    call: Callable[[tuple[Any, ...]], db.Rows],
    claim: Claim,
    attempt: Attempt,
    parameters: tuple[Any, ...],
) -> db.Rows:
    """Record an outcome. If PostgreSQL refuses it, record at least the attempt's answer.

    Without its answer, an effect that was made and paid for would count as unknown, or be made once
    more.
    """
    try:
        return call(parameters)
    except (psycopg2.Error, Unavailable) as err:
        is_away = isinstance(err, Unavailable) and db.ailment(err.__cause__ or err).passes
        if attempt.answer is not None and not is_away:
            record_answer(claim, attempt.answer)
        raise


def _code(error: Json | None) -> str | None:
    """The code of an error. It is passed separately, because SQL does not read inside errors."""
    return None if error is None else error.get("code")


def _outcome(sql: str, claim: Claim, attempt: Attempt, *rest: Any) -> str:
    row = db.call(
        sql,
        (claim.workflow_id, claim.key, claim.fence, *attempt.parameters(), *rest),
        seconds=db.OUTCOME_PATIENCE_SECONDS,
    )
    assert row is not None
    return str(row["verdict"])


def retry_step(
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
) -> str:
    """Record that the attempt had no effect, and that the step is due again after `seconds`.

    `timeout` is the step's time-out, in seconds from its first claim. If the next attempt would
    come after it, the verdict is `timed_out` and nothing is recorded. If `is_try` is false, the
    attempt does not count for the retry policy, and PostgreSQL makes the pauses grow, unless the
    step waits for its turn at a limit (`is_turn`). `attention` is why the workflow is marked for
    attention when such a failure is the first; None if it is not.
    """
    sql = "SELECT retry_step_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) AS verdict"
    rest = (dumps(error), _code(error), seconds, new_generation, timeout, is_try, attention)
    return _outcome(sql, claim, attempt, *rest, is_turn)


def suspend_step(
    claim: Claim, attempt: Attempt, external_id: str, seconds: float, timeout: float
) -> str:
    """Record that the step waits because the vendor works on `external_id`.

    The first poll comes after `seconds`; the wait times out after `timeout` seconds.
    """
    sql = "SELECT suspend_step_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s) AS verdict"
    return _outcome(sql, claim, attempt, external_id, seconds, timeout)


def wait_step(claim: Claim, attempt: Attempt, wait: Suspend) -> str:
    """Record that the step waits until the time `wait.until`, or until its signal or its event
    comes earlier."""
    if wait.event is not None:
        return _wait_for_event(claim, attempt, wait)
    sql = "SELECT wait_step_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) AS verdict"
    asked = None if wait.asked is None else list(wait.asked)
    rest = (wait.external_id, wait.until, wait.signal, asked, wait.early, republish_seconds())
    return _outcome(sql, claim, attempt, *rest, list(wait.remind) or None)


def _wait_for_event(claim: Claim, attempt: Attempt, wait: Suspend) -> str:
    event = wait.event or {}
    wanted = (event["type"], event["filter"], dumps(event["given"]), event["key"])
    sql = "SELECT wait_for_event_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) AS verdict"
    rest = (wait.external_id, wait.until, *wanted, event["within_seconds"])
    verdict = _outcome(sql, claim, attempt, *rest)
    if verdict == "recorded" and wait.after is not None:
        wait.after()
    return verdict


def doubt_step(
    claim: Claim,
    attempt: Attempt,
    error: Json,
    seconds: float,
    attention: str | None,
    *,
    was_sent: bool = True,
) -> str:
    """Record that a call may have taken effect. The call is looked up after `seconds`.

    `attention` is the reason if the workflow needs a person. `was_sent` is false if this attempt
    was a lookup that gave no answer.
    """
    sql = "SELECT doubt_step_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) AS verdict"
    rest = (dumps(error), _code(error), seconds, attention, was_sent)
    return _outcome(sql, claim, attempt, *rest)


def fail_step(
    claim: Claim,
    attempt: Attempt,
    error: Json,
    *,
    is_holding: bool = False,
    pivot: str | None = None,
) -> str:
    """Record that the step has failed and is not retried.

    The workflow stops and is undone. But if `is_holding`, or if the step `pivot` has succeeded, the
    workflow waits for a person.
    """
    sql = "SELECT fail_step_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) AS verdict"
    of_workflow = dumps({**error, "step": claim.key})
    rest = (dumps(error), _code(error), is_holding, pivot, of_workflow)
    return _outcome(sql, claim, attempt, *rest)


def cancel_step(claim: Claim, attempt: Attempt) -> str:
    """Record, while the workflow is stopping, that only the step's compensation still runs."""
    return _outcome("SELECT cancel_step_v1(%s, %s, %s, %s, %s, %s) AS verdict", claim, attempt)


def leave_step(claim: Claim, attempt: Attempt, error: Json) -> str:
    """Leave the step to another worker, because this one lacks the release or setting it needs.

    The step gets back its status from before the claim. `error` says why it waits.
    """
    row = db.call(
        "SELECT leave_step_v1(%s, %s, %s, %s, %s, %s, %s) AS verdict",
        (
            claim.workflow_id,
            claim.key,
            claim.fence,
            claim.prior,
            dumps(attempt.calls) if attempt.calls else None,
            dumps(error),
            _code(error),
        ),
        seconds=db.OUTCOME_PATIENCE_SECONDS,
    )
    assert row is not None
    return str(row["verdict"])


def has_delivery(platform: str, external_id: str) -> bool:
    """Whether a delivery of the platform for `external_id` is stored that has woken no step yet."""
    sql = (
        "SELECT 1 FROM webhook_deliveries"
        " WHERE external_id = %s AND platform = %s AND consumed_at IS NULL LIMIT 1"
    )
    return db.call(sql, (external_id, platform)) is not None


def wake_step(workflow_id: UUID, key: str, platform: str, external_id: str) -> bool:
    """Make the waiting step pending if a delivery of its platform for `external_id` is stored.

    Returns whether the caller must publish the step.
    """
    row = db.call(
        "SELECT wake_step_v1(%s, %s, %s, %s, %s) AS woken",
        (workflow_id, key, platform, external_id, republish_seconds()),
    )
    assert row is not None
    return bool(row["woken"])
