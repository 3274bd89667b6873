"""A batch starts one workflow for many starts: when it is full, or at its time-out."""

from typing import Any

import psycopg2
import pytest

from app import db
from app.errors import InvalidInput
from app.platform import Json
from chains.commands.cancel import cancel
from chains.commands.command import caller_of
from chains.language.flow import MOST_BYTES, MOST_ITEMS
from chains.repair.reconcile import reconcile
from tests.integration.conftest import Kernel, Threads
from tests.integration.driving import drive
from tests.integration.flow.gathering import batched, count, due_in, push, set_clock, types
from tests.integration.flow.samples import admit, controlled, states, turn
from tests.unit.definitions import noop


def inputs(kernel: Kernel) -> list[Any]:
    """The inputs of all workflows, in the order of their starts."""
    rows = db.rows("SELECT input FROM workflows ORDER BY id", ())
    return [[each["n"] for each in row["input"]["items"]] for row in rows]


@pytest.mark.usefixtures("agreeing")
def test_batch_starts_at_once_when_it_has_its_size(kernel: Kernel) -> None:
    name = batched(kernel)
    found = [push(kernel, name, {"n": n}) for n in range(7)]
    assert [each.how for each in found] == [*["waits", "joined", "joined"] * 2, "waits"]
    assert len({each.id for each in found[:3]}) == 1
    assert [kernel.workflow(found[n].id)["status"] for n in (0, 3, 6)] == [
        *("running", "running", "pending"),
    ]
    drive()
    assert kernel.workflow(found[0].id)["status"] == "succeeded"
    assert inputs(kernel) == [[0, 1, 2], [3, 4, 5], []]
    assert types(kernel, found[0].id)[:5] == [
        *("WorkflowDeferred", "StartJoined", "StartJoined", "StartsCollected", "WorkflowStarted"),
    ]


@pytest.mark.usefixtures("agreeing")
def test_time_out_counts_from_the_first_item(kernel: Kernel) -> None:
    name = batched(kernel)
    first = push(kernel, name, {"n": 1}).id
    set_clock(50)
    assert push(kernel, name, {"n": 2}).id == first
    assert due_in(kernel, first) == pytest.approx(10, abs=2)
    set_clock(61)
    assert push(kernel, name, {"n": 3}).id != first
    reconcile()
    assert inputs(kernel) == [[1, 2], []]
    assert count("start_gatherings") == 1


def test_batch_starts_when_it_has_its_bytes(kernel: Kernel) -> None:
    name = batched(kernel, size=100, bytes=60)
    short, long = {"n": 1}, {"n": 2, "text": "x" * 60}
    assert [push(kernel, name, each).how for each in (short, short, long)] == [
        *("waits", "joined", "joined"),
    ]
    assert push(kernel, name, long).how == "waits"
    reconcile()
    assert inputs(kernel) == [[1, 1, 2], [2]]


