"""Reads the records of a workflow: its plan, its input, and the recorded outcomes of its steps.

All these reads, and those of prompts, use `records()`: the database or, in a rehearsal, memory.
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
from chains.plans.counting import MAX_ROWS
from chains.plans.plan import Plan


class Records(Protocol):
    """A source of workflows' records."""

    def now(self) -> datetime:
        """The current time of the clock that decides when waits end."""

    def plan(self, type: str, version: int) -> Plan:
        """The plan of a version of a definition."""

    def checked_with(self, type: str, version: int, action: str) -> str | None:
        """The fingerprint that the action's input model had when the version was checked.

        None if it is unknown.
        """

    def workflow(self, workflow_id: UUID) -> Json | None:
        """The values {id, type, user_id, started_at, input, status, output, error, completed_at} of
        a workflow; None if there is no such workflow."""

    def ready_at(self, workflow_id: UUID, key: str) -> datetime:
        """When the step became ready to run; the same in every try."""

    def steps(self, workflow_id: UUID, keys: list[str]) -> list[Json]:
        """The values {key, output, status, error} of each step in `keys` that exists."""

    def failures(self, workflow_id: UUID, prefix: str) -> list[Json]:
        """The values {key, error} of the failed steps whose keys start with `prefix`, in the order
        of the definition."""

    def item_count(self, workflow_id: UUID, key: str) -> int:
        """The number of items of a map or of turns of a loop; `key` is its join's key."""

    def step_count(self, workflow_id: UUID) -> int:
        """The number of steps that the workflow has now, counted to just above MAX_ROWS."""

    def prompt(self, workflow_id: UUID, name: str, label: str | None, version: int | None) -> Json:
        """The version of a prompt that the workflow uses, as {is_known, version, checksum, body}.

        It is the one to which the label pointed when the workflow started, or that of the number.
        `version` is None if the label pointed to none, and `body` if there is no such version.
        """


class Stored:
    """Reads records from PostgreSQL; each method runs at most one statement."""

    def now(self) -> datetime:
        """The time of the database's clock, which a test may shift."""
        row = _row("SELECT playalter_now() AS now", ())
        assert row is not None
        found: datetime = row["now"]
        return found

    def plan(self, type: str, version: int) -> Plan:
        """The plan; it is kept in this process's memory after the first read."""
        return registry.plan(type, version)

    def checked_with(self, type: str, version: int, action: str) -> str | None:
        """The fingerprint. It is read each time, because registering a body again may change it."""
        row = _row(
            "SELECT fingerprints FROM definitions WHERE name = %s AND version = %s",
            (type, version),
        )
        return (row["fingerprints"] or {}).get(action) if row else None

    def workflow(self, workflow_id: UUID) -> Json | None:
        """The columns of the workflow's row that definitions can use."""
        return _row(
            "SELECT id, type, user_id, started_at, input, status, output, error, completed_at"
            "  FROM workflows WHERE id = %s",
            (workflow_id,),
        )

    def ready_at(self, workflow_id: UUID, key: str) -> datetime:
        """The column of the step's row, which is written when the step is released."""
        row = _row(
            "SELECT ready_at FROM steps WHERE workflow_id = %s AND key = %s", (workflow_id, key)
        )
        assert row is not None
        found: datetime = row["ready_at"]
        return found

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

    def step_count(self, workflow_id: UUID) -> int:
        """The count of the workflow's rows, compensations included."""
        row = _row(
            "SELECT count(*) AS found FROM"
            " (SELECT FROM steps WHERE workflow_id = %s LIMIT %s) AS s",
            (workflow_id, MAX_ROWS + 1),
        )
        return int(row["found"]) if row else 0

    def prompt(self, workflow_id: UUID, name: str, label: str | None, version: int | None) -> Json:
        """See `prompt_of_workflow_v1`."""
        row = _row(
            "SELECT * FROM prompt_of_workflow_v1(%s, %s, %s, %s)",
            (workflow_id, name, label, version),
        )
        assert row is not None
        return row


def _row(sql: str, parameters: tuple[Any, ...]) -> Json | None:
    return db.patiently(lambda: db.row(sql, parameters))


def _rows(sql: str, parameters: tuple[Any, ...]) -> list[Json]:
    return db.patiently(lambda: db.rows(sql, parameters))


_STORED = Stored()
_CURRENT: ContextVar[Records] = ContextVar("records", default=_STORED)


def records() -> Records:
    """The source of records that the current thread reads from."""
    return _CURRENT.get()


@contextmanager
def reading(other: Records) -> Iterator[None]:
    """A context in which the current thread reads from `other` instead of the database."""
    token = _CURRENT.set(other)
    try:
        yield
    finally:
        _CURRENT.reset(token)
