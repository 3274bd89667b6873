"""Commits the starts that one user sends at the same moment in one transaction.

Only starts of the same version with the same first steps travel together. Their locks are taken in
one order: first those of all idempotency keys, then those of the lanes of these first steps.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from app import db
from app.batching import Batches
from app.platform import Json
from chains.admission import notice
from chains.dispatch import dispatch_starts

STARTED = "started"
"""The verdict after which the first steps must be published."""


class Common(NamedTuple):
    """The arguments of `submit_workflow_v1` that starts must share to travel together."""

    key: str | None
    choice: str
    user_id: UUID
    type: str
    version: int
    steps: str
    republish: float
    budget: int | None
    asks: bool


class Own(NamedTuple):
    """The other arguments of `submit_workflow_v1`."""

    id: UUID
    input: str
    idempotency_key: str | None
    request_hash: bytes | None
    timeout: float
    priority: int
    artifacts: list[UUID] | None


_TYPES = (
    "text, text, uuid, uuid, text, integer, jsonb, text, bytea, float8, jsonb, float8, integer,"
    " bigint, uuid[], boolean"
)
_TYPES_OF_MANY = (
    "text, text, uuid, text, integer, jsonb, float8, bigint, boolean,"
    " uuid[], text[], text[], bytea[], float8[], integer[], text[]"
)
_MANY = (
    "SELECT made.* FROM lock_idempotency_keys_v1($3, $12) AS locked (keys)"
    " CROSS JOIN LATERAL unnest($10, $11, locked.keys, $13, $14, $15, $16) WITH ORDINALITY"
    " AS sent (id, input, idempotency_key, request_hash, timeout, priority, artifacts, number)"
    " CROSS JOIN LATERAL submit_workflow_v1($1, $2, sent.id, $3, $4, $5, sent.input::jsonb,"
    " sent.idempotency_key, sent.request_hash, sent.timeout, $6, $7, sent.priority, $8,"
    " sent.artifacts::uuid[], $9) AS made ORDER BY sent.number"
)


def submit(common: Common, own: Own) -> Json:
    """Run `submit_workflow_v1`, if possible for several starts at once; return the start's row.

    If the row has `is_published`, the first steps were published too, unless Redis was away.

    Raises psycopg2's errors of this start, and Unavailable.
    """
    return _batches.do(common, (common, own), len(own.input))


def _one(item: tuple[Common, Own]) -> Json:
    common, own = item
    parameters = (
        *(
            common.key,
            common.choice,
            own.id,
            common.user_id,
            common.type,
            common.version,
            own.input,
        ),
        *(own.idempotency_key, own.request_hash, own.timeout, common.steps, common.republish),
        *(own.priority, common.budget, own.artifacts, common.asks),
    )
    (row,) = db.hot("submit_workflow_v1", _TYPES, parameters)
    return row


def _many(items: Sequence[tuple[Common, Own]]) -> list[Json]:
    """Also publish those that were started, in one round trip; their rows have `is_published`."""
    columns: list[Any] = [list(column) for column in zip(*(own for _, own in items), strict=True)]
    columns[-1] = [None if ids is None else _literal(ids) for ids in columns[-1]]
    # PostgreSQL takes the texts of arrays for arrays of the types that it expects.
    for place in (0, 4, 5):
        columns[place] = _literal(columns[place])
    common = items[0][0]
    rows = db.hot("submit_many", _TYPES_OF_MANY, (*common, *columns), query=_MANY)
    started = [own for (_, own), row in zip(items, rows, strict=True) if row["verdict"] == STARTED]
    dispatch_starts(
        [(own.id, common.type, common.version, own.priority) for own in started], notice
    )
    return [row | {"is_published": row["verdict"] == STARTED} for row in rows]


def _literal(values: Sequence[Any]) -> str:
    """An array in PostgreSQL's form, of ids or numbers."""
    return f"{{{','.join(map(str, values))}}}"


_batches = Batches(_one, _many)
