"""Choices, loops and maps: the ways taken, the turns made, the items that fail."""

import time
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from app.engine.attempt import execute
from app.engine.outcome_writer import record
from app.errors import InvalidInput
from chains.actions import actions
from chains.plans.counting import MAX_ROWS
from chains.plans.plan import EXPAND
from chains.rehearsal import rehearse
from chains.running.prepare import prepare
from tests.integration.conftest import Kernel, Threads
from tests.integration.driving import drive, ended, statuses
from tests.unit.definitions import fail, noop

pytestmark = pytest.mark.usefixtures("agreeing")


CHOICE = {
    "sequence": [
        {
            "choice": "tier",
            "cases": [
                {"when": "input.tier == 'gold'", "do": noop("gift", is_sent=True)},
                {
                    "when": "input.tier == 'silver'",
                    "do": {
                        "parallel": "both",
                        "branches": [noop("card"), {"sequence": [noop("call"), noop("note")]}],
                    },
                },
            ],
            "otherwise": noop("nothing", said="sorry"),
        },
        noop("end", got={"$": "steps.tier.output"}),
    ]
}


@pytest.mark.parametrize(
    ("tier", "ran", "got"),
    [
        ("gold", {"gift"}, {"is_sent": True}),
        ("silver", {"card", "call", "note", "both"}, None),
        ("tin", {"nothing"}, {"said": "sorry"}),
    ],
)
def test_a_choice_goes_one_way_and_skips_the_others(
    kernel: Kernel, tier: str, ran: set[str], got: Any
) -> None:
    row = ended(kernel, CHOICE, {"tier": tier}, output={"got": {"$": "steps.tier.output"}})
    assert (row["status"], row["output"]) == ("succeeded", {"got": got})
    found = statuses(row["id"])
    ways = {"gift", "card", "call", "note", "both", "nothing"}
    assert {key for key in ways if found[key] == "succeeded"} == ran
    assert {key for key in ways if found[key] == "skipped"} == ways - ran


def test_a_choice_without_a_way_that_holds_goes_on(kernel: Kernel) -> None:
    node = {"choice": "c", "cases": [{"when": "input.no", "do": noop("a")}]}
    row = ended(kernel, node, {})
    assert row["status"] == "succeeded"
    assert statuses(row["id"])["a"] == "skipped"


def test_a_step_whose_condition_does_not_hold_is_skipped(kernel: Kernel) -> None:
    node = {
        "sequence": [
            {**noop("a"), "when": "input.n == `1`"},
            noop("b", seen={"$": "steps.a.status"}),
        ]
    }
    row = ended(kernel, node, {"n": 2}, output={"seen": {"$": "steps.b.output.seen"}})
    assert row["output"] == {"seen": "skipped"}
    assert ended(kernel, node, {"n": 1}, output={"seen": {"$": "steps.b.output.seen"}})[
        "output"
    ] == {"seen": "succeeded"}


LOOP = {
    "loop": "again",
    "max": 5,
    "until": "steps.check.output.n == input.wanted",
    "do": {"sequence": [noop("work"), noop("check", n={"$": "index"})]},
}


def test_a_loop_turns_until_its_condition_holds(kernel: Kernel) -> None:
    row = ended(kernel, LOOP, {"wanted": 2}, output={"last": {"$": "steps.again.output.n"}})
    assert (row["status"], row["output"]) == ("succeeded", {"last": 2})
    assert "again[2].check" in statuses(row["id"])
    assert "again[3].check" not in statuses(row["id"])


def test_a_loop_that_does_not_end_fails_or_goes_on_as_asked(kernel: Kernel) -> None:
    row = ended(kernel, LOOP, {"wanted": 9})
    assert (row["status"], row["error"]["code"]) == ("failed", "loop_exhausted")
    going = {**LOOP, "on_exhausted": "go_on"}
    row = ended(kernel, going, {"wanted": 9}, output={"last": {"$": "steps.again.output.n"}})
    assert (row["status"], row["output"]) == ("succeeded", {"last": 4})


def test_blocks_nest_freely(kernel: Kernel) -> None:
    node = {
        "parallel": "p",
        "branches": [
            {
                "loop": "turns",
                "max": 2,
                "until": "index == `1`",
                "do": {
                    "map": "inner",
                    "over": {"$": "input.items"},
                    "max_concurrency": 1,
                    "do": {
                        "choice": "c",
                        "cases": [{"when": "item > `1`", "do": noop("big", v={"$": "item"})}],
                        "otherwise": {
                            "loop": "deep",
                            "max": 1,
                            "until": "index == `0`",
                            "do": noop("small", v={"$": "item"}),
                        },
                    },
                },
            },
            noop("beside"),
        ],
    }
    row = ended(kernel, node, {"items": [1, 2]}, output={"all": {"$": "steps.turns.output"}})
    assert (row["status"], row["output"]) == ("succeeded", {"all": [{"v": 1}, {"v": 2}]})
    found = statuses(row["id"])
    assert found["turns[1].inner[0].deep[0].small"] == "succeeded"
    assert found["turns[1].inner[1].big"] == "succeeded"
    assert found["turns[1].inner[0].big"] == "skipped"


