"""The reconciler: a process of its own that finds what nobody carries on and puts it right.

It is the outbox: publish follows commit, and what was lost between is found here. Every workflow
that is not terminal has a `next_wake_at`; each pass looks at those that are due.
"""

import signal
import threading
import time
from typing import Any
from uuid import UUID

import psycopg2
import structlog
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from app import db, settings
from app.celery import celery_app
from app.errors import Unavailable
from app.platform import Effect
from chains import commands, compensate, registry
from chains.dispatch import dispatch, queue_lengths

log = structlog.get_logger()

BATCH = 200
MAX_CRASHES = 5
LONG_QUEUE = 500


class Reconciler:
    """Passes over what is due until it is asked to stop."""

    def __init__(self) -> None:
        self.stopping = threading.Event()

    def run(self) -> None:
        """A pass every `reconcile_seconds`; while a pass is full the next follows at once."""
        while not self.stopping.is_set():
            began = time.monotonic()
            is_full = self.try_pass()
            pause = settings.current().reconcile_seconds - (time.monotonic() - began)
            if not is_full and pause > 0:
                self.stopping.wait(pause)
        db.release()

    def try_pass(self) -> bool:
        """One pass; what fails is logged and tried again in the next."""
        try:
            return reconcile() >= BATCH
        except (psycopg2.Error, Unavailable) as err:
            log.warning("reconcile.failed", error=str(err).strip()[:300])
            return False

    def stop(self, *_: Any) -> None:
        """Ask for the end (a signal handler)."""
        self.stopping.set()


def reconcile() -> int:
    """One pass: how many workflows were due."""
    beat = db.row(
        "SELECT reconciler_beat_v1(%s) AS may_expire", (settings.current().lease_seconds,)
    )
    due = db.rows(
        "SELECT id FROM workflows WHERE completed_at IS NULL AND next_wake_at <= playalter_now()"
        " ORDER BY next_wake_at LIMIT %s",
        (BATCH,),
    )
    if not due:
        return 0
    backed_up = _backed_up()
    for row in due:
        try:
            put_right(row["id"], may_expire=bool(beat and beat["may_expire"]), backed_up=backed_up)
        except LookupError as err:
            log.error("reconcile.workflow_failed", workflow=str(row["id"]), error=str(err))
    return len(due)


def put_right(workflow_id: UUID, *, may_expire: bool, backed_up: list[str]) -> None:
    """One workflow: expire leases, poll, publish what is due, stop what is over its time."""
    row = db.row(
        "SELECT * FROM reconcile_workflow_v1(%s, %s, %s, %s, %s, %s)",
        (
            workflow_id,
            may_expire,
            _doubtful(),
            backed_up,
            settings.current().republish_seconds,
            MAX_CRASHES,
        ),
    )
    if row is None:
        return
    if row["expired"]:
        log.info("reconcile.leases_expired", workflow=str(workflow_id), steps=row["expired"])
    if row["timed_out"]:
        commands.stop(
            workflow_id,
            "timed_out",
            {"code": "timed_out", "message": "the workflow took longer than its time-out"},
        )
        compensate.settle(workflow_id)
        return
    dispatch(workflow_id, row["won"])
    if row["status"] == "compensating":
        compensate.settle(workflow_id)


def _doubtful() -> list[str]:
    """Actions whose open intents only a lookup, a live key or a person can settle."""
    return [
        name
        for name, action in registry.actions().items()
        if action.effect not in {Effect.NONE, Effect.REPEATABLE}
    ]


def _backed_up() -> list[str]:
    """Platforms whose queue is long: a copy would only stand behind its original."""
    queues = sorted({action.platform for action in registry.actions().values()})
    try:
        lengths = queue_lengths(celery_app(), queues)
    except (OperationalError, RedisError, OSError):
        return []
    return [queue for queue, length in lengths.items() if length > LONG_QUEUE]


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    reconciler = Reconciler()
    signal.signal(signal.SIGTERM, reconciler.stop)
    signal.signal(signal.SIGINT, reconciler.stop)
    log.info("reconciler.started")
    reconciler.run()
    log.info("reconciler.stopped")


if __name__ == "__main__":
    main()
