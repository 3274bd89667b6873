"""What has failed for good and was not settled by a person: the entries, and their groups.

A workflow is a dead letter from its end on, unless it needs a person: then it is in the list of
those (`human_tasks.attention`), and here only after that. No query reads workflows that succeeded.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from app.db import begin
from app.platform import Json
from app.queries.cursors import cursor_of, place_of
from app.queries.lists import Page

STATES = ("open", "replayed", "dismissed")
MOST_GROUPED = 100_000
"""Groups count at most so many entries of each user, the newest ones, and as many in all."""
MOST_GROUPS = 500
MOST_UNDONE = 20
"""The most steps that an entry names as undone."""


@dataclass(frozen=True)
class DeadLetters:
    """The entries that a list contains; a filter of None lets every entry pass.

    `state` is `open` (nothing is done about it), `replayed` or `dismissed`. `not_made_by` is the
    hash of a request: entries that this request itself has made, as replays, are left out.
    """

    state: str = "open"
    type: str | None = None
    cause: str | None = None
    error_code: str | None = None
    action: str | None = None
    platform: str | None = None
    ended_after: datetime | None = None
    ended_before: datetime | None = None
    not_made_by: bytes | None = None


_CONDITIONS = {
    "type": "d.type = :type",
    "cause": "d.cause = :cause",
    "error_code": "d.error_code = :error_code",
    "action": "d.action = :action",
    "platform": "d.platform = :platform",
    "ended_after": "d.ended_at > :ended_after",
    "ended_before": "d.ended_at < :ended_before",
    "not_made_by": "NOT EXISTS (SELECT FROM dead_letters AS o"
    " WHERE o.replay_id = d.workflow_id AND o.request = :not_made_by)",
}
_IS_OPEN = "d.settled_at IS NULL AND w.attention IS NULL AND w.completed_at IS NOT NULL"
_IS_SETTLED = "d.settled_at IS NOT NULL AND d.settled_as = :state"


def dead_letters(
    user_id: UUID,
    filters: DeadLetters,
    *,
    is_operator: bool = False,
    cursor: str | None = None,
    limit: int = 20,
) -> Page:
    """A page of the user's dead letters, the last ended first, with what each has cost and undone.

    `resumes_at` is the first step that has not succeeded or was undone. An operator reads those of
    all users, with their owners; of the errors of others' workflows only the codes. Times are
    texts, apart from those of the dead letter itself.
    """
    found, given = _found(user_id, filters, is_operator, cursor, limit + 1)
    with begin() as connection:
        statement = text(_ENTRIES.replace("{found}", found))
        rows = connection.execute(statement, given).mappings().all()
    shown = rows[:limit]
    places = tuple((row["ended_at"], row["workflow_id"]) for row in shown)
    next_cursor = cursor_of(*places[-1]) if len(rows) > limit else None
    return Page([_entry(row, is_operator) for row in shown], next_cursor, places)


def dead_letter_places(
    user_id: UUID, filters: DeadLetters, *, cursor: str | None = None, limit: int = 20
) -> Page:
    """The places of the entries that `dead_letters` returns, without the entries."""
    found, given = _found(user_id, filters, False, cursor, limit + 1)
    with begin() as connection:
        rows = connection.execute(text(found), given).all()
    places = tuple((row.ended_at, row.workflow_id) for row in rows[:limit])
    return Page([], cursor_of(*places[-1]) if len(rows) > limit else None, places)


def dead_letter_groups(
    user_id: UUID, filters: DeadLetters, *, is_operator: bool = False
) -> tuple[list[Json], bool]:
    """How many dead letters have the same cause, code, type and action, the largest group first.

    Returns at most MOST_GROUPS groups, each with its first and last time and its newest workflow,
    and whether all entries were counted.
    """
    found, given = _found(user_id, filters, is_operator, None, MOST_GROUPED + 1)
    with begin() as connection:
        rows = connection.execute(
            text(_GROUPS.replace("{found}", found)), given | {"groups": MOST_GROUPS}
        ).mappings()
        items = [dict(row) for row in rows]
    counted = items[0]["counted"] if items else 0
    for item in items:
        del item["counted"]
    return items, counted <= MOST_GROUPED and len(items) < MOST_GROUPS


def _found(
    user_id: UUID, filters: DeadLetters, is_operator: bool, cursor: str | None, limit: int
) -> tuple[str, Json]:
    """The query for the newest entries that match, and its values.

    The indexes begin with the user, so the newest entries of each user are found first.
    """
    set_filters = {name: value for name, value in vars(filters).items() if value is not None}
    conditions = [_CONDITIONS[name] for name in set_filters if name in _CONDITIONS]
    conditions.insert(0, _IS_OPEN if filters.state == "open" else _IS_SETTLED)
    given = set_filters | {"user": user_id, "limit": limit, "is_operator": is_operator}
    if cursor is not None:
        conditions.append("(d.ended_at, d.workflow_id) < (:after, :after_id)")
        given["after"], given["after_id"] = place_of(cursor)
    owner = "true" if is_operator else "u.id = :user"
    return _FOUND.format(conditions=" AND ".join(conditions), owner=owner), given


_FOUND = """
SELECT f.* FROM users AS u CROSS JOIN LATERAL (
  SELECT d.* FROM dead_letters AS d JOIN workflows AS w ON w.id = d.workflow_id
   WHERE d.user_id = u.id AND {conditions}
   ORDER BY d.ended_at DESC, d.workflow_id DESC LIMIT :limit) AS f
 WHERE {owner} ORDER BY f.ended_at DESC, f.workflow_id DESC LIMIT :limit
