"""The time that several machines have to agree on: the database's, whatever this machine's says.

It is asked for once a minute; in between time.monotonic() counts on. Outage mode: open; without
PostgreSQL what was last known goes on, and before anything is known this machine's own clock.
"""

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
_WORTH_TELLING = timedelta(seconds=30)


@dataclass(frozen=True)
class _Known:
    """That it was `at` when time.monotonic() was `since`; asked again at `ask_at`."""

    at: datetime
    since: float
    ask_at: float


_known: _Known | None = None


def now() -> datetime:
    """The time in UTC by the database's clock, to some milliseconds."""
    global _known
    known = _known
    if known is None or time.monotonic() >= known.ask_at:
        known = _known = _ask(known)
    return known.at + timedelta(seconds=time.monotonic() - known.since)


def timestamp() -> float:
    """`now()` in Unix seconds."""
    return now().timestamp()


def forget() -> None:
    """Ask again at the next need."""
    global _known
    _known = None


def _ask(known: _Known | None) -> _Known:
    try:
        with db.begin() as connection:
            at: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    except SQLAlchemyError as err:
        log.warning("clock.not_asked", error=db.ailment(err).words)
        since = time.monotonic()
        kept = known or _Known(datetime.now(UTC), since, since)
        return replace(kept, ask_at=since + _AGAIN_SECONDS)
    since = time.monotonic()
    ahead = datetime.now(UTC) - at
    if abs(ahead) > _WORTH_TELLING and known is None:
        log.warning("clock.differs", seconds_ahead=round(ahead.total_seconds()))
    return _Known(at, since, since + ASK_SECONDS)
