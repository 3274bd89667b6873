"""An event and the wait of a step find each other, whichever comes first and whoever dies."""

import time
from typing import Any
from uuid import UUID

import pytest

from app import db
from chains.catalogue import versions
from chains.commands.command import Caller
from chains.commands.pause import pause, resume
from chains.commands.retry import retry
from chains.commands.skip import skip
from chains.incoming import intake, matching, waiting
from chains.incoming.events import Incoming
from chains.language.event_filters import keys_of
from chains.repair.housekeeping import clean_events_in
from chains.repair.reconcile import reconcile
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time
from tests.unit.definitions import noop

pytestmark = pytest.mark.usefixtures("agreeing")

PAID: dict[str, Any] = {"type": "order.paid", "filter": "event.data.order == input.order"}


def waiting_for(kernel: Kernel, event: dict[str, Any], **rest: Any) -> str:
    """The name of a definition that waits for this event; what came is its output."""
    node = {"wait": "paid", "event": event, **rest}
    output = {"order": {"$": "steps.paid.output.data.order"}, "id": {"$": "steps.paid.output.id"}}
    return kernel.register(node, output=output)


def paid(number: int, order: int = 1, **fields: Any) -> Incoming:
    """An event of the shop."""
    given: dict[str, Any] = {"type": "order.paid", "data": {"order": order}, **fields}
    return Incoming("shop", str(number), **given)


def send(kernel: Kernel, *events: Incoming, **rest: Any) -> list[UUID]:
    """Send events, and match them at once."""
    return [each.id for each in intake.accept(kernel.user_id, events, **rest)]


def output(kernel: Kernel, workflow: UUID) -> Any:
    """The workflow's output after everything due was run."""
    drive()
    return kernel.workflow(workflow)["output"]


def test_an_event_ends_the_wait_whose_filter_it_fulfils(kernel: Kernel) -> None:
    name = waiting_for(kernel, PAID)
    first, second = (kernel.start(name, {"order": order}) for order in (1, 2))
    drive()
    send(kernel, paid(1, order=2), paid(2, order=3))
    assert output(kernel, second) == {"order": 2, "id": "1"}
    assert kernel.step(first, "paid")["status"] == "waiting"
    (body,) = [each for each in kernel.events(second) if each["type"] == "StepWoken"]
    assert body["data"]["event_id"]


def test_an_event_that_came_before_its_wait_is_found_in_the_window(kernel: Kernel) -> None:
    send(kernel, paid(1), paid(2), paid(3, order=2))
    wide = kernel.start(waiting_for(kernel, PAID | {"within_last": "1h"}), {"order": 1})
    narrow = kernel.start(waiting_for(kernel, PAID), {"order": 1})
    assert output(kernel, wide) == {"order": 1, "id": "1"}  # the earliest
    assert kernel.step(narrow, "paid")["status"] == "waiting"


def test_an_event_wakes_every_wait_that_it_fulfils_and_each_once(kernel: Kernel) -> None:
    name = waiting_for(kernel, {"type": "order.*"})
    workflows = [kernel.start(name) for _ in range(3)]
    drive()
    send(kernel, paid(1), paid(2))
    assert [output(kernel, each) for each in workflows] == [{"order": 1, "id": "1"}] * 3
    send(kernel, paid(3))
    assert waits() == {"open": 0, "taken": 3}


def waits() -> dict[str, int]:
    """How many waits are open, and how many have taken an event."""
    row = db.row(
        "SELECT count(*) FILTER (WHERE event_id IS NULL) AS open, count(event_id) AS taken"
        " FROM event_waits",
        (),
    )
    assert row is not None
    return dict(row)


