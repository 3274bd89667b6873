"""Intents: records of calls that have an effect at a vendor.

Each is committed with the exact request before the request is sent.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app import db
from app.payload import dumps, dumps_or_none
from app.platform import Intent, Json, Made
from app.protocol.claims import Claim

NOTHING_MADE = Made()


@dataclass(frozen=True, slots=True)
class RecordedIntent:
    """A recorded intent. `is_new`: this call recorded it, so its request is still to be sent.

    `key_age_seconds` is how long the vendor may have known the idempotency key. A request that is
    sent again after a refusal has the same key, so that its age goes on.
    """

    intent: Intent
    is_new: bool
    key_age_seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The platform's answer to an accepted call of the claim's generation, not recorded yet.

    `response` is its JSON text.
    """

    ordinal: int
    response: str
    made: Made

    def parameters(self) -> tuple[int, str, str | None, str | None]:
        """Return (ordinal, response, effect id, effect address) as the SQL functions take them."""
        return self.ordinal, self.response, self.made.effect_id, self.made.address


_RECORDS = db.Together(
    "record_intent_v1",
    "record_intents_v1",
    "uuid, text, uuid, integer, integer, text, json, text, jsonb",
    seconds=db.PATIENCE_SECONDS,
)
_RESOLUTIONS = db.Together(
    "resolve_intent_v1",
    "resolve_intents_v1",
    "uuid, text, uuid, integer, integer, text, jsonb, text, text, uuid",
    seconds=db.OUTCOME_PATIENCE_SECONDS,
)


def idempotency_key(workflow_id: UUID, step_key: str, ordinal: int, generation: int) -> str:
    """The idempotency key of one call of a step. All tries of a generation share it."""
    text = f"{workflow_id}/{step_key}/{ordinal}/{generation}"
    return hashlib.sha256(text.encode()).hexdigest()


def record_intent(
    claim: Claim, ordinal: int, operation: str, request: Json, key: str, given: Json | None = None
) -> RecordedIntent | None:
    """Commit the exact request and the step's input, and return the record.

    If an earlier attempt recorded this call, returns that record. Returns None if the claim is
    lost.
    """
    rows = _RECORDS.call(
        (
            claim.workflow_id,
            claim.key,
            claim.fence,
            claim.generation,
            ordinal,
            operation,
            dumps(request),
            key,
            dumps_or_none(given),
        )
    )
    if not rows:
        return None
    (row,) = rows
    intent = _intent(ordinal, claim.generation, row)
    return RecordedIntent(intent, row["is_new"], row["age"])


def resolve_intent(
    claim: Claim,
    ordinal: int,
    resolution: str,
    response: Json | None,
    *,
    generation: int | None = None,
    made: Made = NOTHING_MADE,
    answer_id: UUID | None = None,
) -> bool:
    """Record the outcome of an intent, and the ids that its response contains (`made`).

    `generation` is that of the intent; the default is the claim's. `answer_id` is the artifact that
    holds the response, if it is not given here. Returns False if the claim is lost. Raises
    Permanent if the response is too large.
    """
    of = claim.generation if generation is None else generation
    return _resolve(claim, of, ordinal, resolution, dumps_or_none(response), made, answer_id)


def record_answer(claim: Claim, answer: Answer) -> bool:
    """Record an answer alone, before the step's outcome. Returns False if the claim is lost."""
    given = (answer.ordinal, "accepted", answer.response, answer.made, None)
    return _resolve(claim, claim.generation, *given)


def _resolve(
    claim: Claim,
    generation: int,
    ordinal: int,
    resolution: str,
    response: str | None,
    made: Made,
    answer_id: UUID | None,
) -> bool:
    of = (claim.workflow_id, claim.key, claim.fence, generation, ordinal, resolution, response)
    (row,) = _RESOLUTIONS.call((*of, made.effect_id, made.address, answer_id))
    return bool(row["resolved"])


def age_seconds(intent: Intent) -> float:
    """The seconds since the call may have taken effect, by the database's clock."""
    row = db.call(
        "SELECT extract(epoch FROM clock_timestamp() - %s)::double precision AS age",
        (intent.first_sent_at,),
    )
    assert row is not None
    return float(row["age"])


def key_age_seconds(workflow_id: UUID, step_key: str, intent: Intent) -> float:
    """How long the vendor may have known the intent's idempotency key, in seconds."""
    row = db.call(
        "SELECT extract(epoch FROM clock_timestamp() - key_sent_at)::double precision AS age"
        "  FROM intents WHERE workflow_id = %s AND step_key = %s AND generation = %s"
        "   AND ordinal = %s",
        (workflow_id, step_key, intent.generation, intent.ordinal),
    )
    assert row is not None
    return float(row["age"])


def intents(workflow_id: UUID, key: str) -> tuple[Intent, ...]:
    """All intents of a step, oldest first."""
    found = db.patiently(
        lambda: db.rows(
            "SELECT ordinal, generation, operation, request, key, first_sent_at, resolution,"
            " response, answer_id FROM intents WHERE workflow_id = %s AND step_key = %s"
            " ORDER BY generation, ordinal",
            (workflow_id, key),
        ),
    )
    return tuple(_intent(row["ordinal"], row["generation"], row) for row in found)


def recorded_effects(effect_ids: Sequence[str]) -> set[str]:
    """Those of the effects that a recorded call of any step has made.

    It reads all calls, as no index has their effects: for the lookup of a lost call that has found
    something.
    """
    found = "SELECT DISTINCT effect_id FROM intents WHERE effect_id = ANY (%s)"
    rows = db.patiently(lambda: db.rows(found, ([*effect_ids],)))
    return {row["effect_id"] for row in rows}


def open_elsewhere(
    operation: str, workflow_id: UUID, step_key: str, since: datetime, until: datetime
) -> list[Intent]:
    """The open calls of an operation that other steps have sent between these times.

    It reads all calls, as `recorded_effects`.
    """
    given = (operation, since, until, workflow_id, step_key)
    return [
        _intent(row["ordinal"], row["generation"], row)
        for row in db.patiently(lambda: db.rows(_OPEN_ELSEWHERE, given))
    ]


_OPEN_ELSEWHERE = """
SELECT ordinal, generation, operation, request, key, first_sent_at, resolution, response, answer_id
  FROM intents
 WHERE operation = %s AND resolution IS NULL AND first_sent_at BETWEEN %s AND %s
   AND (workflow_id, step_key) <> (%s, %s)
"""


def _intent(ordinal: int, generation: int, row: dict[str, Any]) -> Intent:
    first_sent_at: datetime = row["first_sent_at"]
    return Intent(
        ordinal,
        generation,
        row["operation"],
        row["request"],
        row["key"],
        first_sent_at,
        row["resolution"],
        row["response"],
        row["answer_id"],
    )
