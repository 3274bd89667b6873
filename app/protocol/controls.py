"""Controls: the SQL functions by which people change a workflow, and the barrier of a stop.

A dry run is the function itself, rolled back: it answers what would be done and changes nothing.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from app import db


def verdict(function: str, parameters: Mapping[str, Any], *, is_dry: bool) -> str:
    """The answer of an SQL function, `p_<name> => value` each; rolled back on a dry run.

    A dict or a list is not taken: JSON is passed as text, which PostgreSQL casts.
    """
    named = ", ".join(f"p_{name} => {_mark(name)}" for name in parameters)

    def ask() -> str:
        with db.engine().connect() as connection, connection.begin() as transaction:
            found: str = connection.execute(
                text(f"SELECT {function}({named}) AS verdict"), dict(parameters)
            ).scalar_one()
            if is_dry:
                transaction.rollback()
            return found

    return db.patiently(ask)


_JSON = frozenset({"input", "output", "response", "error"})


def _mark(name: str) -> str:
    return f"cast(:{name} AS jsonb)" if name in _JSON else f":{name}"


def barrier(workflow_id: UUID) -> None:
    """Wait out the claims in flight: after a committed stop none commits behind this."""
    db.patiently(lambda: db.row("SELECT 1 FROM workflows WHERE id = %s FOR UPDATE", (workflow_id,)))


def lock(connection: Connection, workflow_id: UUID) -> str:
    """Take the workflow row for writing; its status."""
    return str(
        connection.execute(
            text("SELECT status FROM workflows WHERE id = :id FOR NO KEY UPDATE"),
            {"id": workflow_id},
        ).scalar_one()
    )
