"""Celery's AsyncResult, answered from the rows of steps."""

from uuid import uuid4

import pytest
from celery.app import trace

from app import db
from app.broker.celery import celery_app
from app.broker.links import task_id
from chains.repair import housekeeping
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


def _ran(name: str) -> str:
    """Run a task of beat's in this process, with the code with which a worker runs it; its id."""
    id = str(uuid4())
    trace.build_tracer(name, celery_app().tasks[name], app=celery_app())(
        id, [], {}, {"id": id, "task": name, "ignore_result": False}
    )
    return id


def test_celery_is_told_the_results_of_the_tasks_that_beat_starts(kernel: Kernel) -> None:
    housekeeping.register(celery_app())
    cleaned = celery_app().AsyncResult(_ran("control.clean_uploads"))
    assert (cleaned.state, cleaned.result) == ("SUCCESS", {"erased": 0})
    assert cleaned.get(timeout=5) == {"erased": 0}
    db.row("ALTER TABLE artifacts RENAME TO lost", ())
    failed = celery_app().AsyncResult(_ran("control.clean_uploads"))
    assert failed.state == "FAILURE"
    with pytest.raises(RuntimeError, match="artifacts"):
        failed.get(timeout=5)


def _one() -> int:
    return 1


def test_a_step_leaves_no_second_result_and_old_results_are_removed(kernel: Kernel) -> None:
    housekeeping.register(celery_app())
    _ran("control.clean_uploads")
    db.row("UPDATE job_results SET ended_at = ended_at - interval '8 days'", ())
    id = _ran("control.clean_uploads")
    celery_app().task(name="control.sample", ignore_result=True)(_one)
    _ran("control.sample")
    assert db.rows("SELECT task_id FROM job_results", ()) == [{"task_id": id}]
