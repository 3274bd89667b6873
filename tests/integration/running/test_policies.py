"""What a definition says of failures: retries, times, budgets, compensations, the pivot."""

from uuid import UUID

import pytest
import redis

from app import db
from app.errors import InvalidInput
from app.protocol import claims, outcomes
from app.settings import Settings
from chains.commands.command import caller_of
from chains.commands.fork import fork
from chains.rehearsal import rehearse
from chains.repair.reconcile import reconcile
from chains.undoing.settle import settle
from chains.undoing.stop import stop
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, ended, pass_time, run, statuses
from tests.unit.definitions import fail, noop

pytestmark = pytest.mark.usefixtures("agreeing")


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
    assert settle(workflow) == "compensated"


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


@pytest.mark.parametrize(
    ("given", "code"), [("50ms", "attempt_timed_out"), ("soon", "not_a_duration")]
)
def test_an_attempt_is_bounded_by_a_time_from_the_input(
    kernel: Kernel, given: str, code: str
) -> None:
    node = {
        "step": "a",
        "action": "control.sleep",
        "with": {"seconds": 30},
        "attempt_timeout": {"$": "input.most"},
        "retry": {"tries": 1},
    }
    row = ended(kernel, node, {"most": given})
    assert (row["status"], row["error"]["code"]) == ("failed", code)


LIMIT = {"$": "input.most"}
PAUSE = {"sequence": [noop("first"), {"wait": "long", "for": "30d"}]}


def _seconds_left(workflow_id: UUID) -> float:
    row = db.row(
        "SELECT extract(epoch FROM expires_at - created_at)::float8 AS seconds FROM workflows"
        " WHERE id = %s",
        (workflow_id,),
    )
    assert row is not None
    return float(row["seconds"])


def test_a_workflow_is_bounded_by_a_time_from_its_input(kernel: Kernel) -> None:
    name = kernel.register(PAUSE, timeout=LIMIT)
    for most, seconds in (("2d", 172_800), (90, 90)):  # the second start takes the quick way
        assert abs(_seconds_left(kernel.start(name, {"most": most})) - seconds) < 30
    for wrong in ({}, {"most": "soon"}, {"most": 0}, {"most": "400d"}):
        with pytest.raises(InvalidInput) as refused:
            kernel.start(name, wrong)
        assert (refused.value.field, refused.value.code) == ("/input/most", "not_a_duration")


def test_a_child_and_a_fork_are_bounded_by_a_time_from_their_input(kernel: Kernel) -> None:
    inner = kernel.register(PAUSE, timeout=LIMIT)
    child = {"workflow": "child", "type": inner, "with": {"most": {"$": "input.most"}}}
    outer = kernel.register(child)
    parent = kernel.start(outer, {"most": "2d"})
    drive()
    row = db.row("SELECT id FROM workflows WHERE parent_id = %s", (parent,))
    assert row is not None
    assert abs(_seconds_left(row["id"]) - 172_800) < 30
    caller = caller_of(kernel.user_id)
    same = fork(caller, row["id"], from_step="long")
    assert abs(_seconds_left(same.id) - 172_800) < 30
    with pytest.raises(InvalidInput, match="time-out"):
        fork(caller, row["id"], from_step="long", input={"most": "soon"})
    failed = kernel.start(outer, {"most": "soon"})
    drive()
    assert kernel.workflow(failed)["error"]["code"] == "child_refused"


def test_a_rehearsal_is_bounded_by_a_time_from_its_input() -> None:
    body = {"name": "paused", "do": PAUSE, "timeout": LIMIT}
    run = rehearse(body, input={"most": "2d"})
    assert (run.elapsed.days, (run.error or {})["code"]) == (2, "timed_out")
    with pytest.raises(InvalidInput, match="time-out"):
        rehearse(body, input={"most": "soon"})


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


def spend(kernel: Kernel, workflow: UUID, key: str, micro_usd: int) -> None:
    held = kernel.claim(workflow, key)
    outcomes.finish_step(held, outcomes.Attempt(None, micro_usd, []), outcomes.Finish({}))


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


def test_what_a_lookup_cancelled_goes_on_when_the_stop_is_refused(kernel: Kernel) -> None:
    branches = [noop("a"), {**noop("z"), "pivot": True}]
    node = {"sequence": [{"parallel": "p", "branches": branches}, noop("e")]}
    workflow = kernel.start(kernel.register(node))
    doubtful, pivot = kernel.claim(workflow, "a"), kernel.claim(workflow, "z")
    outcomes.doubt_step(doubtful, outcomes.Attempt(None, 0, []), {"code": "x"}, 0.0, None)
    stop(workflow, "timed_out", {"code": "timed_out"})
    settle(workflow)
    assert run(workflow, "a", "control.noop")
    assert kernel.step(workflow, "a")["status"] == "cancelled"
    outcomes.finish_step(pivot, outcomes.Attempt(None, 0, []), outcomes.Finish(is_pivot=True))
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_a_time_out_shorter_than_the_republishing_is_seen_when_it_comes(kernel: Kernel) -> None:
    node = {"sequence": [noop("a"), {"wait": "w", "for": "1h"}]}
    workflow = kernel.start(kernel.register(node, timeout="2s"))
    row = kernel.workflow(workflow)
    assert row["next_wake_at"] <= row["expires_at"]


ENDLESS = "ceil(to_number('1e999'))"


def test_an_output_that_cannot_be_made_is_told_and_ends_the_workflow(kernel: Kernel) -> None:
    row = ended(kernel, noop("a"), {}, output={"n": {"$": ENDLESS}})
    assert row["status"] == "succeeded"
    assert "infinity" in row["output"]["error"]


def test_a_compensation_whose_input_cannot_be_made_ends_at_a_person(kernel: Kernel) -> None:
    other = {"action": "control.noop", "with": {"n": {"$": ENDLESS}}}
    node = {"sequence": [{**noop("a"), "compensation": other}, fail("b")]}
    row = ended(kernel, node, {})
    assert (row["status"], row["attention"]) == ("compensating", "compensation_failed")
    assert kernel.step(row["id"], "a~undo")["error"]["code"] == "reference_failed"
