"""Every kind of node, run to its end and to its failures."""

import json
from typing import Any
from uuid import UUID

import pytest
import redis

from app import claims, db
from app.settings import Settings
from chains import catalogue, commands, compensate, pausing
from chains.asking import Caller
from chains.reconcile import reconcile
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time, run
from tests.unit.definitions import noop

pytestmark = pytest.mark.usefixtures("agreeing")


def fail(key: str, **rest: Any) -> dict[str, Any]:
    return {"step": key, "action": "control.fail", **rest}


def statuses(workflow: UUID) -> dict[str, str]:
    rows = db.rows("SELECT key, status FROM steps WHERE workflow_id = %s", (workflow,))
    return {row["key"]: row["status"] for row in rows}


def ended(kernel: Kernel, node: dict[str, Any], given: dict[str, Any], **rest: Any) -> Any:
    workflow = kernel.start(kernel.register(node, **rest), given)
    drive()
    return kernel.workflow(workflow)


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


def test_a_wait_ends_when_its_time_has_come(kernel: Kernel) -> None:
    workflow = kernel.start(kernel.register({"sequence": [{"wait": "w", "for": "30d"}, noop("b")]}))
    drive()
    pass_time("29 days")
    assert drive() == []
    pass_time("1 day")
    assert drive() == ["w", "b"]
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_a_wait_until_an_instant_reads_it_from_the_input(kernel: Kernel) -> None:
    name = kernel.register({"wait": "w", "until": {"$": "input.at"}})
    past = kernel.start(name, {"at": "2020-01-01T00:00:00Z"})
    wrong = kernel.start(name, {"at": "tomorrow"})
    drive()
    assert kernel.workflow(past)["status"] == "succeeded"
    assert kernel.workflow(wrong)["error"]["code"] == "not_an_instant"


def signal(workflow: UUID, name: str, **payload: Any) -> Any:
    row = db.row(
        "SELECT * FROM signal_workflow_v1(%s, %s, NULL, %s, %s, 15)",
        (workflow, name, f"{workflow}:{payload}", json.dumps(payload)),
    )
    assert row is not None
    return row["verdict"]


APPROVAL = {"sequence": [{"approval": "review", "timeout": "7d"}, noop("b")]}


def test_an_approval_waits_for_its_signal(kernel: Kernel) -> None:
    workflow = kernel.start(
        kernel.register(APPROVAL, output={"by": {"$": "steps.review.output.by"}})
    )
    drive()
    assert kernel.step(workflow, "review")["status"] == "waiting"
    assert signal(workflow, "review", approved=True, by="eve@example.com") == "woken"
    drive()
    row = kernel.workflow(workflow)
    assert (row["status"], row["output"]) == ("succeeded", {"by": "eve@example.com"})


def test_a_signal_before_its_approval_is_kept_and_counts_once(kernel: Kernel) -> None:
    node = {"sequence": [{"wait": "w", "for": "1h"}, APPROVAL["sequence"][0], noop("b")]}
    workflow = kernel.start(kernel.register(node))
    drive()
    assert signal(workflow, "review", approved=True, by="ada@example.com") == "stored"
    assert signal(workflow, "review", approved=True, by="ada@example.com") == "duplicate"
    pass_time("1 hour")
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


@pytest.mark.parametrize(
    ("rest", "status"),
    [({}, "failed"), ({"on_timeout": "go_on", "on_reject": "go_on"}, "succeeded")],
)
def test_nobody_or_a_no_ends_an_approval_as_it_says(
    kernel: Kernel, rest: dict[str, Any], status: str
) -> None:
    name = kernel.register({"approval": "review", "timeout": "1d", **rest})
    silent, refused = kernel.start(name), kernel.start(name)
    drive()
    signal(refused, "review", approved=False, by="ada@example.com", comment="too dear")
    drive()
    assert kernel.workflow(refused)["status"] == status
    pass_time("1 day")
    drive()
    assert kernel.workflow(silent)["status"] == status


def test_a_child_runs_and_its_output_is_its_parents(kernel: Kernel) -> None:
    child = kernel.register(noop("x", v={"$": "input.n"}), output={"v": {"$": "steps.x.output.v"}})
    node = {"workflow": "child", "type": child, "with": {"n": {"$": "input.n"}}}
    row = ended(kernel, node, {"n": 7}, output={"v": {"$": "steps.child.output.output.v"}})
    assert (row["status"], row["output"]) == ("succeeded", {"v": 7})


