"""Waiting in place while PostgreSQL is away, full or crowded, or has broken a deadlock.

Every wait has a bound; past it the caller gets `Unavailable`.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg2
import sqlalchemy.exc
import structlog

from app.db.ailments import ailment
from app.db.pool import prepared, release, row
from app.errors import Unavailable

log = structlog.get_logger()

T = TypeVar("T")

UNABLE = (
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.TimeoutError,
)
"""What psycopg2 and SQLAlchemy raise while the database is away, full or crowded."""

AWAY = (*UNABLE, psycopg2.InternalError, sqlalchemy.exc.InternalError)
"""What psycopg2 and SQLAlchemy raise when the database is away, busy or a deadlock was broken."""

PATIENCE_SECONDS = 5.0
"""How long a caller waits who can try again later."""
OUTCOME_PATIENCE_SECONDS = 60.0
"""How long a worker waits with the outcome of an attempt: what is lost would be done again."""
_PAUSE_SECONDS = 0.25
_WORTH_TELLING = 2  # a broken deadlock is gone at the second try


def patiently(ask: Callable[[], T], *, seconds: float = PATIENCE_SECONDS) -> T:
    """`ask()`, again for up to `seconds` while PostgreSQL is away, full or crowded, or broke a
    deadlock; then Unavailable. A fault that no waiting cures is Unavailable at once."""
    began = time.monotonic()
    failures = 0
    while True:
        try:
            answer = ask()
        except AWAY as err:
            # Also where the server answers but cannot work: read-only after a switch, say.
            release()
            found = ailment(err)
            if not found.passes or time.monotonic() - began >= seconds:
                raise Unavailable(found.words, code=found.code) from err
            failures += 1
            if failures == _WORTH_TELLING:
                log.warning("database.waiting", reason=found.words, seconds=seconds)
            time.sleep(_PAUSE_SECONDS)
        else:
            if failures >= _WORTH_TELLING:
                log.info("database.back", waited=round(time.monotonic() - began, 1))
            return answer


def call(
    sql: str, parameters: tuple[Any, ...], *, seconds: float = PATIENCE_SECONDS
) -> dict[str, Any] | None:
    """The first row of one statement, waiting in place while PostgreSQL is away."""
    return patiently(lambda: row(sql, parameters), seconds=seconds)


def hot(
    function: str, types: str, parameters: tuple[Any, ...], *, seconds: float = PATIENCE_SECONDS
) -> list[dict[str, Any]]:
    """The rows of an SQL function that is planned once a connection; waits like `call`."""
    return patiently(lambda: prepared(function, types, parameters), seconds=seconds)
