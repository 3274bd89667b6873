"""Schedules and triggers go the way of any start: what flow control refuses, they count."""

import json
import time
from typing import Any
from uuid import UUID

import pytest

from app import db
from app.broker.celery import celery_app as make_app
from app.engine.engine import Engine
from app.engine.message import Order
from app.errors import InvalidInput
from chains.actions import actions
from chains.admission import line_up, top_up_soon
from chains.commands.cancel import cancel
from chains.commands.command import caller_of
from chains.commands.schedules.create import Wanted, create
from chains.commands.schedules.run import run_now
from chains.dispatch import dispatch, one_message
from chains.incoming import intake, matching, triggers
from chains.incoming.events import Incoming
from chains.incoming.triggers import Wanted as Trigger
from chains.repair.reconcile import reconcile
from chains.running.prepare import prepare
from chains.starting.dispatching import dispatch_soon
from chains.undoing.settle import settle_soon
from chains.waking import wake_parent
from tests.integration.conftest import Kernel
from tests.integration.driving import drive
from tests.integration.firing.conftest import Make
from tests.integration.flow.gathering import count, push, set_clock
from tests.integration.flow.samples import admit, controlled, states, turn
from tests.unit.definitions import noop

ONE_A_DAY: dict[str, Any] = {"rate_limit": {"limit": 1, "period": "24h"}}


def run_message(workflow_id: UUID, key: str, action: str) -> None:
    """Run a step as a worker does, with what it does after the end of a workflow."""

    def publish(workflow_id: UUID, keys: list[str]) -> None:
        dispatch(workflow_id, keys)

    order = Order(
        prepare,
        publish,
        line_up,
        one_message,
        settle_soon,
        wake_parent,
        dispatch_soon,
        top_up_soon,
    )
    app, engine = make_app(), Engine(actions(), order)
    engine.register(app)
    task = app.tasks[action]
    task.push_request(args=(str(workflow_id), key))
    engine.run(task, str(workflow_id), key)


def reasons(schedule: object) -> list[tuple[str, str | None]]:
    rows = db.rows(
        "SELECT outcome, reason FROM schedule_runs WHERE schedule_id = %s ORDER BY nominal_at",
        (schedule,),
    )
    return [(row["outcome"], row["reason"]) for row in rows]


def test_schedule_counts_what_its_definition_has_dropped(kernel: Kernel, schedule: Make) -> None:
    made = schedule("allow_all", hours=2, type=controlled(kernel, **ONE_A_DAY))
    assert made.fire() == ["started", "dropped"]
    assert reasons(made.id)[1] == ("dropped", "rate_limited")
    assert made.row["dropped"] == 1
    assert count("workflows") == 1


def test_time_of_a_schedule_is_skipped_while_a_singleton_lives(
    kernel: Kernel, schedule: Make
) -> None:
    name = controlled(kernel, singleton={"mode": "skip"})
    live = push(kernel, name, {})
    made = schedule("allow_all", type=name)
    assert made.fire() == ["skipped"]
    assert reasons(made.id) == [("skipped", "singleton")]
    assert [row["id"] for row in db.rows("SELECT id FROM workflows", ())] == [live.id]


def test_times_of_a_schedule_join_a_debounce(kernel: Kernel, schedule: Make) -> None:
    name = controlled(kernel, debounce={"period": "1h"})
    made = schedule("allow_all", hours=3, type=name)
    assert made.fire() == ["started"] * 3
    (workflow,) = db.rows("SELECT id, status FROM workflows", ())
    assert {run["workflow_id"] for run in made.runs} == {workflow["id"]}
    assert workflow["status"] == "pending"
    assert count("start_handles") == 2


def test_schedule_has_flow_control_of_its_own(kernel: Kernel, schedule: Make) -> None:
    name = controlled(kernel, concurrency=[{"limit": 5}])
    made = schedule("allow_all", hours=3, type=name)
    made.set(flow=json.dumps({"concurrency": [{"limit": 1}]}))
    assert made.fire() == ["started"] * 3
    admit()
    assert states([each["id"] for each in made.workflows]).count("running") == 1
    free = controlled(kernel, step="free", concurrency=[{"limit": 5}])
    other = schedule("allow_all", hours=3, type=free, name="free")
    other.fire()
    admit()
    assert states([each["id"] for each in other.workflows]).count("running") == 3


@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_place_of_a_schedule_is_handed_on_by_the_process_that_ends_its_workflow(
    kernel: Kernel, schedule: Make, is_stopped: bool
) -> None:
    """No reconciler runs here. The definition has no flow control."""
    made = schedule("allow_all", hours=2, type=kernel.register(noop("only")))
    made.set(flow=json.dumps({"concurrency": [{"limit": 1}]}))
    made.fire()
    admit()
    ids = [each["id"] for each in made.workflows]
    first = ids[states(ids).index("running")]
    if is_stopped:
        cancel(caller_of(kernel.user_id), first)
    else:
        run_message(first, "only", "control.noop")
    until = time.monotonic() + 5
    while "pending" in states(ids):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert states([first]) == ["cancelled" if is_stopped else "succeeded"]


