"""A singleton has one live workflow: a second start is answered with it, or takes its place."""

from typing import Any

import pytest

from app import db
from app.errors import Conflict
from chains.firing.stops import stop_replaced
from chains.repair.housekeeping import clean_starts
from chains.repair.reconcile import reconcile
from chains.starting.writing import Deferral
from tests.integration.conftest import Kernel, Threads
from tests.integration.driving import drive
from tests.integration.flow.gathering import count, push, set_clock
from tests.integration.flow.samples import admit, turn
from tests.unit.definitions import noop


def single(kernel: Kernel, mode: str, **rest: Any) -> str:
    return kernel.register(noop("a"), flow={"singleton": {"mode": mode, **rest}})


def test_skipped_start_is_answered_with_the_live_workflow(kernel: Kernel) -> None:
    name = single(kernel, "skip", key="input.user")
    first = push(kernel, name, {"user": "ada"}, "one")
    again = push(kernel, name, {"user": "ada", "n": 2}, "two")
    assert (again.id, again.created, again.how) == (first.id, False, "live")
    assert push(kernel, name, {"user": "bob"}).created
    drive()
    later = push(kernel, name, {"user": "ada"}, "three")
    assert later.created
    # A repeated request gets its first answer, though another workflow lives now.
    assert push(kernel, name, {"user": "ada", "n": 2}, "two").id == first.id
    with pytest.raises(Conflict):
        push(kernel, name, {"user": "ada", "n": 3}, "two")
    assert count("workflows") == 3


def test_workflow_that_waits_or_is_undone_still_lives(kernel: Kernel) -> None:
    name = single(kernel, "skip")
    deferred = kernel.start(name, {}, deferral=Deferral(None, 60.0, None))
    assert push(kernel, name, {}).id == deferred
    kernel.cancel(deferred)
    running = push(kernel, name, {}).id
    assert running != deferred
    kernel.claim(running, "a")
    kernel.cancel(running)
    assert kernel.workflow(running)["status"] == "compensating"
    assert push(kernel, name, {}).id == running


def test_starts_at_the_same_instant_make_one_workflow(kernel: Kernel, in_threads: Threads) -> None:
    name = single(kernel, "skip")
    found = in_threads([lambda: push(kernel, name, {})] * 16)
    assert len({each.id for each in found}) == 1
    assert [each.how for each in found].count("started") == 1
    assert count("workflows") == 1


def test_replaced_workflow_is_stopped_and_undone(kernel: Kernel) -> None:
    name = single(kernel, "replace")
    first, second = push(kernel, name, {"n": 1}), push(kernel, name, {"n": 2})
    assert (second.created, second.id != first.id) == (True, True)
    stop_replaced()
    reconcile()
    row = kernel.workflow(first.id)
    assert (row["status"], row["cause"]) == ("cancelled", "cancelled")
    assert "takes its place" in row["error"]["message"]
    turn()
    turn()
    assert kernel.workflow(second.id)["status"] == "succeeded"
    third = push(kernel, name, {"n": 3})
    stop_replaced()
    assert kernel.workflow(second.id)["status"] == "succeeded"
    admit()
    assert kernel.workflow(third.id)["status"] == "running"


def test_of_starts_at_the_same_instant_the_last_one_is_not_replaced(
    kernel: Kernel, in_threads: Threads
) -> None:
    name = single(kernel, "replace")
    found = in_threads([lambda n=n: push(kernel, name, {"n": n}) for n in range(8)])  # type: ignore[misc]
    stop_replaced()
    reconcile()
    admit()
    statuses = sorted(kernel.workflow(each.id)["status"] for each in found)
    assert statuses == [*["cancelled"] * 7, "running"]
    last = db.row("SELECT workflow_id AS id FROM singletons", ())
    assert last is not None
    assert kernel.workflow(last["id"])["status"] == "running"


def test_what_flow_control_no_longer_needs_is_deleted(kernel: Kernel) -> None:
    name = single(kernel, "skip", key="input.n")
    limited = kernel.register(noop("b"), flow={"rate_limit": {"limit": 1, "period": "1h"}})
    ended = push(kernel, name, {"n": 1}).id
    drive()
    live = push(kernel, name, {"n": 2}).id
    push(kernel, name, {"n": 2}, "kept")
    push(kernel, limited, {})
    assert clean_starts() == {"deleted": 1}
    assert [row["id"] for row in db.rows("SELECT workflow_id AS id FROM singletons", ())] == [live]
    assert ended != live
    set_clock(3601)
    assert clean_starts() == {"deleted": 1}
    assert [count(each) for each in ("start_rates", "start_handles")] == [0, 1]
