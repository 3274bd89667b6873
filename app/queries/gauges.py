"""What is the same for all users: the numbers of live workflows, and the state of the platforms."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import (
    case,
    func,
    select,
)

from app.db import begin_read
from app.db.models import (
    TERMINAL_WORKFLOW_STATUSES,
    WORKFLOW_STATUSES,
    AllowanceRow,
    PlatformCircuit,
    PlatformHealth,
    User,
    WorkflowRow,
)
from app.outbound.scopes import CIRCUIT_IDLE_SECONDS
from app.platform import Json

MOST_COUNTED = 250_000
"""The most live workflows that one scrape counts, because each of them is read for it."""


# A circuit of which nothing is heard for so long is forgotten: its operation is called.
_OPENED = (
    select(
        PlatformCircuit.platform,
        PlatformCircuit.operation,
        PlatformCircuit.reason,
        PlatformCircuit.until,
    )
    .where(PlatformCircuit.state == "open")
    .where(PlatformCircuit.until > func.clock_timestamp() - timedelta(seconds=CIRCUIT_IDLE_SECONDS))
    .order_by(PlatformCircuit.platform, PlatformCircuit.operation)
)


def live_workflows() -> dict[str, int]:
    """The number of live workflows in each status that is not terminal, over all users.

    If there are more than `MOST_COUNTED`, only so many are counted.
    """
    counted = (
        select(WorkflowRow.status)
        .where(WorkflowRow.completed_at.is_(None))
        .limit(MOST_COUNTED)
        .subquery()
    )
    statement = select(counted.c.status, func.count().label("number")).group_by(counted.c.status)
    live = dict.fromkeys(WORKFLOW_STATUSES, 0)
    for status in TERMINAL_WORKFLOW_STATUSES:
        del live[status]
    with begin_read() as connection:
        return live | {row.status: row.number for row in connection.execute(statement)}


def platform_health() -> dict[str, bool]:
    """Whether each platform answered its last probe."""
    statement = select(PlatformHealth.platform, PlatformHealth.is_ok)
    with begin_read() as connection:
        return {row.platform: row.is_ok for row in connection.execute(statement)}


def platform_states() -> list[Json]:
    """For each platform that was asked: whether it is well, its error, and when that was seen.

    `response_time` is that of the last probe, in milliseconds. `circuits` are the operations that
    are not called now, each with the reason and when a call is let through.
    """
    wanted = (
        PlatformHealth.platform,
        PlatformHealth.is_ok,
        PlatformHealth.error,
        PlatformHealth.response_time,
        PlatformHealth.checked_at,
    )
    with begin_read() as connection:
        found = connection.execute(select(*wanted).order_by(PlatformHealth.platform))
        states = [dict(row) for row in found.mappings()]
        opened = [dict(row) for row in connection.execute(_OPENED).mappings()]
    for state in states:
        state["circuits"] = [
            {name: each[name] for name in ("operation", "reason", "until")}
            for each in opened
            if each["platform"] == state["platform"]
        ]
    return states


def open_circuits() -> dict[str, int]:
    """The number of operations of each platform that are not called now. 0 if there were some."""
    statement = select(PlatformCircuit.platform).distinct()
    with begin_read() as connection:
        known: dict[str, int] = dict.fromkeys(connection.execute(statement).scalars(), 0)
        for row in connection.execute(_OPENED):
            known[row.platform] += 1
    return known


_ALL = UUID(int=0)
"""The organisation that stands for all."""
# What belongs to an hour that is over counts no more.
_IS_NOW = AllowanceRow.hour == func.date_trunc("hour", func.playalter_now(), "UTC")


def allowances(user_id: UUID, *, is_operator: bool = False) -> list[Json]:
    """What is used of what the settings allow at platforms, of those that limit something.

    Each is {platform, is_for_all, running, most_running, spent_micro_usd, reserved_micro_usd,
    hourly_micro_usd}; money is that of this hour, and a limit is None if there is none. The user
    sees what the own organisation uses, and an operator what all use too.
    """
    own = select(User.organisation_id).where(User.id == user_id).scalar_subquery()
    seen = AllowanceRow.organisation_id == own
    statement = (
        select(
            AllowanceRow.platform,
            (AllowanceRow.organisation_id == _ALL).label("is_for_all"),
            AllowanceRow.taken.label("running"),
            AllowanceRow.most.label("most_running"),
            case((_IS_NOW, AllowanceRow.spent), else_=0).label("spent_micro_usd"),
            case((_IS_NOW, AllowanceRow.reserved), else_=0).label("reserved_micro_usd"),
            AllowanceRow.hourly.label("hourly_micro_usd"),
        )
        .where(seen | (AllowanceRow.organisation_id == _ALL) if is_operator else seen)
        .order_by(AllowanceRow.platform, AllowanceRow.organisation_id)
    )
    with begin_read() as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]


def running_at_platforms() -> dict[str, float]:
    """How many places for work are taken at each platform whose settings limit something."""
    statement = select(AllowanceRow.platform, AllowanceRow.taken)
    with begin_read() as connection:
        found = connection.execute(statement.where(AllowanceRow.organisation_id == _ALL))
        return {row.platform: row.taken for row in found}


def hourly_usd() -> dict[str, float]:
    """The USD of this hour that are spent or reserved at each such platform."""
    used = case((_IS_NOW, AllowanceRow.spent + AllowanceRow.reserved), else_=0).label("used")
    statement = select(AllowanceRow.platform, used).where(AllowanceRow.organisation_id == _ALL)
    with begin_read() as connection:
        return {row.platform: row.used / 1_000_000 for row in connection.execute(statement)}
