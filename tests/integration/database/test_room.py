"""The bytes that a finished workflow fills: every installation keeps millions of them."""

from app import db
from app.protocol import outcomes
from app.protocol.outcomes import Finish
from chains.starting.start import start_workflow
from tests.integration.conftest import NOTHING, Kernel

NAME = "noop_chain"
BYTES = {"workflows": 178, "steps": 541, "events": 805}
"""Of the rows of a workflow of three steps, without the headers of pages."""


def test_a_finished_workflow_fills_no_more_bytes_than_it_did(kernel: Kernel) -> None:
    workflow = start_workflow(user_id=kernel.user_id, type=NAME, input={}).id
    for key in ("first", "second", "third"):
        outcomes.finish_step(kernel.claim(workflow, key), NOTHING, Finish({}))
    room = {}
    for table in BYTES:
        named = "id" if table == "workflows" else "workflow_id"
        row = db.row(
            f"SELECT sum(pg_column_size(t.*)) AS bytes FROM {table} AS t WHERE {named} = %s",
            (workflow,),
        )
        assert row is not None
        room[table] = int(row["bytes"])
    assert all(room[table] <= most for table, most in BYTES.items()), room


def test_the_text_of_an_event_keeps_no_space(kernel: Kernel) -> None:
    workflow = kernel.start(NAME)
    outcomes.finish_step(kernel.claim(workflow, "first"), NOTHING, Finish({}))
    row = db.row("SELECT body FROM events WHERE workflow_id = %s AND seq = 2", (workflow,))
    assert row is not None
    (event,) = [each for each in kernel.events(workflow) if each["seq"] == 2]
    text = f'{{"at":{event["at"]},"seq":2,"type":"StepSucceeded","step":"first","data":{{}}}}'
    assert row["body"] == text


def test_the_hash_of_a_request_is_kept_beside_its_key_only(kernel: Kernel) -> None:
    for key in (None, "k-1"):
        started = start_workflow(user_id=kernel.user_id, type=NAME, input={}, idempotency_key=key)
        assert (kernel.workflow(started.id)["request_hash"] is None) is (key is None)
