"""Pausing. While paused, what happens is recorded, and nothing is claimed or published.

A pause is a stop: committed first, then a barrier waits out the claims in flight, then the children
are read. A child that its parent's running step starts later looks at its parent itself
(`follow_parent`): each side commits its own fact and then looks for the other's.
"""

from uuid import UUID

from app import db
from app.protocol.controls import barrier, verdict


def follow_parent(child_id: UUID) -> None:
    """Pause a child that was started while its parent was being paused with its children.

    To be called after the commit of a child's start and before anything of it is published.
    """
    row = db.patiently(lambda: db.row(_PARENTS_PAUSE, (child_id,)))
    if row is not None and row["children"]:
        pause_tree(child_id, row["by"], row["reason"], True, False)
        if db.patiently(lambda: db.row(_PARENTS_PAUSE, (child_id,))) is None:
            # Its parent went on between the look and the pause, and found nothing to resume.
            resume_tree(child_id, row["by"], row["reason"], True, False)


_PARENTS_PAUSE = """
SELECT (e.body::jsonb #>> '{data,children}')::boolean AS children,
       e.body::jsonb #>> '{data,by}' AS by, e.body::jsonb #>> '{data,reason}' AS reason
  FROM workflows c JOIN workflows p ON p.id = c.parent_id AND p.paused_at IS NOT NULL
  JOIN events e ON e.workflow_id = p.id AND e.body LIKE '%%"WorkflowPaused"%%'
 WHERE c.id = %s ORDER BY e.seq DESC LIMIT 1
"""


def pause_tree(
    workflow_id: UUID, by: str, reason: str | None, with_children: bool, is_dry: bool
) -> list[UUID] | None:
    """The workflows that were paused; None when it has ended."""
    given = {"workflow": workflow_id, "by": by, "reason": reason, "children": with_children}
    found = verdict("pause_workflow_v1", given, is_dry=is_dry)
    if found == "ended":
        return None
    if not is_dry:
        barrier(workflow_id)
    changed = [workflow_id] if found == "paused" else []
    for child_id in _children(workflow_id) if with_children else []:
        changed += pause_tree(child_id, by, reason, True, is_dry) or []
    return changed


def resume_tree(
    workflow_id: UUID, by: str, reason: str | None, with_children: bool, is_dry: bool
) -> list[UUID] | None:
    given = {"workflow": workflow_id, "by": by, "reason": reason}
    found = verdict("resume_workflow_v1", given, is_dry=is_dry)
    if found == "ended":
        return None
    changed = [workflow_id] if found == "resumed" else []
    for child_id in _children(workflow_id) if with_children else []:
        changed += resume_tree(child_id, by, reason, True, is_dry) or []
    return changed


def _children(workflow_id: UUID) -> list[UUID]:
    rows = db.patiently(
        lambda: db.rows(
            "SELECT id FROM workflows WHERE parent_id = %s AND completed_at IS NULL ORDER BY id",
            (workflow_id,),
        ),
    )
    return [row["id"] for row in rows]
