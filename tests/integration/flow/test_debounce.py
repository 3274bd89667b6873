"""A debounce starts one workflow for many starts: after a quiet period, or at its time-out."""

from uuid import UUID

import pytest

from app.errors import Conflict, InvalidInput
from chains.commands.cancel import cancel
from chains.commands.command import caller_of
from chains.commands.pause import pause, resume
from chains.repair.reconcile import reconcile
from chains.starting import deferred
from chains.starting.start import start_workflow
from chains.starting.writing import Deferral
from tests.integration.conftest import Kernel, Threads
from tests.integration.driving import drive, statuses
from tests.integration.flow.gathering import (
    count,
    debounced,
    due_in,
    push,
    set_clock,
    types,
)
from tests.integration.flow.samples import admit, controlled, states, turn
from tests.unit.definitions import noop


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ("first", {"n": 1}),
        ("last", {"n": 3}),
        ("all", {"items": [{"n": 1}, {"n": 2}, {"n": 3}]}),
    ],
)
@pytest.mark.usefixtures("agreeing")
def test_one_workflow_starts_after_the_period_with_what_is_kept(
    kernel: Kernel, keep: str, expected: object
) -> None:
    name = debounced(kernel, keep=keep)
    first = push(kernel, name, {"n": 1})
    assert (first.created, first.how) == (True, "waits")
    assert due_in(kernel, first.id) == pytest.approx(10, abs=2)
    for n in (2, 3):
        set_clock(9 * (n - 1))
        again = push(kernel, name, {"n": n})
        assert (again.id, again.created, again.how) == (first.id, False, "joined")
        assert due_in(kernel, first.id) == pytest.approx(10, abs=2)
    reconcile()
    assert deferred.begin(first.id) == "not_due"
    set_clock(18 + 11)
    reconcile()
    drive()
    row = kernel.workflow(first.id)
    assert (row["status"], row["input"]) == ("succeeded", expected)
    assert statuses(first.id) == {"a": "succeeded"}
    collected = ["StartsCollected"] if keep == "all" else []
    assert types(kernel, first.id) == [
        *("WorkflowDeferred", "StartJoined", "StartJoined"),
        *(*collected, "WorkflowStarted", "StepSucceeded", "WorkflowSucceeded"),
    ]
    assert [count(each) for each in ("workflows", "start_gatherings", "start_items")] == [1, 0, 0]


def test_time_out_bounds_how_long_it_is_put_off(kernel: Kernel) -> None:
    name = debounced(kernel, timeout="25s")
    first = push(kernel, name, {"n": 1}).id
    for at in (8, 16, 24):
        set_clock(at)
        assert push(kernel, name, {"n": at}).id == first
    assert due_in(kernel, first) == pytest.approx(1, abs=0.9)
    # A start less than a second beyond the time-out is not part of it, though nothing has begun it.
    set_clock(25.1)
    later = push(kernel, name, {"n": 25}).id
    assert later != first
    assert due_in(kernel, later) == pytest.approx(10, abs=1)
    reconcile()
    drive()
    assert kernel.workflow(first)["input"] == {"n": 24}
    assert kernel.workflow(first)["status"] == "succeeded"
    assert kernel.workflow(later)["status"] == "pending"


def test_starts_of_other_keys_users_and_versions_do_not_join(kernel: Kernel) -> None:
    name = debounced(kernel, key="input.cart")
    of = {cart: push(kernel, name, {"cart": cart}).id for cart in ("a", "b")}
    assert push(kernel, name, {"cart": "a"}).id == of["a"]
    with pytest.raises(InvalidInput, match="null"):
        push(kernel, name, {})
    debounced(kernel, key="input.cart", keep="first")
    assert push(kernel, name, {"cart": "a"}).id not in of.values()


def test_repeated_request_gets_the_same_handle_and_another_body_a_conflict(kernel: Kernel) -> None:
    name = debounced(kernel, keep="all")
    first = push(kernel, name, {"n": 1}, "one")
    for key, given in (("two", {"n": 2}), ("two", {"n": 2}), ("one", {"n": 1})):
        assert push(kernel, name, given, key).id == first.id
    assert push(kernel, name, {"n": 2}, "two").how == "started"
    with pytest.raises(Conflict, match="another body"):
        push(kernel, name, {"n": 3}, "two")
    other = kernel.register(noop("b"))
    with pytest.raises(Conflict, match="another body"):
        push(kernel, other, {"n": 2}, "two")
    set_clock(11)
    reconcile()
    drive()
    assert kernel.workflow(first.id)["input"] == {"items": [{"n": 1}, {"n": 2}]}
    assert push(kernel, name, {"n": 2}, "two").id == first.id


