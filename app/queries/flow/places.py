"""The place of a workflow that waits for its start."""

import math
from uuid import UUID

from sqlalchemy import text

from app.db import begin_read
from app.platform import Json

MOST_AHEAD = 1000
"""So many starts before one are counted. If there are more, the place is only a lower bound."""
_LEAST_RATE = 0.001

_PLACE = text("""
SELECT w.status, w.paused_at IS NOT NULL AS is_paused, e.order_at, l.rate, l.share_key,
       extract(epoch FROM clock_timestamp() - l.changed_at) AS quiet,
       f.scope, f.name, f.key, f.opens_at,
       (SELECT count(*) FROM (
          SELECT FROM flow_entries AS o WHERE o.lane_id = e.lane_id
             AND (o.order_at, o.workflow_id) < (e.order_at, e.workflow_id)
           LIMIT :most) AS ahead) AS ahead
  FROM workflows AS w
  LEFT JOIN flow_entries AS e ON e.lane_id = w.lane_id AND e.workflow_id = w.id
        AND e.order_at = order_in_flow(w.created_at, w.starts_at, w.priority, w.flow)
  LEFT JOIN flow_lanes AS l ON l.id = e.lane_id
  LEFT JOIN flow_limits AS f ON f.id = l.blocked_on
 WHERE w.id = :id AND w.user_id = :user AND w.flow IS NOT NULL AND w.status = 'pending'
""")


def start_place(workflow_id: UUID, user_id: UUID) -> Json | None:
    """Where a pending workflow of the user stands in its lane; None if nothing controls its start.

    `position` counts from 1. It is None if the workflow waits in no lane now: it is paused, is not
    due yet, or was just admitted. If MOST_AHEAD starts or more are before it, `is_exact` is false.
    `estimate_seconds` is made from the rate of the lane in the last minutes, and None if that is
    not known. `blocked_by` is the limit or the throttle ({scope, name, key}) that holds the lane;
    `throttled_until` is when a throttle opens.
    """
    with begin_read() as connection:
        given = {"id": workflow_id, "user": user_id, "most": MOST_AHEAD}
        row = connection.execute(_PLACE, given).mappings().one_or_none()
    if row is None:
        return None
    is_waiting = row["order_at"] is not None
    position = row["ahead"] + 1 if is_waiting else None
    return {
        "position": position,
        "is_exact": is_waiting and row["ahead"] < MOST_AHEAD,
        "share_key": row["share_key"],
        "estimate_seconds": estimate(position, row["rate"], row["quiet"]),
        "blocked_by": blocked_by(row["scope"], row["name"], row["key"]),
        "throttled_until": row["opens_at"],
    }


def estimate(count: int | None, rate: float | None, quiet: float | None) -> int | None:
    """In how many seconds so many starts of a lane are admitted; None if that is not known.

    `rate` is the lane's moving average when it was last changed, `quiet` seconds ago.

    >>> estimate(10, 2.0, 0.0), estimate(10, 2.0, 60.0), estimate(10, 0.0, 0.0)
    (5, 14, None)
    """
    if count is None or rate is None or quiet is None:
        return None
    lately = rate * math.exp(-min(float(quiet), 600.0) / 60.0)
    return None if lately < _LEAST_RATE else math.ceil(count / lately)


def blocked_by(scope: str | None, name: str | None, key: str | None) -> Json | None:
    """A limit or a throttle as it is shown."""
    return None if scope is None else {"scope": scope, "name": name, "key": key}
