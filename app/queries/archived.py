"""Archived workflows, shown as they were before, from their bundles in the storage."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from app import db
from app.archive import reading
from app.archive.bundle import Bundle
from app.archive.tables import Row
from app.errors import NotFound
from app.platform import Json
from app.queries.anywhere import Restored, read_replica_first
from app.queries.cursors import cursor_of, place_of
from app.queries.payloads import MOST_BYTES

_OF_ONE = """
SELECT a.workflow_id, a.user_id, a.state, a.user_id = $2 AS is_own, b.volume_id, b.start, b.size,
       b.sha256, s.shown
  FROM archived AS a JOIN archive_bundles AS b ON b.id = a.bundle_id
 CROSS JOIN LATERAL archived_summary_v1(a.workflow_id, $3) AS s
 WHERE a.workflow_id = $1 AND (a.user_id = $2 OR $3)
"""
_TYPES = "uuid, uuid, boolean"


@dataclass(frozen=True)
class Archived:
    """What PostgreSQL still knows of an archived workflow."""

    id: UUID
    user_id: UUID
    state: str
    is_own: bool
    place: reading.Place
    summary: Json

    def bundle(self) -> Bundle:
        """The bundle with its rows. Raises NotFound if it was erased."""
        self.refuse_erased()
        return reading.bundle(self.place)

    def refuse_erased(self) -> None:
        """Raise NotFound if the bundle was erased."""
        if self.state == "erased":
            at = self.summary["erased_at"]
            raise NotFound(
                f"the workflow was archived, and erased at {at}; only its summary is left, in the"
                " list of archived workflows",
                code="workflow_erased",
            )


def archived_workflow(workflow_id: UUID, user_id: UUID, is_operator: bool) -> Archived:
    """The archived workflow that the user may see; raise NotFound if there is none."""
    rows = read_replica_first(
        "archived_workflow", _TYPES, (workflow_id, user_id, is_operator), query=_OF_ONE
    )
    row = rows[0]
    if row["state"] == "restored" and db.has_replica():
        # A replica that lags behind may not know yet that it was archived again.
        asked = (workflow_id, user_id, is_operator)
        row = db.read("archived_workflow", _TYPES, asked, query=_OF_ONE, from_primary=True)[0]
    if row["state"] == "restored":
        raise Restored("the workflow is not archived any more")
    return Archived(
        *(row["workflow_id"], row["user_id"], row["state"], row["is_own"]),
        *(reading.Place.of(row), row["shown"]),
    )


def detail_rows(found: Archived, step: str | None) -> list[Json]:
    """What `workflow_detail_v1` returned: a row for each step, and one for the workflow."""
    bundle = found.bundle()
    (workflow,) = bundle.of("workflows", found.id, "id")
    room, is_cut = MOST_BYTES, False
    rows: list[Json] = []
    for row in bundle.of("steps", found.id):
        given: Json = {"input": None, "output": None}
        if found.is_own and not is_cut and step in (None, row["key"]):
            payloads = {name: row.get(name) for name in given}
            room -= sum(len(text.encode()) for text in payloads.values() if text)
            is_cut = room < 0 and step is None
            given = given if is_cut else payloads
        rows.append({"shown": _step(row), **given})
    own = workflow if found.is_own else {}
    shown = {
        "summary": found.summary,
        "error": _json(workflow.get("error")),
        "is_own": found.is_own,
        "is_cut": is_cut,
        "queues": None,
        "places": None,
    }
    return [*rows, {"shown": shown, "input": own.get("input"), "output": own.get("output")}]


def events(found: Archived, after: int, limit: int) -> tuple[list[tuple[int, str]], bool]:
    """At most `limit` events with numbers above `after`, and whether these are the last ones."""
    rows = found.bundle().of("events", found.id)
    later = [(int(row["seq"]), row["body"]) for row in rows if int(row["seq"]) > after]
    return later[:limit], len(later) <= limit


def _step(row: Row) -> Json:
    started, finished = _time(row.get("started_at")), _time(row.get("finished_at"))
    return {
        "key": row["key"],
        "position": int(row["position"]),
        "kind": row["kind"],
        "role": row.get("role"),
        "signal": row.get("signal"),
        "asked": None,
        "action": row["action"],
        "status": row["status"],
        "tries": int(row["tries"]),
        "started_at": _shown(started),
        "finished_at": _shown(finished),
        "seconds": (finished - started).total_seconds() if started and finished else None,
        "wake_at": _shown(_time(row.get("wake_at"))),
        "external_id": row.get("external_id"),
        "cost": int(row.get("cost") or 0),
        "error": _json(row.get("error")),
        "is_due": False,
    }


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _time(text: str | None) -> datetime | None:
    return None if text is None or "infinity" in text else datetime.fromisoformat(text)


def _shown(at: datetime | None) -> str | None:
    """A time as `utc_text` writes it."""
    if at is None:
        return None
    text = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{text[:-3]}Z"


@dataclass(frozen=True)
class ArchivedFilters:
    """The archived workflows that a list contains; a filter of None lets every workflow pass."""

    status: str | None = None
    type: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    version: int | None = None
    parent_id: UUID | None = None
    is_root: bool | None = None


_CONDITIONS = {
    "status": "a.status = %(status)s",
    "type": "a.type = %(type)s",
    "created_after": "a.created_at > %(created_after)s",
    "created_before": "a.created_at < %(created_before)s",
    "version": "a.version = %(version)s",
    "parent_id": "a.parent_id = %(parent_id)s",
    "is_root": "(a.parent_id IS NULL) = %(is_root)s",
}
_PAGE = """
WITH page AS MATERIALIZED (
  SELECT f.* FROM {users} CROSS JOIN LATERAL (
    SELECT a.created_at, a.workflow_id AS id FROM archived AS a
     WHERE a.user_id = u.id AND a.state <> 'restored' {conditions}
     ORDER BY a.created_at DESC, a.workflow_id DESC LIMIT %(limit)s) AS f
   ORDER BY f.created_at DESC, f.id DESC LIMIT %(limit)s)
SELECT p.created_at, p.id, s.shown FROM page AS p
 CROSS JOIN LATERAL archived_summary_v1(p.id, %(is_operator)s) AS s
 ORDER BY p.created_at DESC, p.id DESC
"""


def archived_list(
    user_id: UUID,
    filters: ArchivedFilters,
    *,
    is_operator: bool = False,
    cursor: str | None = None,
    limit: int = 20,
) -> tuple[list[Json], str | None]:
    """A page of archived workflows, the last started first, and the cursor of the next page.

    An operator's page has the workflows of all users, with their owners.
    """
    given: Json = {name: value for name, value in vars(filters).items() if value is not None}
    conditions = [_CONDITIONS[name] for name in given]
    if cursor is not None:
        conditions.append("(a.created_at, a.workflow_id) < (%(before_at)s, %(before_id)s)")
        given["before_at"], given["before_id"] = place_of(cursor)
    statement = _PAGE.format(
        users="users AS u" if is_operator else "(SELECT %(user)s::uuid AS id) AS u",
        conditions="".join(f" AND {condition}" for condition in conditions),
    )
    of_request = {"user": user_id, "is_operator": is_operator, "limit": limit + 1}
    rows = db.read_text(statement, given | of_request)
    page: Sequence[Json] = rows[:limit]
    last = page[-1] if len(rows) > limit else None
    following = None if last is None else cursor_of(last["created_at"], last["id"])
    return [row["shown"] for row in page], following
