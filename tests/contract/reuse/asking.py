"""Workflows that make the same request, and processes that make it at once."""

import sys
import time
from typing import Any
from uuid import UUID

from app import db
from app.platform import Json
from chains.actions import actions
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time, run

BRIEF = "A circus in the rain"


def caption(**more: Any) -> Json:
    """A node that lets a caption be written, by default from one that is known."""
    given = {"brief": BRIEF, "cache": True} | more
    return {"step": "write", "action": "openai.caption", "with": given}


def ended(kernel: Kernel, node: Json, seconds: float = 20.0) -> UUID:
    """A workflow of this node that was carried to its end."""
    workflow = kernel.start(kernel.register(node))
    carry(kernel, workflow, seconds=seconds)
    return workflow


def carry(kernel: Kernel, *workflows: UUID, seconds: float = 20.0) -> None:
    """Carry the workflows to their ends; what waits for a time does not wait so long."""
    until = time.monotonic() + seconds
    while True:
        drive()
        if all(kernel.workflow(each)["completed_at"] for each in workflows):
            return
        assert time.monotonic() < until, [kernel.workflow(each) for each in workflows]
        pass_time("300 s")
        time.sleep(0.1)


def reuses(kernel: Kernel, workflow: UUID) -> list[Json]:
    """What the events of a workflow say about results that its steps have taken."""
    return [each["data"] for each in kernel.events(workflow) if each["type"] == "StepReused"]


def run_at(begin: float, workflow: str) -> None:
    """Run the workflow's step at this time, once, as a worker process would."""
    assert actions()
    db.row("SELECT 1 AS connected", ())
    time.sleep(max(0.0, begin - time.time()))
    sys.stdout.write(str(run(UUID(workflow), "write", "openai.caption")))
    sys.stdout.flush()
    db.release()
