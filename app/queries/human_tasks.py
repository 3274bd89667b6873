"""Queries for what waits for a person: open approvals, and workflows that need attention."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from app.db import begin
from app.files import artifacts
from app.platform import ASK, Json
from app.queries import Page
from app.queries.cursors import cursor_of, place_of
from app.queries.waits import place


def approvals(user_id: UUID, email: str, *, cursor: str | None = None, limit: int = 50) -> Page:
    """Open approvals in the user's own workflows, and those that name the user's e-mail address.

    The newest workflow comes first. A page has at most `limit` workflows, and all their approvals,
    which may be more. `is_yours` says whether the user may decide. Of the workflow of another
    user, an approval shows what its definition shows to those who are asked, and nothing else.
    """
    given = {"user": user_id, "email": email.casefold(), "limit": limit + 1, **_after(cursor)}
    given["ask"] = ASK
    with begin() as connection:
        found = connection.execute(text(_APPROVALS), given).mappings()
        rows = sorted(found, key=lambda row: place(row["position"], row["step"]))
        links = _links(connection, rows)
    rows.sort(key=lambda row: (row["created_at"], row["workflow_id"]), reverse=True)
    started = {row["workflow_id"]: row["created_at"] for row in rows}
    ids = [*started]
    shown = ids[:limit]
    items = [_approval(row, links) for row in rows if row["workflow_id"] in set(shown)]
    has_more = len(ids) > limit
    return Page(items, cursor_of(started[shown[-1]], shown[-1]) if has_more else None)


# The workflows of the page are chosen first, with the index steps_by_signal. The index is small:
# it has only the steps that ever waited for a signal.
_APPROVALS = """
WITH mine AS (
  SELECT DISTINCT w.created_at, w.id AS workflow_id
    FROM steps s JOIN workflows w ON w.id = s.workflow_id
   WHERE s.signal IS NOT NULL AND s.status = 'waiting' AND w.status = 'running'
     AND (cast(:after AS timestamptz) IS NULL OR (w.created_at, w.id) < (:after, :after_id))
     AND (w.user_id = :user OR :email = ANY (approvers_v1(w.user_id, s.asked)))
   ORDER BY w.created_at DESC, w.id DESC LIMIT :limit)
SELECT w.created_at, s.position, w.user_id, w.id AS workflow_id, w.type, w.version, s.key AS step,
       s.signal, coalesce(q.response, s.input) AS input,
       s.remind_at, coalesce(s.reminded, 0) AS reminded,
       s.wake_at AS until, w.paused_at IS NOT NULL AS is_paused, s.started_at AS since,
       CASE WHEN s.asked IS NULL THEN w.user_id = :user
            ELSE :email = ANY (approvers_v1(w.user_id, s.asked)) END AS is_yours
  FROM mine JOIN workflows w ON w.id = mine.workflow_id
  JOIN steps s ON s.workflow_id = w.id AND s.signal IS NOT NULL AND s.status = 'waiting'
  LEFT JOIN intents q ON q.workflow_id = s.workflow_id AND q.step_key = s.key
   AND q.generation = s.generation AND q.operation = :ask
 WHERE w.user_id = :user OR :email = ANY (approvers_v1(w.user_id, s.asked))
"""


_NOT_SHOWN = ("created_at", "position", "user_id", "input", "remind_at", "reminded")
Links = dict[tuple[UUID, str], str]
"""The address of each artifact, by its owner and its id."""


def _approval(row: RowMapping, links: Links) -> Json:
    """An approval as it is shown: of its input, or of what its action asks, what the person has to
    know."""
    item = {name: value for name, value in row.items() if name not in _NOT_SHOWN}
    given = row["input"] or {}
    show = given.get("show") or {}
    pictures = [
        each if ":" in each else links.get((row["user_id"], each))
        for each in show.get("pictures") or ()
    ]
    return (
        item
        | {name: given.get(name) for name in ("by", "on_timeout", "on_reject")}
        | {"needed": given.get("needed", 1)}
        | {name: show.get(name) for name in ("message", "amount")}
        | {"pictures": pictures, "reminders": _reminders(row)}
    )


def _reminders(row: RowMapping) -> Json | None:
    """How many reminders an approval has, the number of the last one, and when the next comes."""
    times, last = row["remind_at"], row["reminded"]
    if not times:
        return None
    is_next_known = last < len(times) and not row["is_paused"]
    return {"of": len(times), "last": last, "next_at": times[last] if is_next_known else None}


def _links(connection: Connection, rows: Sequence[RowMapping]) -> Links:
    """Addresses of the pictures that approvals show, for people who do not own the workflow.

    A picture that is erased, or does not belong to the workflow's owner, has no address.
    """
    shown = [((row["input"] or {}).get("show") or {}).get("pictures") or () for row in rows]
    ids = {each for pictures in shown for each in pictures if ":" not in each}
    if not ids:
        return {}
    found = connection.execute(text(_PICTURES), {"ids": [*ids]})
    return {(row.user_id, str(row.id)): artifacts.link(row.id) for row in found}


_PICTURES = """
SELECT id, user_id FROM artifacts WHERE id = ANY (cast(:ids AS uuid[])) AND erased_at IS NULL
"""


def attention(
    user_id: UUID, *, is_operator: bool = False, cursor: str | None = None, limit: int = 20
) -> Page:
    """The user's workflows that need a person, newest first, with the steps that need one.

    An operator reads those of all users, with their owners. The requests of open calls are left
    out of the workflows of other users. `seen` is read first: what fails meanwhile is newer.
    """
    given = {"user": user_id, "all": is_operator, "limit": limit + 1, **_after(cursor)}
    with begin() as connection:
        rows = [dict(row) for row in connection.execute(text(_ATTENTION), given).mappings()]
        started = [row.pop("created_at") for row in rows]
        items = rows[:limit]
        ids = [row["id"] for row in items]
        found = connection.execute(text(_STEPS), {"ids": ids}).mappings().all() if ids else []
    steps = sorted(found, key=lambda row: place(row["position"], row["key"]))
    for item in items:
        is_own, owner = item.pop("is_own"), item.pop("owner")
        own_steps = [row for row in steps if row["workflow_id"] == item["id"]]
        item["steps"] = [_step(row, is_own=is_own) for row in own_steps]
        item["owner"] = owner if is_operator else None
    has_more = len(rows) > limit
    return Page(items, cursor_of(started[limit - 1], ids[-1]) if has_more else None)


def _after(cursor: str | None) -> Json:
    at, workflow_id = (None, None) if cursor is None else place_of(cursor)
    return {"after": at, "after_id": workflow_id}


_ATTENTION = """
SELECT w.created_at, w.id, w.type, w.version, w.status, w.cause, w.attention AS reason,
       w.paused_at IS NOT NULL AS is_paused, w.attention_since AS since,
       w.user_id = :user AS is_own, u.email AS owner,
       CASE WHEN w.attention = 'effect_failed' THEN (
         SELECT max(e.seq) FROM events AS e
           CROSS JOIN LATERAL (SELECT e.body::jsonb) AS parsed (event)
          WHERE e.workflow_id = w.id AND event ->> 'type' = 'EffectFailed') END AS seen
  FROM workflows w JOIN users u ON u.id = w.user_id
 WHERE (:all OR w.user_id = :user) AND w.attention IS NOT NULL
   AND (cast(:after AS timestamptz) IS NULL OR (w.created_at, w.id) < (:after, :after_id))
 ORDER BY w.created_at DESC, w.id DESC LIMIT :limit
