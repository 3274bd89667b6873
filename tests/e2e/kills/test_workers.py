"""Workers that take other queues, or are of another release: steps wait for one that fits."""

from dataclasses import replace

import pytest

from tests.e2e.campaign import Customer
from tests.e2e.definitions import detail, ended, noop, register, started
from tests.e2e.stack import PLATFORMS, Json, Stack, until

NEW = "control.sleep"
OLDER = "tests.e2e.older_worker"
"""Knows every action but `NEW`."""
DIFFERING = "tests.e2e.differing_worker"
"""Knows `NEW` with another input."""
PATH = "/v1/workflows/{}/events"


def test_with_one_worker_per_platform_links_hop_over_the_broker(
    stack: Stack, customer: Customer
) -> None:
    with stack.other_workers(*(stack.worker_of(name, name) for name in PLATFORMS)):
        campaign = customer.start(2)
        campaign.ended("succeeded", seconds=90.0)
    assert campaign.paid() == {
        "authorizations": 1, "captures": 1, "refunds": 0, "predictions": 2, "deployments": 1,
    }  # fmt: skip


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("module", "code", "words"),
    [
        (OLDER, "action_unknown", f"does not know {NEW}"),
        (DIFFERING, "action_differs", f"knows {NEW} of another release"),
    ],
)
def test_a_step_that_an_older_worker_cannot_run_waits_for_one_that_can(
    stack: Stack, module: str, code: str, words: str
) -> None:
    new = {"step": "new", "action": NEW, "with": {"seconds": 0}}
    name = f"half_known_{code}"
    register(stack, {"name": name, "do": {"sequence": [noop("old"), new, noop("end")]}})
    argv = stack.worker_of("older", "control").argv
    named = [module if each == "chains.worker" else each for each in argv]
    older = replace(stack.worker_of("older", "control"), argv=tuple(named))
    with stack.other_workers(older):
        workflow = started(stack, name, {})

        def look() -> Json | None:
            steps = {step["key"]: step for step in detail(stack, workflow)["steps"]}
            return steps if steps["new"]["error"] else None

        steps = until("the reason", look, 30, stack.dump)
        assert (steps["old"]["status"], steps["new"]["status"]) == ("succeeded", "pending")
        assert steps["new"]["error"]["code"] == code
        assert words in steps["new"]["error"]["message"]
        assert detail(stack, workflow)["status"] == "running"
    shown = ended(stack, workflow)
    assert shown["status"] == "succeeded"
    assert [step["error"] for step in shown["steps"]] == [None, None, None]
    kinds = {event["type"] for event in stack.api("GET", PATH.format(workflow)).json()["items"]}
    assert kinds == {"WorkflowStarted", "StepSucceeded", "WorkflowSucceeded"}


@pytest.mark.timeout(120)
def test_a_step_whose_queue_no_worker_takes_says_so_until_one_does(stack: Stack) -> None:
    register(stack, {"name": "unserved", "do": noop("one")})

    def error(workflow: str) -> Json | None:
        (step,) = detail(stack, workflow)["steps"]
        found: Json | None = step["error"]
        return found

    with stack.other_workers(stack.worker_of("elsewhere", "stripe")):
        workflow = started(stack, "unserved", {})
        reason = until("the reason", lambda: error(workflow), 20, stack.dump)
        assert reason["code"] == "no_worker"
        assert "no worker takes the queue control" in reason["message"]
        (row,) = until("the other worker", lambda: stack.rows(TAKING), 20, stack.dump)
        assert (row["name"].partition("@")[0], row["queues"]) == ("elsewhere", ["stripe"])
        assert error(workflow) == reason
    shown = ended(stack, workflow)
    assert (shown["status"], shown["steps"][0]["error"]) == ("succeeded", None)
    (row,) = stack.rows(TAKING)
    assert set(row["queues"]) == set(PLATFORMS)


TAKING = "SELECT name, queues FROM worker_presence WHERE queues <> '{}'"
