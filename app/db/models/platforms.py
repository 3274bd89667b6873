"""What platforms tell, and how they do."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Identity,
    Index,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import NOW, UUID7, Base, one_of


class WebhookDelivery(Base):
    """A verified webhook; committed before it is answered 200."""

    __tablename__ = "webhook_deliveries"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    platform: Mapped[str]
    delivery_id: Mapped[str]
    external_id: Mapped[str | None]
    kind: Mapped[str]
    payload: Mapped[dict[str, Any]]
    received_at: Mapped[datetime] = mapped_column(server_default=NOW)
    consumed_at: Mapped[datetime | None]
    effect_id: Mapped[str | None]
    """The vendor's id of the effect it speaks of, where that carries the step that follows."""
    effect_workflow_id: Mapped[UUID | None]
    effect_step_key: Mapped[str | None]
    fate: Mapped[str | None]
    """Whether the effect is that step's own or an orphan; None while that is open."""
    decision_failures: Mapped[int] = mapped_column(server_default=text("0"))
    decide_after: Mapped[datetime | None]
    """Not before this time, after a decision that failed."""
    __table_args__ = (
        UniqueConstraint("platform", "delivery_id", name="webhook_deliveries_once"),
        CheckConstraint(one_of("fate", ("own", "orphan")), name="webhook_deliveries_fate"),
        Index(
            "webhook_deliveries_undecided",
            "received_at",
            postgresql_where=text("effect_workflow_id IS NOT NULL AND fate IS NULL"),
        ),
        Index(
            "webhook_deliveries_by_effect",
            "effect_workflow_id",
            postgresql_where=text("effect_workflow_id IS NOT NULL"),
        ),
        Index(
            "webhook_deliveries_by_external_id",
            "external_id",
            postgresql_where=text("external_id IS NOT NULL"),
        ),
        Index(
            "webhook_deliveries_unconsumed",
            "received_at",
            postgresql_where=text("platform = 'control' AND consumed_at IS NULL"),
        ),
    )


class PlatformLog(Base):
    """One HTTP exchange with a platform; `status` is the HTTP status or an error's name."""

    __tablename__ = "platform_logs"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    workflow_id: Mapped[UUID | None] = mapped_column(index=True)
    step_key: Mapped[str | None]
    platform: Mapped[str]
    action: Mapped[str]
    status: Mapped[str]
    response_time: Mapped[int]
    """Milliseconds."""
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class PlatformHealth(Base):
    """The last probe of each platform."""

    __tablename__ = "platform_health"
    platform: Mapped[str] = mapped_column(primary_key=True)
    is_ok: Mapped[bool]
    error: Mapped[str | None]
    response_time: Mapped[int]
    checked_at: Mapped[datetime] = mapped_column(server_default=NOW)