"""
_STEPS = """
SELECT s.workflow_id, s.position, s.key, s.action, s.status, n.reason,
       coalesce(n.error, s.error) AS error, s.tries, s.wake_at,
       s.external_id, CASE n.reason WHEN 'approver_unknown'
                           THEN unknown_approvers_v1(w.user_id, s.asked) END AS unknown_approvers,
       (SELECT coalesce(json_agg(json_build_object(
          'operation', i.operation, 'request', i.request, 'key', i.key,
          'generation', i.generation, 'ordinal', i.ordinal, 'first_sent_at', i.first_sent_at)
          ORDER BY i.generation, i.ordinal), '[]')
          FROM intents i WHERE i.workflow_id = s.workflow_id AND i.step_key = s.key
           AND i.resolution IS NULL) AS open_calls
  FROM unnest(cast(:ids AS uuid[])) AS wanted (id)
  JOIN workflows w ON w.id = wanted.id
  CROSS JOIN LATERAL (
    SELECT step_key, reason, NULL::jsonb AS error FROM needs_person_v1(w.id, NULL)
    UNION ALL
    SELECT event ->> 'step', w.attention, jsonb_build_object(
             'code', w.attention, 'message', event #>> '{data,message}')
      FROM events AS e CROSS JOIN LATERAL (SELECT e.body::jsonb) AS parsed (event)
     WHERE w.attention = 'effect_failed' AND e.workflow_id = w.id
       AND event ->> 'type' = 'EffectFailed'
       AND to_timestamp((event ->> 'at')::bigint / 1e6) >= w.attention_since) AS n
  JOIN steps s ON s.workflow_id = wanted.id AND s.key = n.step_key
"""


def start_warnings(workflow_id: UUID, user_id: UUID) -> list[str]:
    """What a workflow that has just started will lack: users with the addresses that it asks."""
    given = {"id": workflow_id, "user": user_id}
    with begin() as connection:
        found = connection.execute(text(_UNKNOWN), given).scalars().all()
    return [of_unknown(list(found))] if found else []


_UNKNOWN = """
SELECT DISTINCT address
  FROM workflows w JOIN steps s ON s.workflow_id = w.id AND s.asked IS NOT NULL,
       unnest(unknown_approvers_v1(w.user_id, s.asked)) AS address
 WHERE w.id = :id AND w.user_id = :user ORDER BY address
"""


def unknown_addresses(addresses: Sequence[str]) -> list[str]:
    """Those of the addresses that no user has, in alphabetical order, without groups."""
    with begin() as connection:
        sql = text("SELECT unknown_approvers_v1(NULL, cast(:asked AS text[]))")
        asked = [each for each in addresses if not each.startswith(_GROUP)]
        return list(connection.execute(sql, {"asked": asked}).scalar_one())


def of_unknown(addresses: list[str]) -> str:
    """The warning of addresses, and groups, that an approval asks although no user has them."""
    groups = [each.removeprefix(_GROUP) for each in addresses if each.startswith(_GROUP)]
    people = [each for each in addresses if not each.startswith(_GROUP)]
    words = []
    if people:
        words.append(
            f"no user has the address {', '.join(people)}, which is asked to approve;"
            " `playalter keys create EMAIL` makes a user with a key"
        )
    if groups:
        words.append(
            f"no user is in the group {', '.join(groups)}, which is asked to approve;"
            " `playalter approver-groups set NAME EMAIL...` gives a group its members"
        )
    return "; ".join(words)


_GROUP = "group:"


def _step(row: Any, *, is_own: bool) -> Json:
    shown = {name: value for name, value in row.items() if name not in ("workflow_id", "position")}
    if unknown := shown.pop("unknown_approvers"):
        shown["error"] = {"code": "approver_unknown", "message": of_unknown(unknown)}
    if not is_own:
        for call in shown["open_calls"]:
            del call["request"]
    return shown
