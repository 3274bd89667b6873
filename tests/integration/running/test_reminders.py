"""People are reminded of an approval that is open, once for each of its times."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from app import db
from chains.commands.command import Caller
from chains.commands.pause import pause, resume
from chains.commands.retry import retry
from chains.commands.signal import Signal, give_signal
from chains.repair.reconcile import reconcile
from tests.integration.conftest import Kernel, Threads
from tests.integration.driving import drive, pass_time
from tests.unit.definitions import noop

pytestmark = pytest.mark.usefixtures("agreeing")

REVIEW = {"approval": "review", "timeout": "7d", "remind": ["1h", "1d", "3d"]}


def asking(kernel: Kernel, **rest: Any) -> UUID:
    """A workflow whose approval has asked just now."""
    workflow = kernel.start(kernel.register({"sequence": [{**REVIEW, **rest}, noop("b")]}))
    drive()
    return workflow


def reminders(kernel: Kernel, workflow: UUID) -> list[int]:
    """The numbers of the reminders that were sent."""
    events = kernel.events(workflow)
    return [each["data"]["reminder"] for each in events if each["type"] == "ApprovalReminded"]


def clock(amount: timedelta) -> None:
    """Set the clock of waits off by so much, and reconcile nothing."""
    db.row(
        "INSERT INTO clock_offset (amount) VALUES (%s)"
        " ON CONFLICT (is_only) DO UPDATE SET amount = excluded.amount",
        (amount,),
    )


def test_each_reminder_is_an_event_with_its_time_and_no_address(kernel: Kernel) -> None:
    workflow = asking(kernel, by=["ada@example.com", "group:finance"])
    pass_time("59 minutes")
    assert reminders(kernel, workflow) == []
    pass_time("1 minute")
    reconcile()
    pass_time("1 day")
    event = kernel.events(workflow)[-1]
    recorded = kernel.step(workflow, "review")["input"]["remind"]
    at = datetime.fromisoformat(recorded[1])
    assert event["step"] == "review"
    assert event["data"] == {
        "reminder": 2,
        "of": 3,
        "at": (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1),
    }
    assert reminders(kernel, workflow) == [1, 2]
    pass_time("6 days")
    drive()
    assert reminders(kernel, workflow) == [1, 2]
    assert kernel.step(workflow, "review")["error"]["code"] == "approval_timed_out"


def test_two_reconcilers_send_a_reminder_once(kernel: Kernel, in_threads: Threads) -> None:
    workflows = [asking(kernel) for _ in range(8)]
    for number, days in enumerate((0.5, 2, 4), 1):
        clock(timedelta(days=days))
        in_threads([reconcile] * 4)
        # One that another reconciler held is due still.
        reconcile()
        for workflow in workflows:
            assert reminders(kernel, workflow) == [*range(1, number + 1)]


def test_a_reminder_that_was_not_committed_is_sent_later(kernel: Kernel) -> None:
    workflow = asking(kernel)
    clock(timedelta(hours=2))
    with db.engine().connect() as connection:
        sql = "SELECT * FROM reconcile_workflow_v1(%s, true, '{}', '{}', '{}', 15)"
        connection.exec_driver_sql(sql, (workflow,))
        counted = "SELECT count(*) FROM events WHERE body LIKE '%%ApprovalReminded%%'"
        assert connection.exec_driver_sql(counted).scalar_one() == 1
        connection.rollback()
    assert reminders(kernel, workflow) == []
    reconcile()
    assert reminders(kernel, workflow) == [1]


def test_of_missed_reminders_only_the_last_is_sent(kernel: Kernel) -> None:
    workflow = asking(kernel)
    pass_time("2 days")
    assert reminders(kernel, workflow) == [2]
    pass_time("2 days")
    assert reminders(kernel, workflow) == [2, 3]
    late = asking(kernel)
    pass_time("8 days")
    assert reminders(kernel, late) == []


def test_a_clock_that_jumps_back_repeats_no_reminder(kernel: Kernel) -> None:
    workflow = asking(kernel)
    clock(timedelta(hours=2))
    reconcile()
    clock(timedelta())
    reconcile()
    clock(timedelta(hours=2))
    reconcile()
    assert reminders(kernel, workflow) == [1]


def test_after_the_decision_nobody_is_reminded(kernel: Kernel, ada: Caller) -> None:
    workflow = asking(kernel)
    pass_time("2 hours")
    give_signal(ada, workflow, Signal("review", True))
    clock(timedelta(days=2))
    reconcile()
    drive()
    pass_time("5 days")
    assert reminders(kernel, workflow) == [1]
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_a_paused_workflow_is_reminded_of_when_it_goes_on(kernel: Kernel, ada: Caller) -> None:
    workflow = asking(kernel)
    pause(ada, workflow)
    pass_time("2 days")
    assert reminders(kernel, workflow) == []
    resume(ada, workflow)
    reconcile()
    assert reminders(kernel, workflow) == [2]


def test_a_reminder_that_falls_due_while_a_vote_is_counted_is_sent_after_it(
    kernel: Kernel, ada: Caller
) -> None:
    workflow = asking(kernel, by=["ada@example.com", "eve@example.com"], needed=2)
    give_signal(ada, workflow, Signal("review", True))
    pass_time("2 hours")
    assert reminders(kernel, workflow) == []
    drive()
    reconcile()
    assert reminders(kernel, workflow) == [1]
    pass_time("1 day")
    assert reminders(kernel, workflow) == [1, 2]


def test_a_stopped_workflow_is_reminded_of_no_more(kernel: Kernel) -> None:
    workflow = asking(kernel)
    kernel.cancel(workflow)
    pass_time("2 days")
    assert reminders(kernel, workflow) == []


def test_an_approval_that_asks_again_reminds_anew(kernel: Kernel, ada: Caller) -> None:
    node = {"sequence": [REVIEW, noop("b")]}
    workflow = kernel.start(kernel.register(node, on_failure="hold"))
    drive()
    pass_time("2 hours")
    give_signal(ada, workflow, Signal("review", False))
    drive()
    retry(ada, workflow, step="review")
    drive()
    pass_time("2 hours")
    assert reminders(kernel, workflow) == [1, 1]


def test_the_reminders_of_a_large_map_are_sent_in_portions(kernel: Kernel) -> None:
    workflow = asking(kernel)
    clock(timedelta(hours=2))
    sent = []
    with db.engine().connect() as connection:
        connection.exec_driver_sql(_COPIES, (520, workflow))
        for _ in range(3):
            connection.exec_driver_sql("SELECT remind_approvals_v1(%s)", (workflow,))
            counted = "SELECT count(*) FROM events WHERE body LIKE '%%ApprovalReminded%%'"
            sent.append(connection.exec_driver_sql(counted).scalar_one())
        connection.rollback()
    assert sent == [500, 521, 521]


_COPIES = """
INSERT INTO steps
SELECT made.* FROM steps AS s CROSS JOIN generate_series(1, %s) AS n
 CROSS JOIN LATERAL jsonb_populate_record(s, jsonb_build_object('key', 'review' || n)) AS made
 WHERE s.workflow_id = %s AND s.key = 'review'
"""
