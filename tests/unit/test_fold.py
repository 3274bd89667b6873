"""What rows should say after events: tables of events as they are written, and bounds where they
do not say a number."""

from typing import Any

import pytest

from chains.repair.expected import Bounds, Expected, ExpectedStep, exactly
from chains.repair.fold import fold
from tests.unit.definitions import noop, planned

Event = dict[str, Any]

STARTED: Event = {"type": "WorkflowStarted", "data": {"workflow_type": "sample", "version": 3}}
PLAN = planned({"sequence": [noop("a"), noop("b")]})


def event(kind: str, step: str | None = None, **data: Any) -> Event:
    made: Event = {"type": kind}
    if step is not None:
        made["step"] = step
    return made | ({"data": data} if data else {})


def folded(*events: Event) -> Expected:
    return fold([STARTED, *events], PLAN)


def step(*events: Event) -> ExpectedStep:
    return folded(*events).steps["a"]


def test_a_workflow_begins_with_the_rows_that_stand_in_no_body() -> None:
    nested = planned(
        {
            "sequence": [
                {"map": "m", "over": {"$": "input.l"}, "do": noop("x")},
                {"loop": "l", "until": "index == `1`", "max": 3, "do": noop("y")},
            ]
        }
    )
    expected = fold([STARTED], nested)
    assert set(expected.steps) == {"m~expand", "m", "l~expand", "l"}
    assert (expected.workflow.type, expected.workflow.version) == ("sample", 3)


def test_items_and_turns_add_the_rows_of_their_bodies_however_deep() -> None:
    inner = {"map": "m", "over": {"$": "input.l"}, "do": noop("x")}
    plan = planned({"loop": "l", "until": "index == `1`", "max": 3, "do": inner})
    expected = fold(
        [
            STARTED,
            event("StepSucceeded", "l~expand", count=1),
            event("StepSucceeded", "l[0].m~expand", count=2),
            event("StepSucceeded", "l[0]~until", count=2),
            event("StepSucceeded", "l[1].m~expand", count=0),
            event("StepSucceeded", "l[1]~until"),
        ],
        plan,
    )
    turns = {f"l[{turn}]{rest}" for turn in (0, 1) for rest in (".m~expand", ".m", "~until")}
    assert set(expected.steps) == {"l~expand", "l", "l[0].m[0].x", "l[0].m[1].x"} | turns
    assert expected.strays == []


def test_what_is_recorded_while_the_workflow_stops_adds_its_rows_all_the_same() -> None:
    plan = planned({"map": "m", "over": {"$": "input.l"}, "do": noop("x")})
    stopping = event("WorkflowStopping", cause="cancelled")
    succeeded = event("StepSucceeded", "m~expand", count=2)
    expected = fold([STARTED, stopping, succeeded], plan)
    assert {key: each.status for key, each in expected.steps.items()} == {
        "m~expand": "succeeded",
        "m": "pending",
        "m[0].x": "pending",
        "m[1].x": "pending",
    }


@pytest.mark.parametrize(
    ("events", "status", "cause", "is_paused", "attention"),
    [
        ([], "running", None, False, None),
        ([event("WorkflowPaused")], "running", None, True, None),
        ([event("WorkflowPaused"), event("WorkflowResumed")], "running", None, False, None),
        ([event("AttentionNeeded", "a", reason="crashing")], "running", None, False, "crashing"),
        (
            [event("AttentionNeeded", "a", reason="x"), event("AttentionResolved", reason="x")],
            "running",
            None,
            False,
            None,
        ),
        (
            [event("WorkflowPaused"), event("WorkflowStopping", cause="failed")],
            "compensating",
            "failed",
            True,
            None,
        ),
        (
            [event("WorkflowPaused"), event("WorkflowStopping", cause="cancelled")],
            "compensating",
            "cancelled",
            False,
            None,
        ),
        (
            [event("WorkflowStopping", cause="failed"), event("StopRefused", "a")],
            "running",
            None,
            False,
            None,
        ),
        (
            [
                event("WorkflowSucceeded", output="h"),
                event("WorkflowStopping", cause="cancelled", is_reopened=True),
            ],
            "compensating",
            "cancelled",
            False,
            None,
        ),
        (
            [
                event("AttentionNeeded", "a", reason="x"),
                event("WorkflowStopping", cause="timed_out"),
                event("WorkflowFailed", cause="timed_out"),
            ],
            "failed",
            "timed_out",
            False,
            None,
        ),
    ],
)
def test_the_row_of_a_workflow(
    events: list[Event], status: str, cause: str | None, is_paused: bool, attention: str | None
) -> None:
    workflow = folded(*events).workflow
    assert (workflow.status, workflow.cause) == (status, cause)
    assert (workflow.is_paused, workflow.attention) == (is_paused, attention)
    assert workflow.is_completed == (status == "failed")


