"""What becomes of each time under each policy: beside what runs, at once, and while one waits."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from app import db
from chains.commands.cancel import cancel
from chains.commands.command import Caller
from chains.undoing.settle import settle
from tests.integration.driving import drive
from tests.integration.firing.conftest import Fired, Make, fire_all, shift
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


@pytest.fixture
def each(schedule: Make) -> Callable[[int], dict[str, Fired]]:
    """Make a schedule of each policy, of which so many times are due."""

    def make(hours: int) -> dict[str, Fired]:
        return {policy: schedule(policy, hours, name=policy) for policy in TABLE}

    return make


Each = Callable[[int], dict[str, Fired]]


def outcomes(made: dict[str, Fired], after: int = 0) -> dict[str, list[str]]:
    """Let hours pass, and fire; the outcomes by policy."""
    shift(f"{after} hours")
    fire_all()
    return {policy: one.outcomes for policy, one in made.items()}


def test_a_time_beside_what_runs_and_the_next_one(each: Each) -> None:
    made = each(1)
    assert outcomes(made) == {policy: ["started"] for policy in TABLE}
    expected = {policy: ["started", *fates.beside] for policy, fates in TABLE.items()}
    assert outcomes(made, after=1) == expected
    later = {policy: ["started", *fates.while_one_waits] for policy, fates in TABLE.items()}
    assert outcomes(made, after=1) == later | {"skip": ["started", "skipped", "skipped"]}


def test_several_times_at_once_after_an_outage(each: Each) -> None:
    made = each(3)
    expected = {policy: fates.at_once for policy, fates in TABLE.items()}
    assert outcomes(made) == expected
    assert outcomes(made) == expected, "nothing is decided twice"


def test_several_times_at_once_beside_what_runs(each: Each) -> None:
    made = each(1)
    outcomes(made)
    expected = {policy: ["started", *fates.at_once_beside] for policy, fates in TABLE.items()}
    assert outcomes(made, after=3) == expected
    for one in made.values():
        row = one.row
        fates = [(run["outcome"], run["times"]) for run in one.runs]
        assert row["started"] == sum(n for fate, n in fates if fate == "started")
        assert row["skipped"] == sum(n for fate, n in fates if fate in {"skipped", "replaced"})
        assert row["missed"] == row["dropped"] == row["refused"] == 0


def test_what_waits_starts_when_what_ran_has_ended(schedule: Make) -> None:
    after = {
        "buffer_one": ["started", "started", "skipped"],
        "buffer_all": ["started", "started", "buffered"],
    }
    made = {policy: schedule(policy, 3, name=policy) for policy in after}
    outcomes(made)
    drive()
    assert outcomes(made) == after
    for _ in range(2):
        drive()
        outcomes(made)
    for one in made.values():
        assert "buffered" not in one.outcomes
        statuses = [workflow["status"] for workflow in one.workflows]
        assert statuses == ["succeeded"] * one.row["started"]


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
    for each in one.workflows:
        if each["status"] == "compensating":
            settle(each["id"])


def test_a_running_workflow_of_another_schedule_is_no_overlap(schedule: Make) -> None:
    name = schedule("skip").kernel.register(noop("only"))
    one, other = schedule("skip", name="one", type=name), schedule("skip", name="other", type=name)
    assert (one.fire(), other.fire()) == (["started"], ["started"])
