"""Limits: what waits for them, what is admitted, and what frees a place."""

import pytest

from app import db
from app.errors import TooMany
from app.queries import flow as queries
from chains.repair.housekeeping import clean_flow
from tests.integration.conftest import Kernel
from tests.integration.driving import drive
from tests.integration.flow.samples import admit, controlled, count, limited, states, turn


def test_starts_beyond_a_limit_wait_and_begin_in_order(kernel: Kernel, agreeing: None) -> None:
    name = limited(kernel, 2)
    workflows = [kernel.start(name) for _ in range(5)]
    admit()
    assert states(workflows) == ["running"] * 2 + ["pending"] * 3
    place = queries.start_place(workflows[4], kernel.user_id)
    assert place is not None
    assert (place["position"], place["is_exact"]) == (3, True)
    assert place["blocked_by"] == {"scope": "definition", "name": name, "key": ""}
    (lane,) = queries.flow_lanes(definition=name)
    assert (lane["waiting"], lane["blocked_by"]["name"]) == (3, name)
    turn()
    assert states(workflows) == ["succeeded"] * 2 + ["running"] * 2 + ["pending"]
    (limit,) = queries.flow_limits()
    assert (limit["held"], limit["most"], limit["blocked_lanes"]) == (2, 2, 1)
    turn()
    turn()
    assert states(workflows) == ["succeeded"] * 5
    assert [count(each) for each in ("flow_turns", "flow_entries", "flow_released")] == [0, 0, 0]
    assert queries.flow_lanes() == []


def test_a_full_key_does_not_hold_up_the_others(kernel: Kernel) -> None:
    name = controlled(kernel, concurrency=[{"limit": 1, "key": "input.of"}, {"limit": 3}])
    of_a = [kernel.start(name, {"of": "a"}) for _ in range(30)]
    of_b = kernel.start(name, {"of": "b"})
    admit()
    assert states([*of_a[:2], of_b]) == ["running", "pending", "running"]
    assert count("flow_turns") == 4


def test_a_limit_that_lanes_share_wakes_no_more_of_them_than_it_has_places(kernel: Kernel) -> None:
    name = controlled(kernel, concurrency=[{"limit": 2}], share={"key": "input.of"})
    workflows = [kernel.start(name, {"of": str(n)}) for n in range(20)]
    admit()
    assert count("flow_lanes", "blocked_on IS NOT NULL") == 18
    turn()
    assert count("flow_lanes", "blocked_on IS NOT NULL") == 16
    for _ in range(9):
        turn()
    assert set(states(workflows)) == {"succeeded"}


@pytest.mark.parametrize("scope", ["account", "project", "platform"])
def test_definitions_share_a_limit_and_each_compares_its_own_number(
    kernel: Kernel, scope: str
) -> None:
    name = "openai" if scope == "platform" else "gpu"
    small, large = (
        controlled(kernel, step, concurrency=[{"limit": most, "scope": scope, "name": name}])
        for step, most in (("small", 1), ("large", 3))
    )
    first = [kernel.start(large) for _ in range(2)]
    admit()
    other = kernel.start(small)
    third = kernel.start(large)
    admit()
    assert states([*first, other, third]) == ["running", "running", "pending", "running"]
    turn()
    assert states([other]) == ["running"]
    assert count("flow_pools") == 1


def test_a_changed_limit_applies_to_new_starts_and_counts_the_old_ones(kernel: Kernel) -> None:
    name = limited(kernel, 1)
    old = [kernel.start(name) for _ in range(2)]
    admit()
    limited(kernel, 2)
    new = [kernel.start(name) for _ in range(2)]
    admit()
    assert states([*old, *new]) == ["running", "pending", "running", "pending"]
    turn()
    turn()
    turn()
    assert set(states([*old, *new])) == {"succeeded"}


def test_a_lane_takes_so_many_starts_and_no_more(kernel: Kernel) -> None:
    name = limited(kernel, 1, depth=2)
    kernel.start(name)
    admit()
    kernel.start(name)
    kernel.start(name)
    with pytest.raises(TooMany) as refused:
        kernel.start(name, idempotency_key="once")
    assert refused.value.code == "lane_full"
    assert count("workflows", "idempotency_key = 'once'") == 0
    turn()
    kernel.start(name, idempotency_key="once")


def test_a_higher_priority_overtakes_in_its_lane_by_a_minute_a_level(kernel: Kernel) -> None:
    name = limited(kernel, 1)
    kernel.start(name)
    admit()
    late, soon = kernel.start(name), kernel.start(name, priority=9)
    place = queries.start_place(late, kernel.user_id)
    assert place is not None
    assert place["position"] == 2
    turn()
    assert states([late, soon]) == ["pending", "running"]


def test_a_repeated_start_is_the_one_that_waits(kernel: Kernel) -> None:
    name = limited(kernel, 1)
    kernel.start(name)
    admit()
    first = kernel.start(name, idempotency_key="k")
    assert kernel.start(name, idempotency_key="k") == first
    assert count("flow_entries") == 1


def test_only_closed_lanes_are_deleted(kernel: Kernel) -> None:
    name = controlled(kernel, concurrency=[{"limit": 1, "key": "input.of"}])
    kernel.start(name, {"of": "a"})
    kernel.start(name, {"of": "b"})
    admit()
    drive()
    waiting = [kernel.start(name, {"of": "a"}) for _ in range(2)]
    admit()
    db.row("UPDATE flow_lanes SET changed_at = changed_at - interval '1 hour'", ())
    assert clean_flow() == {"deleted": 1}
    assert [row["key"] for row in db.rows("SELECT key FROM flow_limits", ())] == ["input.of=a"]
    turn()
    turn()
    assert set(states(waiting)) == {"succeeded"}
    db.row("UPDATE flow_lanes SET changed_at = changed_at - interval '1 hour'", ())
    clean_flow()
    assert [count(each) for each in ("flow_lanes", "flow_limits")] == [0, 0]
    again = kernel.start(name, {"of": "a"})
    admit()
    assert states([again]) == ["running"]


def test_no_limit_is_left_when_its_lanes_are_deleted(kernel: Kernel) -> None:
    limits = [{"limit": 1}, {"limit": 9, "key": "input.of"}]
    name = controlled(kernel, concurrency=limits)
    kernel.start(name, {"of": "a"})
    admit()

    def clean() -> tuple[int, int]:
        db.row("SELECT clean_flow_v1(0, 1)", ())
        return count("flow_lanes"), count("flow_limits")

    # It runs, so its places are held.
    assert clean() == (0, 2)
    turn()
    assert clean() == (0, 0)
    kernel.start(name, {"of": "a"})
    admit()
    turn()
    assert clean() == (0, 0)
