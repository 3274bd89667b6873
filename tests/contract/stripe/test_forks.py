"""Payments over forks: the vendor's books show what each workflow took and gave back.

Workflows authorize and capture a payment; some fail afterwards and are undone. Forks start anywhere
in them, and fail or succeed themselves. Whatever the order, a payment is taken once, and is given
back exactly if the workflow that took it was undone.
"""

import random
from uuid import UUID

import pytest

from app import db
from app.errors import Conflict
from app.keys import workflow_of
from app.platform import Json
from chains.commands.command import caller_of
from chains.commands.fork import fork
from tasks.stripe.marks import CAPTURED_BY
from tests.contract.stripe.steps import AUTHORIZE
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive
from tests.unit.definitions import fail, noop

PAYING = {
    "sequence": [
        {"step": "hold", "action": "stripe.authorize", "with": AUTHORIZE},
        {
            "step": "take",
            "action": "stripe.capture",
            "with": {"payment_intent": {"$": "steps.hold.output.payment_intent"}},
        },
        noop("between"),
        {
            "choice": "end",
            "cases": [{"when": "input.fails", "do": fail("bad")}],
            "otherwise": noop("good"),
        },
    ]
}
BOUNDARIES = ("hold", "take", "between", "end")


def forked(kernel: Kernel, origin: UUID, from_step: str, *, fails: bool) -> UUID | None:
    """A fork of a workflow, carried to its end; None if it may not be forked there."""
    given = {"fails": fails}
    try:
        made = fork(caller_of(kernel.user_id), origin, from_step=from_step, input=given)
    except Conflict:
        return None
    drive()
    return made.id


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_payment_is_given_back_exactly_if_the_workflow_that_took_it_was_undone(
    kernel: Kernel, vendors: Vendors, seed: int
) -> None:
    chance = random.Random(seed)
    paying = kernel.register(PAYING)
    known: list[UUID] = []
    for _ in range(14):
        fails = chance.random() < 0.5
        if not known or chance.random() < 0.3:
            known.append(kernel.start(paying, {"fails": fails}))
            drive()
        else:
            origin, from_step = chance.choice(known), chance.choice(BOUNDARIES)
            made = forked(kernel, origin, from_step, fails=fails)
            known += [made] if made else []
    judge(known, vendors)


def test_a_fork_at_the_capture_of_a_succeeded_workflow_leaves_its_customer_alone(
    kernel: Kernel, vendors: Vendors
) -> None:
    origin = kernel.start(kernel.register(PAYING), {"fails": False})
    drive()
    made = forked(kernel, origin, "take", fails=True)
    assert made is not None
    assert kernel.step(made, "take")["error_code"] == "already_captured"
    assert kernel.workflow(made)["status"] in ("compensated", "failed")
    assert (vendors.count("captures"), vendors.count("refunds")) == (1, 0)
    judge([origin, made], vendors)


def judge(known: list[UUID], vendors: Vendors) -> None:
    """Compare the vendor's books with what became of the workflows."""
    statuses = _statuses(known)
    assert set(statuses.values()) <= {"succeeded", "compensated", "failed"}
    taken = _by_payment(vendors.journal("captures"))
    returned = _by_payment(vendors.journal("refunds"))
    assert all(len(entries) == 1 for entries in [*taken.values(), *returned.values()])
    assert set(returned) <= set(taken)
    for payment, (entry,) in taken.items():
        taker = workflow_of(entry["metadata"][CAPTURED_BY])
        assert taker is not None
        assert (payment in returned) == (statuses[taker] == "compensated"), payment


def _statuses(known: list[UUID]) -> dict[UUID, str]:
    rows = db.rows("SELECT id, status FROM workflows WHERE id = ANY (%s::uuid[])", (known,))
    return {row["id"]: row["status"] for row in rows}


def _by_payment(entries: list[Json]) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {}
    for each in entries:
        found.setdefault(each["payment_intent"], []).append(each)
    return found
