"""Who goes next: shares, weights, costs, and what others got wrong (credit of the idle, lost
wake-ups, places that are released twice)."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from app import db
from tests.integration.conftest import Kernel
from tests.integration.flow.samples import accepted, controlled, count, end, taken

SHARED: dict[str, Any] = {"share": {"key": "input.of"}, "depth": 20_000}


def of(workflows: list[UUID]) -> Counter[str]:
    """How many of the workflows are of which user of the share."""
    rows = db.rows(
        "SELECT l.share_key, count(*) AS number FROM workflows AS w"
        " JOIN flow_lanes AS l ON l.id = w.lane_id WHERE w.id = ANY (%s) GROUP BY 1",
        (workflows,),
    )
    return Counter({row["share_key"]: row["number"] for row in rows})


def served(rounds: int, most: int = 50) -> list[list[UUID]]:
    """Admit what is free, at most so many at once, end it, and so on; what each round admitted."""
    found = []
    for _ in range(rounds):
        found.append(taken(most))
        end(found[-1])
    return found


def flat(rounds: list[list[UUID]]) -> list[UUID]:
    """All workflows of the rounds."""
    return [each for one in rounds for each in one]


def test_weights_of_three_to_one_share_a_thousand_starts_three_to_one(kernel: Kernel) -> None:
    share = {"key": "input.of", "weights": {"gold": 3}}
    name = controlled(kernel, concurrency=[{"limit": 10}], share=share, depth=10_000)
    accepted(kernel, name, 900, {"of": "gold"})
    accepted(kernel, name, 900, {"of": "plain"})
    shares = of(flat(served(100)))
    assert shares.total() == 1000
    assert 0.95 * 3 <= shares["gold"] / shares["plain"] <= 1.05 * 3


def test_a_newcomer_is_next_however_much_waits(kernel: Kernel) -> None:
    name = controlled(kernel, concurrency=[{"limit": 4}], **SHARED)
    accepted(kernel, name, 500, {"of": "a"})
    served(20)
    (new,) = accepted(kernel, name, 1, {"of": "b"})
    assert new in taken()


def test_the_idle_have_no_credit(kernel: Kernel) -> None:
    name = controlled(kernel, concurrency=[{"limit": 1}], **SHARED)
    accepted(kernel, name, 2, {"of": "idle"})
    served(2)
    accepted(kernel, name, 100, {"of": "busy"})
    served(40)
    accepted(kernel, name, 40, {"of": "idle"})
    assert 9 <= of(flat(served(20)))["idle"] <= 11


def test_a_lane_that_was_blocked_has_no_credit(kernel: Kernel) -> None:
    limits = [{"limit": 1, "key": "input.of"}, {"limit": 2}]
    name = controlled(kernel, concurrency=limits, **SHARED)
    accepted(kernel, name, 30, {"of": "held"})
    first = taken()
    assert len(first) == 1
    accepted(kernel, name, 70, {"of": "busy"})
    for _ in range(40):
        end(taken())
    end(first)
    accepted(kernel, name, 20, {"of": "new"})
    # With a credit of 40 starts, it would have one of the two places all the time.
    shares = of(flat(served(15)))
    assert all(9 <= shares[user] <= 11 for user in ("held", "busy", "new"))


def test_a_cost_is_charged_and_corrected_by_what_was_really_used(kernel: Kernel) -> None:
    share = {"key": "input.of", "cost": "input.cost", "cost_unit": "micro_usd"}
    name = controlled(kernel, concurrency=[{"limit": 1}], share=share, depth=1000)
    accepted(kernel, name, 60, {"of": "honest", "cost": 10})
    accepted(kernel, name, 60, {"of": "modest", "cost": 10})
    shares: Counter[str] = Counter()
    for _ in range(60):
        (one,) = taken()
        (user,) = of([one])
        shares[user] += 1
        spent = {"honest": 10, "modest": 30}[user]
        db.row("UPDATE workflows SET spent = %s WHERE id = %s", (spent, one))
        end([one])
    assert 43 <= shares["honest"] <= 47


def test_estimates_that_are_far_too_high_starve_no_other_key(kernel: Kernel) -> None:
    share = {"key": "input.of", "cost": "`1000`", "cost_unit": "micro_usd"}
    name = controlled(kernel, concurrency=[{"limit": 10}], share=share)
    accepted(kernel, name, 120, {"of": "a"})
    served(4, most=5)
    accepted(kernel, name, 60, {"of": "b"})
    shares = of(flat(served(8, most=5)))
    assert 35 <= shares["b"] <= 45


def test_pools_that_share_a_limit_take_turns_whatever_they_have_had_before(
    kernel: Kernel,
) -> None:
    limit = {"limit": 1, "scope": "account", "name": "shared"}
    old, new = (
        controlled(kernel, step, concurrency=[limit, {**limit, "limit": 100, "name": first}])
        for step, first in (("old", "a"), ("new", "b"))
    )
    accepted(kernel, old, 20)
    served(20)
    accepted(kernel, old, 10)
    held = taken()
    accepted(kernel, new, 20)
    # The place is held, so that both wait for it.
    assert (taken(), count("flow_pools")) == ([], 2)
    end(held)
    types = db.rows("SELECT type FROM workflows WHERE id = ANY (%s)", (flat(served(10)),))
    assert Counter(row["type"] for row in types) == {old: 5, new: 5}


def test_a_place_is_released_once_however_often_it_is_said(kernel: Kernel) -> None:
    name = controlled(kernel, concurrency=[{"limit": 1}])
    (first, *_) = accepted(kernel, name, 3)
    assert taken() == [first]
    for _ in range(3):
        end([first])
    assert count("flow_released") == 1
    assert len(taken()) == 1


def test_a_place_that_is_freed_while_a_lane_is_being_blocked_is_not_overlooked(
    kernel: Kernel, raw: Any
) -> None:
    name = controlled(kernel, concurrency=[{"limit": 1}], **SHARED)
    (first,) = accepted(kernel, name, 1, {"of": "a"})
    assert taken() == [first]
    (second,) = accepted(kernel, name, 1, {"of": "b"})
    blocking = raw().cursor()
    blocking.execute("SELECT admit_starts_v1((SELECT id FROM flow_pools), 10)")
    # It has counted, and has not committed that the lane is blocked.
    end([first])
    with ThreadPoolExecutor(1) as pool:
        waking = pool.submit(_taken_in_thread)
        blocking.connection.commit()
        assert waking.result(timeout=10) == [second]


def test_a_correction_waits_for_no_lane_whose_limit_another_transaction_holds(
    kernel: Kernel, raw: Any
) -> None:
    share = {"key": "input.of", "cost_unit": "seconds"}
    name = controlled(kernel, concurrency=[{"limit": 2}], share=share)
    accepted(kernel, name, 1, {"of": "held"})
    end(taken())
    (second,) = accepted(kernel, name, 1, {"of": "free"})
    handing_on = raw().cursor()
    handing_on.execute("SELECT FROM flow_lanes WHERE share_key = 'held' FOR UPDATE")
    db.row("SET lock_timeout = '1s'", ())
    assert taken() == [second]
    assert count("flow_costs") == 1
    handing_on.connection.rollback()
    (third,) = accepted(kernel, name, 1, {"of": "free"})
    assert taken() == [third]
    assert count("flow_costs") == 0


def _taken_in_thread() -> list[UUID]:
    try:
        return taken()
    finally:
        db.release()


def test_an_admission_waits_for_no_workflow_that_another_transaction_holds(
    kernel: Kernel, raw: Any
) -> None:
    name = controlled(kernel, concurrency=[{"limit": 5}])
    first, second = accepted(kernel, name, 2)
    leaving = raw().cursor()
    leaving.execute("SELECT leave_flow_v1(%s)", (first,))
    db.row("SET lock_timeout = '1s'", ())
    (row,) = db.rows("SELECT * FROM admit_starts_v1((SELECT id FROM flow_pools), 10)", ())
    assert row["workflow_ids"] == [second]
    leaving.connection.rollback()
    assert taken() == [first]


def test_a_start_that_another_transaction_holds_is_charged_only_when_it_is_admitted(
    kernel: Kernel, raw: Any
) -> None:
    throttle = {"limit": 2, "period": "1m", "burst": 2}
    name = controlled(kernel, concurrency=[{"limit": 5}], throttle=throttle, **SHARED)
    accepted(kernel, name, 2, {"of": "a"})
    held = raw().cursor()
    held.execute("SELECT FROM flow_entries FOR UPDATE")
    for _ in range(4):
        (row,) = db.rows("SELECT * FROM admit_starts_v1((SELECT id FROM flow_pools), 10)", ())
        assert (row["verdict"], row["workflow_ids"]) == ("held", [])
    assert db.rows("SELECT tag, v FROM flow_lanes, flow_pools", ()) == [{"tag": 0, "v": 0}]
    held.connection.rollback()
    assert len(taken()) == 2
    assert db.rows("SELECT tag, v FROM flow_lanes, flow_pools", ()) == [{"tag": 2, "v": 1}]


def test_an_entry_that_is_being_added_keeps_its_lane_open(kernel: Kernel, raw: Any) -> None:
    name = controlled(kernel, concurrency=[{"limit": 5}])
    accepted(kernel, name, 1)
    flow = db.rows("SELECT flow, version FROM workflows", ())[0]
    adding = raw().cursor()
    adding.execute(
        "SELECT defer_workflow_v1(uuidv7(), %s, %s, %s, '{}', NULL, NULL, 5, NULL, NULL, NULL,"
        " NULL, NULL, (SELECT flow FROM workflows LIMIT 1))",
        (kernel.user_id, name, flow["version"]),
    )
    rows = db.rows("SELECT * FROM admit_starts_v1((SELECT id FROM flow_pools), 10)", ())
    assert (len(rows[0]["workflow_ids"]), rows[0]["verdict"]) == (1, "more")
    rows = db.rows("SELECT * FROM admit_starts_v1((SELECT id FROM flow_pools), 10)", ())
    assert rows[0]["verdict"] == "held"
    adding.connection.commit()
    assert len(taken()) == 1
    assert count("flow_lanes", "is_open") == 0