def test_what_is_collected_is_bounded(kernel: Kernel) -> None:
    name = batched(kernel, size=MOST_ITEMS)
    big: Json = {"n": 1, "text": "x" * (MOST_BYTES // 2)}
    found = [push(kernel, name, big) for _ in range(3)]
    assert len({each.id for each in found}) == 3
    reconcile()
    assert inputs(kernel) == [[1], [1], []]


@pytest.mark.usefixtures("agreeing")
def test_size_that_two_reach_at_once_makes_two_whole_batches(
    kernel: Kernel, in_threads: Threads
) -> None:
    name = batched(kernel, size=4)
    found = in_threads([lambda n=n: push(kernel, name, {"n": n}) for n in range(16)])  # type: ignore[misc]
    ids = {each.id for each in found}
    assert [each.created for each in found].count(True) == len(ids) == 4
    assert sorted(n for each in inputs(kernel) for n in each) == list(range(16))
    assert {kernel.workflow(id)["status"] for id in ids} == {"running"}


def test_first_item_that_fails_leaves_nothing_open(kernel: Kernel) -> None:
    name = batched(kernel)
    db.row("ALTER TABLE start_items ADD CONSTRAINT no_first CHECK (number > 1)", ())
    with pytest.raises(psycopg2.errors.CheckViolation):
        push(kernel, name, {"n": 1}, "one")
    for table in ("workflows", "start_gatherings", "start_items", "start_handles", "events"):
        assert count(table) == 0
    db.row("ALTER TABLE start_items DROP CONSTRAINT no_first", ())
    assert push(kernel, name, {"n": 1}, "one").how == "waits"
    assert count("start_items") == 1


def test_cancelled_batch_is_the_handle_of_its_items_and_takes_no_more(kernel: Kernel) -> None:
    name = batched(kernel)
    first = push(kernel, name, {"n": 1}, "one").id
    push(kernel, name, {"n": 2}, "two")
    cancel(caller_of(kernel.user_id), first)
    later = push(kernel, name, {"n": 3}, "three")
    assert later.id != first
    reconcile()
    for key, n in (("one", 1), ("two", 2)):
        again = push(kernel, name, {"n": n}, key)
        assert (again.id, again.created) == (first, False)
    assert kernel.workflow(first)["status"] == "cancelled"
    set_clock(61)
    reconcile()
    assert inputs(kernel) == [[], [3]]


def test_item_that_its_schema_refuses_is_not_in_the_batch(kernel: Kernel) -> None:
    name = batched(kernel, key="input.to")
    first = push(kernel, name, {"n": 1, "to": "a"}).id
    with pytest.raises(InvalidInput, match="null"):
        push(kernel, name, {"n": 2})
    assert push(kernel, name, {"n": 3, "to": "b"}).id != first


@pytest.mark.usefixtures("agreeing")
def test_batch_waits_for_a_place_with_the_keys_of_all_its_items(kernel: Kernel) -> None:
    name = controlled(
        kernel,
        batch={"size": 2, "timeout": "1m"},
        concurrency=[{"limit": 1, "key": "input.items[-1].n"}],
    )
    ids = [push(kernel, name, {"n": n}).id for n in (1, 7, 2, 7, 7, 3)]
    admit()
    assert states([ids[0], ids[2], ids[4]]) == ["running", "pending", "running"]
    assert db.rows("SELECT key FROM flow_limits ORDER BY key", ()) == [
        *({"key": f"input.items[-1].n={n}"} for n in (3, 7)),
    ]
    turn()
    assert states([ids[2]]) == ["running"]


@pytest.mark.usefixtures("agreeing")
def test_batch_whose_key_fails_for_all_items_together_is_stopped_with_the_reason(
    kernel: Kernel,
) -> None:
    key = "length(input.items) == `1` && 'one' || abs('x')"
    name = controlled(
        kernel, batch={"size": 2, "timeout": "1m"}, concurrency=[{"limit": 1, "key": key}]
    )
    first = push(kernel, name, {"n": 1}).id
    push(kernel, name, {"n": 2})
    reconcile()
    row = kernel.workflow(first)
    assert (row["status"], row["cause"], row["error"]["code"]) == (
        *("failed", "failed", "flow_key_invalid"),
    )
    assert count("flow_turns") == 0


@pytest.mark.usefixtures("agreeing")
def test_batch_whose_items_the_schema_refuses_together_is_stopped_with_the_reason(
    kernel: Kernel,
) -> None:
    schema = {"type": "object", "allOf": [{"properties": {"items": {"maxItems": 1}}}]}
    batch = {"size": 2, "timeout": "1m"}
    name = kernel.register(noop("a"), input_schema=schema, flow={"batch": batch})
    first = push(kernel, name, {"n": 1}).id
    push(kernel, name, {"n": 2})
    reconcile()
    row = kernel.workflow(first)
    assert (row["status"], row["error"]["code"]) == ("failed", "invalid_input")
    assert "items" in row["error"]["message"]


def test_batch_whose_process_dies_between_closing_and_collecting_is_begun_whole(
    kernel: Kernel,
) -> None:
    name = batched(kernel)
    first = push(kernel, name, {"n": 1}).id
    push(kernel, name, {"n": 2})
    set_clock(61)
    db.row("SELECT close_gathering_v1(%s)", (first,))
    assert push(kernel, name, {"n": 3}).id != first
    reconcile()
    drive()
    assert kernel.workflow(first)["status"] == "succeeded"
    assert inputs(kernel)[0] == [1, 2]
