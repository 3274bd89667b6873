"""The reconciler: a separate process that finds workflows which do not move, and repairs them.

A step is published after its commit. If its message is lost, the reconciler publishes the step
again. Every workflow that has not ended has a `next_wake_at`, and each pass reads the workflows
whose time has come. A workflow that cannot be repaired does not delay the others. If PostgreSQL is
away, the pass ends; if Redis is away, the pass continues and publishes nothing.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from redis.exceptions import RedisError

from app import db, settings
from app.broker.links import queue_of
from app.db import AWAY
from app.errors import Unavailable
from app.platform import Effect
from app.protocol import lanes, watched
from chains import admission, waking
from chains.actions import actions
from chains.dispatch import oldest_messages, queue_lengths
from chains.firing.beat import fire_if_beat_is_silent
from chains.incoming import matching
from chains.repair import backstop, heartbeat, lost_webhooks, orphans
from chains.repair.overrun import stop_overrun
from chains.repair.unserved import Unserved
from chains.starting import deferred
from chains.undoing.settle import settle

log = structlog.get_logger()

BATCH = 200
POLLED_SOON = 100
"""The number of workflows per pass that are polled soon after a web server came back."""

_MOST_READS = 50
"""How many times BATCH admissions are read in one pass."""

_FIRE_SECONDS = 2.0
"""How long a pass may fire schedules while no process of beat does."""

_unserved = Unserved()


class Reconciler:
    """Runs passes over the due workflows until `stop` is called."""

    def __init__(self) -> None:
        self.stopping = threading.Event()

    def run(self) -> None:
        """Run a pass every `reconcile_seconds`, until `stop` is called.

        After a full pass (BATCH workflows were due) the next pass starts at once.
        """
        with heartbeat.beating(), backstop.dispatching():
            while not self.stopping.is_set():
                began = time.monotonic()
                is_full = self.try_pass()
                pause = settings.current().reconcile_seconds - (time.monotonic() - began)
                if not is_full and pause > 0:
                    self.stopping.wait(pause)
        db.release()

    def try_pass(self) -> bool:
        """Run one pass and return whether it was full. Log a failure, do not raise it."""
        try:
            return reconcile() >= BATCH
        except (*AWAY, Unavailable) as err:
            log.warning("reconcile.database_away", error=str(err).strip()[:300])
        except Exception as err:  # no other process repairs the reconciler, so it must go on
            log.error("reconcile.pass_failed", exc_info=err)
        return False

    def stop(self, *_: Any) -> None:
        """Ask the reconciler to stop after its pass; this is also its signal handler."""
        self.stopping.set()


def reconcile() -> int:
    """Run one pass, and return the number of workflows that were due, at most BATCH."""
    current = _Pass()
    due = db.rows(
        # The sub-select makes PostgreSQL call the volatile function only once, so that it can use
        # the index.
        "SELECT id FROM workflows WHERE completed_at IS NULL"
        " AND next_wake_at <= (SELECT playalter_now()) ORDER BY next_wake_at LIMIT %s",
        (BATCH,),
    )
    _wake_parents()
    _repair_all(current, [row["id"] for row in due])
    # Each queue of a Redis that hangs would take seconds.
    for queue in sorted({queue_of(name) for name in actions()}) if current.is_reachable else ():
        admission.top_up(queue)
    for _ in range(_MOST_READS):
        if lanes.look_at_admitted(BATCH) < BATCH:
            break
    with _logged_failures("schedules.fire"):
        fire_if_beat_is_silent(_FIRE_SECONDS)
    with _logged_failures("lost_webhooks.poll_soon"):
        lost_webhooks.poll_soon(POLLED_SOON)
    with _logged_failures("incoming.sweep"):
        matching.sweep()
    # Handle orphan effects last and catch the failures of each part, so that they delay no
    # workflow.
    with _logged_failures("orphans.decide"):
        orphans.decide(BATCH)
    with _logged_failures("orphans.of_ended_workflows"):
        _repair_all(current, orphans.of_ended_workflows(BATCH))
    with _logged_failures("watched.forget"):
        watched.forget_unwatched()
    return len(due)


@contextmanager
def _logged_failures(part: str) -> Iterator[None]:
    """Log a failure of the block, and do not raise it."""
    try:
        yield
    except (*AWAY, Unavailable) as err:
        log.warning("reconcile.part_unable", part=part, error=str(err).strip()[:300])
    except Exception as err:  # the next pass tries this part again
        log.error("reconcile.part_failed", part=part, exc_info=err)


def _repair_all(current: "_Pass", ids: list[UUID]) -> None:
    if ids:
        current.ask_queues()
    for workflow_id in ids:
        try:
            current.repair(workflow_id)
        except (*AWAY, Unavailable):
            raise
        except Exception as err:  # one workflow must not delay the others
            log.error("reconcile.workflow_failed", workflow=str(workflow_id), exc_info=err)
            _postpone(workflow_id)


class _Pass:
    """The state of one pass: the last heartbeat, the ages of queues, and whether Redis answers."""

    def __init__(self) -> None:
        self.is_reachable = True
        self.oldest: dict[str, datetime] = {}
        self.beat()

    def beat(self) -> None:
        """Write the heartbeat that all reconcilers share, and read whether leases may expire.

        A long pass asks again, because PostgreSQL may have been away meanwhile.
        """
        self.may_expire = heartbeat.beat()
        self.beat_at = time.monotonic()

    def ask_queues(self) -> None:
        """Ask how long the queues are, and how old their oldest messages.

        If Redis does not answer, this pass publishes nothing.
        """
        queues = sorted({action.platform for action in actions().values()})
        try:
            lengths = queue_lengths(settings.current().redis_url, queues)
            self.oldest = oldest_messages(settings.current().redis_url, queues)
        except (RedisError, OSError) as err:
            self.is_reachable = False
            log.warning("reconcile.redis_away", error=str(err)[:200])
            return
        with _logged_failures("queues.unserved"):
            _unserved.look(lengths)

    def repair(self, workflow_id: UUID) -> None:
        """Repair one workflow.

        Begin it if it was deferred. Expire leases, make polls due and publish due steps. Stop the
        workflow if its time-out is exceeded, and the workflow whose budget is exceeded. Undo a
        stopping workflow further.
        """
        if time.monotonic() - self.beat_at > heartbeat.BEAT_SECONDS:
            self.beat()
        row = db.row(
            "SELECT * FROM reconcile_workflow_v1(%s, %s, %s, %s, %s::timestamptz[], %s)",
            (
                workflow_id,
                self.may_expire,
                _not_repeatable(),
                list(self.oldest),
                list(self.oldest.values()),
                settings.current().republish_seconds,
            ),
        )
        if row is None:
            return
        if row["status"] == "pending" and not row["timed_out"]:
            begun = deferred.begin(workflow_id, is_publishing=self.is_reachable)
            self.is_reachable = self.is_reachable and begun != "not_published"
            return
        if row["expired"]:
            log.info("reconcile.leases_expired", workflow=str(workflow_id), steps=row["expired"])
        stopped = stop_overrun(workflow_id, row)
        if stopped is not None:
            settle(stopped, is_publishing=self.is_reachable)
        elif self.is_reachable and row["won"]:
            self.is_reachable = admission.publish(workflow_id, row["won"])
        if row["status"] == "compensating":
            settle(workflow_id, is_publishing=self.is_reachable)


def _wake_parents() -> None:
    """Wake the parents of ended children that the children's own processes did not wake.

    Such a process was lost after it had recorded the child's end.
    """
    for row in db.rows(_PARENTS_NOT_WOKEN, (BATCH,)):
        waking.wake("control", row["external_id"])


_PARENTS_NOT_WOKEN = (
    "SELECT external_id FROM webhook_deliveries AS d WHERE platform = 'control'"
    " AND consumed_at IS NULL AND kind <> 'signal'"
    " AND received_at BETWEEN (SELECT clock_timestamp() - interval '1 hour')"
    "                     AND (SELECT clock_timestamp() - interval '1 s')"
    " AND EXISTS (SELECT FROM steps WHERE external_id = d.external_id AND status = 'waiting')"
    " ORDER BY received_at LIMIT %s"
)


def _postpone(workflow_id: UUID) -> None:
    db.row(
        "UPDATE workflows SET next_wake_at = playalter_now() + interval '1 minute'"
        " WHERE id = %s AND completed_at IS NULL",
        (workflow_id,),
    )


def _not_repeatable() -> list[str]:
    """The names of the actions whose calls cannot simply be sent again.

    If the outcome of such a call is unknown, only a lookup (asking the platform), an idempotency
    key that is still valid, or a person can resolve it.
    """
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
