"""The example of the guide for HTTP, run on an instance as `ops/demo` starts it."""

import json
from pathlib import Path

import pytest

from tests.e2e.definitions import detail, ended, register, started
from tests.e2e.stack import Json, Stack, until

GUIDE = Path(__file__).parents[3] / "ops" / "guide" / "http.md"
DEMO = "http://127.0.0.1:9108"


@pytest.fixture(scope="module")
def recipe(instance: Stack) -> Json:
    """The guide's definition, with the address of this instance's service."""
    text = GUIDE.read_text().partition("```json\n")[2].partition("```")[0]
    jobs = instance.control("GET", "/")["vendors"]["http"]
    body: Json = json.loads(text.replace(DEMO, jobs).replace('"for": "1s"', '"for": "200ms"'))
    register(instance, body)
    return body


def counts(stack: Stack, workflow: str) -> list[str]:
    journal = [each for each in stack.journal() if each["vendor"] == "http"]
    return [each["effect"] for each in journal if workflow in str(each["details"])]


def test_the_job_of_the_guide_is_polled_and_its_secret_is_nowhere(
    stack: Stack, recipe: Json
) -> None:
    stack.change(http__job_seconds=1.0)
    workflow = started(stack, recipe["name"], {"text": "one two three"})
    shown = ended(stack, workflow)
    assert (shown["status"], shown["output"]) == ("succeeded", {"words": 3}), stack.dump()
    assert len([step for step in shown["steps"] if step["key"].endswith("look")]) > 1
    assert counts(stack, workflow) == ["jobs"]
    secrets = json.loads(stack.profile.environment()["HTTP_SECRETS"])
    token = secrets["sandbox_jobs"]["value"].removeprefix("Bearer ")
    sql = "SELECT input, output, error FROM steps WHERE workflow_id = %s"
    calls = "SELECT request, response FROM intents WHERE workflow_id = %s"
    rows = [*stack.rows(sql, workflow), *stack.rows(calls, workflow)]
    assert "sandbox_jobs" in str(rows)
    assert token not in str(rows)
    # The sandbox itself prints what it lends.
    logs = (stack.profile.data.path / "logs").glob("[!s]*.log")
    assert [log.name for log in logs if token in log.read_text(errors="replace")] == []


def test_the_job_of_a_cancelled_workflow_is_cancelled(stack: Stack, recipe: Json) -> None:
    stack.change(http__job_seconds=600.0)
    workflow = started(stack, recipe["name"], {"text": "one"})

    def is_polling() -> bool:
        steps = detail(stack, workflow)["steps"]
        return any(each["key"].endswith("look") and each["status"] == "succeeded" for each in steps)

    until("the first poll", is_polling, 30.0, stack.dump)
    assert stack.api("POST", f"/v1/workflows/{workflow}/cancel", json={}).status_code < 300
    assert ended(stack, workflow)["status"] == "compensated"
    assert counts(stack, workflow) == ["jobs", "jobs_cancelled"]
