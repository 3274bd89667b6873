"""The lanes in which workflows wait for their start."""

from typing import Any

from sqlalchemy import text

from app.db import begin_read
from app.platform import Json
from app.queries.flow.places import blocked_by, estimate

MOST_COUNTED = 100_000
"""So many starts of all lanes together are counted at most."""

_LANES = text("""
SELECT l.id, l.definition, l.share_key, l.weight, l.rate, l.is_open, f.scope, f.name, f.key,
       f.opens_at, extract(epoch FROM clock_timestamp() - l.changed_at) AS quiet, c.waiting,
       first.since
  FROM (SELECT * FROM flow_lanes
         WHERE is_open AND (CAST(:definition AS text) IS NULL OR definition = :definition)
           AND id > :after
         ORDER BY id LIMIT :most) AS l
  LEFT JOIN flow_limits AS f ON f.id = l.blocked_on
 CROSS JOIN LATERAL (
       SELECT count(*) AS waiting FROM (
         SELECT FROM flow_entries AS e WHERE e.lane_id = l.id LIMIT :counted) AS read) AS c
 -- A priority shifts the order by minutes, so the oldest start may be behind the first.
 CROSS JOIN LATERAL (
       SELECT min(w.created_at) AS since FROM (
         SELECT workflow_id FROM flow_entries AS e WHERE e.lane_id = l.id
          ORDER BY order_at, workflow_id LIMIT 20) AS e JOIN workflows AS w ON w.id = e.workflow_id
       ) AS first
 ORDER BY l.id
""")


def flow_lanes(*, definition: str | None = None, after: int = 0, most: int = 100) -> list[Json]:
    """The lanes in which starts wait (of one definition, if it is given), after the id `after`.

    Each has `id`, `definition`, `share_key`, `weight`, `waiting` (counted up to a bound),
    `oldest_waiting_since`, `rate` (starts per second lately), `estimate_seconds` (until all of them
    are admitted), `blocked_by` ({scope, name, key}) and `throttled_until`.
    """
    given = {
        "definition": definition,
        "after": after,
        "most": most,
        "counted": max(1000, MOST_COUNTED // max(most, 1)),
    }
    with begin_read() as connection:
        rows = connection.execute(_LANES, given).mappings().all()
    return [_lane(row) for row in rows if row["waiting"]]


def _lane(row: Any) -> Json:
    return {
        "id": row["id"],
        "definition": row["definition"],
        "share_key": row["share_key"],
        "weight": row["weight"],
        "waiting": row["waiting"],
        "oldest_waiting_since": row["since"],
        "rate": round(row["rate"], 3),
        "estimate_seconds": estimate(row["waiting"], row["rate"], row["quiet"]),
        "blocked_by": blocked_by(row["scope"], row["name"], row["key"]),
        "throttled_until": row["opens_at"],
    }
