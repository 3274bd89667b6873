"""Forks and their sources under limits: neither waits for the other for ever."""

import pytest

from chains.commands.command import Caller
from chains.commands.fork import fork
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time
from tests.integration.flow.samples import admit, count, states
from tests.unit.definitions import noop

UNDONE = {"compensation": {"action": "control.noop"}}
SOURCE = {
    "sequence": [
        {**noop("a"), **UNDONE},
        {"wait": "w", "for": {"$": "input.for"}},
        {"step": "late", "action": "control.fail", "when": "input.fails"},
    ]
}


@pytest.mark.parametrize(
    "flow",
    [{"concurrency": [{"limit": 1}]}, {"singleton": {"mode": "queue"}}],
    ids=["limit", "one"],
)
def test_a_source_that_fails_lets_its_waiting_forks_begin_one_by_one(
    kernel: Kernel, ada: Caller, agreeing: None, flow: dict[str, object]
) -> None:
    source = kernel.start(kernel.register(SOURCE, flow=flow), {"fails": True, "for": "1h"})
    admit()
    drive()
    kept = {"fails": False, "for": "1m"}
    forks = [fork(ada, source, from_step="w", input=kept).id for _ in range(2)]
    admit()
    drive()
    assert states([source, *forks]) == ["running", "pending", "pending"]
    pass_time("1 hour")
    drive()
    pass_time("10 seconds")
    assert states([source, *forks]) == ["compensating", "running", "pending"]
    for _ in range(4):
        drive()
        pass_time("1 minute")
    drive()
    pass_time("10 seconds")
    assert states([source, *forks]) == ["failed", "succeeded", "succeeded"]
    assert count("flow_turns") + count("flow_entries") == 0
