"""Tables of flow control: the lanes in which accepted workflows wait for their start."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Double,
    Identity,
    Index,
    Integer,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import NOW, Base, one_of

LIMIT_SCOPES = ("definition", "project", "account", "platform", "throttle")

_ZERO = text("0")
_FALSE = text("false")


class FlowLimitRow(Base):
    """A limit or a throttle for one value of its key. `tat` and `opens_at` are a throttle's."""

    __tablename__ = "flow_limits"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    owner: Mapped[UUID]
    """The project or organisation of a limit of that scope; the nil UUID for others."""
    tat: Mapped[datetime | None]
    """The theoretical arrival time of GCRA."""
    opens_at: Mapped[datetime | None]
    """When the first lane that the throttle blocks may be admitted. None: it blocks none."""
    spacing: Mapped[float | None] = mapped_column(Double)
    """How many seconds ahead `opens_at` may be. If it is further, the clock was set back."""
    v: Mapped[float] = mapped_column(Double, server_default=_ZERO)
    """Its virtual time, by which the lanes of all pools that it blocks compete."""
    scope: Mapped[str]
    name: Mapped[str]
    key: Mapped[str]
    __table_args__ = (
        CheckConstraint(one_of("scope", LIMIT_SCOPES), name="flow_limits_scope_check"),
        UniqueConstraint("name", "key", "scope", "owner"),
        Index("flow_limits_opening", "opens_at", postgresql_where=text("opens_at IS NOT NULL")),
    )


class FlowPoolRow(Base):
    """Lanes that compete with each other. `v` is the virtual time of start-time fair queueing."""

    __tablename__ = "flow_pools"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    owner: Mapped[UUID]
    v: Mapped[float] = mapped_column(Double, server_default=_ZERO)
    scope: Mapped[str]
    name: Mapped[str]
    __table_args__ = (UniqueConstraint("name", "scope", "owner"),)


class FlowLaneRow(Base):
    """A lane: starts with the same definition, keys and numbers wait there in their order."""

    __tablename__ = "flow_lanes"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    pool_id: Mapped[int] = mapped_column(BigInteger)
    tag: Mapped[float] = mapped_column(Double)
    """The virtual time at which its next start is due."""
    weight: Mapped[float] = mapped_column(Double)
    rate: Mapped[float] = mapped_column(Double, server_default=_ZERO)
    """Starts admitted per second lately."""
    blocked_on: Mapped[int | None] = mapped_column(BigInteger)
    """The limit or throttle that keeps it from being admitted."""
    blocked_tag: Mapped[float | None] = mapped_column(Double)
    """Its tag in the virtual time of that limit."""
    changed_at: Mapped[datetime] = mapped_column(server_default=NOW)
    blocked_most: Mapped[int | None]
    is_open: Mapped[bool] = mapped_column(Boolean)
    identity: Mapped[bytes] = mapped_column(unique=True)
    definition: Mapped[str]
    share_key: Mapped[str]
    limits: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    mosts: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    intervals: Mapped[list[float | None]] = mapped_column(ARRAY(Double))
    __table_args__ = (
        Index(
            "flow_lanes_ready",
            "pool_id",
            "tag",
            "id",
            postgresql_where=text("is_open AND blocked_on IS NULL"),
        ),
        Index(
            "flow_lanes_blocked",
            "blocked_on",
            "blocked_tag",
            "id",
            postgresql_where=text("blocked_on IS NOT NULL"),
        ),
        Index("flow_lanes_idle", "changed_at", postgresql_where=text("NOT is_open")),
    )


class FlowEntryRow(Base):
    """A workflow that waits in a lane."""

    __tablename__ = "flow_entries"
    lane_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    order_at: Mapped[datetime] = mapped_column(primary_key=True)
    workflow_id: Mapped[UUID] = mapped_column(primary_key=True)
    cost: Mapped[float] = mapped_column(Double)


class FlowTurnRow(Base):
    """A place of a limit that a workflow holds, until it has ended."""

    __tablename__ = "flow_turns"
    workflow_id: Mapped[UUID] = mapped_column(primary_key=True)
    limit_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    is_extra: Mapped[bool] = mapped_column(Boolean, server_default=_FALSE)
    """Taken beyond the limit: it was reopened to be undone, or its source waits for this fork."""
    __table_args__ = (Index("flow_turns_by_limit", "limit_id"),)


class FlowReleasedRow(Base):
    """A limit of which a place has become free."""

    __tablename__ = "flow_released"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    limit_id: Mapped[int] = mapped_column(BigInteger)


class FlowCostRow(Base):
    """What an ended workflow has cost more than was counted when it was admitted."""

    __tablename__ = "flow_costs"
    pool_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    lane_id: Mapped[int] = mapped_column(BigInteger)
    cost: Mapped[float] = mapped_column(Double)