def test_a_child_that_fails_fails_its_parents_step(kernel: Kernel) -> None:
    child = kernel.register(fail("x"))
    row = ended(kernel, {"workflow": "child", "type": child}, {})
    # The failed step had started a workflow, and what it did was undone (there was nothing).
    assert (row["status"], row["error"]["code"]) == ("compensated", "child_failed")


def test_a_child_that_ended_well_is_undone_with_its_parent(kernel: Kernel) -> None:
    child = kernel.register(
        {**noop("x"), "compensation": {"action": "control.noop", "with": {"undone": True}}}
    )
    node = {"sequence": [{"workflow": "child", "type": child}, fail("end")]}
    workflow = kernel.start(kernel.register(node))
    drive()
    pass_time("1 hour")
    drive()
    pass_time("2 hours")
    drive()
    assert kernel.workflow(workflow)["status"] == "compensated"
    (found,) = db.rows("SELECT * FROM workflows WHERE parent_id = %s", (workflow,))
    assert found["status"] == "compensated"
    assert kernel.step(found["id"], "x~undo")["output"] == {"undone": True}


def test_a_child_left_alone_goes_on_without_its_parent(kernel: Kernel) -> None:
    child = kernel.register({"wait": "w", "for": "1d"})
    node = {
        "sequence": [
            {"workflow": "child", "type": child, "await": False, "on_stop": "leave"},
            fail("end"),
        ]
    }
    workflow = kernel.start(kernel.register(node))
    drive()
    assert kernel.workflow(workflow)["completed_at"] is not None
    (found,) = db.rows("SELECT * FROM workflows WHERE parent_id = %s", (workflow,))
    assert found["status"] == "running"


def test_a_workflow_that_starts_itself_ends_at_a_bound(kernel: Kernel) -> None:
    node = {"workflow": "again", "type": "endless", "when": "!(input.is_enough)"}
    catalogue.register({"name": "endless", "do": node})
    kernel.start("endless")
    drive(2000)
    (count,) = db.rows("SELECT count(*) AS n, max(depth) AS deep FROM workflows", ())
    assert (count["n"], count["deep"]) == (21, 20)


def test_compensations_by_another_action_or_none(kernel: Kernel) -> None:
    node = {
        "sequence": [
            {
                **noop("a", v=1),
                "compensation": {
                    "action": "control.noop",
                    "with": {"was": {"$": "steps.a.output.v"}},
                },
            },
            {**noop("b"), "compensation": "none"},
            fail("c"),
        ]
    }
    row = ended(kernel, node, {})
    assert row["status"] == "compensated"
    assert kernel.step(row["id"], "a~undo")["output"] == {"was": 1}
    assert "b~undo" not in statuses(row["id"])


def test_a_cancel_without_undoing_undoes_nothing(kernel: Kernel) -> None:
    undone = {**noop("a"), "compensation": {"action": "control.noop"}}
    workflow = kernel.start(kernel.register({"sequence": [undone, {"wait": "w", "for": "1d"}]}))
    drive()
    status = kernel.cancel(workflow, undo=False)
    assert status == "cancelled"
    assert "a~undo" not in statuses(workflow)


def test_past_the_pivot_a_failure_holds_and_nothing_is_undone(kernel: Kernel) -> None:
    undone = {**noop("a"), "compensation": {"action": "control.noop"}}
    node = {"sequence": [undone, {**noop("p"), "pivot": True}, fail("late")]}
    row = ended(kernel, node, {}, timeout="1h")
    assert (row["status"], row["attention"]) == ("running", "step_failed")
    pass_time("2 hours")
    drive()
    row = kernel.workflow(row["id"])
    assert row["status"] == "running"
    assert "a~undo" not in statuses(row["id"])


def test_a_definition_may_hold_instead_of_undoing(kernel: Kernel) -> None:
    row = ended(kernel, {"sequence": [noop("a"), fail("b")]}, {}, on_failure="hold")
    assert (row["status"], row["attention"]) == ("running", "step_failed")


