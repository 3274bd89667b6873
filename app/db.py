"""PostgreSQL: the connections of a process, and the schema's migration.

Engines and connections belong to the process that made them: after a fork they are made anew.
"""

import os
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras
import structlog
from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from app import settings
from app.errors import Unavailable

log = structlog.get_logger()

_register_uuid: Any = psycopg2.extras.register_uuid  # psycopg2's stubs leave it untyped
_register_uuid()

_MIGRATION_LOCK = 0x706C6179  # one migration at a time, whoever starts it
_CONNECT_SECONDS = 5
_STATEMENT_MILLISECONDS = 30_000
_REPLICA_PAUSE_SECONDS = 10.0

# A vanished server is noticed within half a minute, not by the kernel's quarter of an hour.
_LIVENESS: dict[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}

_BORROW_SECONDS = 5.0

_replica_away_until: dict[str, float] = {}
"""By address: the time.monotonic() before which this process does not try the replica again."""


@lru_cache(maxsize=4)
def _engine(pid: int, url: str) -> Engine:
    configured = settings.current()
    return create_engine(
        url,
        pool_size=configured.database_pool,
        max_overflow=configured.database_pool,
        pool_timeout=_CONNECT_SECONDS,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": _CONNECT_SECONDS,
            "options": f"-c statement_timeout={_STATEMENT_MILLISECONDS}",
            **_LIVENESS,
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


def dsn(url: str) -> str:
    """The libpq form of an SQLAlchemy URL."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def connect(*, application: str = "playalter") -> Any:
    """A new autocommit psycopg2 connection; the caller closes it."""
    connection = psycopg2.connect(
        dsn(settings.current().database_url),
        connect_timeout=_CONNECT_SECONDS,
        application_name=application,
        options=f"-c statement_timeout={_STATEMENT_MILLISECONDS}",
        **_LIVENESS,
    )
    connection.autocommit = True
    return connection


@contextmanager
def snapshots(*, application: str = "playalter") -> Iterator[Any]:
    """A psycopg2 connection to the primary, each of whose transactions only reads one snapshot."""
    with closing(connect(application=application)) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
        yield connection


@dataclass(frozen=True)
class Ailment:
    """Why PostgreSQL did not do what it was asked for: a code for machines, words for people.
    `passes`: asked again later, it may."""

    code: str
    words: str
    passes: bool = True


_CROWDED = re.compile(r"too many (clients|connections)|remaining connection slots", re.IGNORECASE)
_NO_ROOM = "No space left on device"


def ailment(err: BaseException) -> Ailment:
    """What psycopg2's or SQLAlchemy's error tells of the server's state."""
    cause = getattr(err, "orig", None) or err
    state, told = getattr(cause, "pgcode", None), str(cause).strip()
    # A refused connection has no SQLSTATE in libpq, only the server's words.
    if state == "53300" or (state is None and _CROWDED.search(told)):
        return Ailment("database_crowded", f"PostgreSQL has no free connection: {told[:200]}")
    if state == "53100" or _NO_ROOM in told:
        return Ailment("database_full", f"PostgreSQL's disk is full: {told[:200]}")
    if state is not None and state.startswith("54"):
        # psycopg2 calls a statement or value beyond PostgreSQL's limits an OperationalError, too.
        return Ailment("database_limit", f"more than PostgreSQL takes: {told[:200]}", passes=False)
    return Ailment(Unavailable.default_code, f"PostgreSQL: {told[:200]}")


def row(sql: str, parameters: tuple[Any, ...]) -> dict[str, Any] | None:
    """Run one statement on an autocommit connection of this process; its first row, or None.

    Raises psycopg2's errors; a broken connection is dropped, so that the next call makes a new one.
    """
    found = rows(sql, parameters)
    return found[0] if found else None


def rows(sql: str, parameters: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Like `row`, all rows."""
    with _borrowed() as held:
        return _run(held, sql, parameters)


def prepared(function: str, types: str, parameters: tuple[Any, ...]) -> list[dict[str, Any]]:
    """The rows that an SQL function returns, through a statement planned once a connection.

    `types` are its parameters' types, with commas. Needs a pooler that keeps a session together.
    """
    with _borrowed() as held:
        known = held.prepared.get(function)
        if known is None:
            known = held.prepared[function] = _prepare(held, function, types, len(parameters))
        held.cursor.execute(known.statement, parameters)
        if not known.names:
            known.names = [column.name for column in held.cursor.description]
        return [dict(zip(known.names, values, strict=True)) for values in held.cursor.fetchall()]


@dataclass
class _Prepared:
    statement: str
    """What executes it."""
    names: list[str] = field(default_factory=list)
    """Of its columns, once it was executed."""


class _Held:
    """A connection, and what is prepared on it by the functions' names."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.cursor = connection.cursor()
        """For what is prepared; its last answer is kept until the next."""
        self.prepared: dict[str, _Prepared] = {}


def _prepare(held: _Held, function: str, types: str, count: int) -> _Prepared:
    numbers = ", ".join(f"${n}" for n in range(1, count + 1))
    held.cursor.execute(f"PREPARE {function} ({types}) AS SELECT * FROM {function}({numbers})")
    return _Prepared(f"EXECUTE {function} ({', '.join(['%s'] * count)})")


class _Pool:
    """A process's autocommit connections: one for each statement under way, so that many threads
    that wait for vendors need few. What was used last is used next; while one is idle, no lock is
    taken."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.size = settings.current().database_connections
        self.idle: deque[_Held] = deque()
        self.open = 0
        """Those idle and those lent."""
        self.waiting = 0
        self.turn = threading.Condition()

    def take(self) -> _Held:
        """One to use and to give back; OperationalError if none is free for too long."""
        held = self._idle()
        if held is None and not self._may_open():
            held = self._wait()
        return self._opened() if held is None else held

    def give(self, held: _Held) -> None:
        """Take one back, whatever became of it."""
        if held.connection.closed:
            self._closed()
            return
        self.idle.append(held)
        if self.waiting:
            with self.turn:
                self.turn.notify()

    def close_idle(self) -> None:
        """Close those that nobody uses."""
        while (held := self._idle()) is not None:
            held.connection.close()
            self._closed()

    def _idle(self) -> _Held | None:
        try:
            return self.idle.pop()
        except IndexError:
            return None

    def _may_open(self) -> bool:
        with self.turn:
            if self.open >= self.size:
                return False
            self.open += 1
            return True

    def _wait(self) -> _Held | None:
        """An idle one; None where one may be opened instead."""
        until = time.monotonic() + _BORROW_SECONDS
        with self.turn:
            # Counted before it looks again: who gives one back after that look sees it waiting.
            self.waiting += 1
            try:
                while (held := self._idle()) is None and self.open >= self.size:
                    left = until - time.monotonic()
                    if left <= 0:
                        message = f"all {self.size} connections of this process are in use"
                        raise psycopg2.OperationalError(message)
                    self.turn.wait(left)
                self.open += held is None
                return held
            finally:
                self.waiting -= 1

    def _opened(self) -> _Held:
        try:
            return _Held(connect())
        except BaseException:
            self._closed()
            raise

    def _closed(self) -> None:
        with self.turn:
            self.open -= 1
            self.turn.notify()


_local = threading.local()
_pool: _Pool | None = None
_pool_lock = threading.Lock()


def _own_pool() -> _Pool:
    """This process's: what a parent opened is not a child's to use or close."""
    global _pool
    pool = _pool
    if pool is None or pool.pid != os.getpid():
        with _pool_lock:
            if _pool is None or _pool.pid != os.getpid():
                _pool = _Pool()
            pool = _pool
    return pool


def dedicate() -> None:
    """From now on this thread has a connection to itself and never waits for another thread."""
    _local.is_dedicated, _local.own = True, None


@contextmanager
def _borrowed() -> Iterator[_Held]:
    pool = None if getattr(_local, "is_dedicated", False) else _own_pool()
    held = _dedicated() if pool is None else pool.take()
    try:
        yield held
    except (psycopg2.OperationalError, psycopg2.InterfaceError):
        # Its neighbours were opened to the same server, which is not there or not as it was.
        held.connection.close()
        release()
        raise
    finally:
        if pool is not None:
            pool.give(held)


def _dedicated() -> _Held:
    held: _Held | None = _local.own
    if held is None or held.connection.closed:
        held = _local.own = _Held(connect())
    return held


def _run(held: _Held, sql: str, parameters: tuple[Any, ...]) -> list[dict[str, Any]]:
    with held.connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        if cursor.description is None:
            return []
        names = [column.name for column in cursor.description]
        return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]


def release() -> None:
    """Close this process's idle connections."""
    pool = _pool
    if pool is not None and pool.pid == os.getpid():
        pool.close_idle()


def migrate(url: str, revision: str = "head") -> None:
    """Bring the database at `url` to `revision`; callers at the same time take turns."""
    # Imported here: 0.5 s that no worker and no request needs.
    from alembic import command
    from alembic.config import Config

    made = create_engine(url, connect_args={"connect_timeout": _CONNECT_SECONDS})
    try:
        with made.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:n)"), {"n": _MIGRATION_LOCK})
            connection.commit()
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.attributes["connection"] = connection
            if revision == "base":
                command.downgrade(config, revision)
            else:
                command.upgrade(config, revision)
            connection.commit()
            connection.execute(text("SELECT pg_advisory_unlock(:n)"), {"n": _MIGRATION_LOCK})
            connection.commit()
    finally:
        made.dispose()
