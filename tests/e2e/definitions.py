"""Definitions registered over HTTP, and workflows of them."""

from typing import Any

from tests.e2e.stack import Json, Stack, until


def noop(key: str, **given: Any) -> Json:
    return {"step": key, "action": "control.noop", "with": given}


def register(stack: Stack, body: Json, *, activate: bool = True) -> int:
    path = f"/v1/definitions?activate={str(activate).lower()}"
    answer = stack.api("POST", path, json=body)
    assert answer.status_code in (200, 201), answer.text  # 200: another test has registered it
    return int(answer.json()["version"])


def started(stack: Stack, type: str, given: Json) -> str:
    answer = stack.api("POST", "/v1/workflows", json={"type": type, "input": given})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def detail(stack: Stack, workflow: str) -> Json:
    shown: Json = stack.api("GET", f"/v1/workflows/{workflow}").json()
    return shown


def ended(stack: Stack, workflow: str, seconds: float = 60.0) -> Json:
    def look() -> Json | None:
        shown = detail(stack, workflow)
        return shown if shown["completed_at"] else None

    return until(f"the end of {workflow}", look, seconds, stack.dump)
