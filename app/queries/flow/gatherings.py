"""Open debounces and batches, rate limits that are in use, and what a user's workflows wait for."""

from uuid import UUID

from sqlalchemy import text

from app.db import begin_read
from app.platform import Json

MOST_COUNTED = 10_000
"""So many waiting workflows of a user are counted at most."""

_GATHERINGS = """
SELECT g.type, g.version, g.key, g.workflow_id, g.opened_at, g.items, g.bytes, w.starts_at
  FROM start_gatherings AS g JOIN workflows AS w ON w.id = g.workflow_id AND w.status = 'pending'
"""
_RATES = text("""
SELECT type, key, tat FROM start_rates WHERE tat > playalter_now()
   AND (CAST(:definition AS text) IS NULL OR type = :definition)
 ORDER BY tat DESC LIMIT :most
""")
_WAITING = text("""
SELECT type, count(*) AS number, min(created_at) AS since FROM (
  SELECT type, created_at FROM workflows
   WHERE user_id = :user AND status = 'pending' AND flow IS NOT NULL
   ORDER BY created_at LIMIT :most) AS w GROUP BY type ORDER BY type
""")


def gatherings(
    user_id: UUID, *, is_operator: bool = False, definition: str | None = None, most: int = 100
) -> list[Json]:
    """The debounces and batches of the user (of all users, for an operator) that are open.

    The one that starts next comes first. Each has its `type`, `version` and `key`, the
    `workflow_id`, when it was opened, when it starts unless a start puts that off or fills it, and
    how many `items` of how many `bytes` it has.
    """
    with begin_read() as connection:
        rows = connection.execute(
            text(
                f"{_GATHERINGS} WHERE (:all OR g.user_id = :user)"
                " AND (CAST(:definition AS text) IS NULL OR g.type = :definition)"
                " ORDER BY w.starts_at, g.workflow_id LIMIT :most"
            ),
            {"all": is_operator, "user": user_id, "definition": definition, "most": most},
        ).mappings()
        return [dict(row) for row in rows]


def gathering_of(workflow_id: UUID) -> Json | None:
    """What the open debounce or batch of a workflow has; None if the workflow has none."""
    with begin_read() as connection:
        row = (
            connection.execute(
                text(f"{_GATHERINGS} WHERE g.workflow_id = :id"), {"id": workflow_id}
            )
            .mappings()
            .one_or_none()
        )
    if row is None:
        return None
    return {name: row[name] for name in ("key", "opened_at", "items", "bytes")}


def rates(*, definition: str | None = None, most: int = 100) -> list[Json]:
    """The rate limits that are partly used: `type`, `key`, and when all of it is back."""
    with begin_read() as connection:
        given = {"definition": definition, "most": most}
        rows = connection.execute(_RATES, given).mappings().all()
    return [{"type": row["type"], "key": row["key"], "back_at": row["tat"]} for row in rows]


def waiting_starts(user_id: UUID) -> list[Json]:
    """How many workflows of the user flow control lets wait, by type, at most MOST_COUNTED."""
    with begin_read() as connection:
        rows = connection.execute(_WAITING, {"user": user_id, "most": MOST_COUNTED}).mappings()
        return [
            {
                "type": row["type"],
                "waiting": row["number"],
                "oldest_waiting_since": row["since"],
            }
            for row in rows
        ]
