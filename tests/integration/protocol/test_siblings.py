"""Quick siblings of one message: one claim, one transaction, and each still a step of its own."""

import time
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from app import db
from app.engine import siblings
from app.engine.siblings import Claimed, Ended
from app.protocol import claims
from app.protocol.claims import Claim
from app.protocol.known import Known
from chains.actions import actions
from chains.commands.command import Caller
from chains.commands.pause import pause, resume
from chains.running.prepare import prepare
from chains.undoing.settle import settle_soon
from chains.undoing.stop import stop
from tests.integration.conftest import Kernel, Threads
from tests.integration.driving import drive
from tests.unit.definitions import fail, noop

pytestmark = pytest.mark.usefixtures("agreeing")

NOOP = "control.noop"


def spread(kernel: Kernel, items: list[Any], *, window: int = 10, **rest: Any) -> UUID:
    """A workflow whose map is expanded: its first items are ready."""
    node = {
        "map": "each",
        "over": {"$": "input.items"},
        "max_concurrency": window,
        "do": noop("leaf", n={"$": "item"}),
        **rest,
    }
    name = kernel.register(node, output={"all": {"$": "steps.each.output"}})
    workflow = kernel.start(name, {"items": items})
    carried = claims.claim_step(workflow, "each~expand", 30.0)
    assert isinstance(carried, Claim)
    finish(carried, "control.expand")
    return workflow


def finish(claim: Claim, action: str) -> Ended:
    (ended,) = siblings.run_claimed((claim,), actions()[action], prepare, time.monotonic())
    return ended


def leaves(*numbers: int) -> list[str]:
    return [f"each[{n}].leaf" for n in numbers]


def claim(workflow: UUID, *numbers: int) -> Claimed:
    return siblings.claim_siblings(workflow, leaves(*numbers), 30.0, Known())


def run(found: Claimed, action: str = NOOP, join_seconds: float | None = None) -> list[Ended]:
    began = time.monotonic()
    return siblings.run_claimed(
        found.claims, actions()[action], prepare, began, lambda: join_seconds
    )


def together(ended: list[Ended]) -> claims.Advance | None:
    return siblings.together([each.advance for each in ended])


def transactions(workflow: UUID, kind: str) -> list[int]:
    """How many events of a kind each transaction has written."""
    rows = db.rows(
        "SELECT count(*) AS n FROM events WHERE workflow_id = %s AND body::jsonb ->> 'type' = %s"
        " AND body::jsonb ->> 'step' LIKE '%%leaf' GROUP BY xmin",
        (workflow, kind),
    )
    return sorted(row["n"] for row in rows)


def test_they_are_recorded_in_one_transaction_with_an_event_each(kernel: Kernel) -> None:
    workflow = spread(kernel, [10, 20, 30])
    found = claim(workflow, 0, 1, 2)
    assert [each.item for each in found.claims] == [10, 20, 30]
    ended = run(found)
    assert {each.advance.joined for each in ended} == {"each"}
    assert transactions(workflow, "StepSucceeded") == [3]
    drive()
    assert kernel.workflow(workflow)["output"] == {"all": [{"n": 10}, {"n": 20}, {"n": 30}]}


def test_the_last_of_several_messages_joins_and_no_other(kernel: Kernel) -> None:
    workflow = spread(kernel, list(range(5)))
    late, early = claim(workflow, 0, 1), claim(workflow, 2, 3, 4)
    assert {each.advance.joined for each in run(early)} == {None}
    assert {each.advance.joined for each in run(late)} == {"each"}


def test_whoever_ends_the_last_part_has_the_join_too(kernel: Kernel, ada: Caller) -> None:
    workflow = spread(kernel, list(range(5)))
    late, early = claim(workflow, 0, 1), claim(workflow, 2, 3, 4)
    assert together(run(early, join_seconds=30.0)) == claims.Advance("released")
    advance = together(run(late, join_seconds=30.0))
    assert advance is not None
    assert (advance.released, advance.joined) == ((), "each")
    assert advance.claim is not None
    join = kernel.step(workflow, "each")
    assert (join["status"], join["fence"], join["claims"]) == ("running", advance.claim.fence, 1)
    assert join["lease_until"] > join["started_at"]
    assert join["publish_after"] is not None
    assert not isinstance(claims.claim_step(workflow, "each", 30.0), Claim)
    finish(advance.claim, join["action"])
    assert kernel.workflow(workflow)["status"] == "succeeded"


@pytest.mark.parametrize(
    "change", ["skip_requested = true", "wake_at = playalter_now() + interval '1 h'"]
)
def test_a_join_that_is_not_plain_is_claimed_by_itself(kernel: Kernel, change: str) -> None:
    workflow = spread(kernel, [1, 2])
    db.row(f"UPDATE steps SET {change} WHERE workflow_id = %s AND key = 'each'", (workflow,))
    assert together(run(claim(workflow, 0, 1), join_seconds=30.0)) == claims.Advance(
        "released", ("each",), "each"
    )


