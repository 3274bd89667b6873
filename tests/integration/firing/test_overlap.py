"""What becomes of each time under each policy: beside what runs, at once, and while one waits."""

from typing import NamedTuple

import pytest

from app import db
from chains.commands.cancel import cancel
from chains.commands.command import Caller
from tests.integration.driving import drive
from tests.integration.firing.conftest import Fired, Make
from tests.unit.definitions import noop


class Fates(NamedTuple):
    """The outcomes of a policy: of a time beside what runs, of three at once alone and beside what
    runs, and of the next one while one waits."""

    beside: list[str]
    at_once: list[str]
    at_once_beside: list[str]
    while_one_waits: list[str]


TABLE = {
    "skip": Fates(["skipped"], ["started", "skipped*2"], ["skipped*3"], ["skipped"]),
    "buffer_one": Fates(
        ["buffered"],
        ["started", "buffered", "skipped"],
        ["buffered", "skipped*2"],
        ["buffered", "skipped"],
    ),
    "buffer_all": Fates(
        ["buffered"],
        ["started", "buffered", "buffered"],
        ["buffered"] * 3,
        ["buffered", "buffered"],
    ),
    "cancel_other": Fates(
        ["buffered"],
        ["replaced*2", "started"],
        ["replaced*2", "buffered"],
        ["replaced", "buffered"],
    ),
    "terminate_other": Fates(
        ["started"], ["replaced*2", "started"], ["replaced*2", "started"], ["started", "started"]
    ),
    "allow_all": Fates(["started"], ["started"] * 3, ["started"] * 3, ["started"] * 2),
}


@pytest.fixture(params=TABLE)
def policy(request: pytest.FixtureRequest) -> str:
    """Each policy."""
    return str(request.param)


def test_a_time_beside_what_runs_and_the_next_one(schedule: Make, policy: str) -> None:
    fates = TABLE[policy]
    one = schedule(policy)
    assert one.fire() == ["started"]
    assert one.after(1) == ["started", *fates.beside]
    if policy != "skip":
        assert one.after(1) == ["started", *fates.while_one_waits]


def test_several_times_at_once_after_an_outage(schedule: Make, policy: str) -> None:
    one = schedule(policy, 3)
    assert one.fire() == TABLE[policy].at_once
    assert one.after(0) == TABLE[policy].at_once


def test_several_times_at_once_beside_what_runs(schedule: Make, policy: str) -> None:
    one = schedule(policy)
    one.fire()
    assert one.after(3) == ["started", *TABLE[policy].at_once_beside]
    row = one.row
    counts = {name: row[name] for name in ("started", "skipped", "missed", "dropped", "refused")}
    fates = [(each["outcome"], each["times"]) for each in one.runs]
    assert counts["started"] == sum(n for fate, n in fates if fate == "started")
    assert counts["skipped"] == sum(n for fate, n in fates if fate in {"skipped", "replaced"})
    assert counts["missed"] == counts["dropped"] == counts["refused"] == 0


@pytest.mark.parametrize(
    ("policy", "after"),
    [
        ("buffer_one", ["started", "started", "skipped"]),
        ("buffer_all", ["started", "started", "buffered"]),
    ],
)
def test_what_waits_starts_when_what_ran_has_ended(
    schedule: Make, policy: str, after: list[str]
) -> None:
    one = schedule(policy, 3)
    one.fire()
    drive()
    assert one.fire() == after
    drive()
    one.fire()
    drive()
    assert "buffered" not in one.fire()
    assert [each["status"] for each in one.workflows] == ["succeeded"] * one.row["started"]


def test_what_waits_is_no_more_due_than_what_sleeps(schedule: Make) -> None:
    one = schedule("buffer_all", 3)
    one.fire()
    row = one.row
    assert row["fires_at"] == row["due_at"] > row["seen_to"]


def test_a_replaced_workflow_is_undone_before_the_next_one_starts(
    schedule: Make, ada: Caller
) -> None:
    one = schedule("cancel_other")
    one.fire()
    assert one.after(1) == ["started", "buffered"]
    (first,) = one.workflows
    assert (first["status"], first["cause"]) == ("compensating", "cancelled")
    assert one.fire() == ["started", "buffered"], "compensating counts as running"
    _undo(one)
    assert one.fire() == ["started", "started"]
    assert [each["status"] for each in one.workflows] == ["cancelled", "running"]


def test_a_terminated_workflow_is_undone_beside_the_next_one(schedule: Make) -> None:
    one = schedule("terminate_other")
    one.fire()
    assert one.after(1) == ["started", "started"]
    assert [each["status"] for each in one.workflows] == ["compensating", "running"]
    types = {each["type"] for each in one.kernel.events(one.workflows[0]["id"])}
    assert {"WorkflowStopping", "CancelRequested"} <= types


def test_a_changed_policy_applies_to_what_waits(schedule: Make) -> None:
    one = schedule("buffer_all", 4)
    assert one.fire() == ["started"] + ["buffered"] * 3
    one.set(overlap="allow_all", spec_version=2)
    assert one.after(1) == ["started"] * 5


def test_a_policy_that_replaces_takes_the_last_of_what_waits(schedule: Make) -> None:
    one = schedule("buffer_all", 4)
    one.fire()
    one.set(overlap="terminate_other", spec_version=2)
    assert one.after(1) == ["started", "replaced", "replaced", "replaced", "started"]


def test_more_starts_than_places_are_dropped_and_counted(schedule: Make) -> None:
    one = schedule("buffer_all")
    one.fire()
    db.row(
        "INSERT INTO schedule_runs (schedule_id, kind, nominal_at, outcome, is_open)"
        " SELECT %s, 'regular', clock_timestamp() - n * interval '1 s', 'buffered', true"
        " FROM generate_series(1, 999) AS n",
        (one.id,),
    )
    one.after(3)
    fates = [each["outcome"] for each in one.runs]
    assert (fates.count("buffered"), one.row["dropped"]) == (1000, 2)


def test_a_paused_workflow_counts_as_running(schedule: Make) -> None:
    one = schedule("skip")
    one.fire()
    db.row("UPDATE workflows SET paused_at = clock_timestamp()", ())
    assert one.after(1) == ["started", "skipped"]


def test_a_workflow_that_a_person_cancels_makes_room(schedule: Make, ada: Caller) -> None:
    one = schedule("buffer_one", 2)
    one.fire()
    cancel(ada, one.workflows[0]["id"])
    _undo(one)
    assert one.fire() == ["started", "started"]


def _undo(one: Fired) -> None:
    """Carry the undoing of its workflows to the end, as the reconciler does."""
    from chains.undoing.settle import settle

    for each in one.workflows:
        if each["status"] == "compensating":
            settle(each["id"])


def test_a_running_workflow_of_another_schedule_is_no_overlap(schedule: Make) -> None:
    name = schedule("skip").kernel.register(noop("only"))
    one, other = schedule("skip", name="one", type=name), schedule("skip", name="other", type=name)
    assert (one.fire(), other.fire()) == (["started"], ["started"])
