"""The current time by the database's clock, so that several machines agree on it.

The database is asked once a minute, and also when this machine has slept or its clock was set.
Between two questions the last answer is advanced by time.monotonic(). Outage mode: open. Without
PostgreSQL the last answer is advanced further; before the first answer, this machine's clock is
used.
"""

import os
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from app import db

log = structlog.get_logger()

ASK_SECONDS = 60.0
_RETRY_SECONDS = 5.0
_DIVERGED_SECONDS = 2.0
_WARN_FROM = timedelta(seconds=30)


@dataclass(frozen=True)
class Known:
    """The last answer of the database: its time was `at` when this machine's time.monotonic() was
    `since` and time.time() was `wall`. It is asked again at the time.monotonic() `ask_at`."""

    at: datetime
    since: float
    wall: float
    ask_at: float

    def time(self, monotonic: float) -> datetime:
        """The database's time when time.monotonic() is `monotonic`."""
        return self.at + timedelta(seconds=monotonic - self.since)

    def has_diverged(self, monotonic: float, wall: float) -> bool:
        """Whether time.monotonic() and time.time() have advanced by different amounts since then.

        They differ if the machine slept, because time.monotonic() then stops, or if its clock was
        set. In both cases this answer cannot be used.

        >>> known = Known(datetime(2026, 1, 1, tzinfo=UTC), 100.0, 5000.0, 160.0)
        >>> known.has_diverged(110.0, 5010.5), known.has_diverged(110.0, 5610.0)
        (False, True)
        """
        return abs((wall - self.wall) - (monotonic - self.since)) > _DIVERGED_SECONDS


_known: Known | None = None
_lock = threading.Lock()


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


# A forked child needs a new lock: a thread of the parent may have held the old one at the fork, and
# that thread does not exist in the child.
os.register_at_fork(after_in_child=_renew_lock)


def now() -> datetime:
    """The current time in UTC by the database's clock, exact to some milliseconds."""
    known, monotonic = _known, time.monotonic()
    if known is None or monotonic >= known.ask_at or known.has_diverged(monotonic, time.time()):
        known = _renew()
    return known.time(time.monotonic())


def timestamp() -> float:
    """`now()` in Unix seconds."""
    return now().timestamp()


def forget() -> None:
    """Discard the database's last answer, so that the next call of `now` asks again."""
    global _known
    _known = None


def _renew() -> Known:
    """Ask the database again; one thread does it for all threads of the process.

    Meanwhile the other threads use the last answer. They wait only if there is none yet, or if it
    has become unusable.
    """
    global _known
    with _lock:
        known, monotonic = _known, time.monotonic()
        if known is None or known.has_diverged(monotonic, time.time()):
            _known = known = _ask(known)
            return known
        if monotonic < known.ask_at:
            return known
        _known = replace(known, ask_at=monotonic + _RETRY_SECONDS)
    _known = found = _ask(known)
    return found


def _ask(known: Known | None) -> Known:
    try:
        with db.begin() as connection:
            at: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    except SQLAlchemyError as err:
        log.warning("clock.not_asked", error=db.ailment(err).words)
        since, wall = time.monotonic(), time.time()
        at = datetime.fromtimestamp(wall, UTC) if known is None else known.time(since)
        return Known(at, since, wall, since + _RETRY_SECONDS)
    since, wall = time.monotonic(), time.time()
    ahead = datetime.fromtimestamp(wall, UTC) - at
    if abs(ahead) > _WARN_FROM and known is None:
        log.warning("clock.differs", seconds_ahead=round(ahead.total_seconds()))
    return Known(at, since, wall, since + ASK_SECONDS)
