"""Fills a database with copies of workflows that are there: what a year of work leaves behind.

A copy has ids of its own and the rows of its original, its steps and events, in the order of time:
ids and times begin `_OLDEST` ago, as they would have. Hash chains are copied as they are, so
`events verify` refuses copies. Rows come as they ended: no dead ones, no holes.
"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from app import db

BATCH = 5000
"""Workflows a transaction."""
_OLDEST = "interval '300 days'"
_SHIFTED = {
    name: f"t.{name} - c.age"
    for name in ("created_at", "started_at", "completed_at", "finished_at")
}


def copy_finished(originals: Sequence[UUID], number: int, failing: int = 1000) -> None:
    """`number` copies of finished workflows; one in `failing` is a failed one."""
    status = f"CASE WHEN c.n % {failing:d} = 0 THEN 'failed' ELSE t.status END"
    _copy(originals, number, {"status": status})


def copy_waiting(originals: Sequence[UUID], number: int) -> None:
    """`number` copies of workflows that wait; what they wait for is their own. They are due within
    the next 30 days, none of them in the next hour."""
    due = "playalter_now() + interval '1 hour' + random() * interval '30 days'"
    # So says the reconciler's first look, which copies do not get.
    _copy(originals, number, {"next_wake_at": due, "is_asleep": "true"})


def _copy(originals: Sequence[UUID], number: int, changed: Mapping[str, str]) -> None:
    with contextlib.closing(db.connect()) as connection:
        connection.autocommit = False
        with connection.cursor() as cursor:
            # Their originals have passed every check: no triggers, no foreign keys.
            cursor.execute("SET session_replication_role = replica; SET statement_timeout = 0")
            cursor.execute(_WORKFLOWS_TO_COME)
            statements = [
                _insert(_columns(cursor, "workflows"), "workflows", {"id": "c.id", **changed}),
                _insert(_columns(cursor, "steps"), "steps", _OF_STEP),
                _insert(_columns(cursor, "events"), "events", {}),
            ]
            for first in range(0, number, BATCH):
                last = min(first + BATCH, number)
                cursor.execute(_NAME_THEM, (list(originals), number, first + 1, last))
                for statement in statements:
                    cursor.execute(statement)
                connection.commit()


_WORKFLOWS_TO_COME = (
    "CREATE TEMP TABLE coming (n integer, old uuid, id uuid, age interval) ON COMMIT DELETE ROWS"
)
# The ages fall as the numbers rise, so that ids come in order.
_NAME_THEM = f"""
INSERT INTO coming SELECT n, old, uuidv7(-age), age FROM (
  SELECT n, given.o[1 + n %% cardinality(given.o)] AS old,
         {_OLDEST} * (1 - n::float / (given.most + 1)) AS age
    FROM (SELECT %s::uuid[] AS o, %s AS most) AS given, generate_series(%s, %s) AS n) AS aged
"""
_OF_STEP = {
    # What a step waits for may name its workflow: signal:<id>:<name>.
    "external_id": "replace(t.external_id, c.old::text, c.id::text)",
}


def _insert(columns: Sequence[str], table: str, changed: Mapping[str, str]) -> str:
    """Copy a table's rows of the workflows to come; `changed`: other values by column. Pure."""
    link = "id" if table == "workflows" else "workflow_id"
    values = {link: "c.id", **_SHIFTED, **changed}
    listed = ", ".join(values.get(name, f"t.{name}") for name in columns)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {listed}"
        f" FROM coming AS c JOIN {table} AS t ON t.{link} = c.old ORDER BY c.n"
    )


def _columns(cursor: Any, table: str) -> list[str]:
    cursor.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
        " AND NOT attisdropped ORDER BY attnum",
        (table,),
    )
    return [row[0] for row in cursor]
