"""The messages that a cancelled workflow leaves behind cost no statement each."""

from uuid import UUID

import pytest

from app.protocol.cancelled import REFUSALS, Cancelled
from app.protocol.claims import Claim, cancelled_keys, claim_step
from tests.integration.conftest import Kernel
from tests.integration.driving import run, statuses
from tests.unit.definitions import noop

ITEMS = 200
SAME_STEP = noop("leaf", n={"$": "item"})


@pytest.fixture
def spread(kernel: Kernel) -> UUID:
    """A workflow whose map has released all its items at once."""
    node = {"map": "m", "over": {"$": "input.list"}, "max_concurrency": ITEMS, "do": SAME_STEP}
    workflow = kernel.start(kernel.register(node), {"list": [*range(ITEMS)]})
    assert run(workflow, "m~expand", "control.expand")
    return workflow


def test_the_messages_of_a_cancelled_workflow_are_dropped_as_a_set(
    kernel: Kernel, spread: UUID
) -> None:
    reads: list[UUID] = []
    claims = 0

    def read(workflow_id: UUID) -> list[str]:
        reads.append(workflow_id)
        return cancelled_keys(workflow_id)

    known = Cancelled(read)
    kernel.cancel(spread)
    for number in range(ITEMS):
        for key in known.without(spread, (f"m[{number}].leaf",)):
            claims += 1
            assert claim_step(spread, key, 30.0) is None
            known.refused(spread)
    assert (claims, reads) == (REFUSALS, [spread])
    keys = tuple(key for key in statuses(spread) if key.endswith(".leaf"))
    assert len(keys) == ITEMS
    assert known.without(spread, keys) == ()
    assert known.without(spread, ("m~undo",)) == ("m~undo",)


def test_refused_claims_of_a_running_workflow_drop_no_message(kernel: Kernel, spread: UUID) -> None:
    known = Cancelled()
    claimed = claim_step(spread, "m[0].leaf", 30.0)
    assert isinstance(claimed, Claim)
    for _ in range(REFUSALS + 1):
        assert claim_step(spread, "m[0].leaf", 30.0) is None
        known.refused(spread)
    assert known.without(spread, ("m[0].leaf", "m[1].leaf")) == ("m[0].leaf", "m[1].leaf")
