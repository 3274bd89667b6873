"""What is the same for all users: the numbers of live workflows, and the state of the platforms."""

from datetime import timedelta

from sqlalchemy import (
    func,
    select,
)

from app.db import begin_read
from app.db.models import (
    TERMINAL_WORKFLOW_STATUSES,
    WORKFLOW_STATUSES,
    PlatformCircuit,
    PlatformHealth,
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
