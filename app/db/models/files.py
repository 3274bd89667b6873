"""The table of files."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import NOW, UUID7, Base
from app.db.models.people import in_project


class ArtifactRow(Base):
    """A stored file: a user's upload, or a result that a step copied from a platform.

    When the file is erased, its row stays with the hashes.
    """

    __tablename__ = "artifacts"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    organisation_id: Mapped[UUID]
    project_id: Mapped[UUID]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    workflow_id: Mapped[UUID | None]
    step_key: Mapped[str | None]
    name: Mapped[str]
    content_type: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    width: Mapped[int | None]
    height: Mapped[int | None]
    sha256: Mapped[str]
    vendor_sha256: Mapped[str | None]
    storage_key: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    erased_at: Mapped[datetime | None]
    __table_args__ = (
        in_project(),
        Index("artifacts_by_user", "user_id", "id"),
        Index(
            "artifacts_by_step",
            "workflow_id",
            "step_key",
            postgresql_where=text("workflow_id IS NOT NULL"),
        ),
        Index(
            "artifacts_uploads_by_age",
            "created_at",
            postgresql_where=text("workflow_id IS NULL AND erased_at IS NULL"),
        ),
    )


class WorkflowArtifact(Base):
    """A file that an input of the workflow mentions; kept while the workflow has not ended."""

    __tablename__ = "workflow_artifacts"
    artifact_id: Mapped[UUID] = mapped_column(ForeignKey("artifacts.id"), primary_key=True)
    workflow_id: Mapped[UUID] = mapped_column(primary_key=True)
    __table_args__ = (
        Index(
            "workflow_artifacts_of_workflow",
            "workflow_id",
            postgresql_using="brin",
            postgresql_ops={"workflow_id": "uuid_minmax_multi_ops"},
        ),
    )
