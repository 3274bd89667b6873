"""Erases the uploads that nobody needs any more."""

from datetime import timedelta

from sqlalchemy import ColumnElement, exists, func, select

from app.db import begin
from app.db.models import ArtifactRow, WorkflowArtifact, WorkflowRow
from app.files.artifacts import COLUMNS, erase_file


def erase_old_uploads(older_than: timedelta) -> int:
    """Erase old uploads that no unfinished workflow of their user mentions in its input.

    One call erases at most 1000 uploads, and returns how many.
    """
    statement = (
        select(*COLUMNS)
        .where(
            ArtifactRow.workflow_id.is_(None),
            ArtifactRow.erased_at.is_(None),
            ArtifactRow.created_at < func.playalter_now() - older_than,
            ~_is_mentioned(),
        )
        .limit(1000)
    )
    with begin() as connection:
        rows = connection.execute(statement).mappings().all()
    return sum(erase_file(row) for row in rows)


def _is_mentioned() -> ColumnElement[bool]:
    return exists(
        select(WorkflowRow.id)
        .join(WorkflowArtifact, WorkflowArtifact.workflow_id == WorkflowRow.id)
        .where(
            WorkflowArtifact.artifact_id == ArtifactRow.id,
            WorkflowRow.completed_at.is_(None),
        )
    )
