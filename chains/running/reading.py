"""Reads the records of a workflow: its plan, its input, and the recorded results of its steps.

All these reads go through `records()`, which is the database or, in a rehearsal, memory.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from app import db
from app.platform import Json
from chains import registry
from chains.plans.plan import Plan


class Records(Protocol):
    """A source of workflows' records."""

    def now(self) -> datetime:
        """The clock by which waits end."""

    def plan(self, type: str, version: int) -> Plan:
        """The plan of a version of a definition."""

    def checked_with(self, type: str, version: int, action: str) -> str | None:
        """The fingerprint of the action's input when the version was checked; None if unknown."""

    def workflow(self, workflow_id: UUID) -> Json | None:
        """{input, status, output, error, completed_at} of a workflow."""

    def steps(self, workflow_id: UUID, keys: list[str]) -> list[Json]:
        """{key, output, status, error} of each step that exists among `keys`."""

    def failures(self, workflow_id: UUID, prefix: str) -> list[Json]:
        """{key, error} of the failed steps whose keys begin with `prefix`, in definition order."""

    def item_count(self, workflow_id: UUID, key: str) -> int:
        """The number of items or turns of a block."""


class Stored:
    """Records in PostgreSQL; each method runs one statement."""

    def now(self) -> datetime:
        """The database's clock, which a test may move."""
        row = _row("SELECT playalter_now() AS now", ())
        assert row is not None
        found: datetime = row["now"]
        return found

    def plan(self, type: str, version: int) -> Plan:
        """The plan, from this process's memory once it was read."""
        return registry.plan(type, version)

    def checked_with(self, type: str, version: int, action: str) -> str | None:
        """The fingerprint, read each time, because a repeated registration may change it."""
        row = _row(
            "SELECT fingerprints FROM definitions WHERE name = %s AND version = %s",
            (type, version),
        )
        return (row["fingerprints"] or {}).get(action) if row else None

    def workflow(self, workflow_id: UUID) -> Json | None:
        """The workflow's row, without the columns that only the engine needs."""
        return _row(
            "SELECT input, status, output, error, completed_at FROM workflows WHERE id = %s",
            (workflow_id,),
        )

    def steps(self, workflow_id: UUID, keys: list[str]) -> list[Json]:
        """The rows with these keys."""
        return _rows(
            "SELECT key, output, status, error FROM steps"
            " WHERE workflow_id = %s AND key = ANY (%s)",
            (workflow_id, keys),
        )

    def failures(self, workflow_id: UUID, prefix: str) -> list[Json]:
        """The rows of failed steps; compensations are left out."""
        return _rows(
            "SELECT key, error FROM steps WHERE workflow_id = %s AND status = 'failed'"
            " AND kind = 'step' AND starts_with(key, %s) ORDER BY position, key",
            (workflow_id, prefix),
        )

    def item_count(self, workflow_id: UUID, key: str) -> int:
        """The count on the row of the join."""
        row = _row(
            "SELECT item_count FROM steps WHERE workflow_id = %s AND key = %s", (workflow_id, key)
        )
        return (row["item_count"] if row else 0) or 0


def _row(sql: str, parameters: tuple[Any, ...]) -> Json | None:
    return db.patiently(lambda: db.row(sql, parameters))


def _rows(sql: str, parameters: tuple[Any, ...]) -> list[Json]:
    return db.patiently(lambda: db.rows(sql, parameters))


_STORED = Stored()
_CURRENT: ContextVar[Records] = ContextVar("records", default=_STORED)


def records() -> Records:
    """The records that this thread reads."""
    return _CURRENT.get()


@contextmanager
def reading(other: Records) -> Iterator[None]:
    """Within this context the thread reads `other` instead of the database."""
    token = _CURRENT.set(other)
    try:
        yield
    finally:
        _CURRENT.reset(token)
