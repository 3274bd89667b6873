"""Questions to a replica that may not know the newest yet."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import (
    Connection,
)

from app.db import begin, begin_read, has_replica
from app.errors import NotFound

T = TypeVar("T")


def known(ask: Callable[[Connection], T | None]) -> T:
    """What the replica knows, else the primary; NotFound if neither does."""
    with begin_read() as connection:
        found = ask(connection)
    if found is None and has_replica():
        with begin() as connection:
            found = ask(connection)
    if found is None:
        raise NotFound("there is no such workflow")
    return found
