"""The reconciler: a process of its own that finds what nobody carries on and puts it right.

It is the outbox: publish follows commit, and what was lost between is found here. Every workflow
that is not terminal has a `next_wake_at`; each pass looks at those that are due. One workflow
that cannot be put right holds up no other; without PostgreSQL a pass ends, without Redis it goes on
and publishes nothing.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import structlog
from redis.exceptions import RedisError

from app import db, settings
from app.db import AWAY
from app.errors import Unavailable
from app.platform import Effect
from chains import waking
from chains.actions import actions
from chains.dispatch import dispatch, queue_lengths
from chains.repair import orphans
from chains.repair.unserved import Unserved
from chains.undoing.settle import settle
from chains.undoing.stop import stop

log = structlog.get_logger()

BATCH = 200
BEAT_SECONDS = 2.0
MAX_CRASHES = 5
LONG_QUEUE = 500

_unserved = Unserved()


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
        except (*AWAY, Unavailable) as err:
            log.warning("reconcile.database_away", error=str(err).strip()[:300])
        except Exception as err:  # nobody looks after who looks after all
            log.error("reconcile.pass_failed", exc_info=err)
        return False

    def stop(self, *_: Any) -> None:
        """Ask for the end (a signal handler)."""
        self.stopping.set()


def reconcile() -> int:
    """One pass: how many workflows were due."""
    current = _Pass()
    due = db.rows(
        # Asked for once, so that the index answers: a volatile function is asked for each row.
        "SELECT id FROM workflows WHERE completed_at IS NULL"
        " AND next_wake_at <= (SELECT playalter_now()) ORDER BY next_wake_at LIMIT %s",
        (BATCH,),
    )
    _wake_parents()
    _put_right(current, [row["id"] for row in due])
    # Last, and each by itself: whatever goes wrong with orphans holds up no workflow.
    with _apart("orphans.decide"):
        orphans.decide(BATCH)
    with _apart("orphans.of_ended_workflows"):
        _put_right(current, orphans.of_ended_workflows(BATCH))
    return len(due)


@contextmanager
def _apart(what: str) -> Iterator[None]:
    """Log what fails in the block, and go on."""
    try:
        yield
    except (*AWAY, Unavailable) as err:
        log.warning("reconcile.part_unable", part=what, error=str(err).strip()[:300])
    except Exception as err:  # it is tried again in the next pass
        log.error("reconcile.part_failed", part=what, exc_info=err)


def _put_right(current: "_Pass", ids: list[UUID]) -> None:
    if ids:
        current.ask_queues()
    for workflow_id in ids:
        try:
            current.put_right(workflow_id)
        except (*AWAY, Unavailable):
            raise
        except Exception as err:  # one workflow must not hold up the others
            log.error("reconcile.workflow_failed", workflow=str(workflow_id), exc_info=err)
            _postpone(workflow_id)


class _Pass:
    """What one pass knows: the last beat, the queues, and whether Redis can be reached."""

    def __init__(self) -> None:
        self.is_reachable = True
        self.backed_up: list[str] = []
        self.beat()

    def beat(self) -> None:
        """Write the shared beat. A long pass beats on, or it would look like a standstill."""
        row = db.row(
            "SELECT reconciler_beat_v1(%s) AS may_expire", (settings.current().lease_seconds,)
        )
        self.may_expire = bool(row and row["may_expire"])
        self.beat_at = time.monotonic()

    def ask_queues(self) -> None:
        """Find the platforms whose queue is long; no answer means that nothing is published."""
        queues = sorted({action.platform for action in actions().values()})
        try:
            lengths = queue_lengths(settings.current().redis_url, queues)
        except (RedisError, OSError) as err:
            self.is_reachable = False
            log.warning("reconcile.redis_away", error=str(err)[:200])
            return
        self.backed_up = [queue for queue, length in lengths.items() if length > LONG_QUEUE]
        with _apart("queues.unserved"):
            _unserved.look(lengths)

    def put_right(self, workflow_id: UUID) -> None:
        """One workflow: expire leases, poll, publish what is due, stop what is over its time."""
        if time.monotonic() - self.beat_at > BEAT_SECONDS:
            self.beat()
        row = db.row(
            "SELECT * FROM reconcile_workflow_v1(%s, %s, %s, %s, %s, %s)",
            (
                workflow_id,
                self.may_expire,
                _doubtful(),
                self.backed_up,
                settings.current().republish_seconds,
                MAX_CRASHES,
            ),
        )
        if row is None:
            return
        if row["expired"]:
            log.info("reconcile.leases_expired", workflow=str(workflow_id), steps=row["expired"])
        overrun = _overrun(row)
        if overrun is not None:
            code, message = overrun
            stop(workflow_id, code, {"code": code, "message": message})
        elif self.is_reachable and row["won"]:
            self.is_reachable = dispatch(workflow_id, row["won"])
        if overrun is not None or row["status"] == "compensating":
            settle(workflow_id, is_publishing=self.is_reachable)


def _wake_parents() -> None:
    """Children that ended without anybody left to tell their parents."""
    for row in db.rows(_UNTOLD, (BATCH,)):
        waking.wake("control", row["external_id"])


_UNTOLD = (
    "SELECT external_id FROM webhook_deliveries AS d WHERE platform = 'control'"
    " AND consumed_at IS NULL AND starts_with(external_id, 'workflow:')"
    " AND received_at BETWEEN (SELECT clock_timestamp() - interval '1 hour')"
    "                     AND (SELECT clock_timestamp() - interval '1 s')"
    " AND EXISTS (SELECT FROM steps WHERE external_id = d.external_id AND status = 'waiting')"
    " ORDER BY received_at LIMIT %s"
)


def _overrun(row: dict[str, Any]) -> tuple[str, str] | None:
    """(cause, words) of a bound that the workflow has passed."""
    if row["timed_out"]:
        return "timed_out", "the workflow took longer than its time-out"
    if row["over_budget"]:
        return "over_budget", "its platforms have cost more than the workflow's budget"
    return None


def _postpone(workflow_id: UUID) -> None:
    db.row(
        "UPDATE workflows SET next_wake_at = playalter_now() + interval '1 minute'"
        " WHERE id = %s AND completed_at IS NULL",
        (workflow_id,),
    )


def _doubtful() -> list[str]:
    """Actions whose open intents only a lookup, a live key or a person can settle."""
    return [
        name
        for name, action in actions().items()
        if action.effect not in {Effect.NONE, Effect.REPEATABLE}
    ]


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
