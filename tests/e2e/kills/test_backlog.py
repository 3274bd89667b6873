"""More is started than the workers can run, and everything is killed in the middle of it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.definitions import register
from tests.e2e.stack import Json, Stack, until

WORKFLOWS = 240
NAP = {
    "name": "naps_in_turn",
    "do": {
        "sequence": [
            {"step": key, "action": "control.sleep", "with": {"seconds": 0.1}} for key in "ab"
        ]
    },
}


@pytest.mark.timeout(240)
def test_a_backlog_loses_and_doubles_nothing_and_what_is_urgent_overtakes_it(stack: Stack) -> None:
    register(stack, NAP)

    def start(number: int, priority: int = 5) -> str:
        given = {"type": NAP["name"], "input": {}, "priority": priority}
        headers = {"Idempotency-Key": f"nap-{number}"}
        answer = stack.api("POST", "/v1/workflows", json=given, headers=headers)
        assert answer.status_code in (200, 201), answer.text
        return str(answer.json()["id"])

    with ThreadPoolExecutor(4) as pool:
        started = list(pool.map(start, range(WORKFLOWS)))
    assert _lined_up(stack) > WORKFLOWS / 4
    urgent = start(WORKFLOWS, priority=9)
    until("the urgent one", lambda: _completed_at(stack, urgent), 30, stack.dump)
    assert _lined_up(stack) > WORKFLOWS / 8, "most of the backlog is still behind it"
    stack.kill("worker")
    stack.flush_valkey()
    everything = ("postgres", "valkey", "web", "reconciler", "worker")
    stack.kill(*everything)
    stack.await_ready(*everything)

    def has_ended() -> bool:
        sql = "SELECT count(*) AS n FROM workflows WHERE type = %s AND status = 'succeeded'"
        return bool(stack.rows(sql, NAP["name"])[0]["n"] == WORKFLOWS + 1)

    until("the end of the backlog", has_ended, 150, stack.dump)
    events = stack.rows(
        "SELECT count(*) AS n, count(DISTINCT (workflow_id, body::jsonb ->> 'step')) AS steps"
        "  FROM events WHERE workflow_id = ANY(%s::uuid[]) "
        "   AND body::jsonb ->> 'type' = 'StepSucceeded'",
        [*started, urgent],
    )
    assert events == [{"n": 2 * (WORKFLOWS + 1), "steps": 2 * (WORKFLOWS + 1)}]
    assert _lined_up(stack) == 0
    assert stack.pushed() < 2 * WORKFLOWS, "a backlog multiplies no messages"


def _lined_up(stack: Stack) -> int:
    return int(stack.rows("SELECT count(*) AS n FROM lane_entries")[0]["n"])


def _completed_at(stack: Stack, workflow: str) -> Json | None:
    sql = "SELECT completed_at FROM workflows WHERE id = %s"
    row = stack.rows(sql, workflow)[0]
    return row if row["completed_at"] else None