def test_the_filter_reads_what_it_read_when_the_wait_began(kernel: Kernel) -> None:
    node = {
        "sequence": [
            noop("a", n={"$": "input.n"}),
            {
                "map": "each",
                "over": {"$": "input.list"},
                "do": {
                    "wait": "w",
                    "event": {
                        "type": "*",
                        "filter": "event.data.n == steps.a.output.n"
                        " && contains(item.names, event.subject) && event.source == 'shop'",
                    },
                },
            },
        ]
    }
    name = kernel.register(node, output={"ids": {"$": "steps.each.output[].id"}})
    workflow = kernel.start(name, {"n": 3, "list": [{"names": ["x", "y"]}, {"names": ["z"]}]})
    drive()
    row = db.row("SELECT given, key FROM event_waits WHERE step_key = 'each[0].w'", ())
    assert row is not None
    assert row["given"] == {"item": {"names": ["x", "y"]}, "steps": {"a": {"output": {"n": 3}}}}
    assert row["key"] in (keys_of({"data": {"n": 3.0}}) or [])
    for number, (n, subject) in enumerate([(3, "v"), (4, "y"), (3.0, "y"), (3, "z")]):
        send(kernel, paid(number, data={"n": n}, subject=subject))
    assert output(kernel, workflow) == {"ids": ["2", "3"]}


def test_a_filter_that_fails_on_an_event_is_noted_and_takes_others(kernel: Kernel) -> None:
    name = waiting_for(kernel, {"type": "order.paid", "filter": "length(event.data.order) > `0`"})
    workflow = kernel.start(name)
    drive()
    send(kernel, paid(1), paid(2, data={"order": "b"}))
    assert output(kernel, workflow) == {"order": "b", "id": "2"}
    row = db.row("SELECT raised, reason FROM event_waits", ())
    assert row is not None
    assert row["raised"] == 1
    assert "invalid type for value: 1" in row["reason"]


def test_filters_that_fail_on_an_event_are_noted_in_one_statement(kernel: Kernel) -> None:
    name = waiting_for(kernel, {"type": "order.*", "filter": "length(event.data.order) > `0`"})
    for _ in range(5):
        kernel.start(name)
    drive()
    send(kernel, paid(1))
    noted = "SELECT count(DISTINCT xmin::text) AS by, min(raised), max(raised) FROM event_waits"
    assert db.row(noted, ()) == {"by": 1, "min": 1, "max": 1}


def test_a_filter_that_fails_on_stored_events_is_noted_for_each(kernel: Kernel) -> None:
    send(kernel, paid(1), paid(2), paid(3, data={"order": "c"}))
    filter = "length(event.data.order) > `0`"
    event = {"type": "order.*", "filter": filter, "within_last": "1h"}
    workflow = kernel.start(waiting_for(kernel, event))
    assert output(kernel, workflow) == {"order": "c", "id": "3"}
    assert db.row("SELECT raised FROM event_waits", ()) == {"raised": 2}


@pytest.mark.parametrize(
    ("rest", "status"), [({}, "failed"), ({"on_timeout": "go_on"}, "succeeded")]
)
def test_a_wait_without_its_event_ends_as_it_says(
    kernel: Kernel, ada: Caller, rest: dict[str, Any], status: str
) -> None:
    name = waiting_for(kernel, PAID, timeout="1d", **rest)
    workflow = kernel.start(name, {"order": 1})
    drive()
    pass_time("1 day")
    send(kernel, paid(1))  # too late
    drive()
    assert kernel.workflow(workflow)["status"] == status
    code = (kernel.step(workflow, "paid")["error"] or {}).get("code")
    assert code == ("event_timed_out" if status == "failed" else None)
    db.row("UPDATE event_waits SET created_at = created_at - interval '2 hours'", ())
    clean_events_in()
    assert waits() == {"open": 0, "taken": 0}


