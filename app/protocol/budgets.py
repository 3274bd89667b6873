"""Budgets: what workflows may cost at the platforms, and what their steps have reserved of it.

Allowances: what the steps of all workflows may use of a platform at once and in each hour.
"""

from collections.abc import Sequence

import structlog

from app import db
from app.errors import Unavailable
from app.keys import step_of, undone_by
from app.payload import dumps
from app.platform import Allowance, Json
from app.protocol.claims import Claim

log = structlog.get_logger()

RESERVED, TAKEN = "reserved", "taken"
"""The verdicts that let the step run. All verdicts are listed in `reserve_v1` and
`take_allowance_v1`."""
WAITS_FOR_ALLOWANCE = "waits_for_allowance"
"""The code of the error of a step that waits for a place or for money of an hour at its platform.
"""
_WOKEN = 2
"""So many waiting steps are made due when work ends: it may have cost less than was reserved."""


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


def take(claim: Claim, platform: str, wanted: Allowance, errors: Sequence[Json]) -> str:
    """Take the step's part of what is allowed at the platform.

    If too little is left, the step is pending again, with that of the errors which says of what.
    Returns the verdict. Raises Unavailable if PostgreSQL does not come back in time.
    """
    row = db.call(
        "SELECT take_allowance_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb[], %s)"
        " AS verdict",
        (
            *(claim.workflow_id, claim.key, claim.fence, platform),
            *(wanted.micro_usd, wanted.has_place, wanted.seconds),
            *(wanted.most, wanted.most_own, wanted.hourly, wanted.hourly_own),
            [dumps(each) for each in errors],
            WAITS_FOR_ALLOWANCE,
        ),
        seconds=db.OUTCOME_PATIENCE_SECONDS,
    )
    assert row is not None
    return str(row["verdict"])


def has_taken(claim: Claim) -> bool:
    """Whether an earlier attempt of the step has taken its part of what is allowed.

    Raises Unavailable if PostgreSQL does not come back in time.
    """
    row = db.call(
        "SELECT 1 AS taken FROM allowance_holds WHERE workflow_id = %s AND step_key = %s",
        (claim.workflow_id, claim.key),
        seconds=db.OUTCOME_PATIENCE_SECONDS,
    )
    return row is not None


def book_effect(
    claim: Claim,
    effect: str,
    micro_usd: int,
    model: str | None,
    *,
    limited_at: str | None = None,
    lost: str | None = None,
    instead: str | None = None,
) -> str:
    """Book at once what an effect has cost, unless its cost was booked before. Returns the verdict.

    `model` is what was paid for, if the platform has models. `limited_at` is the platform, if its
    settings may limit what steps use of it, and the step's work there is over: the step then gives
    back what it has taken, but for what it has booked since. `lost` is the key of a call whose
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
    verdict = str(row["verdict"])
    # An orphan is the work of an earlier generation, and what the step has taken is of the last.
    is_own = undone_by(claim.key) == step_of(claim.key)
    if limited_at is not None and is_own and verdict != "fenced":
        _give_back(claim, limited_at)
    return verdict


def _give_back(claim: Claim, platform: str) -> None:
    """Give back what the step has taken, and let those ask again that have waited longest.

    If that fails, the next step that finds too little looks which work is over.
    """
    try:
        row = db.row(
            "SELECT settle_allowance_v1(%s, %s, %s) AS is_settled",
            (claim.workflow_id, step_of(claim.key), claim.key),
        )
        if row is not None and row["is_settled"]:
            db.row("SELECT wake_for_allowance_v1(%s, %s)", (platform, _WOKEN))
    except (Unavailable, *db.UNABLE) as err:
        log.warning("allowance.not_given_back", platform=platform, error=str(err).strip()[:200])
