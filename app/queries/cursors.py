"""Cursors of the lists of workflows, which are in the order of the start, newest first.

The id of a workflow does not tell when it started: ids of children and of forks are made
differently. A cursor holds both values by which a list is ordered. They never change, so a cursor
stays valid whatever happens to the workflow after which it begins.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

CURSOR_PATTERN = r"^[0-9]{1,16}-[0-9a-f]{32}$"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def cursor_of(created_at: datetime, workflow_id: UUID) -> str:
    """The cursor of the page that begins after a workflow.

    >>> cursor_of(datetime(2026, 1, 2, tzinfo=UTC), UUID("01a2242f-a9bf-73cf-a48b-9c420711352f"))
    '1767312000000000-01a2242fa9bf73cfa48b9c420711352f'
    """
    return f"{(created_at - _EPOCH) // timedelta(microseconds=1)}-{workflow_id.hex}"


def place_of(cursor: str) -> tuple[datetime, UUID]:
    """The time of the start and the id in a cursor, which matches CURSOR_PATTERN.

    >>> place_of("1767312000000000-01a2242fa9bf73cfa48b9c420711352f")[0].isoformat()
    '2026-01-02T00:00:00+00:00'
    """
    microseconds, _, workflow_id = cursor.partition("-")
    return _EPOCH + timedelta(microseconds=int(microseconds)), UUID(workflow_id)
