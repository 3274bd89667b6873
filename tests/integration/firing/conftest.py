"""Schedules in a database of the test's own, whose past is known."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from app import db
from chains.firing.fire import fire_due
from tests.integration.conftest import Kernel
from tests.unit.definitions import noop

_INSERT = (
    "INSERT INTO schedules (organisation_id, project_id, user_id, name, type, version, input, spec,"
    " overlap, catch_up_seconds, pauses_on_failure, seen_to, fires_at)"
    " SELECT organisation_id, project_id, id, %s, %s, %s, %s, %s, %s, %s, %s,"
    " date_trunc('hour', playalter_now()) - %s * interval '1 hour', playalter_now() FROM users"
    " WHERE id = %s RETURNING id"
)


@dataclass(frozen=True)
class Fired:
    """A schedule of every hour, and short ways to its rows."""

    kernel: Kernel
    id: UUID
    type: str

    @property
    def row(self) -> dict[str, Any]:
        """The schedule's row."""
        found = db.row("SELECT * FROM schedules WHERE id = %s", (self.id,))
        assert found is not None
        return found

    @property
    def runs(self) -> list[dict[str, Any]]:
        """What became of its times, in order."""
        sql = "SELECT * FROM schedule_runs WHERE schedule_id = %s ORDER BY nominal_at, id"
        return db.rows(sql, (self.id,))

    @property
    def outcomes(self) -> list[str]:
        """The outcome of each time, in order; `skipped*2` for two in one row."""
        return [
            each["outcome"] + (f"*{each['times']}" if each["times"] > 1 else "")
            for each in self.runs
        ]

    @property
    def workflows(self) -> list[dict[str, Any]]:
        """The workflows that it has started, in the order of their times."""
        sql = "SELECT * FROM workflows WHERE idempotency_key ^@ %s ORDER BY created_at, id"
        return db.rows(sql, (f"schedule:{self.id}:",))

    def fire(self) -> list[str]:
        """Run passes until nothing is due; the outcomes."""
        fire_all()
        return self.outcomes

    def after(self, hours: int) -> list[str]:
        """Let so many hours pass, and fire; the outcomes."""
        shift(f"{hours} hours")
        return self.fire()

    def set(self, **columns: Any) -> None:
        """Change columns of its row, as a command would."""
        named = ", ".join(f"{name} = %s" for name in columns)
        db.row(f"UPDATE schedules SET {named} WHERE id = %s", (*columns.values(), self.id))


Make = Callable[..., Fired]


@pytest.fixture
def schedule(kernel: Kernel) -> Make:
    """Make a schedule of every hour of which the last `hours` times are due.

    It is a quarter past the hour, so that no hour begins during a test.
    """
    minute = "date_part('minute', playalter_now()) * interval '1 minute'"
    db.row(f"INSERT INTO clock_offset (amount) VALUES (interval '15 minutes' - {minute})", ())

    def make(
        overlap: str = "skip",
        hours: int = 1,
        *,
        name: str = "hourly",
        type: str | None = None,
        version: int | None = None,
        input: dict[str, Any] | None = None,
        catch_up: int = 86_400,
        pauses_on_failure: bool = False,
        spec: dict[str, Any] | None = None,
    ) -> Fired:
        type = type or kernel.register(noop("only"))
        given = json.dumps(input or {}), json.dumps(spec or {"every": {"hours": 1}})
        row = db.row(
            _INSERT,
            (name, type, version, *given, overlap, catch_up, pauses_on_failure, hours,
             kernel.user_id),
        )  # fmt: skip
        assert row is not None
        return Fired(kernel, row["id"], type)

    return make


def fire_all(most: int = 200) -> int:
    """Run passes until nothing is due, at most so many; how many there were."""
    due = "SELECT 1 FROM schedules WHERE fires_at <= playalter_now() LIMIT 1"
    for number in range(most):
        fire_due()
        if not db.rows(due, ()):
            return number + 1
    raise AssertionError(f"something is still due after {most} passes")


def shift(interval: str) -> None:
    """Let time pass on the database's clock, and do nothing else."""
    db.row(
        "INSERT INTO clock_offset (amount) VALUES (%s::interval) ON CONFLICT (is_only)"
        " DO UPDATE SET amount = clock_offset.amount + excluded.amount",
        (interval,),
    )
