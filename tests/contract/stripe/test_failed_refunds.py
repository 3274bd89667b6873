"""Refunds that a bank sends back after their workflow has ended, told by Stripe's webhooks."""

import time
from uuid import UUID

from app import db
from app.queries import human_tasks
from app.record import verification
from chains.commands.command import caller_of
from chains.commands.resolve import Resolution, resolve
from chains.repair import rebuild
from tests import invariants
from tests.contract.stripe.test_forks import PAYING
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time, statuses


def fail_refunds(vendors: Vendors, workflow: UUID, times: int) -> None:
    """Let all refunds fail, and wait until Stripe has told it so often in all, each in two ways."""
    vendors.fail_refunds()
    until = time.monotonic() + 20
    while _count("webhook_deliveries WHERE kind IN ('refund.failed', 'charge.refund.updated')") < (
        2 * times
    ) or len(_undo_failures(workflow)) < min(times, 1):
        assert time.monotonic() < until, "the webhooks of the failed refund have not come"
        time.sleep(0.02)


def _count(what: str) -> int:
    row = db.row(f"SELECT count(*) AS number FROM {what}", ())
    assert row is not None
    return int(row["number"])


def _undo_failures(workflow: UUID) -> list[dict[str, object]]:
    return db.rows(
        "SELECT body::jsonb -> 'data' AS data FROM events WHERE workflow_id = %s"
        " AND body::jsonb ->> 'type' = 'UndoFailed'",
        (workflow,),
    )


def test_a_refund_that_fails_after_its_workflow_ended_calls_for_a_person(
    kernel: Kernel, vendors: Vendors, front: str
) -> None:
    workflow = kernel.start(kernel.register(PAYING), {"fails": True})
    drive()
    assert kernel.workflow(workflow)["status"] == "compensated"
    assert vendors.count("refunds") == 1

    fail_refunds(vendors, workflow, 1)
    seen = kernel.workflow(workflow)
    assert (seen["status"], seen["attention"]) == ("compensating", "compensation_failed")
    stands = statuses(workflow)
    assert (stands["take"], stands["take~undo"], stands["hold"]) == (
        "succeeded",
        "failed",
        "compensated",
    )
    (told,) = human_tasks.attention(kernel.user_id).items
    (step,) = told["steps"]
    assert step["key"] == "take~undo"
    assert "failed at Stripe (lost_or_stolen_card)" in step["error"]["message"]
    assert len(_undo_failures(workflow)) == 1, "two webhooks tell the same"

    # The refund that is made again holds; nothing is taken for done by the record of the first.
    ada = caller_of(kernel.user_id)
    resolve(ada, workflow, "take~undo", Resolution("retry", "the customer has a new card"))
    drive()
    pass_time("1 minute")
    drive()
    seen = kernel.workflow(workflow)
    assert (seen["status"], seen["attention"]) == ("compensated", None)
    assert (vendors.count("refunds"), vendors.count("refunds_failed")) == (2, 1)

    # It fails too, and the customer is paid otherwise.
    fail_refunds(vendors, workflow, 2)
    until = time.monotonic() + 20
    while kernel.workflow(workflow)["status"] == "compensated":
        assert time.monotonic() < until
        time.sleep(0.02)
    resolve(ada, workflow, "take~undo", Resolution("done", "paid by bank transfer"))
    assert kernel.workflow(workflow)["status"] == "compensated"
    assert len(_undo_failures(workflow)) == 2
    assert (list(verification.verify()), list(rebuild.differences())) == ([], [])
    assert invariants.broken(db.rows, [workflow]) == []
