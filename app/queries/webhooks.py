"""Webhook endpoints and the attempts at them, as their users see them. No secret is read."""

from typing import Any
from uuid import UUID

from sqlalchemy import text

from app.db import begin
from app.errors import NotFound
from app.platform import Json
from app.queries.cursors import cursor_of, place_of
from app.queries.lists import Page

MOST_WAITING = 10_000
"""The most messages that are counted for one endpoint."""
MESSAGE_STATUSES = ("waiting", "delivered", "undelivered")
FAILING_FROM = 3
"""After so many failures in a row, an endpoint rests (see record_webhook_attempt_v1)."""

_ENDPOINTS = f"""
SELECT e.id, e.url, e.description, e.event_types, e.with_children, e.created_at,
       CASE WHEN e.disabled_at IS NOT NULL THEN 'disabled'
            WHEN e.failures >= {FAILING_FROM} THEN 'failing' ELSE 'active' END AS status,
       e.disabled_at, e.disabled_reason, e.failures, e.failing_since,
       CASE WHEN e.rest_until > playalter_now() THEN e.rest_until END AS rests_until,
       e.pace AS answers_in_milliseconds,
       CASE WHEN e.former_until > playalter_now() THEN e.former_until END AS former_secret_until,
       (SELECT count(*) FROM (
          SELECT FROM webhook_sendings WHERE endpoint_id = e.id AND status = 'pending'
           LIMIT {MOST_WAITING}) AS counted) AS waiting,
       CASE WHEN :all THEN u.email END AS owner, e.user_id = :user AS is_own
  FROM webhook_endpoints AS e JOIN users AS u ON u.id = e.user_id
 WHERE (e.user_id = :user OR :all)
"""
_ATTEMPTS = """
SELECT a.id, 'msg_' || replace(cast(a.message_id AS text), '-', '') AS message_id, m.type,
       a.attempt, a.status, a.error, a.milliseconds, a.reply, a.created_at
  FROM webhook_attempts AS a LEFT JOIN webhook_messages AS m ON m.id = a.message_id
 WHERE a.endpoint_id = :endpoint AND (cast(:after AS uuid) IS NULL OR a.id < cast(:after AS uuid))
 ORDER BY a.id DESC LIMIT :limit
"""
_MESSAGES = """
SELECT s.message_id AS id, 'msg_' || replace(cast(s.message_id AS text), '-', '') AS message_id,
       m.type, m.workflow_id, s.status, s.attempts,
       CASE s.status WHEN 'pending' THEN s.due_at END AS due_at, s.tried_at, s.created_at
  FROM webhook_sendings AS s LEFT JOIN webhook_messages AS m ON m.id = s.message_id
 WHERE s.endpoint_id = :endpoint AND (cast(:after AS timestamptz) IS NULL
    OR (s.created_at, s.message_id) < (cast(:after AS timestamptz), cast(:after_id AS uuid)))
"""
_BY_STATUS = {
    "waiting": " AND s.status IN ('pending', 'sending')",
    "delivered": " AND s.status = 'delivered'",
    "undelivered": " AND s.status IN ('failed', 'missed')",
}
_OUTCOME = """
SELECT s.status AS outcome, a.status, a.error, a.milliseconds, a.reply
  FROM webhook_sendings AS s LEFT JOIN LATERAL (
       SELECT * FROM webhook_attempts WHERE endpoint_id = s.endpoint_id
          AND message_id = s.message_id ORDER BY id DESC LIMIT 1) AS a ON true
 WHERE s.endpoint_id = :endpoint AND s.message_id = :message
"""
_STATES = """
SELECT CASE WHEN disabled_at IS NOT NULL THEN 'disabled'
            WHEN failures >= :failing THEN 'failing' ELSE 'active' END AS state,
       count(*) AS number
  FROM webhook_endpoints GROUP BY 1
"""
# Endpoint by endpoint: the index is read once for each that has something new.
_LATE = """
WITH RECURSIVE waiting AS (
  (SELECT endpoint_id AS id FROM webhook_sendings WHERE status = 'pending'
    ORDER BY endpoint_id LIMIT 1)
  UNION ALL
  SELECT (SELECT endpoint_id FROM webhook_sendings
           WHERE status = 'pending' AND endpoint_id > waiting.id ORDER BY endpoint_id LIMIT 1)
    FROM waiting WHERE waiting.id IS NOT NULL)
SELECT coalesce(max(extract(epoch FROM playalter_now() - first.due_at)), 0) AS seconds
  FROM waiting AS w
  JOIN webhook_endpoints AS e ON e.id = w.id AND e.disabled_at IS NULL AND e.failures = 0
  CROSS JOIN LATERAL (
       SELECT due_at FROM webhook_sendings
        WHERE endpoint_id = w.id AND status = 'pending' AND turn = 1 ORDER BY due_at LIMIT 1
       ) AS first
"""


