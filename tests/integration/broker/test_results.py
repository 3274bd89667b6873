"""Celery's AsyncResult, answered from the rows of steps."""

import pytest

from app import db
from app.broker.celery import celery_app
from app.broker.links import task_id
from tests.integration.conftest import Kernel
from tests.integration.driving import drive
from tests.unit.definitions import noop


@pytest.mark.parametrize(
    ("status", "state"),
    [("succeeded", "SUCCESS"), ("failed", "FAILURE"), ("compensated", "REVOKED")],
)
def test_celery_is_told_the_state_of_a_step_from_its_row(
    kernel: Kernel, status: str, state: str
) -> None:
    workflow = kernel.start("noop_chain")
    db.row(
        "UPDATE steps SET status = %s, output = '{\"n\": 1}' WHERE workflow_id = %s",
        (status, workflow),
    )
    result = celery_app().AsyncResult(str(task_id(workflow, "first")))
    assert result.state == state
    assert celery_app().AsyncResult("no id of ours").state == "PENDING"
    assert celery_app().AsyncResult(str(task_id(workflow, "fourth"))).state == "PENDING"


def test_celery_is_told_the_state_of_a_childs_step(kernel: Kernel) -> None:
    child = kernel.register(noop("own"))
    kernel.start(kernel.register({"workflow": "call", "type": child}))
    drive()
    row = db.row("SELECT id FROM workflows WHERE parent_id IS NOT NULL", ())
    assert row is not None
    assert celery_app().AsyncResult(str(task_id(row["id"], "own"))).state == "SUCCESS"
