"""How long a user's workflows take."""

import math
import time

from tests.e2e.neighbours.inputs import Sender

LOOK_SECONDS = 0.005
END_SECONDS = 30.0
"""A neighbour's workflow that takes longer is starved; the other runs need not be waited for."""


def p95(sender: Sender, runs: int) -> float:
    """The seconds within which 95 of 100 workflows without effects end, one after the other."""
    taken = sorted(_run(sender) for _ in range(runs))
    return taken[math.ceil(0.95 * runs) - 1]


def _run(sender: Sender) -> float:
    """The seconds from the request for a workflow to the answer that shows its end."""
    began = time.monotonic()
    answer = sender.send("POST", "/v1/workflows", json={"type": "noop_chain", "input": {}})
    path = f"/v1/workflows/{answer.json()['id']}"
    while sender.send("GET", path).json()["completed_at"] is None:
        assert time.monotonic() - began < END_SECONDS, "the neighbour is starved"
        time.sleep(LOOK_SECONDS)
    return time.monotonic() - began