def test_a_join_that_spends_a_budget_is_claimed_by_itself(kernel: Kernel) -> None:
    workflow = spread(kernel, [1, 2])
    db.row("INSERT INTO budgets (workflow_id, amount) VALUES (%s, 10)", (workflow,))
    db.row("UPDATE workflows SET budget_id = id WHERE id = %s", (workflow,))
    assert together(run(claim(workflow, 0, 1), join_seconds=30.0)) == claims.Advance(
        "released", ("each",), "each"
    )


def test_as_many_items_are_released_as_have_settled(kernel: Kernel) -> None:
    workflow = spread(kernel, list(range(7)), window=3)
    assert claim(workflow, 3).claims == ()
    assert together(run(claim(workflow, 0, 1, 2))) == claims.Advance(
        "released", tuple(leaves(3, 4, 5))
    )
    assert together(run(claim(workflow, 3, 4, 5))) == claims.Advance("released", tuple(leaves(6)))


def test_of_many_who_claim_the_same_at_once_one_has_each(
    kernel: Kernel, in_threads: Threads
) -> None:
    workflow = spread(kernel, list(range(10)))
    found: list[Claimed] = in_threads(
        [lambda: claim(workflow, *range(6)), lambda: claim(workflow, *range(4, 10))] * 3
    )
    held = [each.key for one in found for each in one.claims]
    assert sorted(held) == sorted(leaves(*range(10)))


def test_one_that_lost_its_lease_is_left_out_and_the_others_count(kernel: Kernel) -> None:
    workflow = spread(kernel, list(range(3)))
    found = claim(workflow, 0, 1, 2)
    zombie = replace(found.claims[1], fence=uuid4())
    ended = run(replace(found, claims=(found.claims[0], zombie, found.claims[2])))
    assert [each.advance.verdict for each in ended] == ["released", "fenced", "released"]
    assert {each.advance.joined for each in ended} == {None}
    assert kernel.step(workflow, "each[1].leaf")["status"] == "running"
    assert [each.advance.joined for each in run(Claimed((found.claims[1],), ()))] == ["each"]


def test_none_is_claimed_while_the_workflow_is_paused_or_stopping(
    kernel: Kernel, ada: Caller
) -> None:
    workflow = spread(kernel, list(range(3)))
    pause(ada, workflow)
    assert claim(workflow, 0, 1) == Claimed((), ())
    resume(ada, workflow)
    assert len(claim(workflow, 0, 1).claims) == 2
    stop(workflow, "timed_out", {"code": "timed_out"})
    assert claim(workflow, 2) == Claimed((), ())


def test_what_was_running_when_a_pause_came_is_recorded_and_releases_nothing(
    kernel: Kernel, ada: Caller
) -> None:
    workflow = spread(kernel, list(range(3)))
    found = claim(workflow, 0, 1, 2)
    pause(ada, workflow)
    assert together(run(found)) == claims.Advance("released")
    assert transactions(workflow, "StepSucceeded") == [1, 1, 1]
    resume(ada, workflow)
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_what_was_running_when_a_stop_came_is_recorded_and_drains(kernel: Kernel) -> None:
    workflow = spread(kernel, list(range(3)))
    found = claim(workflow, 0, 1, 2)
    stop(workflow, "timed_out", {"code": "timed_out"})
    advance = together(run(found))
    assert advance is not None
    assert advance.verdict == "draining"
    settle_soon(workflow)
    assert kernel.workflow(workflow)["cause"] == "timed_out"
    assert kernel.step(workflow, "each[2].leaf")["status"] == "succeeded"


def test_one_that_fails_is_recorded_by_itself(kernel: Kernel) -> None:
    node = {**fail("leaf"), "when": "item == `1`"}
    workflow = spread(kernel, list(range(3)), on_item_failure="collect", do=node)
    ended = run(claim(workflow, 0, 1, 2), "control.fail")
    assert sorted(each.result.finish.status for each in ended[:2]) == ["skipped", "succeeded"]
    assert transactions(workflow, "StepFailed") == [1]
    drive()
    assert kernel.step(workflow, "each")["error"]["failures"][0]["index"] == 1


def test_one_that_is_not_plain_is_claimed_by_itself(kernel: Kernel) -> None:
    workflow = spread(kernel, list(range(3)))
    sql = "UPDATE steps SET skip_requested = true WHERE workflow_id = %s AND key = %s"
    db.row(sql, (workflow, "each[1].leaf"))
    found = claim(workflow, 0, 1, 2)
    assert [each.key for each in found.claims] == leaves(0, 2)
    assert found.others == tuple(leaves(1))
    run(found)
    other = finish(kernel.claim(workflow, found.others[0]), NOOP)
    assert (other.result.finish.status, other.advance.joined) == ("skipped", "each")


def test_outputs_that_are_too_large_together_are_recorded_each_alone(kernel: Kernel) -> None:
    workflow = spread(kernel, ["a" * 1_000_000, "b" * 1_000_000, "c" * 1_000_000])
    run(claim(workflow, 0, 1, 2))
    assert transactions(workflow, "StepSucceeded") == [1, 1, 1]
