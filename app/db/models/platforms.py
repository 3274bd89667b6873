"""Tables of webhooks, of requests to platforms, and of the platforms' health."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Identity,
    Index,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import NOW, UUID7, Base, one_of


class WebhookDelivery(Base):
    """A verified webhook, committed before it is answered with 200.

    Rows of the platform `control` are messages of our own, for example a signal.
    """

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
    """The vendor's id of the effect that the webhook reports. It is set only if the step that the
    effect was made for is known; the next two columns name this step."""
    effect_workflow_id: Mapped[UUID | None]
    effect_step_key: Mapped[str | None]
    fate: Mapped[str | None]
    """Whether the effect is the step's own or an orphan, or was reported too late (`late`): the
    workflow was erased. None until that is decided."""
    reserved: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """What an undecided effect that its step has given up may still cost, in micro-USD."""
    decision_failures: Mapped[int] = mapped_column(server_default=text("0"))
    decide_after: Mapped[datetime | None]
    """The earliest time of the next decision, after one that failed."""
    __table_args__ = (
        UniqueConstraint("platform", "delivery_id", name="webhook_deliveries_once"),
        CheckConstraint(one_of("fate", ("own", "orphan", "late")), name="webhook_deliveries_fate"),
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
    """One HTTP exchange with a platform; `status` is the HTTP status or the name of an error."""

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
    """The result of the last probe of a platform."""

    __tablename__ = "platform_health"
    platform: Mapped[str] = mapped_column(primary_key=True)
    is_ok: Mapped[bool]
    error: Mapped[str | None]
    response_time: Mapped[int]
    checked_at: Mapped[datetime] = mapped_column(server_default=NOW)


class PlatformCircuit(Base):
    """The last change of a circuit: whether an operation of a platform is called."""

    __tablename__ = "platform_circuits"
    platform: Mapped[str] = mapped_column(primary_key=True)
    operation: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    reason: Mapped[str]
    until: Mapped[datetime | None]
    changed_at: Mapped[datetime]


class AllowanceRow(Base):
    """What steps use of what the settings allow at a platform: places, and micro-USD of an hour.

    The organisation 0 stands for all. `most` and `hourly` are the limits, null if there is none.
    """

    __tablename__ = "allowances"
    platform: Mapped[str] = mapped_column(primary_key=True)
    organisation_id: Mapped[UUID] = mapped_column(primary_key=True)
    hour: Mapped[datetime]
    taken: Mapped[int] = mapped_column(server_default=text("0"))
    reserved: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    spent: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    most: Mapped[int | None]
    hourly: Mapped[int | None] = mapped_column(BigInteger)
    swept_at: Mapped[datetime | None]
    __table_args__ = ({"postgresql_with": {"fillfactor": "50"}},)


class AllowanceHold(Base):
    """What a step has taken of a platform's allowance, until its work there is over."""

    __tablename__ = "allowance_holds"
    workflow_id: Mapped[UUID] = mapped_column(primary_key=True)
    step_key: Mapped[str] = mapped_column(primary_key=True)
    platform: Mapped[str]
    organisation_id: Mapped[UUID]
    hour: Mapped[datetime]
    micro_usd: Mapped[int] = mapped_column(BigInteger)
    cost_before: Mapped[int] = mapped_column(BigInteger)
    """What the step had cost before, in micro-USD."""
    has_place: Mapped[bool] = mapped_column(Boolean)
    lasts_until: Mapped[datetime]
    __table_args__ = (Index("allowance_holds_by_platform", "platform"),)
