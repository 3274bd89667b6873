"""Queries to a replica, which may not have the newest rows yet."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import (
    Connection,
)

from app.db import begin, begin_read, has_replica
from app.errors import NotFound

T = TypeVar("T")


def ask_replica_first(query: Callable[[Connection], T | None]) -> T:
    """The result of a query for one workflow, from the replica, or else from the primary.

    The query returns None if it does not find the workflow. Raises NotFound if neither database has
    it. Without a replica only the primary is asked.
    """
    with begin_read() as connection:
        found = query(connection)
    if found is None and has_replica():
        with begin() as connection:
            found = query(connection)
    if found is None:
        raise NotFound("there is no such workflow")
    return found
