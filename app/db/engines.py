"""SQLAlchemy's engines of this process: transactions, and questions that a replica may answer.

Engines belong to the process that made them: after a fork they are made anew.
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

log = structlog.get_logger()

_REPLICA_PAUSE_SECONDS = 10.0

_replica_away_until: dict[str, float] = {}
"""By address: the time.monotonic() before which this process does not try the replica again."""


@lru_cache(maxsize=4)
def _engine(pid: int, url: str) -> Engine:
    configured = settings.current()
    return create_engine(
        url,
        pool_size=configured.database_pool,
        max_overflow=configured.database_pool,
        pool_timeout=CONNECT_SECONDS,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "options": f"-c statement_timeout={STATEMENT_MILLISECONDS}",
            **LIVENESS,
        },
    )


def engine() -> Engine:
    """The process's engine; created at first use, never shared over a fork."""
    return _engine(os.getpid(), settings.current().database_url)


@contextmanager
def begin() -> Iterator[Connection]:
    """One transaction: committed at the end of the block, undone by an exception."""
    with engine().begin() as connection:
        yield connection


def has_replica() -> bool:
    """Whether questions go to a replica, which may lag behind."""
    return settings.current().database_replica_url is not None


@contextmanager
def begin_read() -> Iterator[Connection]:
    """One transaction that only reads: on the replica where there is one and it can be reached."""
    with _reading() as connection, connection.begin():
        yield connection


def _reading() -> Connection:
    url = settings.current().database_replica_url
    if url is not None and time.monotonic() >= _replica_away_until.get(url, 0.0):
        try:
            return _engine(os.getpid(), url).connect()
        except OperationalError as err:
            # Questions go on at the primary, without a wait for the replica at each of them.
            _replica_away_until[url] = time.monotonic() + _REPLICA_PAUSE_SECONDS
            log.warning("database.replica_away", error=str(err.orig).strip()[:200])
    return engine().connect()