def test_every_item_is_checked_by_the_items_of_the_input_schema(kernel: Kernel) -> None:
    item = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    schema = {"type": "object", "properties": {"items": {"type": "array", "items": item}}}
    flow = {"debounce": {"period": "10s", "keep": "all"}}
    name = kernel.register(noop("a"), flow=flow, input_schema=schema)
    first = push(kernel, name, {"n": 1}).id
    with pytest.raises(InvalidInput) as wrong:
        push(kernel, name, {"n": "x"})
    assert wrong.value.field == "/input/n"
    push(kernel, name, {"n": 2})
    set_clock(11)
    reconcile()
    assert kernel.workflow(first)["input"] == {"items": [{"n": 1}, {"n": 2}]}


def test_start_that_is_deferred_by_itself_is_refused(kernel: Kernel) -> None:
    name = debounced(kernel)
    with pytest.raises(InvalidInput, match="leave out `start_at`"):
        start_workflow(
            user_id=kernel.user_id, type=name, input={}, deferral=Deferral(None, 60.0, None)
        )


@pytest.mark.usefixtures("agreeing")
def test_debounce_waits_for_a_place_with_the_key_of_the_input_that_it_keeps(
    kernel: Kernel,
) -> None:
    name = controlled(
        kernel, debounce={"period": "10s"}, concurrency=[{"limit": 1, "key": "input.user"}]
    )
    first = push(kernel, name, {"user": "ada"}).id
    push(kernel, name, {"user": "bob"})
    set_clock(11)
    reconcile()
    admit()
    second = push(kernel, name, {"user": "bob"}).id
    set_clock(22)
    reconcile()
    admit()
    assert states([first, second]) == ["running", "pending"]
    turn()
    assert states([first, second]) == ["succeeded", "running"]


def test_paused_debounce_takes_starts_until_it_is_due_and_begins_on_resuming(
    kernel: Kernel,
) -> None:
    ada = caller_of(kernel.user_id)
    name = debounced(kernel)
    first = push(kernel, name, {"n": 1}).id
    pause(ada, first)
    assert push(kernel, name, {"n": 2}).id == first
    set_clock(11)
    reconcile()
    other = push(kernel, name, {"n": 3}).id
    assert other != first
    resume(ada, first)
    reconcile()
    drive()
    assert kernel.workflow(first)["input"] == {"n": 2}
    assert kernel.workflow(first)["status"] == "succeeded"


def test_start_after_a_cancel_opens_another_debounce(kernel: Kernel) -> None:
    name = debounced(kernel)
    first = push(kernel, name, {"n": 1}).id
    cancel(caller_of(kernel.user_id), first)
    second = push(kernel, name, {"n": 2})
    assert (second.id != first, second.created) == (True, True)
    set_clock(11)
    reconcile()
    drive()
    assert kernel.workflow(first)["status"] == "cancelled"
    assert kernel.workflow(second.id)["status"] == "succeeded"


@pytest.mark.usefixtures("agreeing")
def test_starts_at_the_same_instant_join_one_workflow(kernel: Kernel, in_threads: Threads) -> None:
    name = debounced(kernel, keep="all")
    found = in_threads([lambda n=n: push(kernel, name, {"n": n}) for n in range(16)])  # type: ignore[misc]
    assert len({each.id for each in found}) == 1
    assert [each.created for each in found].count(True) == 1
    set_clock(11)
    reconcile()
    given = kernel.workflow(found[0].id)["input"]["items"]
    assert sorted(each["n"] for each in given) == list(range(16))


@pytest.mark.usefixtures("agreeing")
def test_start_that_comes_while_it_begins_is_in_it_or_in_the_next_one(
    kernel: Kernel, in_threads: Threads
) -> None:
    """Every input is in exactly one workflow, whoever comes first."""
    name = debounced(kernel, keep="all")
    ids: set[UUID] = set()
    for number in range(1, 4):
        set_clock(number * 100)
        first = push(kernel, name, {"n": 0}).id
        set_clock(number * 100 + 11)

        def join(n: int) -> UUID:
            return push(kernel, name, {"n": n}).id

        found = in_threads(
            [
                *(lambda first=first: deferred.begin(first) for _ in range(4)),
                *(lambda n=n: join(n) for n in range(1, 13)),
            ]
        )
        assert found[:4].count("begun") == 1
        ids |= {first, *found[4:]}
        set_clock(number * 100 + 30)
        for each in ids:
            deferred.begin(each)
    given = [each["n"] for id in ids for each in kernel.workflow(id)["input"]["items"]]
    assert sorted(given) == sorted([0] * 3 + 3 * list(range(1, 13)))
    assert {kernel.workflow(id)["status"] for id in ids} == {"running"}