def test_a_map_that_collects_goes_on_and_lists_its_failures(kernel: Kernel) -> None:
    body = {
        "sequence": [
            noop("before"),
            {
                "choice": "c",
                "cases": [{"when": "item == `2`", "do": fail("bad")}],
                "otherwise": noop("good", v={"$": "item"}),
            },
            noop("after", v={"$": "item"}),
        ]
    }
    node = {
        "sequence": [
            {
                "map": "m",
                "over": {"$": "input.l"},
                "max_concurrency": 2,
                "on_item_failure": "collect",
                "do": body,
            },
            noop("end", bad={"$": "steps.m.failures[].index"}, all={"$": "steps.m.output"}),
        ]
    }
    row = ended(kernel, node, {"l": [1, 2, 3]}, output={"end": {"$": "steps.end.output"}})
    assert row["status"] == "succeeded"
    assert row["output"] == {"end": {"bad": [1], "all": [{"v": 1}, None, {"v": 3}]}}
    found = statuses(row["id"])
    assert (found["m[1].bad"], found["m[1].after"]) == ("failed", "skipped")


def test_a_failure_beside_others_in_an_item_waits_for_them(kernel: Kernel) -> None:
    both = {"parallel": "both", "branches": [fail("bad", when="item == `1`"), noop("fine")]}
    node = {
        "map": "m",
        "over": {"$": "input.l"},
        "on_item_failure": "collect",
        "do": {"sequence": [both, noop("after")]},
    }
    row = ended(kernel, node, {"l": [1, 2]})
    assert row["status"] == "succeeded"
    found = statuses(row["id"])
    assert [found[f"m[0].{key}"] for key in ("bad", "fine", "both", "after")] == [
        "failed",
        "succeeded",
        "skipped",
        "skipped",
    ]
    assert found["m[1].after"] == "succeeded"


@pytest.mark.parametrize(
    ("on_failure", "seen"), [("skip", None), ({"default": {"plan": "b"}}, {"plan": "b"})]
)
def test_a_failure_may_be_passed_over(kernel: Kernel, on_failure: Any, seen: Any) -> None:
    node = {"sequence": [fail("a", on_failure=on_failure), noop("b", v={"$": "steps.a.output"})]}
    row = ended(kernel, node, {}, output={"v": {"$": "steps.b.output.v"}})
    assert (row["status"], row["output"]) == ("succeeded", {"v": seen})
    assert kernel.step(row["id"], "a")["error"]["code"] == "asked_to_fail"


def test_a_collecting_map_within_another_keeps_its_failures_to_itself(kernel: Kernel) -> None:
    inner = {"map": "i", "over": {"$": "input.l"}, "on_item_failure": "collect", "do": fail("t")}
    node = {
        "map": "o",
        "over": {"$": "input.l"},
        "on_item_failure": "collect",
        "do": {"sequence": [inner, noop("u", bad={"$": "steps.i.failures[].index"})]},
    }
    row = ended(kernel, node, {"l": [1, 2]}, output={"all": {"$": "steps.o.output"}})
    assert row["output"] == {"all": [{"bad": [0, 1]}, {"bad": [0, 1]}]}
    assert kernel.step(row["id"], "o")["error"] is None


def test_a_choice_has_the_default_of_its_chosen_way(kernel: Kernel) -> None:
    chosen = fail("t", on_failure={"default": {"v": 5}})
    node = {"choice": "c", "cases": [{"when": "`true`", "do": chosen}]}
    row = ended(kernel, node, {}, output={"v": {"$": "steps.c.output.v"}})
    assert row["output"] == {"v": 5}


def test_the_output_reads_its_last_step_as_it_is_recorded(kernel: Kernel) -> None:
    broken = {
        "choice": "c",
        "cases": [{"when": "item == `2`", "do": fail("f")}],
        "otherwise": noop("ok", n={"$": "item"}),
    }
    node = {"map": "m", "over": {"$": "input.list"}, "on_item_failure": "collect", "do": broken}
    told = {"failures": {"$": "steps.m.failures[].index"}, "ends": {"$": "steps.m.output"}}
    row = ended(kernel, node, {"list": [1, 2, 3]}, output=told)
    assert row["output"] == {"failures": [1], "ends": [{"n": 1}, None, {"n": 3}]}