def endpoint_list(
    user_id: UUID, *, is_operator: bool = False, cursor: str | None = None, limit: int = 20
) -> Page:
    """A page of the user's endpoints, the newest first. An operator's page has those of all users.

    `cursor` is the id of the last endpoint of the page before.
    """
    sql = _ENDPOINTS + (
        " AND (cast(:after AS uuid) IS NULL OR e.id < cast(:after AS uuid))"
        " ORDER BY e.id DESC LIMIT :limit"
    )
    rows = _rows(sql, {"user": user_id, "all": is_operator, "after": cursor, "limit": limit + 1})
    for row in rows:
        del row["is_own"]
    return Page(rows[:limit], str(rows[limit - 1]["id"]) if len(rows) > limit else None)


def endpoint_detail(user_id: UUID, endpoint_id: UUID, *, is_operator: bool = False) -> Json:
    """One endpoint, and as `is_own` whether it is the user's.

    Raises NotFound if the user has no such endpoint; an operator sees all.
    """
    given = {"user": user_id, "all": is_operator, "id": endpoint_id}
    rows = _rows(_ENDPOINTS + " AND e.id = :id", given)
    if not rows:
        raise NotFound("there is no such webhook endpoint")
    return rows[0]


def attempt_list(
    endpoint_id: UUID, *, is_own: bool, cursor: str | None = None, limit: int = 20
) -> Page:
    """A page of the attempts at an endpoint that the caller may see, the last first.

    Unless it `is_own`, the replies are left out.
    """
    given = {"endpoint": endpoint_id, "after": cursor, "limit": limit + 1}
    rows = _rows(_ATTEMPTS, given)
    last = str(rows[limit - 1]["id"]) if len(rows) > limit else None
    items = [{name: value for name, value in row.items() if name != "id"} for row in rows[:limit]]
    if not is_own:
        items = [item | {"reply": None} for item in items]
    return Page(items, last)


def message_list(
    endpoint_id: UUID, *, status: str | None = None, cursor: str | None = None, limit: int = 20
) -> Page:
    """A page of the messages for an endpoint that the caller may see, the newest first.

    `status` is one of MESSAGE_STATUSES, or None for all.
    """
    after, after_id = (None, None) if cursor is None else place_of(cursor)
    sql = _MESSAGES + ("" if status is None else _BY_STATUS[status])
    sql += " ORDER BY s.created_at DESC, s.message_id DESC LIMIT :limit"
    given = {"endpoint": endpoint_id, "after": after, "after_id": after_id, "limit": limit + 1}
    rows = _rows(sql, given)
    ids = [row.pop("id") for row in rows]
    has_more = len(rows) > limit
    last = cursor_of(rows[limit - 1]["created_at"], ids[limit - 1]) if has_more else None
    return Page(rows[:limit], last)


def sending_outcome(endpoint_id: UUID, message_id: UUID) -> Json:
    """What has become of a message for an endpoint that the caller may see, with its last attempt.

    Raises NotFound if it was deleted meanwhile.
    """
    rows = _rows(_OUTCOME, {"endpoint": endpoint_id, "message": message_id})
    if not rows:
        raise NotFound("there is no such message any more")
    return rows[0]


def endpoint_states() -> dict[str, int]:
    """The number of endpoints of all users in each state."""
    rows = _rows(_STATES, {"failing": FAILING_FROM})
    found = {row["state"]: row["number"] for row in rows}
    return {"active": 0, "failing": 0, "disabled": 0} | found


def lateness() -> dict[str, float]:
    """The seconds for which the oldest new message waits for an endpoint that does not fail."""
    return {"new": float(_rows(_LATE, {})[0]["seconds"])}


def _rows(sql: str, given: dict[str, Any]) -> list[Json]:
    # The primary is asked: a replica may not have an endpoint yet that was just made.
    with begin() as connection:
        return [dict(row) for row in connection.execute(text(sql), given).mappings()]
