"""A definition laid out as rows."""

from typing import Any

import pytest

from chains.plans.counting import MAX_ROWS, least_steps
from chains.plans.plan import DefinitionInvalid
from tests.unit.definitions import FAN, noop, planned


def test_each_step_releases_what_stands_behind_it() -> None:
    steps = planned(FAN).steps
    assert steps["a"].next_keys == ("b", "c")
    assert steps["c"].next_keys == ("d",)
    assert (steps["b"].join_key, steps["d"].join_key) == ("both", "both")
    assert steps["both"].next_keys == ("each~expand",)
    assert steps["each[].r"].next_keys == ("each[].s",)
    assert steps["each[].s"].join_key == "each"
    assert steps["each"].next_keys == ("z",)
    assert steps["z"].is_last
    assert [key for key, step in steps.items() if step.is_last] == ["z"]


def test_a_join_counts_its_branches_and_a_map_learns_its_number_later() -> None:
    steps = planned(FAN).steps
    assert steps["both"].remaining == 2
    assert steps["each"].remaining is None
    assert steps["each"].item_heads == ("r",)
    assert steps["each"].result_key == "each[].s"


def test_positions_follow_the_reading_order() -> None:
    steps = planned(FAN).steps
    ordered = sorted(steps, key=lambda key: steps[key].position)
    assert ordered == [
        "a",
        "b",
        "c",
        "d",
        "both",
        "each~expand",
        "each[].r",
        "each[].s",
        "each",
        "z",
    ]


def test_a_map_within_a_map_keeps_both_numbers() -> None:
    inner = {"map": "inner", "over": {"$": "item"}, "do": noop("leaf")}
    steps = planned({"map": "outer", "over": {"$": "input.rows"}, "do": inner}).steps
    assert steps["outer"].item_heads == ("inner~expand",)
    assert steps["outer[].inner"].join_key == "outer"
    assert steps["outer[].inner[].leaf"].join_key == "outer[].inner"


@pytest.mark.parametrize(
    ("node", "fault"),
    [
        ({"sequence": [noop("a"), noop("a")]}, "two nodes have the key"),
        (
            {
                "sequence": [
                    {**noop("a"), "pivot": True},
                    {**noop("b"), "compensation": {"action": "control.noop"}},
                ]
            },
            "nothing is undone after the pivot 'a' has succeeded",
        ),
        (noop("a", x={"$": "steps.b.output"}), "step 'b' does not exist"),
        ({"sequence": [noop("a", x={"$": "steps.b.output"}), noop("b")]}, "is not done before"),
        (noop("a", x={"$": "inputs.q"}), "'input'?; there are: input, now, steps, workflow"),
        (noop("a", x={"$": "item"}), "'item' here: only the body of a map has an item; there are"),
        (noop("a", x={"$": "input.["}), "input.["),
        (
            {
                "parallel": "p",
                "branches": [noop("a"), noop("b", x={"$": "steps.a.output"})],
            },
            "step 'a' does not exist or is not done before",
        ),
        (
            {
                "sequence": [
                    {"map": "m", "over": {"$": "input.l"}, "do": noop("inside")},
                    noop("b", x={"$": "steps.inside.output"}),
                ]
            },
            "step 'inside' does not exist",
        ),
    ],
)
def test_what_can_be_known_to_be_wrong_is_refused(node: dict[str, Any], fault: str) -> None:
    with pytest.raises(DefinitionInvalid, match=r".") as refused:
        planned(node)
    assert fault in str(refused.value)


def test_the_output_may_refer_to_every_step_outside_of_maps() -> None:
    plan = planned(FAN, output={"last": {"$": "steps.z.output"}, "all": {"$": "steps.each.output"}})
    assert plan.output_references == {"z", "each"}
    with pytest.raises(DefinitionInvalid, match="step 'r' does not exist"):
        planned(FAN, output={"r": {"$": "steps.r.output"}})


def _map(key: str, over: str, *body: Any) -> dict[str, Any]:
    return {"map": key, "over": {"$": over}, "do": {"sequence": [*body]}}


@pytest.mark.parametrize(
    ("node", "count"),
    [
        (noop("a"), 1),
        (_map("m", "input.rows", noop("a"), noop("b")), 2 + 3 * 2),
        (_map("m", "input.rows", noop("a"), _map("n", "item.cells", noop("b"))), 2 + 3 * 3 + 4),
        (_map("m", "input.rows", _map("n", "input.rows", noop("b"))), 2 + 3 * 2 + 9),
        (_map("m", "steps.a.output", noop("b")), 2),
        (_map("m", "input.none", noop("b")), 2),
        ({"loop": "l", "until": "`true`", "max": 9, "do": _map("m", "input.rows", noop("b"))}, 8),
        (
            {
                "choice": "c",
                "cases": [{"when": "input.x", "do": _map("m", "input.rows", noop("b"))}],
            },
            4,
        ),
    ],
)
def test_the_least_number_of_steps_is_known_from_the_input(node: Any, count: int) -> None:
    rows = [{"cells": [1, 2]}, {"cells": []}, {"cells": [3, 4]}]
    first = noop("a") if "steps.a" in str(node) else noop("first")
    plan = planned({"sequence": [first, node]})
    assert least_steps(plan, {"rows": rows}) == 1 + count


def test_counting_ends_at_the_limit() -> None:
    node = noop("leaf")
    for key in "abcd":
        node = _map(key, "input.list", node)
    found = least_steps(planned(node), {"list": [*range(5000)]})
    assert MAX_ROWS < found <= MAX_ROWS + 5000
