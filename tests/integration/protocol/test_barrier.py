"""A stop and the claims in flight.

A step that is claimed before the barrier is drained. No claim commits after the barrier.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from psycopg2.extras import RealDictCursor

from app import db
from app.protocol.claims import Claim, claim_of, claim_step
from app.protocol.known import Known
from app.protocol.outcomes import Finish, finish_step
from chains.commands import pause as pausing
from chains.commands.command import caller_of
from chains.undoing.settle import settle
from chains.undoing.stop import stop as commit_stop
from tests.integration.conftest import NOTHING, Kernel
from tests.integration.driving import statuses
from tests.unit.definitions import noop

BOUND_SECONDS = 20.0
ERROR = {"code": "cancelled", "message": "cancelled"}
Stop = Callable[[Kernel, UUID], Any]


def cancel(kernel: Kernel, workflow: UUID) -> Any:
    """Stop the workflow, run the barrier, and drain."""
    return kernel.cancel(workflow)


def pause(kernel: Kernel, workflow: UUID) -> Any:
    """Pause the workflow and run the barrier."""
    return pausing.pause(caller_of(kernel.user_id), workflow).result


class Open:
    """A second session with an open transaction, which `commit` ends."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.pid: int = connection.info.backend_pid

    def row(self, sql: str, *parameters: Any) -> Any:
        """Run a statement in the open transaction, and return its row."""
        with self._connection.cursor(cursor_factory=RealDictCursor) as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchone()

    def claim(self, workflow: UUID, key: str) -> Claim:
        """Claim the step; no other session sees the claim yet."""
        row = self.row("SELECT * FROM claim_step_v1(%s, %s, 60, 60, 15)", workflow, key)
        assert row["verdict"] == "claimed"
        return claim_of(workflow, key, row, Known())

    def commit(self) -> None:
        """Commit the transaction."""
        self._connection.commit()

    def is_waited_for(self) -> bool:
        """Whether a barrier waits for a lock of this transaction. An update that waits does not
        count."""
        sql = (
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND query LIKE '%%workflows%%FOR UPDATE' AND %s = ANY (pg_blocking_pids(pid))"
        )
        return db.row(sql, (self.pid,)) is not None


@pytest.fixture
def session(kernel: Kernel) -> Iterator[Open]:
    """A session beside the connections of this process."""
    with contextlib.closing(db.connect()) as connection:
        connection.autocommit = False
        yield Open(connection)


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    """A thread for the call that has to wait."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def begun(kernel: Kernel) -> UUID:
    """A workflow whose steps `b0` and `b1` can be claimed."""
    return kernel.start(kernel.register({"parallel": "all", "branches": [noop("b0"), noop("b1")]}))


def await_waiting(session: Open, stopping: "Future[Any]") -> None:
    """Return when a barrier waits for the open transaction; fail if none does in time."""
    until = time.monotonic() + BOUND_SECONDS
    while not session.is_waited_for():
        assert not stopping.done(), "the barrier did not wait for the claim"
        assert time.monotonic() < until, "no session waits for the claim"
        time.sleep(0.01)


@pytest.mark.parametrize("stop", [cancel, pause])
def test_the_barrier_waits_for_a_claim_in_flight_and_no_claim_comes_behind_it(
    kernel: Kernel, session: Open, beside: ThreadPoolExecutor, stop: Stop
) -> None:
    workflow = begun(kernel)
    session.claim(workflow, "b0")
    stopping = beside.submit(stop, kernel, workflow)
    await_waiting(session, stopping)
    row = kernel.workflow(workflow)
    is_stopped = row["status"] == "compensating" or row["paused_at"] is not None
    assert is_stopped, "the stop is committed before the barrier"
    assert statuses(workflow) == {"all": "pending", "b0": "pending", "b1": "pending"}
    assert not stopping.done()
    session.commit()
    stopping.result(timeout=BOUND_SECONDS)
    assert statuses(workflow)["b0"] == "running"
    assert claim_step(workflow, "b1", 30.0) is None


def test_a_step_claimed_before_the_barrier_is_drained(
    kernel: Kernel, session: Open, beside: ThreadPoolExecutor
) -> None:
    workflow = begun(kernel)
    held = session.claim(workflow, "b0")
    stopping = beside.submit(cancel, kernel, workflow)
    await_waiting(session, stopping)
    session.commit()
    assert stopping.result(timeout=BOUND_SECONDS) == "compensating"
    assert statuses(workflow) == {"all": "cancelled", "b0": "running", "b1": "cancelled"}
    assert finish_step(held, NOTHING, Finish({})).verdict == "draining"
    assert settle(workflow) == "cancelled"
    assert statuses(workflow)["b0"] == "succeeded"


def test_a_claim_that_overlaps_the_stop_may_commit_before_the_barrier_and_is_drained(
    kernel: Kernel, session: Open
) -> None:
    workflow = begun(kernel)
    sql = "SELECT stop_workflow_v1(%s, 'cancelled', '{}', 'cancelled', NULL, true) AS verdict"
    assert session.row(sql, workflow)["verdict"] == "stopped"
    # The stop is not committed: a claim neither waits for it nor sees it.
    held = claim_step(workflow, "b0", 30.0)
    assert isinstance(held, Claim)
    session.commit()
    assert settle(workflow) == "compensating"
    assert statuses(workflow) == {"all": "cancelled", "b0": "running", "b1": "cancelled"}
    assert finish_step(held, NOTHING, Finish({})).verdict == "draining"
    assert settle(workflow) == "cancelled"


def test_a_claim_after_the_stop_is_refused_though_the_barrier_has_not_run(kernel: Kernel) -> None:
    workflow = begun(kernel)
    assert commit_stop(workflow, "cancelled", ERROR) == "stopped"
    assert claim_step(workflow, "b0", 30.0) is None
    assert statuses(workflow) == {"all": "pending", "b0": "pending", "b1": "pending"}
    assert settle(workflow) == "cancelled"
    assert set(statuses(workflow).values()) == {"cancelled"}
