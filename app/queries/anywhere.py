"""Questions about one workflow to a replica, which may not have the newest rows yet."""

from collections.abc import Callable
from typing import Any, TypeVar

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


T = TypeVar("T")


def live_or_archived(live: Callable[[], T], archived: Callable[[], T]) -> T:
    """The answer of `live`; if it raises NotFound, that of `archived`.

    A workflow may be restored between the two, so `live` is asked once more if it is not archived.
    Raises NotFound if there is no such workflow.
    """
    try:
        return live()
    except NotFound as err:
        try:
            return archived()
        except Restored:
            return live()
        except NotFound as absent:
            raise (err if absent.code == err.code else absent) from None


class Restored(NotFound):
    """The rows of an archived workflow are in PostgreSQL again."""
