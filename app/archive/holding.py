"""Holds: a family that is held is neither archived nor erased."""

from typing import Any
from uuid import UUID

from app import db
from app.errors import Conflict, NotFound


def hold(workflow_id: UUID, by: str, reason: str) -> UUID:
    """Hold the family of a workflow, and return its root. Doing it again changes nothing.

    Raises NotFound if there is no such workflow, and Conflict if it was erased.
    """
    row = db.call("SELECT * FROM hold_family_v1(%s, %s, %s)", (workflow_id, by, reason))
    assert row is not None
    if row["verdict"] == "absent":
        raise NotFound("there is no such workflow")
    if row["verdict"] == "erased":
        raise Conflict("the workflow was erased, so it cannot be held", code="workflow_erased")
    root: UUID = row["root"]
    return root


def release(workflow_id: UUID, by: str) -> UUID:
    """Release the hold of a workflow's family, and return its root. Raises NotFound if it is not
    held."""
    row = db.call(
        "UPDATE archive_holds SET released_by = %s, released_at = clock_timestamp()"
        " WHERE root_id = family_root_v1(%s) AND released_at IS NULL RETURNING root_id",
        (by, workflow_id),
    )
    if row is None:
        raise NotFound("the workflow is not held", code="not_held")
    root: UUID = row["root_id"]
    return root


def holds(after: UUID | None, limit: int) -> list[dict[str, Any]]:
    """The open holds, oldest first, from behind the hold `after`."""
    return db.rows(
        "SELECT id, root_id, reason, held_by, utc_text(held_at) AS held_at FROM archive_holds"
        " WHERE released_at IS NULL AND (%s::uuid IS NULL OR id > %s) ORDER BY id LIMIT %s",
        (after, after, limit),
    )
