"""What a workflow waits for is shown, and its steps are in the order of the definition."""

import io
import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import redis
from rich.console import Console

from app import db, queries
from app.keys import child_of
from app.protocol import lanes
from app.queries import human_tasks, queues
from app.settings import Settings
from chains.commands.command import caller_of
from chains.commands.pause import pause
from ops.cli.remote.show import Lines, panel
from tests.integration.conftest import Kernel
from tests.integration.driving import drive
from tests.unit.definitions import noop
from web.bodies import JsonProvider

ITEMS = 12


def detail(kernel: Kernel, workflow: UUID) -> dict[str, Any]:
    """The workflow as a client of the API has it."""
    shown = queries.workflow_detail(workflow, kernel.user_id)
    answer: dict[str, Any] = json.loads(json.dumps(shown, default=str))
    return answer


def printed(workflow: dict[str, Any], most_rows: int) -> str:
    """What `playalter status` and the live panel show."""
    console = Console(file=io.StringIO(), width=160)
    with console.capture() as capture:
        console.print(panel(workflow, most_rows))
    return capture.get()


def test_a_workflow_shows_which_approval_wait_and_child_it_waits_for(kernel: Kernel) -> None:
    child = kernel.register({"wait": "w", "for": "1h"})
    branches = [
        {"approval": "review", "timeout": "30d", "by": ["ada@example.com"]},
        {"wait": "rest", "for": "2h"},
        {"workflow": "page", "type": child},
        noop("quick"),
    ]
    workflow = kernel.start(kernel.register({"parallel": "p", "branches": branches}))
    drive()
    shown = detail(kernel, workflow)
    waits = {step["key"]: step["waits_for"] for step in shown["steps"]}
    assert waits["quick"] is None
    assert (waits["review"]["kind"], waits["review"]["signal"]) == ("approval", "review")
    assert waits["review"]["by"] == ["ada@example.com"]
    assert (waits["rest"]["kind"], waits["page"]["kind"]) == ("wait", "workflow")
    started = db.row("SELECT id FROM workflows WHERE parent_id = %s", (workflow,))
    assert started is not None
    assert waits["page"]["workflow_id"] == str(started["id"])
    for key in ("review", "rest"):
        assert waits[key]["until"] == JsonProvider.default(kernel.step(workflow, key)["wake_at"])

    until = {key: waits[key]["until"][:16].replace("T", " ") for key in ("review", "rest")}
    expected = {
        "review": f"for the approval review until {until['review']}",
        "rest": f"until {until['rest']}",
        "page": f"for the workflow {started['id']}",
    }
    output = printed(shown, 3)
    lines = list(Lines().changes(shown))
    for key, words in expected.items():
        assert f"{key} {words}" in " ".join(output.split())
        assert [words in line for line in lines if line.split()[0] == key] == [True]
        assert any(line.split()[1] == key and words in line for line in output.splitlines()[2:])


def test_a_step_that_waits_for_its_platform_names_no_child(kernel: Kernel) -> None:
    workflow = kernel.start(kernel.register(noop("n")))
    db.row("UPDATE steps SET status = 'waiting', external_id = 'pred_1'", ())
    (step,) = detail(kernel, workflow)["steps"]
    assert (step["waits_for"]["kind"], step["waits_for"]["workflow_id"]) == ("platform", None)
    assert "for pred_1" in printed(detail(kernel, workflow), 5)
    assert child_of("pred_1") is None


def test_steps_of_items_are_in_the_order_of_the_items(kernel: Kernel) -> None:
    body = {"sequence": [noop("a"), {"approval": "ask", "timeout": "1d"}]}
    node = {"map": "each", "over": {"$": "input.items"}, "max_concurrency": ITEMS, "do": body}
    workflow = kernel.start(kernel.register(node), {"items": list(range(ITEMS))})
    drive()
    for name in ("a", "ask"):
        keys = [step["key"] for step in detail(kernel, workflow)["steps"]]
        expected = [f"each[{number}].{name}" for number in range(ITEMS)]
        assert [key for key in keys if key.endswith(f".{name}")] == expected
    asked = human_tasks.approvals(kernel.user_id, "ada@example.com").items
    assert [item["step"] for item in asked] == [f"each[{number}].ask" for number in range(ITEMS)]


@pytest.fixture
def backlog(settings: Settings, kernel: Kernel) -> Iterator[None]:
    """The queue `control` is backed up and full, so that nothing is admitted to it."""
    db.row("INSERT INTO queues (name, is_backed_up) VALUES ('control', true)", ())
    with redis.Redis.from_url(settings.redis_url) as client:
        client.lpush("control", *["{}"] * (lanes.MOST_MESSAGES + 1))
        yield
        client.flushdb()


def waits(kernel: Kernel, workflow: UUID) -> dict[str, Any]:
    """What each step waits for."""
    return {step["key"]: step["waits_for"] for step in detail(kernel, workflow)["steps"]}


def test_a_step_that_is_lined_up_shows_its_queue_and_its_place(
    kernel: Kernel, backlog: None
) -> None:
    parts = [noop(name) for name in ("a", "b", "c")]
    wide = kernel.register({"parallel": "p", "branches": parts})
    kernel.start(wide)
    workflow, other = kernel.start(wide), kernel.start("noop_chain", priority=9)
    found = waits(kernel, workflow)
    for key, place in (("a", 5), ("b", 6), ("c", 7)):
        turn = (found[key]["kind"], found[key]["queue"], found[key]["place"])
        assert turn == ("turn", "control", place), "behind three steps and that of priority 9"
    assert waits(kernel, other)["first"]["place"] == 1
    assert waits(kernel, other)["second"] is None, "it is not released yet"
    shown = detail(kernel, workflow)
    assert shown["status"] == "running"
    assert "a for its turn in the queue control, place 5" in printed(shown, 5)
    assert "waits: a for its turn" in printed(shown, 5)
    pause(caller_of(kernel.user_id), workflow)
    assert set(waits(kernel, workflow).values()) == {None}


def test_a_place_is_known_up_to_a_thousand(kernel: Kernel, backlog: None) -> None:
    workflow = kernel.start("noop_chain")
    more = (
        "INSERT INTO lane_entries SELECT queue, user_id, order_at - interval '1 s', uuidv7(), key"
        "  FROM lane_entries, generate_series(1, %s)"
    )
    db.row(more, (queues.MOST_AHEAD - 1,))
    assert waits(kernel, workflow)["first"]["place"] == queues.MOST_AHEAD
    db.row(more + " LIMIT 1", (1,))
    first = waits(kernel, workflow)["first"]
    assert (first["kind"], first["place"]) == ("turn", None)
    assert "behind more than 1,000 steps" in printed(detail(kernel, workflow), 5)


def test_a_step_whose_turn_has_come_waits_for_a_worker(kernel: Kernel, backlog: None) -> None:
    workflow, claimed = kernel.start("noop_chain"), kernel.start("noop_chain")
    kernel.claim(claimed, "first")
    assert waits(kernel, claimed)["first"] is None
    found = lanes.admit("control", 0)
    assert found is not None
    assert [each.workflow_id for each in found.admitted] == [workflow]
    first = waits(kernel, workflow)["first"]
    assert (first["kind"], first["queue"], first["place"]) == ("worker", "control", None)
    assert "first for a worker" not in printed(detail(kernel, workflow), 5), "it is of no interest"
