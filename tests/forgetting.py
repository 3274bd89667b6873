"""Letting go of everything that this process made from other settings."""

from app import clock, db
from app.celery import celery_app
from app.settings import current
from chains import dispatch, envelopes, registry


def forget() -> None:
    """Close connections and empty the caches, whatever of them is there."""
    if db._engine.cache_info().currsize:
        db.engine().dispose()
    db.release()
    db._pool = None
    clock.forget()
    dispatch.release()
    registry.forget()
    for cached in (db._engine, celery_app, current, envelopes.envelope):
        cached.cache_clear()
