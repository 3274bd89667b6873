"""Queries for the events that came in, and for what they matched."""

from typing import Any
from uuid import UUID

from app import db
from app.errors import NotFound
from app.platform import Json
from app.queries.cursors import cursor_of, place_of
from app.queries.lists import Page

_FACTS = "id, source, source_id, type, subject, occurred_at AS time, received_at, matched_at, depth"
_WOKEN = "(SELECT count(*) FROM event_waits WHERE event_id = e.id) AS woken"
MOST_WAKES = 100
"""The most steps that are shown of those that an event woke."""
_PAGE = f"""
SELECT {_FACTS}, {_WOKEN} FROM incoming_events AS e
 WHERE user_id = %(user)s
   AND (%(source)s IS NULL OR source = %(source)s)
   AND (%(type)s IS NULL OR type = %(type)s)
   AND (%(outcome)s IS NULL OR EXISTS (
     SELECT FROM trigger_matches WHERE event_id = e.id AND outcome = %(outcome)s))
   AND (%(after)s::timestamptz IS NULL OR (received_at, id) < (%(after)s, %(after_id)s))
 ORDER BY received_at DESC, id DESC LIMIT %(limit)s
"""
_MATCHES = """
SELECT m.event_id, t.name AS trigger, m.trigger_id, m.outcome, m.workflow_id, m.reason
  FROM trigger_matches AS m JOIN event_triggers AS t ON t.id = m.trigger_id
 WHERE m.event_id = ANY (%(ids)s::uuid[]) ORDER BY t.name, m.trigger_id
"""
_ONE = f"""
SELECT {_FACTS}, {_WOKEN}, data, attributes FROM incoming_events AS e
 WHERE id = %(id)s AND user_id = %(user)s
"""


def incoming_events(
    user_id: UUID,
    *,
    source: str | None = None,
    type: str | None = None,
    outcome: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page:
    """A page of the user's events with their matches, the last received first."""
    after, after_id = (None, None) if cursor is None else place_of(cursor)
    given: dict[str, Any] = {"user": user_id, "source": source, "type": type, "outcome": outcome}
    given |= {"after": after, "after_id": after_id, "limit": limit + 1}
    rows = db.read_text(_PAGE, given)
    shown = rows[:limit]
    matched = _matched([row["id"] for row in shown])
    items = [row | {"matches": matched.get(row["id"], [])} for row in shown]
    last = shown[-1] if len(rows) > limit else None
    return Page(items, None if last is None else cursor_of(last["received_at"], last["id"]))


def incoming_event(event_id: UUID, user_id: UUID) -> Json:
    """An event with its data and its matches. Raise NotFound if it is not the user's."""
    rows = db.read_text(_ONE, {"id": event_id, "user": user_id})
    if not rows:
        raise NotFound("you have received no event with this id")
    wakes = db.read_text(_WAKES, {"id": event_id, "most": MOST_WAKES})
    return rows[0] | {"matches": _matched([event_id]).get(event_id, []), "wakes": wakes}


_WAKES = """
SELECT workflow_id, step_key AS step, ended_at AS at FROM event_waits
 WHERE event_id = %(id)s ORDER BY ended_at, id LIMIT %(most)s
"""


def event_waits(
    user_id: UUID, *, type: str | None = None, cursor: str | None = None, limit: int = 50
) -> Page:
    """A page of the steps of the user's workflows that wait for an event, the newest first."""
    after, after_id = (None, None) if cursor is None else place_of(cursor)
    given = {"user": user_id, "type": type, "after": after, "id": after_id, "limit": limit + 1}
    rows = db.read_text(_WAITS, given)
    shown = rows[:limit]
    last = shown[-1] if len(rows) > limit else None
    next_cursor = None if last is None else cursor_of(last["created_at"], last["id"])
    for row in shown:
        del row["id"], row["created_at"]
    return Page(shown, next_cursor)


_WAITS = """
SELECT v.id, v.created_at, v.workflow_id, w.type, v.step_key AS step, v.event_type, v.filter,
       v.given, v.since, s.wake_at AS until, v.raised, v.reason,
       w.paused_at IS NOT NULL AS is_paused
  FROM event_waits AS v
  JOIN workflows AS w ON w.id = v.workflow_id
  JOIN steps AS s ON s.workflow_id = v.workflow_id AND s.key = v.step_key
 WHERE v.user_id = %(user)s AND v.event_id IS NULL
   AND w.status = 'running' AND s.status = 'waiting' AND s.external_id = v.external_id
   AND (%(type)s::text IS NULL OR v.event_type = %(type)s)
   AND (%(after)s::timestamptz IS NULL OR (v.created_at, v.id) < (%(after)s, %(id)s))
 ORDER BY v.created_at DESC, v.id DESC LIMIT %(limit)s
"""


def _matched(ids: list[UUID]) -> dict[UUID, list[Json]]:
    """The matches of events, by the events' ids."""
    found: dict[UUID, list[Json]] = {}
    for row in db.read_text(_MATCHES, {"ids": ids}) if ids else []:
        found.setdefault(row.pop("event_id"), []).append(row)
    return found
