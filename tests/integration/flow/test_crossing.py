"""Families that hold places crosswise wait for each other for ever, and their children say so."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from app import db
from app.queries.flow import held_crosswise
from chains.repair.reconcile import reconcile
from ops.cli.remote.flow import start_line
from tests.integration.conftest import Kernel
from tests.integration.flow.samples import admit, states, turn
from tests.integration.starting.test_admission import another_user
from tests.unit.definitions import noop
from web.api.flow import whole_start_wait
from web.schemas.flow import StartWait

pytestmark = pytest.mark.usefixtures("agreeing")


def limits(*names: str, most: int = 1) -> dict[str, object]:
    """The flow control of a definition that needs a place of each of these limits."""
    return {"concurrency": [{"limit": most, "scope": "account", "name": name} for name in names]}


def family(kernel: Kernel, own: str, childs: str, *, most: int = 1) -> str:
    """Register a parent that needs one limit, and whose child needs another; the parent's name."""
    child = kernel.register(noop(f"in_{childs}"), flow=limits(childs, most=most))
    call = {"workflow": f"call_{childs}", "type": child}
    return kernel.register(call, flow=limits(own, most=most))


def child_of(parent: UUID) -> UUID:
    """The child of a workflow."""
    (row,) = db.rows("SELECT id FROM workflows WHERE parent_id = %s", (parent,))
    found: UUID = row["id"]
    return found


def started(kernel: Kernel, names: Sequence[str]) -> list[UUID]:
    """Start these families, and let them run until nothing goes on."""
    parents = [kernel.start(name) for name in names]
    come_to_rest()
    return parents


def come_to_rest() -> None:
    """Run and admit what can be."""
    for _ in range(4):
        admit()
        turn()


def test_children_that_wait_crosswise_name_the_holders_until_one_is_cancelled(
    kernel: Kernel,
) -> None:
    one, other = started(kernel, [family(kernel, "a", "b"), family(kernel, "b", "a")])
    children = [child_of(one), child_of(other)]
    assert states(children) == ["pending", "pending"]
    found = [held_crosswise(child, kernel.user_id) for child in children]
    assert found == [[other], [one]]
    # Who waits behind them waits for ever too, although it is in no circle.
    (late,) = started(kernel, [family(kernel, "a", "c")])
    assert held_crosswise(late, kernel.user_id) == [one]
    kernel.cancel(one)
    for _ in range(6):
        reconcile()
        turn()
    assert states([other, late]) == ["succeeded", "succeeded"]


def test_a_circle_of_three_families_is_found(kernel: Kernel) -> None:
    names = [family(kernel, *pair) for pair in ("ab", "bc", "ca")]
    parents = started(kernel, names)
    found = [held_crosswise(child_of(each), kernel.user_id) for each in parents]
    assert found == [[parents[1]], [parents[2]], [parents[0]]]


def test_the_answer_and_the_words_for_a_child_name_the_holders(kernel: Kernel) -> None:
    parents = started(kernel, [family(kernel, "a", "b"), family(kernel, "b", "a")])
    found = whole_start_wait(child_of(parents[0]), kernel.user_id)
    shown = StartWait.model_validate(found)
    assert shown.held_crosswise == [parents[1]]
    words = start_line(shown.model_dump(mode="json"))
    assert words.startswith("waits at position 1, for account b, for ever: ")
    assert words.endswith(f"cancel one of {parents[1]}")


def test_a_wait_that_ends_by_itself_is_not_called_crosswise(kernel: Kernel) -> None:
    holds = kernel.register({"approval": "hold", "signal": "go"}, flow=limits("b"))
    (holder,) = started(kernel, [holds])
    (parent,) = started(kernel, [family(kernel, "a", "b")])
    child = child_of(parent)
    assert states([holder, child]) == ["running", "pending"]
    assert held_crosswise(child, kernel.user_id) is None
    assert held_crosswise(holder, kernel.user_id) is None


def test_one_holder_of_two_that_goes_on_is_enough(kernel: Kernel) -> None:
    holds = kernel.register({"approval": "hold", "signal": "go"}, flow=limits("b", most=2))
    (holder,) = started(kernel, [holds])
    pair = [family(kernel, "a", "b", most=2), family(kernel, "b", "a", most=2)]
    parents = started(kernel, [pair[0], pair[1], pair[0]])
    children = [child_of(each) for each in parents]
    assert states(children) == ["pending"] * 3
    assert [held_crosswise(child, kernel.user_id) for child in children] == [None] * 3
    assert kernel.cancel(holder) is not None


def test_the_workflows_of_others_are_not_named(kernel: Kernel) -> None:
    bo = another_user(kernel, "bo")
    db.row(
        "UPDATE users AS u SET organisation_id = o.organisation_id, project_id = o.project_id"
        " FROM users AS o WHERE o.id = %s AND u.id = %s",
        (kernel.user_id, bo.user_id),
    )
    one = kernel.start(family(kernel, "a", "b"))
    other = bo.start(family(bo, "b", "a"))
    come_to_rest()
    assert held_crosswise(child_of(one), kernel.user_id) == []
    assert held_crosswise(child_of(other), bo.user_id) == []
    assert held_crosswise(child_of(other), kernel.user_id) is None


def test_who_waits_for_a_throttle_does_not_wait_for_ever(kernel: Kernel) -> None:
    child = kernel.register(noop("in_b"), flow=limits("b"))
    throttled = kernel.register(
        {"workflow": "call_b", "type": child}, flow={"throttle": {"limit": 1, "period": "1h"}}
    )
    holds = kernel.register({"workflow": "call_p", "type": throttled}, flow=limits("b"))
    first = kernel.start(holds)
    admit()
    second = kernel.start(throttled)
    come_to_rest()
    waiting = [child_of(first), child_of(second)]
    assert states(waiting) == ["pending", "pending"]
    assert [held_crosswise(each, kernel.user_id) for each in waiting] == [None, None]
