"""A user whose conditions take all that they may, beside another user."""

import time

import pytest

from tests.e2e.instance import make_key
from tests.e2e.neighbours.inputs import INPUTS, Sender
from tests.e2e.stack import Json, Stack, until

SENT = 12


@pytest.mark.timeout(120)
def test_expensive_conditions_wait_and_the_neighbours_workflows_do_not(stack: Stack) -> None:
    url, given = stack.profile.url, INPUTS["a condition of five nested maps"]
    given.prepare(Sender(url, stack.key))
    eve = Sender(url, make_key(stack.profile, "eve@example.com"))
    sent = [
        eve.send("POST", "/v1/workflows", json={"type": "five_maps", "input": {}}).json()["id"]
        for _ in range(SENT)
    ]

    def waiting() -> list[Json]:
        shown = [eve.send("GET", f"/v1/workflows/{each}").json() for each in sent]
        return [
            each
            for each in shown
            if (each["steps"][0]["error"] or {}).get("code") == "waits_for_share"
        ]

    assert until("a step that waits for its user's share", waiting, 40.0, stack.dump)
    began = time.monotonic()
    Sender(url, stack.key).run("noop_chain", {})
    assert time.monotonic() - began < 10
    for each in waiting():
        assert eve.send("POST", f"/v1/workflows/{each['id']}/cancel", json={}).ok

    def has_ended() -> bool:
        shown = (eve.send("GET", f"/v1/workflows/{each}").json() for each in sent)
        return all(each["completed_at"] for each in shown)

    until("the end of all", has_ended, 60.0, stack.dump)