@pytest.mark.parametrize("died", ["before the match", "before the look", "late"])
def test_an_event_accepted_in_time_ends_its_wait_though_it_is_brought_too_late(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, died: str
) -> None:
    if died == "before the look":
        send(kernel, paid(1, order=2), paid(2))
        monkeypatch.setattr(waiting, "LOOK_WORK", 1)  # the look ends after the first event
    filter = "event.data.order < input.order"
    event = {"type": "order.*", "filter": filter, "within_last": "1h"}
    workflow = kernel.start(waiting_for(kernel, event, timeout="1d"), {"order": 2})
    drive()
    if died != "before the look":
        events = intake.store(kernel.user_id, [paid(2), paid(3)])
        db.row("UPDATE incoming_events SET received_at = received_at - interval '1 minute'", ())
    assert kernel.step(workflow, "paid")["status"] == "waiting"
    pass_time("1 day")
    assert kernel.step(workflow, "paid")["status"] == "pending"
    if died == "late":
        matching.match_at_once([each.id for each in events])
    else:
        waiting.sweep_waits(time.monotonic() + 1.0)  # it must not spoil what the step looks for
    assert output(kernel, workflow) == {"order": 1, "id": "2"}
    assert waits() == {"open": 0, "taken": 1}


def test_a_paused_workflow_keeps_the_event_and_a_stopped_one_takes_none(
    kernel: Kernel, ada: Caller
) -> None:
    name = waiting_for(kernel, PAID)
    paused, stopped = (kernel.start(name, {"order": 1}) for _ in range(2))
    drive()
    pause(ada, paused)
    kernel.cancel(stopped)
    send(kernel, paid(1))
    assert drive() == []
    resume(ada, paused)
    assert output(kernel, paused) == {"order": 1, "id": "1"}
    assert waits() == {"open": 1, "taken": 1}
    assert kernel.workflow(stopped)["status"] == "cancelled"


def test_an_event_that_no_process_has_brought_to_its_wait_is_brought_by_the_reconciler(
    kernel: Kernel,
) -> None:
    name = waiting_for(kernel, PAID)
    workflow = kernel.start(name, {"order": 1})
    drive()
    intake.store(kernel.user_id, [paid(1)])
    db.row("UPDATE incoming_events SET match_after = clock_timestamp()", ())
    reconcile()
    assert output(kernel, workflow) == {"order": 1, "id": "1"}