def test_the_turns_of_a_loop_are_undone_from_the_last(kernel: Kernel) -> None:
    body = {**noop("x"), "compensation": {"action": "control.noop"}}
    node = {"sequence": [{"loop": "l", "max": 3, "until": "index == `2`", "do": body}, fail("end")]}
    workflow = kernel.start(kernel.register(node))
    ran = drive()
    assert [key for key in ran if key.endswith("~undo")] == [
        "l[2].x~undo",
        "l[1].x~undo",
        "l[0].x~undo",
    ]
    assert compensate.settle(workflow) == "compensated"


def test_retries_follow_the_steps_own_policy(kernel: Kernel) -> None:
    retry = {"tries": 2, "backoff": "10s", "jitter": 0}
    workflow = kernel.start(
        kernel.register({**fail("a"), "with": {"kind": "retryable"}, "retry": retry})
    )
    assert drive() == ["a"]
    row = db.row(
        "SELECT wake_at - playalter_now() BETWEEN '8 s' AND '10 s' AS is_so FROM steps"
        " WHERE workflow_id = %s",
        (workflow,),
    )
    assert row == {"is_so": True}
    pass_time("10 seconds")
    assert drive() == ["a"]
    assert kernel.workflow(workflow)["status"] == "failed"
    other = {**retry, "on": ["rate_limited"]}
    at_once = kernel.start(
        kernel.register({**fail("a"), "with": {"kind": "retryable"}, "retry": other})
    )
    assert drive() == ["a"]
    assert kernel.workflow(at_once)["status"] == "failed"


def test_an_attempt_is_bounded_by_the_steps_own_time(kernel: Kernel) -> None:
    node = {
        "step": "a",
        "action": "control.sleep",
        "with": {"seconds": 30},
        "attempt_timeout": "50ms",
        "retry": {"tries": 1},
    }
    row = ended(kernel, node, {})
    assert (row["status"], row["error"]["code"]) == ("failed", "attempt_timed_out")


def test_a_steps_own_time_bounds_its_retries(kernel: Kernel) -> None:
    node = {
        **fail("a"),
        "with": {"kind": "retryable"},
        "retry": {"tries": 100, "backoff": "20s"},
        "timeout": "5s",
    }
    row = ended(kernel, node, {})
    assert (row["status"], row["error"]["code"]) == ("failed", "timed_out")


def test_a_suspended_step_is_looked_at_when_its_time_is_over(kernel: Kernel) -> None:
    child = kernel.register({"wait": "w", "for": "1d"})
    workflow = kernel.start(kernel.register({"workflow": "child", "type": child, "timeout": "10m"}))
    drive()
    pass_time("11 minutes")
    drive()
    assert kernel.workflow(workflow)["error"]["code"] == "timed_out"


def test_priorities_choose_the_queues_list(kernel: Kernel, settings: Settings) -> None:
    name = kernel.register({"sequence": [{**noop("a"), "priority": 9}]})
    kernel.start(name)
    kernel.start("noop_chain", {}, priority=1)
    with redis.Redis.from_url(settings.redis_url, socket_timeout=5) as client:
        lengths = {key.decode(): client.llen(key) for key in client.keys("control*")}
    assert lengths == {"control": 1, "control\x06\x166": 1}


def test_thousands_of_undos_are_not_each_a_look_at_all(kernel: Kernel) -> None:
    body = {**noop("x"), "compensation": {"action": "control.noop"}}
    node = {
        "sequence": [
            {"map": "m", "over": {"$": "input.l"}, "max_concurrency": 100, "do": body},
            fail("end"),
        ]
    }
    workflow = kernel.start(kernel.register(node), {"l": list(range(60))})
    drive()
    assert kernel.workflow(workflow)["status"] == "compensated"
    undos = [key for key, status in statuses(workflow).items() if key.endswith("~undo")]
    assert len(undos) == 60


def test_a_child_may_take_as_long_as_it_takes(kernel: Kernel) -> None:
    child = kernel.register({"wait": "w", "for": "90d"})
    workflow = kernel.start(kernel.register({"workflow": "child", "type": child}))
    drive()
    pass_time("89 days")
    drive()
    assert kernel.workflow(workflow)["status"] == "running"
    pass_time("1 day")
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


def spend(kernel: Kernel, workflow: UUID, key: str, micro_usd: int) -> None:
    held = kernel.claim(workflow, key)
    claims.finish_step(held, claims.Attempt(None, micro_usd, []), claims.Finish({}))


