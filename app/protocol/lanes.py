"""Lanes: the steps that wait in PostgreSQL while more is published than the workers keep up with.

Each function is one transaction on an autocommit connection of this process.
"""

from dataclasses import dataclass
from uuid import UUID

from app import db
from app.protocol.claims import republish_seconds

MOST_MESSAGES = 8
"""A queue with more messages than this is backed up."""
LEAST_MESSAGES = 2
"""A queue that is backed up is filled at least up to this."""
AHEAD_SECONDS = 0.2
"""A queue that is backed up is filled with the work of so many seconds at most, or else up to
MOST_MESSAGES."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """Steps of a workflow that the caller must publish now."""

    workflow_id: UUID
    type: str
    version: int
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Admission:
    """What `admit` decided about a queue: `level` is the number of messages it is filled up to."""

    level: int
    is_backed_up: bool
    admitted: tuple[Admitted, ...]


def admit(queue: str, length: int) -> Admission | None:
    """Decide what is published to a queue of so many messages now.

    None if another process decides about this queue at the moment.
    """
    rows = db.rows(
        "SELECT * FROM admit_v1(%s, %s, %s, %s, %s, %s)",
        (queue, length, MOST_MESSAGES, LEAST_MESSAGES, AHEAD_SECONDS, republish_seconds()),
    )
    if not rows:
        return None
    keys: dict[UUID, list[str]] = {}
    of: dict[UUID, tuple[str, int]] = {}
    for row in rows[:-1]:
        keys.setdefault(row["workflow_id"], []).append(row["key"])
        of[row["workflow_id"]] = row["type"], row["version"]
    admitted = tuple(Admitted(id, *of[id], tuple(found)) for id, found in keys.items())
    return Admission(rows[-1]["level"], rows[-1]["is_backed_up"], admitted)


def line_up(workflow_id: UUID, keys: list[str], wide: list[str]) -> list[str]:
    """Line up those of the released steps whose queue is backed up, and return their keys.

    The queues `wide` are backed up from now on.
    """
    row = db.call("SELECT line_up_released_v1(%s, %s, %s) AS keys", (workflow_id, keys, wide))
    assert row is not None
    return list(row["keys"])


def look_at_admitted(most: int) -> int:
    """Make the reconciler look at the workflows that were admitted some time ago and still run.

    So many admissions are read at most; returns how many were read.
    """
    row = db.row("SELECT look_at_admitted_v1(%s, %s) AS read", (republish_seconds(), most))
    assert row is not None
    return int(row["read"])


def backed_up() -> frozenset[str]:
    """The queues that are backed up."""
    rows = db.rows("SELECT name FROM queues WHERE is_backed_up", ())
    return frozenset(row["name"] for row in rows)
