"""What the workers do. Each reports its queues and its work to PostgreSQL every 15 seconds.

Outage mode: open. Without PostgreSQL no worker can report, but none can run a step either.
"""

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import psycopg2
import structlog

from app import db

log = structlog.get_logger()

TELL_SECONDS = 15.0
GONE_SECONDS = 60.0
"""A worker whose last report is older than this counts as gone."""

_TELL = (
    "INSERT INTO worker_presence (name, queues, slots, held, active, ended, busy_seconds)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (name) DO UPDATE SET"
    " queues = excluded.queues, slots = excluded.slots, held = excluded.held,"
    " active = excluded.active, ended = excluded.ended, busy_seconds = excluded.busy_seconds,"
    " seen_at = clock_timestamp()"
)
_FORGET = "DELETE FROM worker_presence WHERE seen_at < clock_timestamp() - interval '1 day'"
_WORKERS = (
    "SELECT name, queues, extract(epoch FROM clock_timestamp() - seen_at)::double precision AS ago"
    "  FROM worker_presence ORDER BY name"
)


@dataclass(frozen=True)
class Worker:
    """The last report of a worker, made `ago` seconds ago. It has no queues if the worker ended."""

    name: str
    queues: tuple[str, ...]
    ago: float

    @property
    def is_gone(self) -> bool:
        """Whether the worker has ended, or has not reported for GONE_SECONDS."""
        return not self.queues or self.ago > GONE_SECONDS


@dataclass(frozen=True)
class Work:
    """What a worker does: the columns of `worker_presence`."""

    slots: int = 0
    held: int = 0
    active: int = 0
    ended: int = 0
    busy_seconds: float = 0.0


def tell(worker: str, queues: list[str], work: Work = Work()) -> None:
    """Report the queues that a worker takes from now on, and its work until now."""
    try:
        # Not a pooled connection: the children of the worker's pool are forked from this process.
        with contextlib.closing(db.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(_TELL, (worker, sorted(queues), *astuple(work)))
            cursor.execute(_FORGET)
    except psycopg2.Error as err:
        log.warning("worker.presence_not_told", error=str(err).strip()[:200])


def taken() -> frozenset[str] | None:
    """The queues that at least one worker takes now. None if there is no report of any worker."""
    known = workers()
    if not known:
        return None
    return frozenset(queue for each in known if not each.is_gone for queue in each.queues)


def takers(queues: Sequence[str]) -> dict[str, int]:
    """How many workers take each of the queues. Empty if there is no report of any worker."""
    known = workers()
    taken = Counter(queue for each in known if not each.is_gone for queue in each.queues)
    return {queue: taken[queue] for queue in queues} if known else {}


def workers() -> list[Worker]:
    """The last report of each worker, by name. Reports that are older than a day are removed."""
    return [Worker(row["name"], tuple(row["queues"]), row["ago"]) for row in db.rows(_WORKERS, ())]