RETRY = event("StepRetryScheduled", "a", code="busy", seconds=1)
SUSPEND = event("StepSuspended", "a", external_id="x")
DOUBT = event("StepOutcomeUnknown", "a", code="unknown_outcome")
EXPIRED = event("StepLeaseExpired", "a", code="lease_expired")


@pytest.mark.parametrize(
    ("events", "may_be", "may_not_be"),
    [
        ([], {"pending", "running"}, {"waiting", "unknown", "succeeded", "cancelled"}),
        ([RETRY], {"pending", "running"}, {"waiting", "succeeded"}),
        ([SUSPEND], {"waiting", "pending", "running"}, {"unknown", "succeeded"}),
        ([SUSPEND, event("StepWoken", "a")], {"pending", "running", "waiting"}, {"unknown"}),
        ([DOUBT], {"unknown", "running"}, {"pending", "waiting", "failed"}),
        ([SUSPEND, DOUBT], {"unknown", "running", "waiting", "pending"}, {"failed"}),
        ([DOUBT, EXPIRED], {"pending", "running"}, {"waiting", "failed"}),
        ([event("StepSucceeded", "a")], {"succeeded"}, {"pending", "running", "waiting"}),
        ([event("StepFailed", "a", code="x")], {"failed"}, {"pending", "running"}),
        ([event("StepCancelled", "a")], {"cancelled"}, {"pending", "running"}),
    ],
)
def test_the_statuses_that_claims_and_polls_may_have_led_to(
    events: list[Event], may_be: set[str], may_not_be: set[str]
) -> None:
    made = step(*events)
    assert {status for status in may_be | may_not_be if made.may_be(status, None)} == may_be


def test_the_same_doubt_again_may_leave_no_event() -> None:
    assert step(RETRY).may_be("unknown", "busy")
    assert not step(RETRY).may_be("unknown", "other")


@pytest.mark.parametrize(
    ("events", "tries"),
    [
        ([], exactly(0)),
        ([RETRY, event("StepSucceeded", "a", tries=1)], exactly(1)),
        ([RETRY, RETRY], Bounds(2, None)),
        ([{**RETRY, "data": {"code": "busy", "tries": 2}}], exactly(2)),
        ([SUSPEND], exactly(0)),
        ([SUSPEND, RETRY], Bounds(0, None)),
        ([RETRY, SUSPEND, event("StepSucceeded", "a")], exactly(0)),
        ([DOUBT], Bounds(0, None)),
        ([event("StepFailed", "a", code="x")], exactly(1)),
        ([event("StepFailed", "a", code="x", is_tolerated=True)], exactly(0)),
        ([DOUBT, event("StepRetryRequested", "a", by="ada")], exactly(0)),
    ],
)
def test_the_tries_as_far_as_events_tell(events: list[Event], tries: Bounds) -> None:
    assert step(*events).tries_by_now() == tries


def test_a_new_generation_is_possible_where_a_retry_does_not_say_it() -> None:
    assert step(RETRY).generation == Bounds(0, 1)
    said = event("StepRetryScheduled", "a", code="busy", generation=1)
    assert step(said).generation == exactly(1)


def test_an_undo_marks_its_step_and_leaves_a_failed_one_failed() -> None:
    stopping = event("WorkflowStopping", cause="failed")
    steps = folded(
        event("StepSucceeded", "a", output="h", cost=5),
        event("StepFailed", "b", code="x"),
        stopping,
        event("StepRetryScheduled", "b~undo", code="busy"),
        event("StepCompensated", "b", output="u"),
        event("StepCompensated", "a", output="v"),
        event("WorkflowCompensated", cause="failed"),
    ).steps
    assert {key: (each.status, each.output) for key, each in steps.items()} == {
        "a": ("compensated", "h"),
        "b": ("failed", None),
        "a~undo": ("succeeded", "v"),
        "b~undo": ("succeeded", "u"),
    }
    assert steps["a"].cost == exactly(5)


