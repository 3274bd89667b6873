"""Letting go of everything that this process made from other settings."""

from app import caching, clock, db, settings
from app.broker.celery import celery_app
from app.db import engines, pool
from app.outbound import circuits, limits
from app.tariffs import current, in_use, paces
from chains import admission, dispatch, envelopes, registry
from chains.incoming import known
from chains.starting import dispatching


def forget() -> None:
    """Close connections and empty the caches, whatever of them is there."""
    caching.forget()
    limits.forget()
    circuits.forget()  # its thread may be telling of a change
    dispatching.forget()  # first: it may be admitting starts
    admission.forget()  # before the pool: it may be looking at a queue
    if engines._engine.cache_info().currsize:
        db.engine().dispose()
    db.release()
    pool._pools.clear()
    clock.forget()
    dispatch.release()
    registry.forget()
    known.forget()
    settings.forget()
    current.forget()
    in_use.forget()
    paces.forget()
    for cached in (engines._engine, celery_app, envelopes.envelope):
        cached.cache_clear()
