"""Definitions that users bring: registered over HTTP, run by real workers, undone, replaced."""

import json

import pytest

from tests.e2e.campaign import Campaign
from tests.e2e.definitions import detail, ended, noop, register, started
from tests.e2e.instance import received_events
from tests.e2e.stack import Json, Stack, are_told, until

PAYER = {
    "customer_email": {"$": "input.customer_email"},
    "payment_method": "pm_card_visa",
    "amount": 1900,
    "currency": "eur",
}
UNDONE = {"compensation": {"action": "control.noop", "with": {"was": {"$": "input.n"}}}}


CHILD = {"name": "a_child", "do": {**noop("inner"), **UNDONE}}
EVERYTHING = {
    "name": "everything",
    "input_schema": {"type": "object", "required": ["customer_email", "n", "fails"]},
    "do": {
        "sequence": [
            {"step": "authorize", "action": "stripe.authorize", "with": PAYER},
            {
                "parallel": "both",
                "branches": [
                    {"step": "left", "action": "control.noop", "when": "input.n > `5`"},
                    {
                        "map": "each",
                        "over": {"$": "input.items"},
                        "max_concurrency": 2,
                        "on_item_failure": "collect",
                        "do": {
                            "choice": "which",
                            "cases": [
                                {
                                    "when": "item == `2`",
                                    "do": {"step": "bad", "action": "control.fail"},
                                }
                            ],
                            "otherwise": noop("good", v={"$": "item"}),
                        },
                    },
                ],
            },
            {
                "loop": "turns",
                "max": 4,
                "until": "index == `1`",
                "do": {**noop("turn", n={"$": "index"}), **UNDONE},
            },
            {"wait": "moment", "for": "1s"},
            {"approval": "review"},
            {"workflow": "child", "type": "a_child"},
            {
                "step": "capture",
                "action": "stripe.capture",
                "with": {"payment_intent": {"$": "steps.authorize.output.payment_intent"}},
            },
            {"step": "last", "action": "control.fail", "when": "input.fails"},
        ]
    },
    "output": {
        "each": {"$": "steps.each.output"},
        "bad": {"$": "steps.each.failures[].index"},
        "turn": {"$": "steps.turns.output.n"},
        "by": {"$": "steps.review.output.by"},
    },
}
GIVEN = {"customer_email": "ada@example.com", "n": 3, "items": [1, 2, 3]}


def approve(stack: Stack, workflow: str) -> None:
    def is_waiting() -> bool:
        steps = {step["key"]: step["status"] for step in detail(stack, workflow)["steps"]}
        return bool(steps["review"] == "waiting")

    until("the approval to wait", is_waiting, 40, stack.dump)
    path = f"/v1/workflows/{workflow}/signals/review"
    assert stack.api("POST", path, json={"approved": True}).ok


@pytest.mark.timeout(180)
def test_every_kind_of_node_runs_to_its_end_and_is_undone_from_its_last_step(
    stack: Stack,
) -> None:
    register(stack, CHILD)
    version = register(stack, EVERYTHING)
    picture = stack.api("GET", f"/v1/definitions/everything/versions/{version}/picture.svg")
    assert picture.text.startswith("<svg")

    well = started(stack, "everything", GIVEN | {"fails": False})
    badly = started(stack, "everything", GIVEN | {"fails": True})
    for workflow in (well, badly):
        approve(stack, workflow)
    shown = ended(stack, well)
    assert shown["status"] == "succeeded", shown["error"]
    assert shown["output"] == {
        "each": [{"v": 1}, None, {"v": 3}],
        "bad": [1],
        "turn": 1,
        "by": "ada@example.com",
    }
    assert ended(stack, badly)["status"] == "compensated"
    events = stack.api("GET", f"/v1/workflows/{badly}/events").json()["items"]
    undone = [event["step"] for event in events if event["type"] == "StepCompensated"]
    assert undone == ["capture", "child", "turns[1].turn", "turns[0].turn", "authorize"]
    assert Campaign(stack, badly).counts()["refunds"] == 1


@pytest.mark.timeout(180)
def test_a_hundred_workflows_end_on_the_version_that_they_began_with(stack: Stack) -> None:
    def body(version: int) -> Json:
        steps = [noop("a"), {"wait": "w", "for": "4s"}, noop("b", version=version)]
        output = {"version": {"$": "steps.b.output.version"}}
        return {"name": "versioned", "do": {"sequence": steps}, "output": output}

    register(stack, body(1))
    first = [started(stack, "versioned", {}) for _ in range(100)]
    assert register(stack, body(2)) == 2
    second = [started(stack, "versioned", {}) for _ in range(5)]
    assert stack.api("POST", "/v1/definitions/versioned/rollback").ok
    third = [started(stack, "versioned", {}) for _ in range(5)]
    refused = stack.api("POST", "/v1/definitions/versioned/versions/2/retire")
    assert (refused.status_code, refused.json()["code"]) == (409, "version_in_use")
    for workflows, version in ((first, 1), (second, 2), (third, 1)):
        for workflow in workflows:
            shown = ended(stack, workflow)
            assert (shown["status"], shown["version"]) == ("succeeded", version)
            assert shown["output"] == {"version": version}
    assert stack.api("POST", "/v1/definitions/versioned/versions/2/retire").ok


def test_a_step_of_a_newer_release_waits_and_says_why(stack: Stack) -> None:
    body = {"name": "newer", "do": {"step": "a", "action": "control.future"}}
    stack.rows(
        "INSERT INTO definitions (name, version, body, checksum, active)"
        " VALUES ('newer', 1, %s, 'x', true) RETURNING 1",
        json.dumps(body),
    )
    workflow = started(stack, "newer", {})

    def look() -> Json | None:
        (step,) = detail(stack, workflow)["steps"]
        return step if step["error"] else None

    step = until("the reason", look, 20, stack.dump)
    assert (step["status"], step["error"]["code"]) == ("pending", "action_unknown")
    assert "control.future" in step["error"]["message"]
    assert stack.api("POST", f"/v1/workflows/{workflow}/cancel").status_code == 202
    assert ended(stack, workflow)["status"] == "cancelled"


def test_quick_siblings_share_messages_and_each_is_told_to_celerys_receivers(
    stack: Stack,
) -> None:
    wide = {
        "name": "wide",
        "do": {
            "sequence": [
                {"parallel": "some", "branches": [noop(f"s{n}") for n in range(10)]},
                {
                    "map": "each",
                    "over": {"$": "input.items"},
                    "max_concurrency": 40,
                    "do": noop("leaf", n={"$": "item"}),
                },
                noop("end"),
            ]
        },
        "output": {"all": {"$": "steps.each.output[].n"}},
    }
    register(stack, wide)
    with received_events(stack) as got:
        made = started(stack, "wide", {"items": list(range(100))})
        found = ended(stack, made, 30.0)
        assert (found["status"], found["output"]) == ("succeeded", {"all": list(range(100))})
        assert are_told(stack, made, got)