def test_an_undo_that_fails_later_leaves_its_step_standing() -> None:
    seen = folded(
        event("StepSucceeded", "a", output="h"),
        event("WorkflowStopping", cause="failed"),
        event("StepCompensated", "a", output="u"),
        event("WorkflowCompensated", cause="failed"),
        event("UndoFailed", "a", code="undo_failed_later", is_reopened=True),
    )
    assert {key: each.status for key, each in seen.steps.items() if key.startswith("a")} == {
        "a": "succeeded",
        "a~undo": "failed",
    }
    assert (seen.workflow.status, seen.workflow.is_completed) == ("compensating", False)


def test_what_never_began_is_cancelled_by_the_end_of_a_stop() -> None:
    stopping = event("WorkflowStopping", cause="cancelled")
    ended = folded(stopping, event("WorkflowCancelled", cause="cancelled"))
    assert {each.status for each in ended.steps.values()} == {"cancelled"}
    assert {each.status for each in folded(stopping).steps.values()} == {"pending"}


def test_ways_that_were_not_chosen_are_skipped() -> None:
    chosen = event("StepSucceeded", "a", skipped=["b", "not[0].there"])
    assert folded(chosen).steps["b"].status == "skipped"


def test_what_people_decide() -> None:
    failed = event("StepFailed", "a", code="x")
    again = step(SUSPEND, failed, event("StepRetryRequested", "a", generation=1, input="h"))
    assert (again.status, again.external_id, again.input) == ("pending", None, "h")
    assert again.generation == exactly(1)
    kept = step(SUSPEND, failed, event("StepRetryRequested", "a"))
    assert (kept.external_id, kept.generation) == ("x", exactly(0))
    never = event("StepResolved", "a", **{"as": "never", "status": "pending", "generation": 1})
    assert step(DOUBT, never).status == "pending"
    skipped = step(event("StepSkipRequested", "a"), event("StepSkipped", "a"))
    assert skipped.status == "skipped"
    undone = folded(
        event("WorkflowStopping", cause="failed"),
        event("StepFailed", "a~undo", code="refused"),
        event("StepResolved", "a~undo", **{"as": "done", "status": "succeeded"}),
        event("StepCompensated", "a"),
    ).steps
    assert (undone["a"].status, undone["a~undo"].status) == ("compensated", "succeeded")


def test_a_fork_takes_over_rows_that_no_expansion_of_its_own_has_added() -> None:
    plan = planned(
        {"sequence": [{"map": "m", "over": {"$": "input.l"}, "do": noop("x")}, noop("b")]}
    )
    adopted = [
        event("StepAdopted", "m~expand", output="h", count=1),
        event("StepAdopted", "m", output="h"),
        event("StepAdopted", "m[0].x", status="failed", cost=7),
    ]
    steps = fold([STARTED, *adopted], plan).steps
    assert {key: each.status for key, each in steps.items()} == {
        "m~expand": "succeeded",
        "m": "succeeded",
        "m[0].x": "failed",
        "b": "pending",
    }
    assert steps["m[0].x"].cost == exactly(7)


def test_an_orphan_adds_rows_that_outlive_the_end_of_their_workflow() -> None:
    found = event("OrphanFound", "a", external_id="x")
    gave_up = (
        event("StepFailed", "a~orphan[x]~undo", code="refused"),
        event("AttentionNeeded", "a~orphan[x]~undo", reason="compensation_failed"),
    )
    stopped = (
        event("WorkflowStopping", cause="failed"),
        event("WorkflowFailed", cause="failed"),
    )
    steps = folded(found, *stopped).steps
    orphan = steps["a~orphan[x]"]
    assert (orphan.status, orphan.external_id, steps["a"].external_id) == ("skipped", "x", None)
    assert (steps["a~orphan[x]~undo"].status, steps["a"].status) == ("pending", "cancelled")
    assert folded(found, *gave_up, *stopped).workflow.attention == "compensation_failed"
    undone = event("StepCompensated", "a~orphan[x]", output="h")
    assert folded(found, *stopped, undone).steps["a~orphan[x]"].status == "compensated"


def test_events_of_rows_that_cannot_be_are_strays() -> None:
    strays = folded(event("StepSucceeded", "nowhere"), event("StepFailed", "z~undo")).strays
    assert strays == [("nowhere", "StepSucceeded"), ("z~undo", "StepFailed")]
