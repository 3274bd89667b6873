"""Reads the work of each kind of worker: what waits in the stores, and what the workers report.

The process that asks runs nothing else of Playalter, so it imports none of it, and keeps one
connection to each store.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg2
import psycopg2.extras
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.broker.lists import PRIORITIES
from ops.laptop.scaling.little import Reading

AWAY = (psycopg2.Error, redis.RedisError, OSError)
"""What `take` raises if a store does not answer."""

_SECONDS = 2.0
_MOST_COUNTED = 20_000
"""So many entries of lanes are counted at most: more need the most workers anyhow."""
_REPORTS = (
    "SELECT name, queues, slots, held, active, ended, busy_seconds FROM worker_presence"
    " WHERE seen_at > clock_timestamp() - interval '60 s'"
)
_IN_LANES = (
    "SELECT sum((SELECT count(*) FROM"
    " (SELECT FROM lane_entries WHERE queue = wanted LIMIT %s) AS entries))"
    " FROM unnest(%s) AS wanted"
)


@dataclass
class _Totals:
    """What all workers of a kind have done together. It never falls, though workers come and go."""

    ended: int = 0
    busy_seconds: float = 0.0


class Readings:
    """Takes readings of one instance. `address` is libpq's form of the database's address."""

    def __init__(self, address: str, redis_url: str) -> None:
        self._address = address
        self._connection: Any = None
        self._broker = redis.Redis.from_url(
            redis_url,
            socket_timeout=_SECONDS,
            socket_connect_timeout=_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._totals: dict[str, _Totals] = defaultdict(_Totals)
        self._last: dict[str, Mapping[str, Any]] = {}

    def close(self) -> None:
        """Close the connections."""
        self._broker.close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def take(self, at: float, kinds: Iterable[str]) -> dict[str, Reading]:
        """The work of each kind now.

        A kind is left out while none of its workers reports. Raises one of AWAY.
        """
        rows = self._rows(_REPORTS, ())
        found = {}
        for kind in kinds:
            reports = [row for row in rows if kind_of(row["name"].partition("@")[0]) == kind]
            totals = self._add(kind, reports)
            present = [row for row in reports if row["queues"]]
            if not present:
                continue
            found[kind] = Reading(
                at=at,
                waiting=self._waiting({queue for row in present for queue in row["queues"]}),
                held=sum(row["held"] for row in present),
                active=sum(row["active"] for row in present),
                ended=totals.ended,
                busy_seconds=totals.busy_seconds,
                slots=max(row["slots"] for row in present) or 1,
            )
        return found

    def _add(self, kind: str, reports: Iterable[Mapping[str, Any]]) -> _Totals:
        totals = self._totals[kind]
        for row in reports:
            before = self._last.get(row["name"])
            # A worker that was started again counts from 0.
            if before is None or before["busy_seconds"] > row["busy_seconds"]:
                before = {"ended": 0, "busy_seconds": 0.0}
            totals.ended += max(row["ended"] - before["ended"], 0)
            totals.busy_seconds += row["busy_seconds"] - before["busy_seconds"]
            self._last[row["name"]] = row
        return totals

    def _waiting(self, queues: Collection[str]) -> int:
        with self._broker.pipeline(transaction=False) as pipeline:
            for queue in queues:
                for suffix in PRIORITIES:
                    pipeline.llen(queue + suffix)
            in_queues = sum(pipeline.execute())
        (row,) = self._rows(_IN_LANES, (_MOST_COUNTED, list(queues)))
        return int(in_queues + row["sum"])

    def _rows(self, sql: str, parameters: tuple[Any, ...]) -> list[dict[str, Any]]:
        try:
            if self._connection is None:
                self._connection = _connected(self._address)
            with self._connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return list(cursor.fetchall())
        except psycopg2.Error:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            raise


def kind_of(name: str) -> str:
    """The kind of a worker of this name: that of its first worker, which has no number.

    >>> kind_of("worker"), kind_of("worker-control"), kind_of("worker-control-2")
    ('worker', 'worker-control', 'worker-control')
    """
    kind, _, number = name.rpartition("-")
    return kind if number.isdigit() else name


def _connected(address: str) -> Any:
    connection = psycopg2.connect(
        address,
        connect_timeout=2,
        options=f"-c statement_timeout={round(_SECONDS * 1000)}",
        cursor_factory=psycopg2.extras.RealDictCursor,
    )
    connection.autocommit = True
    return connection
