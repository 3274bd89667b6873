"""Celery beat's scheduler: at each tick it fires the schedules that are due.

The periodic jobs of the product itself are still entries of Celery's configuration (see
chains/repair/housekeeping), and Celery publishes them. If beat is not there, or does not reach
PostgreSQL, the reconciler fires what is due (see `fire_if_beat_is_silent`). Any number of both may
run.
"""

import time
from typing import Any

import structlog
from celery import beat

from app import db
from app.errors import Unavailable
from chains.firing.fire import fire_due
from chains.schedules.zones import tzdata_version

log = structlog.get_logger()

TICK_SECONDS = 1.0
"""The longest time from one tick to the next."""

SILENT_SECONDS = 5.0
"""If the heartbeat is older, the reconciler fires."""

_MOST_SECONDS = 3.0
"""How long one tick may fire without a look at Celery's own entries."""

_Scheduler: Any = beat.Scheduler


class Scheduler(_Scheduler):  # type: ignore[misc] # Celery's own has no types
    """Celery's scheduler with its entries in memory, which also fires the schedules of users.

    Celery makes further objects of this class with `lazy`, only to describe it.
    """

    max_interval = TICK_SECONDS

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Fire what is due, publish what Celery's entries ask for; the seconds to the next tick.

        An error would end the process, so it is logged, and the next tick tries again.
        """
        pause = self._fire()
        try:
            own = float(super().tick(*args, **kwargs))
        except Exception as err:  # a job that cannot be published must not keep schedules waiting
            log.error("beat.tick_failed", exc_info=err)
            own = TICK_SECONDS
        return max(0.0, min(pause, own, TICK_SECONDS))

    def _fire(self) -> float:
        began = time.monotonic()
        try:
            fire_for(_MOST_SECONDS)
            db.row("SELECT schedule_beat_v1(%s)", (tzdata_version(),))
        except (*db.AWAY, Unavailable) as err:
            log.warning("beat.database_away", error=str(err).strip()[:300])
            return TICK_SECONDS
        except Exception as err:  # an error out of a tick would end beat
            log.error("beat.pass_failed", exc_info=err)
            return TICK_SECONDS
        return max(0.0, TICK_SECONDS - (time.monotonic() - began))


def fire_for(seconds: float) -> None:
    """Run passes until nothing is due, but begin none after so many seconds."""
    until = time.monotonic() + seconds
    while fire_due() and time.monotonic() < until:
        pass


def fire_if_beat_is_silent(seconds: float) -> bool:
    """Run passes like `fire_for` if no process of beat has fired for SILENT_SECONDS.

    Returns whether it has.
    """
    if db.row(_HEARD, (SILENT_SECONDS,)) is not None:
        return False
    fire_for(seconds)
    return True


# A beat of the future is none: the clock of the database has gone back since.
_HEARD = (
    "SELECT 1 FROM schedule_beat WHERE abs(extract(epoch FROM clock_timestamp() - beat_at)) < %s"
)
