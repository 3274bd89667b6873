"""Workflows that emit events: once for each step, and not for ever."""

from typing import Any

from app import db
from app.engine.call import Call
from chains.incoming import triggers
from chains.incoming.emitting import ACTION, EmitInput, emit
from chains.incoming.triggers import Wanted
from chains.rehearsal import rehearse
from chains.repair.reconcile import reconcile
from tests.integration.conftest import Kernel
from tests.integration.driving import drive


def emitting(type: str, data: Any = None) -> dict[str, Any]:
    """A node that emits."""
    return {"step": "tell", "action": "control.emit", "with": {"type": type, "data": data}}


def events() -> list[dict[str, Any]]:
    """The events, in the order in which they came."""
    return db.rows(
        "SELECT source, source_id, type, data, depth FROM incoming_events ORDER BY received_at", ()
    )


def test_two_workflows_that_start_each_other_are_stopped(kernel: Kernel) -> None:
    ping = kernel.register(emitting("pong", {"$": "input.n"}))
    # Through a child, so that the depth is found above the workflow that emits.
    child = kernel.register(emitting("ping"))
    pong = kernel.register({"workflow": "told", "type": child})
    for type, definition in (("ping", ping), ("pong", pong)):
        wanted = Wanted(type, definition, input={"n": {"$": "event.data"}})
        triggers.create(kernel.user_id, type, wanted)
    kernel.start(ping, {"n": 1})
    drive()
    assert [event["depth"] for event in events()] == list(range(11))
    assert {event["type"] for event in events()} == {"ping", "pong"}
    counted = "SELECT outcome, count(*) AS number FROM trigger_matches GROUP BY 1 ORDER BY 1"
    assert [tuple(row.values()) for row in db.rows(counted, ())] == [
        ("started", 10),
        ("stopped", 1),
    ]


def test_a_step_that_is_tried_again_emits_nothing_anew(
    kernel: Kernel, reconciler_was_there: None
) -> None:
    name = kernel.register({"sequence": [emitting("a", 7), {**emitting("b"), "step": "more"}]})
    workflow = kernel.start(name)
    # The process dies after it has stored the event.
    emit(Call(kernel.claim(workflow, "tell"), ACTION), EmitInput(type="a", data=7))
    db.row("UPDATE steps SET lease_until = clock_timestamp() WHERE key = 'tell'", ())
    db.row("UPDATE workflows SET next_wake_at = playalter_now()", ())
    reconcile()
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"
    first, second = events()
    assert (first["source"], first["source_id"]) == (f"/v1/workflows/{workflow}", "tell")
    assert (first["type"], first["data"], first["depth"]) == ("a", 7, 0)
    assert second["source_id"] == "more"


def test_a_type_that_no_event_can_have_fails_the_step(kernel: Kernel) -> None:
    workflow = kernel.start(kernel.register(emitting("a b")))
    drive()
    assert kernel.step(workflow, "tell")["error"]["code"] == "event_invalid"


def test_a_rehearsal_stores_nothing(kernel: Kernel) -> None:
    run = rehearse({"name": "told", "do": emitting("ready"), "output": {"$": "steps.tell.output"}})
    assert run.status == "succeeded"
    assert set(run.output) == {"event_id"}
    assert events() == []
