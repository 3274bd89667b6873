"""Intents: effects about to be made, committed with their exact request before they leave."""

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
    """An intent, whether this call made the record, and its age in seconds."""

    intent: Intent
    is_new: bool
    age_seconds: float


def record_intent(
    claim: Claim, ordinal: int, operation: str, request: Json, key: str, given: Json | None = None
) -> RecordedIntent | None:
    """Commit the exact request and the step's input; the earlier record where there is one; None
    when fenced."""
    row = db.call(
        "SELECT * FROM record_intent_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s)",
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
        ),
    )
    if row is None:
        return None
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
) -> bool:
    """Record what became of an intent (of the claim's generation, unless named), and what its
    response names; False: fenced."""
    row = db.call(
        "SELECT resolve_intent_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s) AS resolved",
        (
            claim.workflow_id,
            claim.key,
            claim.fence,
            claim.generation if generation is None else generation,
            ordinal,
            resolution,
            dumps_or_none(response),
            made.effect_id,
            made.address,
        ),
        seconds=db.OUTCOME_PATIENCE_SECONDS,
    )
    assert row is not None
    return bool(row["resolved"])


def age_seconds(intent: Intent) -> float:
    """How long ago the intent was committed, by the database's clock."""
    row = db.call(
        "SELECT extract(epoch FROM clock_timestamp() - %s)::double precision AS age",
        (intent.first_sent_at,),
    )
    assert row is not None
    return float(row["age"])


def intents(workflow_id: UUID, key: str) -> tuple[Intent, ...]:
    """All intents of a step, oldest first."""
    found = db.patiently(
        lambda: db.rows(
            "SELECT ordinal, generation, operation, request, key, first_sent_at, resolution,"
            " response FROM intents WHERE workflow_id = %s AND step_key = %s"
            " ORDER BY generation, ordinal",
            (workflow_id, key),
        ),
    )
    return tuple(_intent(row["ordinal"], row["generation"], row) for row in found)


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
    )
