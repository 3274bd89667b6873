"""Queries for the events that came in, and for what they matched."""

from typing import Any
from uuid import UUID

from app import db
from app.errors import NotFound
from app.platform import Json
from app.queries.cursors import cursor_of, place_of
from app.queries.lists import Page

_FACTS = "id, source, source_id, type, subject, occurred_at AS time, received_at, matched_at, depth"
_PAGE = f"""
SELECT {_FACTS} FROM incoming_events AS e
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
SELECT {_FACTS}, data, attributes FROM incoming_events WHERE id = %(id)s AND user_id = %(user)s
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
    return rows[0] | {"matches": _matched([event_id]).get(event_id, [])}


def _matched(ids: list[UUID]) -> dict[UUID, list[Json]]:
    """The matches of events, by the events' ids."""
    found: dict[UUID, list[Json]] = {}
    for row in db.read_text(_MATCHES, {"ids": ids}) if ids else []:
        found.setdefault(row.pop("event_id"), []).append(row)
    return found
