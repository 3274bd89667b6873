"""Pauses and resumes workflows. While a workflow is paused, no step is claimed or published, but
outcomes of running steps are still recorded.

A pause is first committed. Then a barrier waits for claims in flight to commit. Then the children
are read and paused. A running step may start a child after that, so the start of a child reads
whether the parent is paused (`follow_parent`). The pause is committed before the children are read,
and a child is committed before its parent is read. So at least one of the two sees the other.
"""

from uuid import UUID

from app import db
from app.protocol.controls import barrier, verdict


def follow_parent(child_id: UUID) -> None:
    """Pause a child if its parent is paused together with its children.

    Call this after the child's start is committed and before a step of the child is published.
    """
    row = db.patiently(lambda: db.row(_PARENTS_PAUSE, (child_id,)))
    if row is not None and row["children"]:
        pause_tree(child_id, row["by"], row["reason"], True, False)
        if db.patiently(lambda: db.row(_PARENTS_PAUSE, (child_id,))) is None:
            # The parent was resumed between the read and the pause above. That resume saw no paused
            # child, so resume the child here.
            resume_tree(child_id, row["by"], row["reason"], True, False)


_PARENTS_PAUSE = """
SELECT p.pauses_children AS children, p.paused_by AS by, p.paused_reason AS reason
  FROM workflows c JOIN workflows p ON p.id = c.parent_id AND p.paused_at IS NOT NULL
 WHERE c.id = %s
"""


def pause_tree(
    workflow_id: UUID, by: str, reason: str | None, with_children: bool, is_dry: bool
) -> list[UUID] | None:
    """Pause a workflow and, if `with_children`, its children, at every depth.

    Return the ids of the workflows that were not paused before; None if the workflow has ended. A
    dry run changes nothing.
    """
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
    """Resume a workflow and, if `with_children`, its children, at every depth.

    Return the ids of the workflows that were paused; None if the workflow has ended.
    """
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
