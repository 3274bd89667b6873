"""A pool of autocommit connections, for short statements that are transactions of their own.

A connection belongs to the process that opened it. A forked child opens its own connections.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg2

from app import settings
from app.db.connecting import connect

_BORROW_SECONDS = 5.0


def row(sql: str, parameters: tuple[Any, ...] | Mapping[str, Any]) -> dict[str, Any] | None:
    """Run one statement on a pooled connection, and return its first row or None.

    Raises psycopg2's errors. A broken connection is closed, and the next call opens a new one.
    """
    found = rows(sql, parameters)
    return found[0] if found else None


def rows(sql: str, parameters: tuple[Any, ...] | Mapping[str, Any]) -> list[dict[str, Any]]:
    """Run one statement like `row`, and return all its rows."""
    with _Borrowed() as pooled:
        return pooled.run(sql, parameters)


def prepared(
    function: str, types: str, parameters: tuple[Any, ...], query: str | None = None
) -> list[dict[str, Any]]:
    """Call an SQL function through a prepared statement, and return its rows.

    The statement is prepared once on each connection. `types` are the types of the parameters,
    separated by commas. With `query`, that is run instead, and `function` is only its name. A
    connection pooler in front of PostgreSQL must run in session mode, for a prepared statement
    belongs to its session.
    """
    with _Borrowed() as pooled:
        return pooled.execute(function, types, parameters, query)


@contextmanager
def lent_to_read(url: str) -> Iterator["PooledConnection"]:
    """Lend a connection to the database at `url`, of a pool that is used only for reading.

    Large results and slow queries thus take no connection from the short statements of requests.
    """
    with _Borrowed(url) as pooled:
        try:
            yield pooled
        finally:
            pooled.forget_result()


@dataclass
class _Prepared:
    statement: str
    """The EXECUTE statement."""
    names: list[str] = field(default_factory=list)
    """The names of the result's columns, empty until the first execution."""


