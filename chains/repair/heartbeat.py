"""Writes the heartbeat that all reconcilers share.

After a gap of 10 seconds no lease may end for a while, because PostgreSQL may have been away and
workers may have been unable to renew their leases (see reconciler_beat_v1). A pass of a reconciler
may take longer than that, so the heartbeat is written beside it.
"""

import threading
from contextlib import AbstractContextManager

import structlog

from app import db, settings
from chains.repair.beside import beside

log = structlog.get_logger()

BEAT_SECONDS = 2.0


def beat() -> bool:
    """Write the heartbeat, and return whether leases may end now."""
    row = db.row("SELECT reconciler_beat_v1(%s) AS may_expire", (settings.current().lease_seconds,))
    return bool(row and row["may_expire"])


def beating() -> AbstractContextManager[None]:
    """Write the heartbeat every BEAT_SECONDS, from a thread, during the block."""
    return beside(_beat_until, "reconciler-heartbeat")


def _beat_until(stopping: threading.Event) -> None:
    while not stopping.wait(BEAT_SECONDS):
        try:
            beat()
        except Exception as err:  # noqa: BLE001 - without this thread, a long pass ends no lease
            log.warning("reconcile.beat_failed", error=str(err).strip()[:300])
