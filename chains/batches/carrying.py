"""One pass over the batches of all platforms: gathers what is due, and moves on what can be."""

import time

import structlog

import tasks
from app import db
from app.batches import rows
from app.batches.rows import Lost
from app.errors import NotConfigured, Unavailable
from app.platform import Json
from app.platform.batches import Batches, Bounds
from chains.batches.moving import Mover
from chains.batches.settling import settle

log = structlog.get_logger()

HOLD_SECONDS = 300.0
"""For so long a process holds a batch without a word. Each of its calls is shorter."""
MOST_GATHERED = 100
"""So many batches of a group are made in one pass."""


def carry(seconds: float) -> Json:
    """Gather and move on, but begin with no further batch after so many seconds; the counts.

    A process without a platform's credential leaves its batches to others. Raises psycopg2's errors
    if PostgreSQL is away.
    """
    until = time.monotonic() + seconds
    total: Json = {"gathered": 0, "moved": 0}
    for platform in tasks.platforms():
        if platform.batches is None:
            continue
        try:
            bounds = platform.batches.bounds()
        except NotConfigured:
            continue
        total["gathered"] += _gather(platform.name, bounds)
        total["moved"] += _move_on(platform.name, platform.batches, bounds, until)
    return total | {"settled": settle(until)}


def _gather(platform: str, bounds: Bounds) -> int:
    gathered = 0
    for group in rows.due_groups(platform, bounds):
        for _ in range(MOST_GATHERED):
            batch = rows.gather(platform, group, bounds)
            if batch is None:
                break
            gathered += 1
            log.info("batches.gathered", platform=platform, batch=str(batch), model=group.model)
    return gathered


def _move_on(platform: str, batches: Batches, bounds: Bounds, until: float) -> int:
    moved = 0
    while time.monotonic() < until:
        batch = rows.claim(platform, HOLD_SECONDS)
        if batch is None:
            break
        try:
            Mover(platform, batches, bounds, batch).run()
        except Lost:
            log.warning("batches.lost_hold", platform=platform, batch=batch.reference)
        except (*db.AWAY, Unavailable):
            raise
        except Exception as err:
            log.error("batches.not_moved", platform=platform, batch=batch.reference, exc_info=err)
            rows.put_off(batch, 60.0, error=type(err).__name__)
        moved += 1
    return moved
