"""Waits of weeks: everything is killed and restarted meanwhile, and the clock is moved."""

import pytest

from tests.e2e.stack import Stack, until

BODY = {
    "name": "long_review",
    "do": {
        "sequence": [
            {"step": "before", "action": "control.noop"},
            {"approval": "review", "timeout": "60d"},
            {"wait": "cool_down", "for": "30d"},
            {
                "step": "after",
                "action": "control.noop",
                "with": {"by": {"$": "steps.review.output.by"}},
            },
        ]
    },
    "output": {"by": {"$": "steps.after.output.by"}},
}


def pass_days(stack: Stack, days: int) -> None:
    stack.rows(
        "INSERT INTO clock_offset (amount) VALUES (make_interval(days => %s)) ON CONFLICT (is_only)"
        " DO UPDATE SET amount = clock_offset.amount + excluded.amount RETURNING 1",
        days,
    )


def restart_everything(stack: Stack) -> None:
    stack.flush_valkey()
    stack.kill("worker", "reconciler", "web")
    stack.core.restart("postgres")
    stack.kill("valkey")
    stack.await_ready("postgres", "valkey", "worker", "reconciler", "web")


@pytest.mark.timeout(240)
def test_an_approval_waits_thirty_days_through_restarts_of_everything(stack: Stack) -> None:
    made = stack.api("POST", "/v1/definitions?activate=true", json=BODY)
    assert made.status_code == 201, made.text
    started = stack.api("POST", "/v1/workflows", json={"type": "long_review", "input": {}})
    path = f"/v1/workflows/{started.json()['id']}"

    def status(key: str) -> str:
        steps = stack.api("GET", path).json()["steps"]
        return next(str(step["status"]) for step in steps if step["key"] == key)

    until("the approval to wait", lambda: status("review") == "waiting", 30, stack.dump)
    restart_everything(stack)
    pass_days(stack, 30)
    restart_everything(stack)
    assert status("review") == "waiting"
    decided = stack.api("POST", f"{path}/signals/review", json={"approved": True})
    assert decided.ok, decided.text
    until("the wait to begin", lambda: status("cool_down") == "waiting", 30, stack.dump)
    restart_everything(stack)
    pass_days(stack, 29)
    assert status("cool_down") == "waiting"
    pass_days(stack, 1)
    until("the end", lambda: stack.api("GET", path).json()["status"] == "succeeded", 30, stack.dump)
    assert stack.api("GET", path).json()["output"] == {"by": "ada@example.com"}
