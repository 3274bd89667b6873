"""The tables, as the migrations leave them; a test holds the two against each other.

`events` is the record; `workflows` and `steps` are its projections, written with it.
"""

from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Interval,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

WORKFLOW_STATUSES = (
    "pending",
    "running",
    "succeeded",
    "failed",
    "compensating",
    "compensated",
    "cancelled",
)
TERMINAL_WORKFLOW_STATUSES = ("succeeded", "failed", "compensated", "cancelled")
RARE_WORKFLOW_STATUSES = ("pending", "failed", "compensating", "compensated", "cancelled")
"""Those that an index is kept for: most workflows run and succeed."""
STEP_STATUSES = (
    "pending",
    "running",
    "waiting",
    "unknown",
    "succeeded",
    "failed",
    "skipped",
    "cancelled",
    "compensated",
)
CAUSES = ("failed", "timed_out", "cancelled", "over_budget")
RESOLUTIONS = ("accepted", "refused", "never")

_NOW = text("clock_timestamp()")
_UUID7 = text("uuidv7()")


def _one_of(column: str, values: tuple[str, ...]) -> str:
    listed = ", ".join(f"'{value}'" for value in values)
    return f"{column} IN ({listed})"


class Base(DeclarativeBase):
    """Column types by annotation: times are aware, JSON is jsonb."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        str: Text,
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
        bytes: LargeBinary,
    }


class User(Base):
    """A customer of the system."""

    __tablename__ = "users"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=_UUID7)
    email: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class ApiKey(Base):
    """A key's public prefix and the keyed hash of the whole; the key itself is shown once."""

    __tablename__ = "api_keys"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=_UUID7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    prefix: Mapped[str] = mapped_column(unique=True)
    digest: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    revoked_at: Mapped[datetime | None]
    is_admin: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    """May change what can be started, for everybody."""


class DefinitionRow(Base):
    """One version of a recipe; a body never changes under its version. `weight`: its share of the
    starts while they are spread; a retired version starts nothing."""

    __tablename__ = "definitions"
    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    body: Mapped[dict[str, Any]]
    checksum: Mapped[str]
    active: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    weight: Mapped[int | None]
    retired_at: Mapped[datetime | None]
    fingerprints: Mapped[dict[str, Any] | None]
    """Of the inputs of its actions, as they were when the body was checked (see app/releases)."""
    __table_args__ = (
        CheckConstraint("weight BETWEEN 0 AND 1000000", name="definitions_weight"),
        CheckConstraint(
            "retired_at IS NULL OR (NOT active AND weight IS NULL)",
            name="definitions_retired_starts_nothing",
        ),
        Index("definitions_one_active", "name", unique=True, postgresql_where=text("active")),
    )


class DefinitionActivation(Base):
    """A version became the active one; `taken_back_at`: until a rollback left it."""

    __tablename__ = "definition_activations"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=_UUID7)
    name: Mapped[str]
    version: Mapped[int]
    activated_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    taken_back_at: Mapped[datetime | None]
    __table_args__ = (
        ForeignKeyConstraint(["name", "version"], ["definitions.name", "definitions.version"]),
        Index("definition_activations_by_name", "name", "id"),
    )


