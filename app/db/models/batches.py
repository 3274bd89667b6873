"""Tables of batches at platforms and their lines."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import UUID7, Base, one_of

BATCH_STATES = (
    "gathered",
    "uploading",
    "uploaded",
    "creating",
    "running",
    "reading",
    "clearing",
    "ended",
)
LINE_STATES = ("waiting", "sent", "answered", "failed", "dropped")
_NOW = text("playalter_now()")


class BatchRow(Base):
    """A batch at a platform: many calls of one organisation that are sent as one file."""

    __tablename__ = "batches"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    organisation_id: Mapped[UUID] = mapped_column(
        ForeignKey("organisations.id", ondelete="CASCADE")
    )
    platform: Mapped[str]
    endpoint: Mapped[str]
    model: Mapped[str]
    lines: Mapped[int]
    bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    state: Mapped[str] = mapped_column(server_default=text("'gathered'"))
    file_id: Mapped[str | None]
    external_id: Mapped[str | None]
    result_files: Mapped[list[str] | None]
    ending: Mapped[str | None]
    done: Mapped[int] = mapped_column(server_default=text("0"))
    sent_at: Mapped[datetime | None]
    look_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    fence: Mapped[UUID | None]
    held_until: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    error: Mapped[str | None]
    ended_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint(one_of("state", BATCH_STATES), name="batches_state"),
        Index("batches_due", "look_at", postgresql_where=text("ended_at IS NULL")),
        Index(
            "batches_by_external_id",
            "external_id",
            postgresql_where=text("external_id IS NOT NULL"),
        ),
        Index("batches_ended", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
    )


class BatchLineRow(Base):
    """One call of a step that waits for a batch, is in one, or was."""

    __tablename__ = "batch_lines"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    workflow_id: Mapped[UUID]
    step_key: Mapped[str]
    generation: Mapped[int]
    ordinal: Mapped[int]
    organisation_id: Mapped[UUID] = mapped_column(
        ForeignKey("organisations.id", ondelete="CASCADE")
    )
    user_id: Mapped[UUID]
    platform: Mapped[str]
    endpoint: Mapped[str]
    model: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    ceiling: Mapped[int] = mapped_column(BigInteger)
    recorded_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    not_before: Mapped[datetime] = mapped_column(server_default=_NOW)
    state: Mapped[str] = mapped_column(server_default=text("'waiting'"))
    is_dropped: Mapped[bool] = mapped_column(server_default=text("false"))
    batch_id: Mapped[UUID | None] = mapped_column(ForeignKey("batches.id"))
    number: Mapped[int | None]
    tries: Mapped[int] = mapped_column(server_default=text("0"))
    answer: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    cost: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    paid_model: Mapped[str | None]
    ended_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    __table_args__ = (
        UniqueConstraint(
            "workflow_id", "step_key", "generation", "ordinal", name="batch_lines_once"
        ),
        CheckConstraint(one_of("state", LINE_STATES), name="batch_lines_state"),
        Index(
            "batch_lines_waiting",
            "platform",
            "organisation_id",
            "endpoint",
            "model",
            "id",
            postgresql_where=text("state = 'waiting'"),
        ),
        Index(
            "batch_lines_by_batch",
            "batch_id",
            "number",
            postgresql_where=text("batch_id IS NOT NULL"),
        ),
        Index(
            "batch_lines_unsettled",
            "ended_at",
            postgresql_where=text("ended_at IS NOT NULL AND settled_at IS NULL"),
        ),
        Index("batch_lines_settled", "settled_at", postgresql_where=text("settled_at IS NOT NULL")),
    )
