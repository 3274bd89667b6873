"""Controls: calls the SQL functions by which people change a workflow, and runs the barrier.

A dry run calls the same SQL function and then rolls back, so it returns the verdict and changes
nothing.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from app import db
from app.errors import Conflict


def verdict(function: str, parameters: Mapping[str, Any], *, is_dry: bool) -> str:
    """Call an SQL function with the parameters `p_<name> => value`, and return its verdict.

    A dry run is rolled back. JSON must be passed as text, which PostgreSQL casts; a dict is not
    accepted.
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
    """Wait until the claims of the workflow that are in flight have committed.

    If a stop or a pause was committed before, no claim can commit after this returns.
    """
    db.patiently(lambda: db.row("SELECT 1 FROM workflows WHERE id = %s FOR UPDATE", (workflow_id,)))


def lock(connection: Connection, workflow_id: UUID) -> str:
    """Lock the workflow row FOR NO KEY UPDATE, and return the workflow's status.

    Raises Conflict if the workflow was archived after the caller had read it.
    """
    status = connection.execute(
        text("SELECT status FROM workflows WHERE id = :id FOR NO KEY UPDATE"),
        {"id": workflow_id},
    ).scalar_one_or_none()
    if status is None:
        raise Conflict(
            "the workflow has just been archived; send the request again",
            code="workflow_archived",
        )
    return str(status)
