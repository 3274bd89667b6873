"""Which queues somebody takes: each worker says so in PostgreSQL, every few seconds.

Outage mode: open; without PostgreSQL nothing is told, and nothing can be done either.
"""

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg2
import structlog

from app import db

log = structlog.get_logger()

TELL_SECONDS = 15.0
GONE_SECONDS = 60.0
"""A worker that has told nothing for so long is gone."""

_TELL = (
    "INSERT INTO worker_presence (name, queues) VALUES (%s, %s) ON CONFLICT (name)"
    " DO UPDATE SET queues = excluded.queues, seen_at = clock_timestamp()"
)
_FORGET = "DELETE FROM worker_presence WHERE seen_at < clock_timestamp() - interval '1 day'"
_WORKERS = (
    "SELECT name, queues, extract(epoch FROM clock_timestamp() - seen_at)::double precision AS ago"
    "  FROM worker_presence ORDER BY name"
)


@dataclass(frozen=True)
class Worker:
    """What a worker has last said, `ago` seconds: the queues that it takes, none after its end."""

    name: str
    queues: tuple[str, ...]
    ago: float

    @property
    def is_gone(self) -> bool:
        """Whether it takes nothing, as far as anybody knows."""
        return not self.queues or self.ago > GONE_SECONDS


def tell(worker: str, queues: list[str]) -> None:
    """Write down the queues that the worker takes from now on."""
    try:
        # Of its own, for the pool's children are forked from this process.
        with contextlib.closing(db.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(_TELL, (worker, sorted(queues)))
            cursor.execute(_FORGET)
    except psycopg2.Error as err:
        log.warning("worker.presence_not_told", error=str(err).strip()[:200])


def taken() -> frozenset[str] | None:
    """The queues that some worker takes now; None where no worker has ever told."""
    known = workers()
    if not known:
        return None
    return frozenset(queue for each in known if not each.is_gone for queue in each.queues)


def takers(queues: Sequence[str]) -> dict[str, int]:
    """How many workers take each of the queues; none of them where no worker has ever told."""
    known = workers()
    taken = Counter(queue for each in known if not each.is_gone for queue in each.queues)
    return {queue: taken[queue] for queue in queues} if known else {}


def workers() -> list[Worker]:
    """Every worker of the last day, by name."""
    return [Worker(row["name"], tuple(row["queues"]), row["ago"]) for row in db.rows(_WORKERS, ())]
