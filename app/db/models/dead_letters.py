"""The table of what has failed for good, and of what people have done about it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import Base, one_of

SETTLEMENTS = ("replayed", "dismissed")
"""What a person may have done about a dead letter."""


class DeadLetterRow(Base):
    """A workflow that has failed for good. A workflow that succeeds has no such row."""

    __tablename__ = "dead_letters"
    workflow_id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[UUID]
    project_id: Mapped[UUID]
    user_id: Mapped[UUID]
    type: Mapped[str]
    cause: Mapped[str]
    step_key: Mapped[str | None]
    """The step that failed; None if none did, for example at a time-out of the workflow."""
    action: Mapped[str | None]
    """The action of the step that failed first, which may be a step of a child."""
    platform: Mapped[str | None]
    error_code: Mapped[str]
    ended_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    settled_as: Mapped[str | None]
    note: Mapped[str | None]
    replay_id: Mapped[UUID | None]
    """The workflow that carries this one's work on."""
    request: Mapped[bytes | None]
    """A hash of the Idempotency-Key of the request that replayed it."""
    __table_args__ = (
        CheckConstraint(one_of("settled_as", SETTLEMENTS), name="dead_letters_settled_as"),
        CheckConstraint(
            "(settled_at IS NULL) = (settled_as IS NULL)"
            " AND (replay_id IS NOT NULL) = coalesce(settled_as = 'replayed', false)",
            name="dead_letters_settled_whole",
        ),
        Index(
            "dead_letters_open",
            "user_id",
            "ended_at",
            "workflow_id",
            postgresql_where=text("settled_at IS NULL"),
        ),
        Index(
            "dead_letters_settled",
            "user_id",
            "settled_as",
            "ended_at",
            "workflow_id",
            postgresql_where=text("settled_at IS NOT NULL"),
        ),
        Index(
            "dead_letters_by_replay",
            "replay_id",
            postgresql_where=text("replay_id IS NOT NULL"),
        ),
    )