def test_schedules_with_equal_throttles_do_not_wait_for_each_other(
    kernel: Kernel, schedule: Make
) -> None:
    slow: dict[str, Any] = {"throttle": {"limit": 1, "period": "6d"}}
    name = controlled(kernel, **slow)
    push(kernel, name, {})
    for each in ("first", "second"):
        made = schedule("allow_all", hours=2, type=name, name=each)
        made.set(flow=json.dumps(slow))
        assert made.fire() == ["started"] * 2
    plain = schedule("allow_all", type=name, name="plain")
    assert plain.fire() == ["started"]
    admit()
    # One of each schedule, and one by the throttle of the definition.
    assert count("workflows WHERE status = 'running'") == 3


@pytest.mark.parametrize(
    ("flow", "place", "words"),
    [
        ({"throttle": {"limit": 1}}, "/flow/throttle/period", "required"),
        ({"throtle": {}}, "/flow/throtle", "did you mean 'throttle'"),
        ({"debounce": {"period": "1s"}}, "/flow/debounce", "belongs to the definition"),
        ({"share": {"key": "steps.a"}}, "/flow/share/key", "reads `input` only"),
        (
            {"singleton": {"mode": "queue"}, "concurrency": [{"limit": 2}]},
            "/flow/concurrency/0/limit",
            "remove this limit",
        ),
    ],
)
def test_flow_control_of_a_schedule_is_checked_with_that_of_its_definition(
    kernel: Kernel, flow: dict[str, object], place: str, words: str
) -> None:
    name = controlled(kernel, concurrency=[{"limit": 5}])
    wanted = Wanted("daily", name, {"every": "24h"}, {}, flow=flow)
    with pytest.raises(InvalidInput, match=words) as refused:
        create(caller_of(kernel.user_id), wanted)
    assert refused.value.field == place


def test_schedule_of_a_definition_that_gathers_has_no_flow_control_of_its_own(
    kernel: Kernel,
) -> None:
    name = controlled(kernel, batch={"size": 3, "timeout": "1m"})
    own = {"concurrency": [{"limit": 1}]}
    ada = caller_of(kernel.user_id)
    with pytest.raises(InvalidInput, match="gathers starts"):
        create(ada, Wanted("daily", name, {"every": "24h"}, {}, flow=own))
    create(ada, Wanted("daily", name, {"every": "24h"}, {"n": 1}))
    ran = [run_now(ada, "daily", request_id=str(n), overlap="allow_all") for n in range(3)]
    assert len({each.workflow_id for each in ran}) == 1
    reconcile()
    row = db.row("SELECT input, status FROM workflows", ())
    assert row == {"input": {"items": [{"n": 1}] * 3}, "status": "running"}


def test_trigger_counts_what_flow_control_has_dropped(kernel: Kernel) -> None:
    limited = controlled(kernel, **ONE_A_DAY)
    single = controlled(kernel, step="single", singleton={"mode": "skip"})
    keyed = controlled(
        kernel, step="keyed", throttle={"limit": 9, "period": "1s", "key": "input.k"}
    )
    for name in (limited, single, keyed):
        triggers.create(kernel.user_id, name.replace("_", "-"), Trigger("order.paid", name))
    events = [Incoming("shop", str(n), "order.paid", {"n": n}) for n in range(2)]
    intake.store(kernel.user_id, events)
    set_clock(5)
    db.row("UPDATE incoming_events SET match_after = clock_timestamp()", ())
    matching.sweep()
    counts = {
        each["definition"]: (each["counts"]["started"], each["counts"]["dropped"])
        for each in triggers.listing(kernel.user_id)[0]
    }
    assert counts == {limited: (1, 1), single: (1, 1), keyed: (0, 0)}
    shown = triggers.show(kernel.user_id, keyed.replace("_", "-"))
    assert shown["counts"]["refused"] == 2
    assert "is null" in shown["last_problem"]["reason"]
    shown = triggers.show(kernel.user_id, limited.replace("_", "-"))
    assert shown["last_problem"]["outcome"] == "dropped"
    assert "nothing was started" in shown["last_problem"]["reason"]


def test_event_whose_lane_is_full_starts_its_workflow_later(kernel: Kernel) -> None:
    name = controlled(kernel, concurrency=[{"limit": 1}], depth=1)
    triggers.create(kernel.user_id, "paid", Trigger("order.paid", name))
    push(kernel, name, {})
    admit()
    intake.store(kernel.user_id, [Incoming("s", str(n), "order.paid", {}) for n in range(2)])

    def sweep() -> tuple[int, int, int]:
        db.row("UPDATE incoming_events SET match_after = clock_timestamp()", ())
        db.row("UPDATE trigger_matches SET act_after = clock_timestamp()", ())
        matching.sweep()
        (counts,) = [each["counts"] for each in triggers.listing(kernel.user_id)[0]]
        return counts["started"], counts["pending"], counts["dropped"]

    assert sweep() == (1, 1, 0)
    turn()
    assert sweep() == (2, 0, 0)
    turn()
    drive()
