"""Tables of the webhooks that Playalter sends: to whom, what, and what became of it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    SmallInteger,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import UUID7, Base, one_of

SENDING_STATUSES = ("pending", "sending", "delivered", "failed", "missed")
_NOW = text("playalter_now()")


class WebhookEndpoint(Base):
    """An address to which a user has events sent, and how it has answered lately."""

    __tablename__ = "webhook_endpoints"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    organisation_id: Mapped[UUID]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    url: Mapped[str]
    description: Mapped[str]
    event_types: Mapped[list[str] | None]
    with_children: Mapped[bool] = mapped_column(server_default=text("false"))
    secret: Mapped[str]
    former_secret: Mapped[str | None]
    former_until: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    failing_since: Mapped[datetime | None]
    rest_until: Mapped[datetime | None]
    rests: Mapped[int] = mapped_column(server_default=text("0"))
    pace: Mapped[int | None]
    """Milliseconds."""
    served_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    __table_args__ = (
        CheckConstraint(
            one_of("disabled_reason", ("asked", "failing", "gone")),
            name="webhook_endpoints_reason",
        ),
        CheckConstraint(
            "(disabled_at IS NULL) = (disabled_reason IS NULL)", name="webhook_endpoints_disabled"
        ),
        Index("webhook_endpoints_by_user", "user_id", "id"),
    )


class WebhookMessage(Base):
    """What is sent to endpoints of a user, committed with the event of which it tells."""

    __tablename__ = "webhook_messages"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    organisation_id: Mapped[UUID]
    user_id: Mapped[UUID]
    type: Mapped[str]
    workflow_id: Mapped[UUID | None]
    seq: Mapped[int | None]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class WebhookSending(Base):
    """A message for one endpoint."""

    __tablename__ = "webhook_sendings"
    message_id: Mapped[UUID] = mapped_column(primary_key=True)
    endpoint_id: Mapped[UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    status: Mapped[str]
    turn: Mapped[int] = mapped_column(SmallInteger, server_default=text("1"))
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    due_at: Mapped[datetime]
    tried_at: Mapped[datetime | None]
    fence: Mapped[UUID | None]
    lease_until: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint(one_of("status", SENDING_STATUSES), name="webhook_sendings_status"),
        Index(
            "webhook_sendings_waiting",
            "endpoint_id",
            "turn",
            "due_at",
            postgresql_where=text("status = 'pending'"),
        ),
        Index(
            "webhook_sendings_in_flight",
            "endpoint_id",
            "lease_until",
            postgresql_where=text("status = 'sending'"),
        ),
        Index(
            "webhook_sendings_undelivered",
            "endpoint_id",
            "created_at",
            postgresql_where=text("status IN ('failed', 'missed')"),
        ),
        Index("webhook_sendings_of_endpoint", "endpoint_id", "created_at"),
    )


class WebhookAttempt(Base):
    """One attempt to deliver a message."""

    __tablename__ = "webhook_attempts"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    endpoint_id: Mapped[UUID]
    message_id: Mapped[UUID]
    attempt: Mapped[int] = mapped_column(SmallInteger)
    status: Mapped[int | None]
    """The HTTP status of the answer."""
    error: Mapped[str | None]
    milliseconds: Mapped[int]
    reply: Mapped[str | None]
    """The first part of the answer's body."""
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    __table_args__ = (Index("webhook_attempts_of_endpoint", "endpoint_id", "id"),)
