"""Budgets: what workflows may cost at the platforms, and what their steps have reserved of it."""

from app import db
from app.payload import dumps
from app.platform import Json
from app.protocol.claims import Claim

RESERVED = "reserved"
"""The verdict that lets the step run. All verdicts are listed in `reserve_v1`."""


def reserve(claim: Claim, ceiling: int, *, waits: Json, over: Json) -> str:
    """Reserve `ceiling` micro-USD for the step in every budget that its workflow spends.

    If too little is left, the step is pending again, with the error `waits` or `over`. Returns the
    verdict. Raises Unavailable if PostgreSQL does not come back in time.
    """
    row = db.call(
        "SELECT reserve_v1(%s, %s, %s, %s, %s, %s, %s, %s) AS verdict",
        (
            claim.workflow_id,
            claim.key,
            claim.fence,
            ceiling,
            dumps(waits),
            waits["code"],
            dumps(over),
            over["code"],
        ),
        seconds=db.OUTCOME_PATIENCE_SECONDS,
    )
    assert row is not None
    return str(row["verdict"])


def book_effect(
    claim: Claim,
    effect: str,
    micro_usd: int,
    model: str | None,
    *,
    lost: str | None = None,
    instead: str | None = None,
) -> str:
    """Book at once what an effect has cost, unless its cost was booked before. Returns the verdict.

    `model` is what was paid for, if the platform has models. `lost` is the key of a call whose
    answer was lost, if this is what that may have cost; `instead` is the key of such a call that
    has made the effect, whose cost then takes the place of that one.

    Raises Unavailable if PostgreSQL does not come back in time.
    """
    row = db.call(
        "SELECT book_effect_v1(%s, %s, %s, %s, %s, %s, %s, %s) AS verdict",
        (claim.workflow_id, claim.key, claim.fence, effect, micro_usd, model, lost, instead),
        seconds=db.OUTCOME_PATIENCE_SECONDS,
    )
    assert row is not None
    return str(row["verdict"])
