"""The time that several machines have to agree on: the database's, whatever this machine's says.

It is asked for once a minute, and when this machine has slept or its clock was set; in between
time.monotonic() counts on. Outage mode: open; without PostgreSQL what was last known goes on, and
before anything is known this machine's own clock.
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
_AGAIN_SECONDS = 5.0
_PARTED_SECONDS = 2.0
_WORTH_TELLING = timedelta(seconds=30)


@dataclass(frozen=True)
class Known:
    """That it was `at` when time.monotonic() was `since` and time.time() `wall`; asked again at
    `ask_at`."""

    at: datetime
    since: float
    wall: float
    ask_at: float

    def time(self, monotonic: float) -> datetime:
        """What it is when time.monotonic() is `monotonic`."""
        return self.at + timedelta(seconds=monotonic - self.since)

    def has_parted(self, monotonic: float, wall: float) -> bool:
        """Whether the machine's two clocks went on differently: it slept, during which
        time.monotonic() stands still, or time.time() was set.

        >>> known = Known(datetime(2026, 1, 1, tzinfo=UTC), 100.0, 5000.0, 160.0)
        >>> known.has_parted(110.0, 5010.5), known.has_parted(110.0, 5610.0)
        (False, True)
        """
        return abs((wall - self.wall) - (monotonic - self.since)) > _PARTED_SECONDS


_known: Known | None = None
_lock = threading.Lock()


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


# Another thread of the parent may have held it.
os.register_at_fork(after_in_child=_renew_lock)


def now() -> datetime:
    """The time in UTC by the database's clock, to some milliseconds."""
    known, monotonic = _known, time.monotonic()
    if known is None or monotonic >= known.ask_at or known.has_parted(monotonic, time.time()):
        known = _renewed()
    return known.time(time.monotonic())


def timestamp() -> float:
    """`now()` in Unix seconds."""
    return now().timestamp()


def forget() -> None:
    """Ask again at the next need."""
    global _known
    _known = None


def _renewed() -> Known:
    """What one thread has found out for all. Meanwhile the others go on with what was known, and
    wait only where that is nothing, or wrong."""
    global _known
    with _lock:
        known, monotonic = _known, time.monotonic()
        if known is None or known.has_parted(monotonic, time.time()):
            _known = known = _ask(known)
            return known
        if monotonic < known.ask_at:
            return known
        _known = replace(known, ask_at=monotonic + _AGAIN_SECONDS)
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
        return Known(at, since, wall, since + _AGAIN_SECONDS)
    since, wall = time.monotonic(), time.time()
    ahead = datetime.fromtimestamp(wall, UTC) - at
    if abs(ahead) > _WORTH_TELLING and known is None:
        log.warning("clock.differs", seconds_ahead=round(ahead.total_seconds()))
    return Known(at, since, wall, since + ASK_SECONDS)
