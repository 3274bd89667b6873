"""The connections of this process for short statements, each committed by itself.

Connections belong to the process that opened them: after a fork the child opens its own.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg2

from app import settings
from app.db.connecting import connect

_BORROW_SECONDS = 5.0


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
