"""Finds the forks that use outcomes of a workflow. While such a fork runs, the workflow is not
undone."""

from uuid import UUID

from sqlalchemy import Connection, text

from app import db
from app.errors import Conflict


def used_by_forks(connection: Connection, workflow_id: UUID) -> tuple[bool, frozenset[str]]:
    """Find the steps of this workflow that forks use.

    Return (whether a fork that has not ended uses some, the keys of the steps that are never undone
    because a fork that uses them has succeeded).
    """
    rows = connection.execute(text(_STANDING), {"id": workflow_id}).all()
    is_live = any(row.is_live for row in rows)
    kept = (row.keys for row in rows if row.status == "succeeded")
    return is_live, frozenset(key for keys in kept for key in keys)


# A fork of a fork may adopt outcomes of the first workflow. The column `adopted_from` contains the
# id of the workflow that owns the outcome.
_STANDING = """
WITH RECURSIVE forks AS (
  SELECT id, status, completed_at FROM workflows WHERE forked_from = :id
  UNION ALL
  SELECT w.id, w.status, w.completed_at FROM workflows w JOIN forks f ON w.forked_from = f.id)
SELECT f.id, f.status, f.completed_at IS NULL AS is_live, array_agg(s.key) AS keys
  FROM forks f JOIN steps s ON s.workflow_id = f.id AND s.adopted_from = :id
 WHERE f.completed_at IS NULL OR f.status = 'succeeded'
 GROUP BY f.id, f.status, f.completed_at ORDER BY f.id
"""


def refuse_while_forked(workflow_id: UUID) -> None:
    """Raise Conflict, with the fork's id, if a fork that has not ended uses this workflow."""

    def live() -> UUID | None:
        with db.begin() as connection:
            rows = connection.execute(text(_STANDING), {"id": workflow_id}).all()
        return next((row.id for row in rows if row.is_live), None)

    found = db.patiently(live)
    if found is not None:
        raise Conflict(
            f"fork {found} uses outcomes of this workflow; let it end, or cancel it first",
            code="forked",
        )
