"""Tables of the record: intents and events, and which events are announced."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import NOW, Base, one_of
from app.db.models.statuses import RESOLUTIONS


class IntentRow(Base):
    """A request that has an effect at a vendor; it is committed here before it is sent."""

    __tablename__ = "intents"
    workflow_id: Mapped[UUID] = mapped_column(primary_key=True)
    step_key: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int] = mapped_column(primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True)
    operation: Mapped[str]
    request: Mapped[Any] = mapped_column(JSON)
    key: Mapped[str]
    first_sent_at: Mapped[datetime] = mapped_column(server_default=NOW)
    """Since when the call may have taken effect."""
    key_sent_at: Mapped[datetime] = mapped_column(server_default=NOW)
    """Since when the platform may know the key."""
    resolution: Mapped[str | None]
    response: Mapped[Any | None] = mapped_column(JSONB)
    effect_id: Mapped[str | None]
    """The vendor's id of what was made, as the action has read it in the response."""
    effect_address: Mapped[str | None]
    """The address of a file that was uploaded. A webhook may refer to the file by it."""
    answer_id: Mapped[UUID | None]
    """The artifact that holds the response, if it is too large for a row."""
    __table_args__ = (
        CheckConstraint(one_of("resolution", RESOLUTIONS), name="intents_resolution"),
        Index(
            "intents_by_address",
            "effect_address",
            postgresql_using="hash",
            postgresql_where=text("effect_address IS NOT NULL"),
        ),
    )


class KnownResult(Base):
    """Which step has made the result of a request to a platform, or makes it now."""

    __tablename__ = "known_results"
    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    request_hash: Mapped[bytes] = mapped_column(primary_key=True)
    workflow_id: Mapped[UUID]
    generation: Mapped[int]
    step_key: Mapped[str]
    claimed_at: Mapped[datetime] = mapped_column(server_default=NOW)
    __table_args__ = (
        UniqueConstraint("workflow_id", "step_key", name="known_results_once"),
        Index("known_results_by_age", "claimed_at", postgresql_using="brin"),
    )


class PlatformObject(Base):
    """An object at a platform that several workflows could use, and the workflow or the
    organisation that has it."""

    __tablename__ = "platform_objects"
    platform: Mapped[str] = mapped_column(primary_key=True)
    object_id: Mapped[str] = mapped_column(primary_key=True)
    workflow_id: Mapped[UUID]
    step_key: Mapped[str]
    claimed_at: Mapped[datetime] = mapped_column(server_default=NOW)
    organisation_id: Mapped[UUID | None]
    __table_args__ = (
        Index(
            "platform_objects_of_workflow",
            "workflow_id",
            postgresql_using="brin",
            postgresql_ops={"workflow_id": "uuid_minmax_multi_ops"},
        ),
    )


class EventRow(Base):
    """An event of a workflow; events are only appended.

    `hash` is the SHA-256 over the hash of the previous event and `body`, the text as it is stored.
    """

    __tablename__ = "events"
    workflow_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    body: Mapped[str]
    hash: Mapped[bytes]


class WatchedWorkflow(Base):
    """A workflow whose events are announced until then, because a web server streams them.

    The table is UNLOGGED: it is empty after a crash.
    """

    __tablename__ = "watched_workflows"
    workflow_id: Mapped[UUID] = mapped_column(primary_key=True)
    until: Mapped[datetime]
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)
