"""The event log: append-only, chained, the same text as it was hashed."""

import hashlib

import psycopg2
import pytest

from app import db
from app.protocol import outcomes
from tests.integration.conftest import NOTHING, Kernel


def test_the_chain_of_a_workflow_verifies_from_its_id_on(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    for key in ("first", "second", "third"):
        outcomes.finish_step(kernel.claim(workflow, key), NOTHING, outcomes.Finish({"k": key}))
    previous = hashlib.sha256(workflow.bytes).digest()
    rows = db.rows(
        "SELECT seq, body, hash FROM events WHERE workflow_id = %s ORDER BY seq", (workflow,)
    )
    for seq, row in enumerate(rows, start=1):
        previous = hashlib.sha256(previous + row["body"].encode()).digest()
        assert bytes(row["hash"]) == previous
        assert row["seq"] == seq
    assert len(rows) == 5


@pytest.mark.parametrize(
    "statement", ["UPDATE events SET body = ''", "DELETE FROM events", "TRUNCATE events"]
)
def test_events_are_neither_changed_nor_removed(kernel: Kernel, statement: str) -> None:
    kernel.start("noop_chain")
    with pytest.raises(psycopg2.errors.RaiseException, match="append-only"):
        db.row(statement, ())


def test_events_carry_hashes_of_payloads_and_no_payload(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain", {"customer_email": "ada@example.com"})
    outcomes.finish_step(
        kernel.claim(workflow, "first"), NOTHING, outcomes.Finish({"email": "ada@example.com"})
    )
    events = kernel.events(workflow)
    assert "ada@example.com" not in str(events)
    expected = hashlib.sha256(b'{"email": "ada@example.com"}').hexdigest()
    assert events[1]["data"]["output"] == expected


def test_a_step_that_waits_on_the_same_id_again_makes_no_second_event(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    for _ in range(3):
        outcomes.suspend_step(kernel.claim(workflow, "first"), NOTHING, "pred_1", 0.0, 60.0)
        db.row(
            "UPDATE steps SET status = 'pending', wake_at = NULL"
            " WHERE workflow_id = %s AND key = 'first'",
            (workflow,),
        )
    kinds = [event["type"] for event in kernel.events(workflow)]
    assert kinds == ["WorkflowStarted", "StepSuspended"]
