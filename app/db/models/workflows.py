"""Tables of workflows and steps: projections of the events, written in the same transactions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import DOMAIN, JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.operators import OperatorClass

from app.db.models.base import NOW, UUID7, Base, one_of
from app.db.models.statuses import (
    CAUSES,
    RARE_WORKFLOW_STATUSES,
    STEP_KINDS,
    STEP_ROLES,
    STEP_STATUSES,
    TERMINAL_WORKFLOW_STATUSES,
    WORKFLOW_STATUSES,
)


class _Word(DOMAIN):
    operator_classes = OperatorClass.STRING


STEP_STATUS = _Word(
    "step_status", Text, constraint_name="step_status", check=one_of("VALUE", STEP_STATUSES)
)
STEP_ROLE = _Word("step_role", Text, constraint_name="step_role", check=one_of("VALUE", STEP_ROLES))
STEP_KIND = _Word("step_kind", Text, constraint_name="step_kind", check=one_of("VALUE", STEP_KINDS))


class WorkflowRow(Base):
    """One execution of a definition. `next_wake_at` is finite until the status is terminal."""

    __tablename__ = "workflows"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    organisation_id: Mapped[UUID]
    project_id: Mapped[UUID]
    user_id: Mapped[UUID]
    """The user who started the workflow."""
    type: Mapped[str]
    version: Mapped[int]
    status: Mapped[str]
    cause: Mapped[str | None]
    attention: Mapped[str | None]
    hidden_need: Mapped[str | None]
    """The need for a person which the attention `effect_failed` hides, and no step causes."""
    attention_since: Mapped[datetime | None]
    paused_at: Mapped[datetime | None]
    paused_by: Mapped[str | None]
    paused_reason: Mapped[str | None]
    pauses_children: Mapped[bool | None]
    input: Mapped[dict[str, Any]]
    output: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("5"))
    idempotency_key: Mapped[str | None]
    request_hash: Mapped[bytes | None]
    next_wake_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("workflows.id"))
    parent_key: Mapped[str | None]
    depth: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    undoes: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    """Whether the workflow is undone if it stops."""
    budget_id: Mapped[UUID | None]
    """The workflow whose budget this one spends: itself, or one above it. None: there is no limit.
    What its own steps have cost is `spent`."""
    outlives_budget: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    """Whether the budgets of the workflows above limit this one and its children no more."""
    spent: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    forked_from: Mapped[UUID | None]
    is_asleep: Mapped[bool | None]
    """Whether the workflow only waited when next_wake_at was last raised; None if it never was."""
    starts_at: Mapped[datetime | None]
    """When the workflow is to start. None: it was started at once."""
    begun_at: Mapped[datetime | None]
    """When its first step was started, if `expires_at` counts from then."""
    lane_id: Mapped[int | None] = mapped_column(BigInteger)
    """The lane in which it waits for its start, or has waited."""
    flow: Mapped[dict[str, Any] | None]
    """The terms of its start (see chains/flow/stored.py). None: nothing controls it."""
    __table_args__ = (
        Index(
            "workflows_asleep",
            "user_id",
            "created_at",
            postgresql_where=text("completed_at IS NULL AND is_asleep"),
        ),
        Index(
            "workflows_awake",
            "user_id",
            "created_at",
            postgresql_where=text("completed_at IS NULL AND NOT is_asleep"),
        ),
        Index(
            "workflows_by_rare_status",
            "user_id",
            "status",
            "created_at",
            "id",
            postgresql_where=text(one_of("status", RARE_WORKFLOW_STATUSES)),
        ),
        Index(
            "workflows_by_fork_source",
            "forked_from",
            postgresql_where=text("forked_from IS NOT NULL"),
        ),
        Index(
            "workflows_needing_a_person",
            "user_id",
            "created_at",
            "id",
            postgresql_where=text("attention IS NOT NULL"),
        ),
        CheckConstraint(one_of("status", WORKFLOW_STATUSES), name="workflows_status"),
        CheckConstraint(one_of("cause", CAUSES), name="workflows_cause"),
        CheckConstraint("priority BETWEEN 1 AND 9", name="workflows_priority"),
        CheckConstraint(
            f"{one_of('status', TERMINAL_WORKFLOW_STATUSES)}"
            " OR (next_wake_at IS NOT NULL AND isfinite(next_wake_at))",
            name="workflows_always_looked_at",
        ),
        Index("workflows_by_user", "user_id", "created_at", "parent_id"),
        Index(
            "workflows_by_parent",
            "parent_id",
            "created_at",
            "id",
            postgresql_where=text("parent_id IS NOT NULL"),
        ),
        Index(
            "workflows_due",
            "next_wake_at",
            postgresql_where=text("completed_at IS NULL"),
        ),
        Index(
            "workflows_idempotency",
            "idempotency_key",
            "user_id",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
    )


class BudgetRow(Base):
    """What a workflow with a budget, and its children, may cost at the platforms, in micro-USD."""

    __tablename__ = "budgets"
    workflow_id: Mapped[UUID] = mapped_column(primary_key=True)
    within_id: Mapped[UUID | None]
    """The budget of a workflow above, which is spent too."""
    amount: Mapped[int] = mapped_column(BigInteger)
    applies: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    """False: the budget was exceeded after the pivot, and limits nothing any more."""
    spent: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    reserved: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    is_exceeded: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    """A step may cost more than is left, and no other step holds a reservation."""
    __table_args__ = (
        CheckConstraint("reserved >= 0", name="budgets_reserved"),
        {"postgresql_with": {"fillfactor": "50"}},
    )


class ChildCostRow(Base):
    """What a child has cost at the platforms, in micro-USD, for one of the workflows above it."""

    __tablename__ = "child_costs"
    ancestor_id: Mapped[UUID] = mapped_column(primary_key=True)
    workflow_id: Mapped[UUID] = mapped_column(primary_key=True)
    spent: Mapped[int] = mapped_column(BigInteger)


class BookedEffectRow(Base):
    """An effect at a platform whose cost is booked. The cost of an effect is booked once."""

    __tablename__ = "booked_effects"
    workflow_id: Mapped[UUID] = mapped_column(primary_key=True)
    effect: Mapped[str] = mapped_column(primary_key=True)
    step_key: Mapped[str]
    generation: Mapped[int]
    cost: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """In micro-USD."""
    model: Mapped[str | None]
    """What was paid for, where the platform has prices by model."""
    lost_call: Mapped[str | None]
    """The key of a call whose answer was lost, if the cost is what that may have cost."""


class StepRow(Base):
    """One node of a workflow, its compensation, an orphan effect, or the compensation of an orphan.

    app/keys makes the keys of these rows. A step without `publish_after` is not released: it is
    neither claimed nor published.
    """

    __tablename__ = "steps"
    workflow_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(STEP_KIND, server_default=text("'step'"))
    of_key: Mapped[str | None]
    """The key of the row that a compensation undoes, or of the step for which an orphan was
    made."""
    role: Mapped[str | None] = mapped_column(STEP_ROLE)
    """What kind of node it is if it calls no platform; None if it calls one."""
    position: Mapped[int]
    action: Mapped[str]
    status: Mapped[str] = mapped_column(STEP_STATUS)
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
    ready_at: Mapped[datetime | None]
    """When the step was released first; expressions read it as `now`."""
    item: Mapped[Any | None] = mapped_column(JSONB)
    input: Mapped[dict[str, Any] | None]
    output: Mapped[Any | None] = mapped_column(JSONB)
    error: Mapped[dict[str, Any] | None]
    error_code: Mapped[str | None]
    held_since: Mapped[datetime | None]
    """Since when a full or unavailable store of ours has kept the step from being tried."""
    left_since: Mapped[datetime | None]
    """Since when no worker's release or settings fit the step.

    This and `left_called_at` apply only together with `error_code`.
    """
    left_called_at: Mapped[datetime | None]
    """When the workflow was marked for attention because of that."""
    external_id: Mapped[str | None]
    signal: Mapped[str | None]
    """The name of the signal for which an approval has waited."""
    asked: Mapped[list[str] | None]
    """The e-mail addresses of the users who may give the signal; None: the workflow's owner."""
    remind_at: Mapped[list[datetime] | None]
    """When people are reminded of an approval, in order."""
    reminded: Mapped[int | None]
    """How many of these times are over."""
    cost: Mapped[int | None] = mapped_column(BigInteger)
    """What the step's calls have cost, in micro-USD; None: nothing."""
    reserved: Mapped[int | None] = mapped_column(BigInteger)
    """What the step's calls may still cost, in micro-USD; None: it has reserved nothing yet."""
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    adopted_from: Mapped[UUID | None]
    """In a fork: the workflow from which the step's outcome was copied. Only that workflow may undo
    the step."""
    skip_requested: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    is_tolerated: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    """The step has failed, and the definition tolerates that."""
    resolved_output: Mapped[Any | None] = mapped_column(JSONB)
    """The output that a person has given for the step; it is recorded instead of running the
    action."""
    __table_args__ = (
        Index(
            "steps_by_signal",
            "workflow_id",
            postgresql_where=text("signal IS NOT NULL"),
        ),
        Index(
            "steps_by_asked",
            "workflow_id",
            postgresql_where=text("asked IS NOT NULL"),
        ),
        Index(
            "steps_held",
            "held_since",
            postgresql_where=text("held_since IS NOT NULL"),
        ),
        Index(
            "steps_orphans",
            "workflow_id",
            postgresql_where=text("kind = 'orphan_undo'"),
        ),
        Index(
            "steps_by_external_id",
            "external_id",
            postgresql_where=text("external_id IS NOT NULL"),
        ),
        {"postgresql_with": {"fillfactor": "70"}},
    )
