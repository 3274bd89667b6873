"""Tables of the archive: its files, what is left of their workflows, and holds."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Index, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import NOW, UUID7, Base, one_of

VOLUME_STATES = ("writing", "kept", "sweeping")
BUNDLE_STATES = ("archived", "restored", "replaced", "expired", "erased")
ARCHIVED_STATES = ("archived", "restored", "erased")


class ArchiveVolume(Base):
    """A file in the storage with bundles."""

    __tablename__ = "archive_volumes"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    state: Mapped[str]
    noted_at: Mapped[datetime] = mapped_column(server_default=NOW)
    __table_args__ = (
        CheckConstraint(one_of("state", VOLUME_STATES), name="archive_volumes_state"),
        Index(
            "archive_volumes_unfinished",
            "noted_at",
            postgresql_where=text("state <> 'kept'"),
        ),
    )


class ArchiveBundle(Base):
    """All rows of one root workflow and its children, as a part of a volume."""

    __tablename__ = "archive_bundles"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    root_id: Mapped[UUID]
    organisation_id: Mapped[UUID]
    volume_id: Mapped[UUID]
    start: Mapped[int] = mapped_column(BigInteger)
    size: Mapped[int] = mapped_column(BigInteger)
    archived_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    """It is not erased before; None if it is kept for ever."""
    manifest: Mapped[int | None] = mapped_column(BigInteger)
    """The number of the manifest that names the bundle."""
    erased_by: Mapped[int | None] = mapped_column(BigInteger)
    """The number of the manifest that tells that the bundle is removed."""
    workflows: Mapped[int]
    sha256: Mapped[bytes]
    types: Mapped[list[str]]
    state: Mapped[str]
    __table_args__ = (
        CheckConstraint(one_of("state", BUNDLE_STATES), name="archive_bundles_state"),
        Index("archive_bundles_of_root", "root_id"),
        Index("archive_bundles_of_volume", "volume_id"),
        Index(
            "archive_bundles_to_remove",
            "volume_id",
            postgresql_where=text(one_of("state", ("replaced", "expired"))),
        ),
        Index(
            "archive_bundles_unnamed",
            "id",
            postgresql_where=text("manifest IS NULL"),
        ),
        Index(
            "archive_bundles_by_age",
            "archived_at",
            postgresql_where=text("state = 'archived'"),
        ),
        Index(
            "archive_bundles_expiring",
            "expires_at",
            postgresql_where=text("state = 'archived'"),
        ),
        Index("archive_bundles_of_manifest", "manifest"),
    )


class ArchivedRow(Base):
    """What is left in PostgreSQL of a workflow whose rows are in a bundle."""

    __tablename__ = "archived"
    workflow_id: Mapped[UUID] = mapped_column(primary_key=True)
    root_id: Mapped[UUID]
    organisation_id: Mapped[UUID]
    project_id: Mapped[UUID]
    user_id: Mapped[UUID]
    created_at: Mapped[datetime]
    cost: Mapped[int] = mapped_column(BigInteger)
    budget: Mapped[int | None] = mapped_column(BigInteger)
    budget_id: Mapped[UUID | None]
    version: Mapped[int]
    head_seq: Mapped[int]
    priority: Mapped[int] = mapped_column(SmallInteger)
    is_paused: Mapped[bool]
    type: Mapped[str]
    status: Mapped[str]
    cause: Mapped[str | None]
    idempotency_key: Mapped[str | None]
    request_hash: Mapped[bytes | None]
    parent_id: Mapped[UUID | None]
    forked_from: Mapped[UUID | None]
    starts_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime]
    head_hash: Mapped[bytes]
    bundle_id: Mapped[UUID]
    archived_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(server_default=text("'archived'"))
    restored_at: Mapped[datetime | None]
    restored_by: Mapped[str | None]
    erased_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint(one_of("state", ARCHIVED_STATES), name="archived_state"),
        Index("archived_by_user", "user_id", "created_at", "workflow_id"),
        Index("archived_of_root", "root_id"),
        Index(
            "archived_by_parent",
            "parent_id",
            postgresql_where=text("parent_id IS NOT NULL"),
        ),
        Index(
            "archived_by_fork_source",
            "forked_from",
            postgresql_where=text("forked_from IS NOT NULL"),
        ),
        Index(
            "archived_idempotency",
            "idempotency_key",
            "user_id",
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
    )


class ArchiveManifest(Base):
    """A file in the storage that names bundles by their hashes, and the manifest before it."""

    __tablename__ = "archive_manifests"
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    previous: Mapped[str]
    sha256: Mapped[str]
    key: Mapped[str]
    bundles: Mapped[int]
    workflows: Mapped[int]
    bytes: Mapped[int] = mapped_column(BigInteger)
    erased: Mapped[int]
    body: Mapped[str | None]
    """The text, until the file is written."""
    made_at: Mapped[datetime] = mapped_column(server_default=NOW)
    __table_args__ = (
        Index("archive_manifests_to_write", "number", postgresql_where=text("body IS NOT NULL")),
    )


class ArchiveHold(Base):
    """A root workflow that is neither archived nor erased until the hold is released."""

    __tablename__ = "archive_holds"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    organisation_id: Mapped[UUID]
    root_id: Mapped[UUID]
    reason: Mapped[str]
    held_by: Mapped[str]
    held_at: Mapped[datetime] = mapped_column(server_default=NOW)
    released_by: Mapped[str | None]
    released_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint(
            "(released_by IS NULL) = (released_at IS NULL)",
            name="archive_holds_released_whole",
        ),
        Index(
            "archive_holds_open",
            "root_id",
            unique=True,
            postgresql_where=text("released_at IS NULL"),
        ),
    )


class ArchiveProgress(Base):
    """One row: how far the search for workflows to archive has come, and the last run."""

    __tablename__ = "archive_progress"
    is_only: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=text("true"))
    looked_to: Mapped[UUID]
    ran_at: Mapped[datetime]
    result: Mapped[dict[str, Any]]