def test_a_process_that_dies_between_decision_and_wake_loses_no_event(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = kernel.start(waiting_for(kernel, PAID), {"order": 1})
    drive()
    # No time is left after the decision is committed.
    monkeypatch.setattr(matching, "AT_ONCE_SECONDS", -1.0)
    send(kernel, paid(1))
    assert kernel.step(workflow, "paid")["status"] == "waiting"
    reconcile()
    assert output(kernel, workflow) == {"order": 1, "id": "1"}
    row = db.row("SELECT wakes_at, wakes_from FROM incoming_events", ())
    assert row == {"wakes_at": None, "wakes_from": None}


def test_a_wait_whose_worker_died_before_it_looked_is_looked_for(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(kernel, paid(1))
    monkeypatch.setattr(waiting, "LOOK_WORK", 1)  # it stops after the first event of its window
    event = {"type": "*", "filter": "event.data.order >= input.order", "within_last": "1h"}
    workflow = kernel.start(waiting_for(kernel, event), {"order": 2})
    drive()
    row = db.row("SELECT looked_at, looked_to FROM event_waits", ())
    assert row is not None
    assert row["looked_at"] is None
    # Each pass goes on where the one before has ended, and an event after that wakes as usual.
    for _ in range(3):
        reconcile()
    row = db.row("SELECT looked_at FROM event_waits", ())
    assert row is not None
    assert row["looked_at"] is not None
    send(kernel, paid(2, order=2))
    assert output(kernel, workflow) == {"order": 2, "id": "2"}


def test_a_wait_that_could_not_be_woken_delays_no_others_and_is_woken_later(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = waiting_for(kernel, PAID)
    workflows = [kernel.start(name, {"order": 1}) for _ in range(3)]
    drive()
    due = "UPDATE incoming_events SET wakes_at = clock_timestamp() WHERE wakes_at IS NOT NULL"
    first = kernel.step(workflows[0], "paid")["external_id"]
    db.row(  # a row that is in the way of what the first wait is given
        "INSERT INTO webhook_deliveries (platform, delivery_id, kind, payload)"
        " VALUES ('control', %s, 'event', '{}')",
        (first,),
    )
    monkeypatch.setattr(waiting, "LOOK_WORK", 1)  # a look for each wait
    send(kernel, paid(1))
    for _ in range(2):
        db.row(due, ())
        reconcile()
    assert [output(kernel, each) for each in workflows] == [None, *[{"order": 1, "id": "1"}] * 2]
    db.row("DELETE FROM webhook_deliveries WHERE delivery_id = %s", (first,))
    db.row(due, ())
    reconcile()
    assert output(kernel, workflows[0]) == {"order": 1, "id": "1"}
    assert db.row("SELECT wakes_at FROM incoming_events", ()) == {"wakes_at": None}


@pytest.mark.parametrize("earlier", [1, 3])
def test_an_event_that_is_committed_behind_the_place_of_a_look_is_not_lost(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, earlier: int
) -> None:
    send(kernel, *(paid(number, order=2) for number in range(earlier)))
    monkeypatch.setattr(waiting, "LOOK_WORK", 1)  # the look has come to the first event
    event = {"type": "*", "filter": "event.data.order < input.order", "within_last": "1h"}
    workflow = kernel.start(waiting_for(kernel, event), {"order": 2})
    drive()
    (late,) = intake.store(kernel.user_id, [paid(9)])
    received = "UPDATE incoming_events SET received_at = received_at - interval '1 minute'"
    db.row(f"{received} WHERE id = %s", (late.id,))
    matching.match_at_once([late.id])
    assert output(kernel, workflow) == {"order": 1, "id": "9"}


def test_an_event_of_another_user_or_of_a_long_chain_wakes_nothing(kernel: Kernel) -> None:
    row = db.row("SELECT create_user_v1('eve@example.com') AS id", ())
    assert row is not None
    workflow = kernel.start(waiting_for(kernel, PAID | {"within_last": "1h"}), {"order": 1})
    drive()
    intake.accept(row["id"], [paid(1)])
    send(kernel, paid(2), depth=matching.MOST_DEPTH)
    drive()
    assert kernel.step(workflow, "paid")["status"] == "waiting"
    send(kernel, paid(3), depth=matching.MOST_DEPTH - 1)
    assert output(kernel, workflow) == {"order": 1, "id": "3"}


def test_an_event_that_a_woken_workflow_emits_is_one_deeper(kernel: Kernel) -> None:
    emits = {"step": "tell", "action": "control.emit", "with": {"type": "order.told"}}
    node = {"sequence": [{"wait": "paid", "event": {"type": "order.paid"}}, emits]}
    kernel.start(kernel.register(node))
    drive()
    send(kernel, paid(1), depth=3)
    drive()
    rows = db.rows("SELECT type, depth FROM incoming_events ORDER BY id", ())
    assert [(row["type"], row["depth"]) for row in rows] == [("order.paid", 3), ("order.told", 4)]


def test_a_wait_that_is_retried_by_hand_takes_what_came_meanwhile(
    kernel: Kernel, ada: Caller
) -> None:
    name = waiting_for(kernel, PAID, timeout="1d")
    versions.register(
        {
            "name": name,
            "on_failure": "hold",
            "do": {"wait": "paid", "event": PAID, "timeout": "1d"},
        },
        activates=True,
    )
    workflow = kernel.start(name, {"order": 1})
    drive()
    pass_time("1 day")
    drive()
    assert kernel.step(workflow, "paid")["status"] == "failed"
    send(kernel, paid(1))
    retry(ada, workflow)
    drive()
    assert kernel.step(workflow, "paid")["output"]["id"] == "1"


def test_a_wait_can_be_skipped(kernel: Kernel, ada: Caller) -> None:
    workflow = kernel.start(waiting_for(kernel, PAID), {"order": 1})
    drive()
    skip(ada, workflow, step="paid", reason="paid in cash")
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"
    send(kernel, paid(1))
    assert waits() == {"open": 1, "taken": 0}