"""
# The summary has what is known of every workflow. Steps are read only of the entries of the page.
_ENTRIES = f"""
WITH page AS MATERIALIZED ({{found}})
SELECT p.*, w.error, w.user_id = :user AS is_own, s.shown AS summary,
       ARRAY(SELECT of_key FROM steps WHERE workflow_id = p.workflow_id AND kind = 'undo'
                AND status = 'succeeded' ORDER BY position, key LIMIT {MOST_UNDONE + 1}) AS undone,
       (SELECT key FROM steps WHERE workflow_id = p.workflow_id AND kind = 'step'
           AND status NOT IN ('succeeded', 'skipped') AND NOT (status = 'failed' AND is_tolerated)
         ORDER BY position, key LIMIT 1) AS resumes_at,
       EXISTS (SELECT FROM definitions WHERE name = w.type AND version = w.version
                  AND retired_at IS NULL) AS may_continue,
       EXISTS (SELECT FROM definitions WHERE name = w.type AND retired_at IS NULL
                  AND (active OR weight > 0)) AS may_start,
       (SELECT o.workflow_id FROM dead_letters AS o WHERE o.replay_id = p.workflow_id
         LIMIT 1) AS replay_of
  FROM page AS p JOIN workflows AS w ON w.id = p.workflow_id
 CROSS JOIN LATERAL workflow_summary_v1(p.workflow_id, :is_operator) AS s
 ORDER BY p.ended_at DESC, p.workflow_id DESC
"""
_GROUPS = """
SELECT cause, error_code, type, action, platform, count(*) AS count,
       min(ended_at) AS first_at, max(ended_at) AS last_at,
       (array_agg(workflow_id ORDER BY ended_at DESC, workflow_id DESC))[1] AS example,
       (sum(count(*)) OVER ())::bigint AS counted
  FROM ({found}) AS f
 GROUP BY cause, error_code, type, action, platform
 ORDER BY count DESC, last_at DESC, example LIMIT :groups
"""
_OF_SUMMARY = ("id", "type", "version", "status", "created_at", "cost_micro_usd", "forked_from")
_OF_LETTER = ("cause", "action", "platform", "ended_at", "settled_at", "note", "replay_id")


def _entry(row: Any, is_operator: bool) -> Json:
    """An entry as it is shown, and what is needed to find out how it may be replayed."""
    error = row["error"] or {}
    if not row["is_own"]:
        # Messages and details may quote payloads.
        error = {"code": error.get("code")}
    return {
        **{name: row["summary"][name] for name in _OF_SUMMARY},
        **{name: row[name] for name in _OF_LETTER},
        "step": row["step_key"],
        "error": {name: value for name, value in error.items() if name != "step"},
        "error_code": row["error_code"],
        "state": row["settled_as"] or "open",
        "undone": row["undone"][:MOST_UNDONE],
        "has_more_undone": len(row["undone"]) > MOST_UNDONE,
        "replay_of": row["replay_of"],
        "owner": row["summary"]["owner"] if is_operator else None,
        **{name: row[name] for name in ("resumes_at", "may_continue", "may_start")},
    }
