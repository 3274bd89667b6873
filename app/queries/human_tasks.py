"""Queries for what waits for a person: open approvals, and workflows that need attention."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from app.db import begin
from app.platform import Json
from app.queries import Page


def approvals(user_id: UUID, email: str, *, cursor: UUID | None = None, limit: int = 50) -> Page:
    """Open approvals in the user's own workflows, and those that name the user's e-mail address.

    The newest workflow comes first. A page has at most `limit` workflows, and all their approvals,
    which may be more. `is_yours` says whether the user may decide.
    """
    given = {"user": user_id, "email": email.casefold(), "cursor": cursor, "limit": limit + 1}
    with begin() as connection:
        rows = [dict(row) for row in connection.execute(text(_APPROVALS), given).mappings()]
    ids = list(dict.fromkeys(row["workflow_id"] for row in rows))
    shown = ids[:limit]
    items = [row for row in rows if row["workflow_id"] in set(shown)]
    return Page(items, shown[-1] if len(ids) > limit else None)


# The workflows of the page are chosen first, with the index steps_by_signal. The index is small:
# it has only the steps that ever waited for a signal.
_APPROVALS = """
WITH mine AS (
  SELECT DISTINCT s.workflow_id FROM steps s JOIN workflows w ON w.id = s.workflow_id
   WHERE s.signal IS NOT NULL AND s.status = 'waiting' AND w.status = 'running'
     AND (cast(:cursor AS uuid) IS NULL OR s.workflow_id < :cursor)
     AND (w.user_id = :user
          OR EXISTS (SELECT FROM jsonb_path_query(s.input, 'lax $.by[*]') AS each
                      WHERE lower(each #>> '{}') = :email))
   ORDER BY s.workflow_id DESC LIMIT :limit)
SELECT w.id AS workflow_id, w.type, w.version, s.key AS step, s.signal,
       coalesce(s.input -> 'by', 'null') AS by, s.wake_at AS until,
       s.input ->> 'on_timeout' AS on_timeout, s.input ->> 'on_reject' AS on_reject,
       w.paused_at IS NOT NULL AS is_paused, s.started_at AS since,
       CASE WHEN jsonb_typeof(s.input -> 'by') = 'array'
                 AND jsonb_array_length(s.input -> 'by') > 0
            THEN EXISTS (SELECT FROM jsonb_array_elements_text(s.input -> 'by') AS each
                          WHERE lower(each) = :email)
            ELSE w.user_id = :user END AS is_yours
  FROM mine JOIN workflows w ON w.id = mine.workflow_id
  JOIN steps s ON s.workflow_id = w.id AND s.signal IS NOT NULL AND s.status = 'waiting'
 WHERE w.user_id = :user
    OR EXISTS (SELECT FROM jsonb_path_query(s.input, 'lax $.by[*]') AS each
                WHERE lower(each #>> '{}') = :email)
 ORDER BY w.id DESC, s.position, s.key
"""


def attention(user_id: UUID, *, cursor: UUID | None = None, limit: int = 20) -> Page:
    """The user's workflows that need a person, newest first, with the steps that need one."""
    given = {"user": user_id, "cursor": cursor, "limit": limit + 1}
    with begin() as connection:
        rows = [dict(row) for row in connection.execute(text(_ATTENTION), given).mappings()]
        items = rows[:limit]
        ids = [row["id"] for row in items]
        steps = connection.execute(text(_STEPS), {"ids": ids}).mappings().all() if ids else []
    for item in items:
        item["since"] = _time_of(item.pop("event"))
        item["steps"] = [_step(row) for row in steps if row["workflow_id"] == item["id"]]
    return Page(items, ids[-1] if len(rows) > limit else None)


_ATTENTION = """
SELECT w.id, w.type, w.version, w.status, w.cause, w.attention AS reason,
       w.paused_at IS NOT NULL AS is_paused,
       (SELECT e.body FROM events e WHERE e.workflow_id = w.id
           AND e.body LIKE '%"AttentionNeeded"%' ORDER BY e.seq DESC LIMIT 1) AS event
  FROM workflows w WHERE w.user_id = :user AND w.attention IS NOT NULL
   AND (cast(:cursor AS uuid) IS NULL OR w.id < :cursor)
 ORDER BY w.id DESC LIMIT :limit
"""
_STEPS = """
SELECT s.workflow_id, s.key, s.action, s.status, n.reason, s.error, s.tries, s.wake_at,
       s.external_id,
       (SELECT coalesce(json_agg(json_build_object(
          'operation', i.operation, 'request', i.request, 'key', i.key,
          'generation', i.generation, 'ordinal', i.ordinal, 'first_sent_at', i.first_sent_at)
          ORDER BY i.generation, i.ordinal), '[]')
          FROM intents i WHERE i.workflow_id = s.workflow_id AND i.step_key = s.key
           AND i.resolution IS NULL) AS open_calls
  FROM unnest(cast(:ids AS uuid[])) AS wanted (id)
  CROSS JOIN LATERAL needs_person_v1(wanted.id, NULL) AS n
  JOIN steps s ON s.workflow_id = wanted.id AND s.key = n.step_key
 ORDER BY s.position, s.key
"""


def _time_of(body: str | None) -> datetime | None:
    if body is None:
        return None
    return datetime.fromtimestamp(json.loads(body)["at"] / 1_000_000, UTC)


def _step(row: Any) -> Json:
    return {name: value for name, value in row.items() if name != "workflow_id"}
