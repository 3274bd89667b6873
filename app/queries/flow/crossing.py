"""Starts that wait for ever, because families of workflows hold places crosswise.

A place becomes free when its holder ends, and a holder ends after its children. If one parent holds
the only place of a limit, its child waits for a second limit, and the only place of that is held by
a parent whose child waits for the first one, then neither child ever begins.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import text

from app.db import begin_read

MOST_HOLDERS = 100
"""Of a limit with more holders it is not known whether one of them goes on."""
_MOST_LIMITS = 100

_HOLDERS = text("""
SELECT f.id AS limit_id, t.workflow_id, w.user_id = :user AS is_own, waits.for_limits
  FROM flow_limits AS f
 CROSS JOIN LATERAL (
       SELECT workflow_id FROM flow_turns WHERE limit_id = f.id LIMIT :most) AS t
  JOIN workflows AS w ON w.id = t.workflow_id
 CROSS JOIN LATERAL (
       WITH RECURSIVE children AS (
         SELECT id, status, paused_at, lane_id FROM workflows
          WHERE parent_id = t.workflow_id AND status IN ('pending', 'running')
         UNION ALL
         SELECT c.id, c.status, c.paused_at, c.lane_id
           FROM children JOIN workflows AS c ON c.parent_id = children.id
          WHERE c.status IN ('pending', 'running'))
       SELECT array_agg(l.blocked_on) AS for_limits
         FROM children JOIN flow_lanes AS l ON l.id = children.lane_id
        WHERE w.status = 'running' AND children.status = 'pending'
          AND children.paused_at IS NULL AND l.blocked_on IS NOT NULL) AS waits
 -- A throttle opens by time.
 WHERE f.id = ANY (CAST(:limits AS bigint[])) AND f.scope <> 'throttle'
""")
_BLOCKED = text("""
SELECT l.blocked_on FROM workflows AS w JOIN flow_lanes AS l ON l.id = w.lane_id
 WHERE w.id = :id AND w.user_id = :user AND w.status = 'pending' AND w.paused_at IS NULL
   AND l.blocked_on IS NOT NULL
""")

Holders = dict[int, dict[UUID, tuple[int, ...]]]
"""The holders of each limit that was read, and the limits for which their children wait."""


def held_crosswise(workflow_id: UUID, user_id: UUID) -> list[UUID] | None:
    """The user's workflows that hold the limit for which this one waits, if it waits for ever.

    It begins when a person or a time-out ends one of them. None if a holder can go on by itself, or
    if that is not known. The list is empty if all holders are of other users.
    """
    held: Holders = {}
    own: set[UUID] = set()
    with begin_read() as connection:
        first = connection.execute(_BLOCKED, {"id": workflow_id, "user": user_id}).scalar()
        if first is None:
            return None
        unread = {int(first)}
        while unread and len(held) + len(unread) <= _MOST_LIMITS:
            given = {"limits": sorted(unread), "user": user_id, "most": MOST_HOLDERS + 1}
            held |= {limit: {} for limit in unread}
            for row in connection.execute(_HOLDERS, given).mappings():
                held[row["limit_id"]][row["workflow_id"]] = tuple(row["for_limits"] or ())
                if row["is_own"]:
                    own.add(row["workflow_id"])
            unread = {
                limit
                for holders in held.values()
                for limits in holders.values()
                for limit in limits
            } - held.keys()
            if first not in stuck(held, unread):
                return None
    return sorted(own & held[first].keys()) if first in stuck(held) else None


def stuck(held: Holders, unread: Collection[int] = ()) -> set[int]:
    """The limits of which no place becomes free, if none of the `unread` ones does either.

    >>> a, b = UUID(int=1), UUID(int=2)
    >>> stuck({1: {a: (2,)}, 2: {b: (1,)}})
    {1, 2}
    >>> stuck({1: {a: (2,)}, 2: {b: (1,), a: ()}})
    set()
    """
    found = {limit for limit, of in held.items() if 0 < len(of) <= MOST_HOLDERS} | set(unread)
    while True:
        free = {
            limit
            for limit in found - set(unread)
            if any(found.isdisjoint(waits_for) for waits_for in held[limit].values())
        }
        if not free:
            return found
        found -= free