def test_a_workflow_over_its_budget_begins_nothing_more_and_is_undone(kernel: Kernel) -> None:
    undone = {**noop("a"), "compensation": {"action": "control.noop"}}
    name = kernel.register({"sequence": [undone, noop("b"), noop("c")]}, budget_usd="0.50")
    within, over = kernel.start(name), kernel.start(name)
    spend(kernel, within, "a", 500_000)
    spend(kernel, over, "a", 300_000)
    spend(kernel, over, "b", 200_001)
    assert claims.claim_step(over, "c", 30.0) is None
    reconcile()
    drive()
    row = kernel.workflow(over)
    assert (row["status"], row["cause"], row["spent"]) == ("compensated", "over_budget", 500_001)
    assert kernel.workflow(within)["status"] == "succeeded"


def test_past_the_pivot_a_budget_only_calls_for_a_person(kernel: Kernel) -> None:
    node = {"sequence": [{**noop("p"), "pivot": True}, noop("b")]}
    workflow = kernel.start(kernel.register(node, budget_usd="0.1"))
    spend(kernel, workflow, "p", 200_000)
    reconcile()
    assert kernel.workflow(workflow)["attention"] == "over_budget"
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_a_compensation_by_another_action_reads_the_item(kernel: Kernel) -> None:
    undo = {"action": "control.noop", "with": {"it": {"$": "item"}}}
    body = {**noop("s"), "compensation": undo}
    node = {"sequence": [{"map": "m", "over": {"$": "input.l"}, "do": body}, fail("end")]}
    row = ended(kernel, node, {"l": [7]})
    assert kernel.step(row["id"], "m[0].s~undo")["output"] == {"it": 7}


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


def test_an_instant_before_all_times_fails_as_input_does(kernel: Kernel) -> None:
    node = {"wait": "w", "until": {"$": "input.at"}}
    row = ended(kernel, node, {"at": "0001-01-01T00:00:00+01:00"})
    assert row["error"]["code"] == "not_an_instant"


def test_a_child_that_ended_while_paused_is_undone_with_its_parent(kernel: Kernel) -> None:
    ada = Caller(kernel.user_id, "ada@example.com")
    undone = {"action": "control.noop", "with": {"undone": True}}
    child = kernel.register({**noop("x"), "compensation": undone})
    steps = [{"workflow": "child", "type": child}, {"wait": "w", "for": "1m"}, fail("end")]
    workflow = kernel.start(kernel.register({"sequence": steps}))
    drive(1)
    (row,) = db.rows("SELECT id FROM workflows WHERE parent_id = %s", (workflow,))
    held = kernel.claim(row["id"], "x")
    pausing.pause(ada, workflow)
    claims.finish_step(held, claims.Attempt(None, 0, []), claims.Finish())
    pausing.resume(ada, workflow)
    for _ in range(4):
        drive()
        pass_time("2 hours")
    drive()
    assert kernel.workflow(workflow)["status"] == "compensated"
    assert kernel.workflow(row["id"])["status"] == "compensated"


def test_what_a_lookup_cancelled_goes_on_when_the_stop_is_refused(kernel: Kernel) -> None:
    branches = [noop("a"), {**noop("z"), "pivot": True}]
    node = {"sequence": [{"parallel": "p", "branches": branches}, noop("e")]}
    workflow = kernel.start(kernel.register(node))
    doubtful, pivot = kernel.claim(workflow, "a"), kernel.claim(workflow, "z")
    claims.doubt_step(doubtful, claims.Attempt(None, 0, []), {"code": "x"}, 0.0, None)
    commands.stop(workflow, "timed_out", {"code": "timed_out"})
    compensate.settle(workflow)
    assert run(workflow, "a", "control.noop")
    assert kernel.step(workflow, "a")["status"] == "cancelled"
    claims.finish_step(pivot, claims.Attempt(None, 0, []), claims.Finish(is_pivot=True))
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_children_are_stopped_where_nothing_is_undone(kernel: Kernel) -> None:
    child = kernel.register({"wait": "w", "for": "1d"})
    workflow = kernel.start(kernel.register({"workflow": "child", "type": child}))
    drive()
    kernel.cancel(workflow, undo=False)
    pass_time("1 minute")
    (row,) = db.rows("SELECT status FROM workflows WHERE parent_id = %s", (workflow,))
    assert row["status"] == "cancelled"
