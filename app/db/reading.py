"""Questions of one statement, which go to the read replica if there is one.

A statement reads one snapshot, so such a question needs no transaction.
"""

from collections.abc import Callable, Mapping
from typing import Any

import psycopg2

from app import settings
from app.db.connecting import connect
from app.db.engines import leave_replica, replica_to_ask
from app.db.patience import UNABLE, patiently
from app.db.pool import PooledConnection, lent_to_read

_PATIENCE_SECONDS = 0.1
"""Enough for one retry, if the pooled connection was broken by a restart of PostgreSQL."""

Rows = list[dict[str, Any]]
_Ask = Callable[[PooledConnection], Rows]


def read(
    function: str,
    types: str,
    parameters: tuple[Any, ...],
    *,
    query: str | None = None,
    from_primary: bool = False,
) -> Rows:
    """Call an SQL function that only reads, and return its rows (see `app.db.pool.prepared`).

    The replica is asked if one is set and reachable, otherwise the primary. Raises Unavailable if
    the primary cannot answer.
    """

    def ask(pooled: PooledConnection) -> Rows:
        return pooled.execute(function, types, parameters, query)

    rows = None if from_primary else _from_replica(ask)
    return _from_primary(ask) if rows is None else rows


def read_text(statement: str, values: Mapping[str, Any]) -> Rows:
    """The rows of a statement with `%(name)s` for each value, which is planned for these values.

    What is asked, and what is raised, is as in `read`.
    """

    def ask(pooled: PooledConnection) -> Rows:
        return pooled.run(statement, values)

    rows = _from_replica(ask)
    return _from_primary(ask) if rows is None else rows


def connect_to_read(*, application: str) -> PooledConnection:
    """A connection for reading that belongs to the caller, who must close it.

    It leads to the replica if one is set and reachable, otherwise to the primary. Each statement is
    a transaction of its own. Raises psycopg2's errors.
    """
    url = replica_to_ask()
    if url is not None:
        try:
            return PooledConnection(connect(application=application, url=url))
        except psycopg2.OperationalError as err:
            leave_replica(url, str(err))
    return PooledConnection(connect(application=application))


def _from_primary(ask: _Ask) -> Rows:
    url = settings.current().database_url
    return patiently(lambda: _once(url, ask), seconds=_PATIENCE_SECONDS)


def _from_replica(ask: _Ask) -> Rows | None:
    """The rows; None if the replica cannot be asked."""
    url = replica_to_ask()
    if url is None:
        return None
    for is_last in (False, True):
        try:
            return _once(url, ask)
        except psycopg2.errors.QueryCanceled:
            raise  # it took too long, and would again
        except UNABLE as err:
            # The pooled connection may have been broken by a restart of the replica.
            if is_last:
                leave_replica(url, str(err))
    return None


def _once(url: str, ask: _Ask) -> Rows:
    with lent_to_read(url) as pooled:
        return ask(pooled)