@pytest.mark.parametrize(
    ("last", "seen"),
    [
        ({**noop("z", n=1), "when": "`false`"}, {"status": "skipped", "code": None, "out": None}),
        (
            {**fail("z"), "on_failure": {"default": 5}},
            {"status": "skipped", "code": "asked_to_fail", "out": 5},
        ),
        (noop("z", n=1), {"status": "succeeded", "code": None, "out": {"n": 1}}),
    ],
    ids=["condition", "default", "success"],
)
def test_the_output_tells_how_the_last_step_ended(
    kernel: Kernel, last: dict[str, Any], seen: dict[str, Any]
) -> None:
    told = {"status": "steps.z.status", "code": "steps.z.error.code", "out": "steps.z.output"}
    output = {name: {"$": expression} for name, expression in told.items()}
    row = ended(kernel, {"sequence": [noop("a"), last]}, {}, output=output)
    assert (row["status"], row["output"]) == ("succeeded", seen)


NESTED = {
    "map": "outer",
    "over": {"$": "input.list"},
    "do": {"map": "inner", "over": {"$": "input.list"}, "do": noop("leaf")},
}


def test_an_input_that_makes_too_many_steps_starts_nothing(kernel: Kernel) -> None:
    name = kernel.register(NESTED)
    with pytest.raises(InvalidInput, match="more than 25000 steps") as refused:
        kernel.start(name, {"list": [*range(5000)]})
    assert (refused.value.code, refused.value.field) == ("too_many_steps", "/input")
    kernel.start(name, {"list": [1, 2]})


@pytest.mark.parametrize("over", ["item", "steps.rows.output.list"])
def test_a_map_whose_steps_would_be_too_many_fails_before_its_first_step(
    kernel: Kernel, over: str
) -> None:
    inner = {"map": "inner", "over": {"$": over}, "do": {"sequence": [*map(noop, "abcdef")]}}
    outer = {"map": "outer", "over": {"$": "steps.rows.output.lists"}, "do": inner}
    many = [*range(5000)]
    rows = noop("rows", lists=[many] if over == "item" else [1], list=many)
    row = ended(kernel, {"sequence": [rows, outer]}, {})
    assert (row["status"], row["error"]["code"]) == ("failed", "too_many_steps")
    assert "a workflow for each item" in row["error"]["message"]
    found = statuses(row["id"])
    assert len(found) <= 8
    assert "outer[0].inner[0].a" not in found


def _side_by_side(size: int, body: int) -> dict[str, Any]:
    """Two maps in a parallel block; the list of `size` items comes from a step before them."""
    do = {"sequence": [noop(f"s{number}") for number in range(body)]}
    over = {"$": "steps.rows.output.list"}
    maps = [{"map": name, "over": over, "do": do} for name in ("left", "right")]
    rows = noop("rows", list=[*range(size)])
    return {"sequence": [rows, {"parallel": "both", "branches": maps}]}


def _expand_together(kernel: Kernel, in_threads: Threads, workflow: UUID, filled: int) -> list[str]:
    """Decide both maps before one of them is recorded, then record both at the same time.

    Acts as if the workflow had `filled` more steps. Returns the verdicts.
    """
    claims = [kernel.claim(workflow, f"{name}~expand") for name in ("left", "right")]
    results = [execute(claim, actions()[EXPAND], prepare, time.monotonic()) for claim in claims]
    for result in results:
        assert result.finish.turn is not None
        result.finish.turn["room"] -= filled
    recorded = in_threads(
        [
            partial(record, claim, result, fraction=0.0)
            for claim, result in zip(claims, results, strict=True)
        ]
    )
    return sorted(advance.verdict for advance in recorded)


@pytest.mark.parametrize(
    ("size", "body", "is_filled"),
    [(5, 2, True), pytest.param(4900, 3, False, marks=pytest.mark.long)],
)
def test_maps_that_start_together_do_not_both_take_the_last_room(
    kernel: Kernel, in_threads: Threads, size: int, body: int, is_filled: bool
) -> None:
    workflow = kernel.start(kernel.register(_side_by_side(size, body)), {})
    drive(1)
    filled = MAX_ROWS - len(statuses(workflow)) - size * body if is_filled else 0
    verdicts = _expand_together(kernel, in_threads, workflow, filled)
    assert verdicts == ["draining", "released"]
    assert kernel.workflow(workflow)["error"]["code"] == "too_many_steps"
    assert len([key for key in statuses(workflow) if "[" in key]) == size * body


def test_a_rehearsal_has_no_more_room_than_the_engine() -> None:
    inner = {"map": "inner", "over": {"$": "steps.rows.output.list"}, "do": noop("leaf")}
    outer = {"map": "outer", "over": {"$": "input.list"}, "do": inner}
    do = {"sequence": [noop("rows", list=[*range(990)]), outer]}
    run = rehearse({"name": "full", "do": do}, input={"list": [*range(26)]})
    assert run.error is not None
    assert (run.status, run.error["code"]) == ("failed", "too_many_steps")
