"""Admitted workflows are begun many at once, and nobody who begins others waits in a circle."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest

from app import db
from chains.dispatch import queue_length
from chains.starting.beginning import begin_all
from tests.integration.conftest import Kernel, deadlocks
from tests.integration.flow.samples import accepted, admit, count, limited, states, taken
from tests.integration.starting.test_admission import another_user
from tests.integration.starting.test_together import wait_until_blocked

pytestmark = pytest.mark.usefixtures("agreeing")


def ended(batch: "Future[None]") -> None:
    """Wait for a batch, which nothing has held up for ever."""
    batch.result(20)
    assert deadlocks() == 0


def without_place(kernel: Kernel, name: str) -> list[UUID]:
    """Two workflows that were admitted, were paused and resumed before anybody has begun them."""
    found = accepted(kernel, name, 2)
    assert taken() == found
    assert taken() == []  # which has closed the lane
    for each in found:
        for sql in (
            "SELECT pause_workflow_v1(%s, 'ada', NULL, false)",
            "SELECT resume_workflow_v1(%s, 'ada', NULL)",
        ):
            db.row(sql, (each,))
    assert count("flow_lanes", "is_open") == 0
    return found


def test_a_batch_whose_places_are_gone_does_not_wait_for_who_opens_the_lane(
    kernel: Kernel, raw: Any
) -> None:
    first, second = without_place(kernel, limited(kernel, 2))
    with raw() as other, other.cursor() as cursor, ThreadPoolExecutor(1) as pool:
        cursor.execute("SELECT FROM workflows WHERE id = %s FOR NO KEY UPDATE", (second,))
        batch = pool.submit(begin_all, [first, second])
        wait_until_blocked()
        cursor.execute("SELECT enter_flow_v1(%s)", (second,))
        other.commit()
        ended(batch)
    assert count("flow_entries") == 2
    admit()
    assert states([first, second]) == ["running", "running"]


def test_batches_do_not_wait_for_each_others_lanes_of_users(kernel: Kernel, raw: Any) -> None:
    bo = another_user(kernel, "bo")
    name = limited(kernel, 2)
    low, high = sorted([kernel, bo], key=lambda each: each.user_id)
    found = [*accepted(high, name, 1), *accepted(low, name, 1)]
    assert sorted(taken()) == found
    db.row("INSERT INTO queues (name, is_backed_up) VALUES ('control', true)", ())
    with raw() as other, other.cursor() as cursor, ThreadPoolExecutor(1) as pool:
        enter = "SELECT enter_lane_v1('control', %s, '2020-01-01', uuidv7(), '{x}', true)"
        cursor.execute(enter, (low.user_id,))
        batch = pool.submit(begin_all, found)
        wait_until_blocked()
        cursor.execute(enter, (high.user_id,))
        other.rollback()
        ended(batch)
    assert states(found) == ["running", "running"]
    assert queue_length("control") == 2
