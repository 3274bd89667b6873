"""Connections of the archive: their statements may take long, and rows have one form of text."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from app import db
from app.archive.tables import TEXT_FORM

Step = Callable[[str], None]
"""Called with the name of each step that was done; a test stops there."""

_STATEMENT_SECONDS = 600
"""A family may have thousands of children."""


def go_on(_: str) -> None:
    """The `Step` that does nothing."""


@contextmanager
def connected() -> Iterator[Any]:
    """A psycopg2 connection to the primary whose statements are transactions of their own."""
    with closing(db.connect(application="playalter-archive")) as connection:
        with connection.cursor() as cursor:
            cursor.execute(f"{TEXT_FORM}; SET statement_timeout = '{_STATEMENT_SECONDS}s'")
        yield connection


@contextmanager
def snapshot() -> Iterator[Any]:
    """A connection whose transactions only read, each of them one snapshot."""
    with connected() as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
        yield connection


def dicts(
    connection: Any, sql: str, parameters: tuple[Any, ...] | Mapping[str, Any] = ()
) -> list[dict[str, Any]]:
    """Run a statement, and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        if cursor.description is None:
            return []
        names = [column.name for column in cursor.description]
        return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]


@contextmanager
def transaction(connection: Any) -> Iterator[None]:
    """One transaction of all statements in the block, on a connection of `connected`."""
    dicts(connection, "BEGIN")
    try:
        yield
    except BaseException:
        if not connection.closed:
            dicts(connection, "ROLLBACK")
        raise
    dicts(connection, "COMMIT")
