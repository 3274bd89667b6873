"""The SQLAlchemy engines of this process, for the primary and for the read replica.

An engine belongs to the process that created it. A forked child creates its own engines.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import structlog
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import OperationalError

from app import settings
from app.db.connecting import CONNECT_SECONDS, LIVENESS, STATEMENT_MILLISECONDS
from app.db.discretion import DiscreetCursor

log = structlog.get_logger()

_REPLICA_PAUSE_SECONDS = 10.0

_replica_away_until: dict[str, float] = {}
"""For each URL, the time.monotonic() before which this process does not try the replica again."""


@lru_cache(maxsize=4)
def _engine(pid: int, url: str) -> Engine:
    configured = settings.current()
    return create_engine(
        url,
        pool_size=configured.database_pool,
        max_overflow=configured.database_pool,
        pool_timeout=CONNECT_SECONDS,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "cursor_factory": DiscreetCursor,
            "options": f"-c statement_timeout={STATEMENT_MILLISECONDS}",
            **LIVENESS,
        },
    )


def engine() -> Engine:
    """This process's engine for the primary. It is created at first use, and never shared with a
    forked child."""
    return _engine(os.getpid(), settings.current().database_url)


@contextmanager
def begin() -> Iterator[Connection]:
    """Run the block in one transaction, which an exception rolls back."""
    with engine().begin() as connection:
        yield connection


def has_replica() -> bool:
    """Whether queries go to a replica, which may lag behind the primary."""
    return settings.current().database_replica_url is not None


@contextmanager
def begin_read() -> Iterator[Connection]:
    """Run the block in one transaction for reading: on the replica if one is set and reachable,
    otherwise on the primary."""
    with _connect_to_read() as connection, connection.begin():
        yield connection


def _connect_to_read() -> Connection:
    url = replica_to_ask()
    if url is not None:
        try:
            return _engine(os.getpid(), url).connect()
        except OperationalError as err:
            leave_replica(url, str(err.orig))
    return engine().connect()


def replica_to_ask() -> str | None:
    """The address of the replica; None if there is none, or if it was not reachable just now."""
    url = settings.current().database_replica_url
    if url is None or time.monotonic() < _replica_away_until.get(url, 0.0):
        return None
    return url


def leave_replica(url: str, reason: str) -> None:
    """Let queries go to the primary for a while. Otherwise each of them would first wait for the
    replica's time-out."""
    _replica_away_until[url] = time.monotonic() + _REPLICA_PAUSE_SECONDS
    log.warning("database.replica_away", error=reason.strip()[:200])