class PooledConnection:
    """A connection with its prepared statements, by the names of the SQL functions."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.cursor = connection.cursor()
        """The cursor of all prepared statements. It keeps a result until the next execution."""
        self.prepared: dict[str, _Prepared] = {}

    def execute(
        self, function: str, types: str, parameters: tuple[Any, ...], query: str | None
    ) -> list[dict[str, Any]]:
        """Execute a prepared statement (see `prepared`), and return its rows."""
        known = self.prepared.get(function)
        if known is None:
            known = _prepare(self.cursor, function, types, len(parameters), query)
            self.prepared[function] = known
        self.cursor.execute(known.statement, parameters)
        if not known.names:
            known.names = [column.name for column in self.cursor.description]
        return [dict(zip(known.names, values, strict=True)) for values in self.cursor.fetchall()]

    def run(
        self, sql: str, parameters: tuple[Any, ...] | Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Run a statement that is not prepared, and return its rows."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            if cursor.description is None:
                return []
            names = [column.name for column in cursor.description]
            return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]

    def forget_result(self) -> None:
        """Free the memory of the last result."""
        self.cursor.close()
        if not self.connection.closed:
            self.cursor = self.connection.cursor()


def _prepare(cursor: Any, function: str, types: str, count: int, query: str | None) -> _Prepared:
    numbers = ", ".join(f"${n}" for n in range(1, count + 1))
    query = query or f"SELECT * FROM {function}({numbers})"
    cursor.execute(f"PREPARE {function} ({types}) AS {query}")
    return _Prepared(f"EXECUTE {function} ({', '.join(['%s'] * count)})")


class _Pool:
    """The autocommit connections of one process.

    A connection is lent for one statement only, so that many threads that wait for vendors share
    few connections. The connection that was returned last is lent first. No lock is taken while a
    connection is idle.
    """

    def __init__(self, url: str | None) -> None:
        configured = settings.current()
        self.pid = os.getpid()
        self.size = configured.database_connections if url is None else configured.database_pool
        self.idle: deque[PooledConnection] = deque()
        self.open_count = 0
        """The number of open connections, idle or lent."""
        self.waiting = 0
        self._url = url
        self.freed = threading.Condition()

    def take(self) -> PooledConnection:
        """Lend a connection. Raises OperationalError if none becomes free in time."""
        pooled = self._pop_idle()
        if pooled is None and not self._may_open():
            pooled = self._wait()
        return self._open() if pooled is None else pooled

    def give(self, pooled: PooledConnection) -> None:
        """Take a connection back, open or closed."""
        if pooled.connection.closed:
            self._note_closed()
            return
        self.idle.append(pooled)
        if self.waiting:
            with self.freed:
                self.freed.notify()

    def close_idle(self) -> None:
        """Close the connections that are not lent."""
        while (pooled := self._pop_idle()) is not None:
            pooled.connection.close()
            self._note_closed()

    def _pop_idle(self) -> PooledConnection | None:
        try:
            return self.idle.pop()
        except IndexError:
            return None

    def _may_open(self) -> bool:
        with self.freed:
            if self.open_count >= self.size:
                return False
            self.open_count += 1
            return True

    def _wait(self) -> PooledConnection | None:
        """Wait for an idle connection. None means that the caller may open a new one."""
        until = time.monotonic() + _BORROW_SECONDS
        with self.freed:
            # This comes before the check for an idle connection. A thread that returns one after
            # that check then sees that this thread waits, and notifies it.
            self.waiting += 1
            try:
                while (pooled := self._pop_idle()) is None and self.open_count >= self.size:
                    left = until - time.monotonic()
                    if left <= 0:
                        message = f"all {self.size} connections of this process are in use"
                        raise psycopg2.OperationalError(message)
                    self.freed.wait(left)
                self.open_count += pooled is None
                return pooled
            finally:
                self.waiting -= 1

    def _open(self) -> PooledConnection:
        try:
            return PooledConnection(connect(url=self._url))
        except BaseException:
            self._note_closed()
            raise

    def _note_closed(self) -> None:
        with self.freed:
            self.open_count -= 1
            self.freed.notify()


_local = threading.local()
_pools: dict[str | None, _Pool] = {}
"""Those for reading by the addresses of their databases, and that of all other statements: None."""
_pool_lock = threading.Lock()


def _own_pool(url: str | None) -> _Pool:
    """A pool of this process. A forked child must not use or close its parent's connections."""
    pool = _pools.get(url)
    if pool is None or pool.pid != os.getpid():
        with _pool_lock:
            pool = _pools.get(url)
            if pool is None or pool.pid != os.getpid():
                pool = _pools[url] = _Pool(url)
    return pool


def dedicate() -> None:
    """Give this thread a connection of its own, so that it never waits for other threads."""
    _local.is_dedicated, _local.own = True, None


class _Borrowed:
    """A context in which a connection is lent.

    It is a class because Python needs three times as long for a context that is a generator.
    """

    __slots__ = ("_pool", "_pooled", "_url")

    def __init__(self, url: str | None = None) -> None:
        self._url = url

    def __enter__(self) -> PooledConnection:
        is_dedicated = self._url is None and getattr(_local, "is_dedicated", False)
        self._pool = None if is_dedicated else _own_pool(self._url)
        self._pooled = _dedicated() if self._pool is None else self._pool.take()
        return self._pooled

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        is_broken = kind is not None and issubclass(
            kind, psycopg2.OperationalError | psycopg2.InterfaceError
        )
        if is_broken:
            self._pooled.connection.close()
            # The idle connections lead to the same server. It is gone, or it has changed
            # (fail-over).
            if self._pool is None:
                release()
            else:
                self._pool.close_idle()
        if self._pool is not None:
            self._pool.give(self._pooled)


def _dedicated() -> PooledConnection:
    own: PooledConnection | None = _local.own
    if own is None or own.connection.closed:
        own = _local.own = PooledConnection(connect())
    return own


def release() -> None:
    """Close the idle connections of this process's pools."""
    for pool in tuple(_pools.values()):
        if pool.pid == os.getpid():
            pool.close_idle()
