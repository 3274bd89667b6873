"""The queues of the broker: what is lined up for each of them, and when it will be published.

Each number is read from an index, and at most MOST_LINED_UP entries of a queue are counted.
"""

import math
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import RowMapping, text

from app.broker import presence
from app.db import begin_read
from app.platform import Json

MOST_LINED_UP = 100_000
"""The most entries of a queue that one query counts."""
_FIRST = 1000
"""So many lanes are read to find what is published before a step, and so many of the workflows that
are first in their lanes to find the oldest. Further lanes are taken to be like these."""
_LEAST_RATE = 0.05
MOST_AHEAD = 1000
"""A place in a lane is known only if it is not behind this one."""

# PostgreSQL takes every queue for a long one. It would read the whole table for each queue, or sort
# it, or compile the query, although an index has the few rows.
_BY_INDEX = text(
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL jit = off"
)

_COUNTS = text("""
SELECT name, (SELECT count(*) FROM (
         SELECT FROM lane_entries WHERE queue = name LIMIT :most) AS read) AS number
  FROM unnest(:queues) AS name
""")

_STATES = text("""
SELECT q.name AS queue, coalesce(r.is_backed_up, false) AS is_backed_up,
       CASE WHEN r.is_backed_up THEN r.rate END AS rate,
       counted.waiting, lane.users, oldest.since, other.before
  FROM unnest(:queues) WITH ORDINALITY AS q (name, place)
  LEFT JOIN queues AS r ON r.name = q.name
 CROSS JOIN LATERAL (
       SELECT count(*) AS waiting FROM (
         SELECT FROM lane_entries AS e
          WHERE e.queue = q.name AND (:is_operator OR e.user_id = :user) LIMIT :most) AS read
       ) AS counted
 CROSS JOIN LATERAL (
       SELECT count(*) AS users FROM lanes AS l WHERE l.queue = q.name AND l.is_waiting) AS lane
 -- A priority shifts the order by minutes, so the oldest start may be behind the first of its lane.
 CROSS JOIN LATERAL (
       SELECT min(w.started_at) AS since FROM (
         SELECT e.workflow_id FROM lanes AS l CROSS JOIN LATERAL (
                SELECT e.workflow_id FROM lane_entries AS e
                 WHERE e.queue = l.queue AND e.user_id = l.user_id
                 ORDER BY e.order_at, e.workflow_id, e.key
                 LIMIT CASE WHEN :is_operator THEN greatest(:first / greatest(lane.users, 1), 1)
                            ELSE :first END) AS e
          WHERE l.queue = q.name AND l.is_waiting AND (:is_operator OR l.user_id = :user)
          ORDER BY l.turn, l.user_id LIMIT :first) AS first
         JOIN workflows AS w ON w.id = first.workflow_id
       ) AS oldest
 -- The turn at which the user's next step would be published, and what other lanes publish before.
 CROSS JOIN LATERAL (
       SELECT counted.waiting + greatest(r.turn, (
                SELECT l.turn FROM lanes AS l WHERE l.queue = q.name AND l.user_id = :user)) AS turn
       ) AS own
 CROSS JOIN LATERAL (
       SELECT count(*) * greatest(lane.users::float8 / :first, 1) AS before FROM (
         SELECT l.user_id, l.turn FROM lanes AS l
          WHERE NOT :is_operator AND l.queue = q.name AND l.is_waiting AND l.user_id <> :user
            AND l.turn <= own.turn
          ORDER BY l.turn LIMIT :first) AS l
        CROSS JOIN LATERAL (
         SELECT FROM lane_entries AS e WHERE e.queue = q.name AND e.user_id = l.user_id
          LIMIT floor(own.turn - l.turn)::bigint + 1) AS e
       ) AS other
 ORDER BY q.place
""")


def lined_up(queues: Sequence[str]) -> dict[str, int]:
    """How many steps of all users are lined up for each queue, counted up to MOST_LINED_UP."""
    with begin_read() as connection:
        connection.execute(_BY_INDEX)
        found = connection.execute(_COUNTS, {"queues": list(queues), "most": MOST_LINED_UP})
        return {row.name: row.number for row in found}


def queue_states(queues: Sequence[str], user_id: UUID, *, is_operator: bool = False) -> list[Json]:
    """What the user has lined up for each queue, and when a further step would be published.

    For an operator: what all users have lined up, and when all of it will be published. No estimate
    is known if no worker takes the queue, or if the workers take hardly anything.
    """
    given = {
        "queues": list(queues),
        "user": user_id,
        "is_operator": is_operator,
        "most": MOST_LINED_UP,
        "first": _FIRST,
    }
    with begin_read() as connection:
        connection.execute(_BY_INDEX)
        rows = connection.execute(_STATES, given).mappings().all()
    workers = presence.takers(queues)
    return [_state(row, workers.get(row["queue"]), is_operator) for row in rows]


def _state(row: RowMapping, workers: int | None, is_operator: bool) -> Json:
    return {
        "queue": row["queue"],
        "is_backed_up": row["is_backed_up"],
        "waiting": row["waiting"],
        "users": row["users"] if is_operator else None,
        "oldest_waiting_since": row["since"],
        "rate": None if row["rate"] is None else round(row["rate"], 1),
        "estimate_seconds": _estimate(row, workers),
        "workers": workers,
    }


def _estimate(row: RowMapping, workers: int | None) -> int | None:
    if not row["is_backed_up"]:
        return 0
    if workers == 0 or row["rate"] < _LEAST_RATE:
        return None
    seconds: float = (row["waiting"] + row["before"]) / row["rate"]
    return math.ceil(seconds)
