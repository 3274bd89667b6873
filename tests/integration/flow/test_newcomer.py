"""A user submits thousands of workflows, then another one a single one: it waits for one slot.

Real workers with K slots run steps of d seconds, each of which holds its slot. A slot is a thread
of a worker; or a place of a limit of K, of which there are fewer than threads.
"""

import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app import db
from app.broker.celery import CONTROL_QUEUE
from tests.bench.machine.playalter import reconciler
from tests.bench.machine.processes import worker
from tests.integration.conftest import Kernel, Threads
from tests.integration.flow.samples import ANY
from tests.integration.starting.test_admission import another_user

K = 8
SECONDS = 1.0
MANY = 2000
NEWCOMERS = 6
WORKER = "chains.worker:celery_app"
HOLD = {"step": "hold", "action": "control.sleep", "with": {"seconds": SECONDS}}
LIMITED = {"concurrency": [{"limit": K}], "share": {"key": "input.user"}}


def waited(workflow: UUID, since: float) -> float:
    """After how many seconds a worker has taken the step of a workflow that was submitted then."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        row = db.row("SELECT started_at FROM steps WHERE workflow_id = %s", (workflow,))
        if row is not None and row["started_at"] is not None:
            return float(row["started_at"].timestamp() - since)
        time.sleep(0.02)
    raise AssertionError("it did not start within a minute")


@pytest.mark.long
@pytest.mark.parametrize("flow", [None, LIMITED], ids=["slots", "limit"])
def test_a_newcomer_waits_for_one_slot_behind_two_thousand_others(
    kernel: Kernel, in_threads: Threads, tmp_path: Path, flow: dict[str, Any] | None
) -> None:
    rest = {} if flow is None else {"flow": flow}
    name = kernel.register(HOLD, input_schema=ANY, **rest)
    other = another_user(kernel, "bo")
    threads = K if flow is None else K + 8
    log = tmp_path / "worker.log"
    with (
        reconciler(log),
        worker(WORKER, CONTROL_QUEUE, threads, log, pool="threads"),
    ):

        def submit() -> None:
            for _ in range(MANY // 4):
                kernel.start(name, {"user": "a"})

        in_threads([submit] * 4)
        time.sleep(3.0)
        found = []
        for number in range(NEWCOMERS):
            # At another moment of the slots' second each time.
            time.sleep(2.0 + number / NEWCOMERS)
            since = time.time()
            found.append(waited(other.start(name, {"user": "b"}), since))
        (row,) = db.rows("SELECT count(*) AS n FROM workflows WHERE completed_at IS NULL", ())
    print(f"K={K}, d={SECONDS} s, {row['n']} still wait; waited {[round(s, 2) for s in found]} s")
    assert row["n"] > MANY / 2
    assert max(found) <= 1.2 * SECONDS
