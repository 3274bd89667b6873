"""Questions about one workflow to a replica, which may not have the newest rows yet."""

from typing import Any

from app import db
from app.errors import NotFound


def read_replica_first(
    function: str, types: str, parameters: tuple[Any, ...], *, query: str | None = None
) -> list[dict[str, Any]]:
    """The rows that `app.db.read` finds for one workflow, from the replica, or from the primary.

    No row means that the workflow was not found. Raises NotFound if neither database has it.
    Without a replica only the primary is asked.
    """
    rows = db.read(function, types, parameters, query=query)
    if not rows and db.has_replica():
        rows = db.read(function, types, parameters, query=query, from_primary=True)
    if not rows:
        raise NotFound("there is no such workflow")
    return rows