class WorkflowRow(Base):
    """One execution of a definition. While not terminal, `next_wake_at` is finite."""

    __tablename__ = "workflows"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=_UUID7)
    user_id: Mapped[UUID]
    type: Mapped[str]
    version: Mapped[int]
    status: Mapped[str]
    cause: Mapped[str | None]
    attention: Mapped[str | None]
    paused_at: Mapped[datetime | None]
    input: Mapped[dict[str, Any]]
    output: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("5"))
    idempotency_key: Mapped[str | None]
    request_hash: Mapped[bytes | None]
    next_wake_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("workflows.id"))
    parent_key: Mapped[str | None]
    depth: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    undoes: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    """False: stopped without undoing."""
    budget: Mapped[int | None] = mapped_column(BigInteger)
    """What its platforms may cost, in micro-USD; what they have cost is `spent`."""
    spent: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    forked_from: Mapped[UUID | None] = mapped_column(ForeignKey("workflows.id"))
    is_asleep: Mapped[bool | None]
    """When next_wake_at was last raised, it only waited; None: it was never raised."""
    __table_args__ = (
        Index(
            "workflows_asleep",
            "user_id",
            "id",
            postgresql_where=text("completed_at IS NULL AND is_asleep"),
        ),
        Index(
            "workflows_awake",
            "user_id",
            "id",
            postgresql_where=text("completed_at IS NULL AND NOT is_asleep"),
        ),
        Index(
            "workflows_by_rare_status",
            "user_id",
            "status",
            "id",
            postgresql_where=text(_one_of("status", RARE_WORKFLOW_STATUSES)),
        ),
        Index(
            "workflows_by_fork_source",
            "forked_from",
            postgresql_where=text("forked_from IS NOT NULL"),
        ),
        Index(
            "workflows_needing_a_person",
            "user_id",
            "id",
            postgresql_where=text("attention IS NOT NULL"),
        ),
        CheckConstraint(_one_of("status", WORKFLOW_STATUSES), name="workflows_status"),
        CheckConstraint(_one_of("cause", CAUSES), name="workflows_cause"),
        CheckConstraint("priority BETWEEN 1 AND 9", name="workflows_priority"),
        CheckConstraint(
            f"{_one_of('status', TERMINAL_WORKFLOW_STATUSES)}"
            " OR (next_wake_at IS NOT NULL AND isfinite(next_wake_at))",
            name="workflows_always_looked_at",
        ),
        Index("workflows_by_user", "user_id", "id"),
        Index(
            "workflows_by_parent",
            "parent_id",
            postgresql_where=text("parent_id IS NOT NULL"),
        ),
        Index(
            "workflows_due",
            "next_wake_at",
            postgresql_where=text("completed_at IS NULL"),
        ),
        Index(
            "workflows_idempotency",
            "user_id",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
    )


class StepRow(Base):
    """One node of a workflow, or (`~undo`) its compensation. `publish_after` null: not ready."""

    __tablename__ = "steps"
    workflow_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    task_id: Mapped[UUID | None]
    """Celery's id of a step made by an earlier release; app/links.py makes today's."""
    position: Mapped[int]
    action: Mapped[str]
    status: Mapped[str]
    undo: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    next_keys: Mapped[list[str] | None]
    join_key: Mapped[str | None]
    item_heads: Mapped[list[str] | None]
    item_count: Mapped[int | None]
    next_item: Mapped[int | None]
    remaining: Mapped[int | None]
    fence: Mapped[UUID | None]
    tries: Mapped[int] = mapped_column(server_default=text("0"))
    claims: Mapped[int] = mapped_column(server_default=text("0"))
    crashes: Mapped[int] = mapped_column(server_default=text("0"))
    generation: Mapped[int] = mapped_column(server_default=text("0"))
    lease_until: Mapped[datetime | None]
    deadline_at: Mapped[datetime | None]
    wake_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    publish_after: Mapped[datetime | None]
    item: Mapped[Any | None] = mapped_column(JSONB)
    input: Mapped[dict[str, Any] | None]
    output: Mapped[Any | None] = mapped_column(JSONB)
    error: Mapped[dict[str, Any] | None]
    external_id: Mapped[str | None]
    cost: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    adopted_from: Mapped[UUID | None]
    """In a fork: the workflow whose outcome this is, which alone may undo it."""
    skip_requested: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    resolved_output: Mapped[Any | None] = mapped_column(JSONB)
    """A person's word for the step's output; it is recorded without running the action."""
    __table_args__ = (
        Index(
            "steps_by_signal",
            "workflow_id",
            postgresql_where=text("external_id LIKE 'signal:%'"),
        ),
        CheckConstraint(_one_of("status", STEP_STATUSES), name="steps_status"),
        Index(
            "steps_orphans",
            "workflow_id",
            postgresql_where=text("undo AND key LIKE '%~orphan[%'"),
        ),
        Index(
            "steps_by_old_task_id",
            "task_id",
            postgresql_where=text("uuid_extract_version(task_id) = 5"),
        ),
        Index(
            "steps_by_external_id",
            "external_id",
            postgresql_where=text("external_id IS NOT NULL"),
        ),
        {"postgresql_with": {"fillfactor": "70"}},
    )


class IntentRow(Base):
    """An effect about to be made: committed before the request leaves."""

    __tablename__ = "intents"
    workflow_id: Mapped[UUID] = mapped_column(primary_key=True)
    step_key: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int] = mapped_column(primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True)
    operation: Mapped[str]
    request: Mapped[Any] = mapped_column(JSON)
    key: Mapped[str]
    first_sent_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    resolution: Mapped[str | None]
    response: Mapped[Any | None] = mapped_column(JSONB)
    __table_args__ = (
        CheckConstraint(_one_of("resolution", RESOLUTIONS), name="intents_resolution"),
        Index(
            "intents_by_address",
            text("(response ->> 'url')"),
            postgresql_using="hash",
            postgresql_where=text("operation LIKE 'files.create%'"),
        ),
    )


class EventRow(Base):
    """Append-only; `hash` is SHA-256 over the previous hash and `body`, as it is stored."""

    __tablename__ = "events"
    workflow_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    body: Mapped[str]
    hash: Mapped[bytes]


class ArtifactRow(Base):
    """A file we keep: an upload, or a result copied from a platform. Erased: hash only."""

    __tablename__ = "artifacts"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=_UUID7)
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
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    erased_at: Mapped[datetime | None]
    __table_args__ = (
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


class WebhookDelivery(Base):
    """A verified webhook; committed before it is answered 200."""

    __tablename__ = "webhook_deliveries"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=_UUID7)
    platform: Mapped[str]
    delivery_id: Mapped[str]
    external_id: Mapped[str | None]
    kind: Mapped[str]
    payload: Mapped[dict[str, Any]]
    received_at: Mapped[datetime] = mapped_column(server_default=_NOW)
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
        CheckConstraint(_one_of("fate", ("own", "orphan")), name="webhook_deliveries_fate"),
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
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class PlatformHealth(Base):
    """The last probe of each platform."""

    __tablename__ = "platform_health"
    platform: Mapped[str] = mapped_column(primary_key=True)
    is_ok: Mapped[bool]
    error: Mapped[str | None]
    response_time: Mapped[int]
    checked_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class ClockOffset(Base):
    """What `playalter_now()` adds to the clock; a trigger refuses it outside a test database."""

    __tablename__ = "clock_offset"
    is_only: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=text("true"))
    amount: Mapped[timedelta] = mapped_column(Interval)


class ReconcilerBeat(Base):
    """One shared row: when any reconciler last passed, and until when no lease is expired."""

    __tablename__ = "reconciler_beat"
    is_only: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=text("true"))
    beat_at: Mapped[datetime]
    grace_until: Mapped[datetime]


class WorkerPresence(Base):
    """What a worker has last said of itself: the queues that it takes, and when."""

    __tablename__ = "worker_presence"
    name: Mapped[str] = mapped_column(primary_key=True)
    queues: Mapped[list[str]]
    seen_at: Mapped[datetime] = mapped_column(server_default=_NOW)
