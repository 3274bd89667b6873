"""The heartbeat of a reconciler goes on while its pass waits, so that leases still end."""

import contextlib
import time
from uuid import UUID

import psycopg2

from app import db
from app.settings import current
from chains.repair.reconcile import Reconciler
from tests.integration.conftest import Kernel, Threads
from tests.integration.driving import drive

WATCHED_SECONDS = 6.0
LONGEST_GAP_SECONDS = 4.0
_HAS_WAITERS = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
    " AND wait_event_type = 'Lock' AND query LIKE '%%stop_workflow_v1%%'"
)


def stopping(kernel: Kernel) -> tuple[UUID, UUID]:
    """A parent that the next pass must bring to its end, and its child."""
    child = {"workflow": "child", "type": kernel.register({"wait": "w", "for": "1h"})}
    workflow = kernel.start(kernel.register(child))
    drive()
    (row,) = db.rows("SELECT id FROM workflows WHERE parent_id = %s", (workflow,))
    stop = "SELECT stop_workflow_v1(%s, 'cancelled', '{}', 'cancelled', NULL, false)"
    db.row(stop, (workflow,))
    return workflow, row["id"]


def largest_gap(seconds: float) -> float:
    """The largest age of the heartbeat that is seen within so many seconds."""
    until, largest = time.monotonic() + seconds, 0.0
    while time.monotonic() < until:
        row = db.row(
            "SELECT extract(epoch FROM clock_timestamp() - beat_at)::float8 AS age"
            " FROM reconciler_beat",
            (),
        )
        assert row is not None
        largest = max(largest, row["age"])
        time.sleep(0.1)
    return largest


def test_the_heartbeat_goes_on_while_a_pass_waits_for_a_lock(
    kernel: Kernel, in_threads: Threads
) -> None:
    workflow, child = stopping(kernel)
    reconciler = Reconciler()

    def watch() -> float:
        try:
            while not db.rows(_HAS_WAITERS, ()):
                time.sleep(0.05)
            return largest_gap(WATCHED_SECONDS)
        finally:
            holder.rollback()
            reconciler.stop()

    with contextlib.closing(psycopg2.connect(db.dsn(current().database_url))) as holder:
        with holder.cursor() as cursor:
            cursor.execute("SELECT 1 FROM workflows WHERE id = %s FOR UPDATE", (str(child),))
        _, gap = in_threads([reconciler.run, watch])
    assert gap < LONGEST_GAP_SECONDS
    assert kernel.workflow(child)["status"] == "cancelled"
    assert kernel.workflow(workflow)["status"] == "cancelled"
