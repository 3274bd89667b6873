"""Retries a statement while PostgreSQL is unreachable, out of disk or out of connections.

A transaction that PostgreSQL chose as a deadlock's victim is retried too. Every wait has a limit,
after which `Unavailable` is raised.
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
"""The errors that psycopg2 and SQLAlchemy raise while the server is unreachable, is out of disk or
connections, or has broken a deadlock."""

AWAY = (*UNABLE, psycopg2.InternalError, sqlalchemy.exc.InternalError)
"""`UNABLE`, and the errors that psycopg2 and SQLAlchemy raise when the server answers but cannot do
its work, for example because it is read-only after a fail-over."""

PATIENCE_SECONDS = 5.0
"""The limit for a caller that can try again later."""
OUTCOME_PATIENCE_SECONDS = 60.0
"""The limit for a worker that records the outcome of an attempt. It is long, because a step whose
outcome is lost must be run again."""
_PAUSE_SECONDS = 0.25
_FAILURES_TO_LOG = 2  # a single failure is not logged: a deadlock rarely happens twice in a row


def patiently(ask: Callable[[], T], *, seconds: float = PATIENCE_SECONDS) -> T:
    """Call `ask()` until it succeeds, for up to `seconds` while it raises one of `AWAY`.

    Raises Unavailable after that time, and at once for an error that a retry cannot cure.
    """
    began = time.monotonic()
    failures = 0
    while True:
        try:
            answer = ask()
        except AWAY as err:
            # Idle connections are closed even if the server still answers: after a fail-over they
            # may lead to a server that has become read-only.
            release()
            found = ailment(err)
            if not found.passes or time.monotonic() - began >= seconds:
                raise Unavailable(found.words, code=found.code) from err
            failures += 1
            if failures == _FAILURES_TO_LOG:
                log.warning("database.waiting", reason=found.words, seconds=seconds)
            time.sleep(_PAUSE_SECONDS)
        else:
            if failures >= _FAILURES_TO_LOG:
                log.info("database.back", waited=round(time.monotonic() - began, 1))
            return answer


def call(
    sql: str, parameters: tuple[Any, ...], *, seconds: float = PATIENCE_SECONDS
) -> dict[str, Any] | None:
    """Run one statement with the retries of `patiently`, and return its first row or None."""
    return patiently(lambda: row(sql, parameters), seconds=seconds)


def hot(
    function: str,
    types: str,
    parameters: tuple[Any, ...],
    *,
    seconds: float = PATIENCE_SECONDS,
    query: str | None = None,
) -> list[dict[str, Any]]:
    """Call an SQL function with the retries of `patiently`, and return its rows.

    The statement is prepared once on each connection (see `app.db.pool.prepared`).
    """
    return patiently(lambda: prepared(function, types, parameters, query), seconds=seconds)
