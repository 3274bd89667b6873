"""Stopping a workflow of thousands of rows, which were never claimed."""

import time

from tests.integration.conftest import Kernel
from tests.integration.driving import run
from tests.unit.definitions import noop


def test_rows_that_never_began_cost_the_process_that_stops_them_nothing(kernel: Kernel) -> None:
    body = {"sequence": [noop("a"), noop("b"), noop("c")]}
    node = {"map": "m", "over": {"$": "input.list"}, "do": body}
    workflow = kernel.start(kernel.register(node), {"list": [*range(5000)]})
    assert run(workflow, "m~expand", "control.expand")
    began = time.thread_time()
    assert kernel.cancel(workflow) == "cancelled"
    # It took more than 0.15 seconds while each of the 15,000 rows was read and sorted here.
    assert time.thread_time() - began < 0.05
    assert kernel.step(workflow, "m[4999].a")["status"] == "cancelled"
