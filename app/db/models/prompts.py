"""Tables of prompts: their versions, the labels that point to versions, and how these moved."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import NOW, UUID7, Base
from app.db.models.people import in_project


class PromptRow(Base):
    """A prompt of a project. `last_version` is the highest number that a version ever had."""

    __tablename__ = "prompts"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    organisation_id: Mapped[UUID]
    project_id: Mapped[UUID]
    name: Mapped[str]
    last_version: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    deleted_at: Mapped[datetime | None]
    __table_args__ = (UniqueConstraint("project_id", "name"), in_project())


class PromptVersionRow(Base):
    """One version of a prompt. Its body never changes; `checksum` is the SHA-256 of the body."""

    __tablename__ = "prompt_versions"
    prompt_id: Mapped[UUID] = mapped_column(ForeignKey("prompts.id"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    body: Mapped[dict[str, Any]]
    checksum: Mapped[str]
    description: Mapped[str | None]
    created_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    __table_args__ = (Index("prompt_versions_by_checksum", "prompt_id", "checksum", "version"),)


class PromptLabelRow(Base):
    """A label of a prompt, and the version to which it points."""

    __tablename__ = "prompt_labels"
    prompt_id: Mapped[UUID] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    moved_at: Mapped[datetime]
    __table_args__ = (
        ForeignKeyConstraint(
            ["prompt_id", "version"], ["prompt_versions.prompt_id", "prompt_versions.version"]
        ),
    )


class PromptMoveRow(Base):
    """A label began to point to another version, or to none (`to_version` is None).

    `taken_back_at` is the time of the rollback that undid this, or None.
    """

    __tablename__ = "prompt_moves"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    prompt_id: Mapped[UUID] = mapped_column(ForeignKey("prompts.id"))
    label: Mapped[str]
    from_version: Mapped[int | None]
    to_version: Mapped[int | None]
    moved_at: Mapped[datetime]
    moved_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    is_rollback: Mapped[bool] = mapped_column(Boolean)
    reason: Mapped[str | None]
    taken_back_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint(
            "NOT is_rollback OR to_version IS NOT NULL", name="prompt_moves_rollback_to_a_version"
        ),
        Index("prompt_moves_by_label", "prompt_id", "label", "moved_at"),
    )
