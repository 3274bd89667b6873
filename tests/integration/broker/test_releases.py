"""Workers of an older or newer release than a definition: a step that they refuse must not fail.

It waits for a worker of the right release.
"""

import time
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from pydantic import Field

from app import db, queries
from app.engine.attempt import execute
from app.engine.moves import Moves
from app.engine.outcome_writer import record
from app.engine.releases import fingerprint
from app.platform import Action, ActionInput, Json
from app.protocol import claims
from app.protocol.claims import Claim
from chains import registry
from chains.actions import actions
from chains.catalogue import versions
from chains.commands.command import caller_of
from chains.commands.resolve import dismiss
from chains.running.prepare import prepare
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time, run
from tests.unit.definitions import fail, noop

pytestmark = pytest.mark.usefixtures("agreeing")

SLEEP = "control.sleep"
NAP: Json = {"step": "nap", "action": SLEEP, "with": {"seconds": {"$": "input.seconds"}}}


class OlderInput(ActionInput):
    """The input of an older release, which has minutes instead of seconds."""

    minutes: float = 0.0


class WiderInput(ActionInput):
    """The input of another release, which accepts everything that the present one accepts."""

    seconds: float | str
    unit: str = "s"


class Reworded(ActionInput):
    """An input with the present JSON Schema, but with other texts for people."""

    seconds: float = Field(ge=0, le=3600.0, title="Title", description="In other words.")


def of_release(model: type[ActionInput]) -> Action:
    """The action `control.sleep` with the input of another release. It does not sleep."""
    return replace(actions()[SLEEP], input=model, run=lambda call, given: {"ran": True})


OLDER = of_release(OlderInput)


def nap(kernel: Kernel, seconds: Any = 0, **rest: Any) -> UUID:
    return kernel.start(kernel.register({**NAP, **rest}), {"seconds": seconds})


def tried(workflow: UUID, key: str, action: Action) -> tuple[Moves, str]:
    """How an attempt by a worker with this action ends, and the verdict of recording it."""
    claimed = claims.claim_step(workflow, key, 60.0)
    assert isinstance(claimed, Claim)
    result = execute(claimed, action, prepare, time.monotonic())
    return result.move, record(claimed, result, fraction=0.0).verdict


def shown(kernel: Kernel, workflow: UUID, key: str) -> Json:
    steps = queries.workflow_detail(workflow, kernel.user_id)["steps"]
    return next(step for step in steps if step["key"] == key)


def test_a_step_that_another_release_refuses_waits_for_a_worker_that_takes_it(
    kernel: Kernel,
) -> None:
    workflow = nap(kernel)
    assert tried(workflow, "nap", OLDER) == (Moves.LEAVE, "recorded")
    step = shown(kernel, workflow, "nap")
    assert (step["status"], step["attempts"], step["error"]["code"]) == (
        "pending", 0, "action_differs",
    )  # fmt: skip
    assert "knows control.sleep of another release" in step["error"]["message"]
    assert "/minutes" in step["error"]["message"] or "/seconds" in step["error"]["message"]
    assert claims.claim_step(workflow, "nap", 60.0) is None
    pass_time("1 minute")
    assert run(workflow, "nap", SLEEP)
    assert kernel.workflow(workflow)["status"] == "succeeded"
    assert shown(kernel, workflow, "nap")["error"] is None
    assert [event["type"] for event in kernel.events(workflow)] == [
        "WorkflowStarted", "StepSucceeded", "WorkflowSucceeded",
    ]  # fmt: skip


def test_a_step_that_nobody_could_take_for_an_hour_calls_a_person_once(kernel: Kernel) -> None:
    workflow = nap(kernel)
    for _ in range(3):
        tried(workflow, "nap", OLDER)
        assert kernel.workflow(workflow)["attention"] is None
        pass_time("1 minute")
    db.row(
        "UPDATE steps SET left_since = left_since - interval '1 hour' WHERE workflow_id = %s",
        (workflow,),
    )
    tried(workflow, "nap", OLDER)
    assert kernel.workflow(workflow)["attention"] == "no_fitting_worker"
    dismiss(caller_of(kernel.user_id), workflow, "the worker comes tomorrow")
    pass_time("1 minute")
    tried(workflow, "nap", OLDER)
    assert kernel.workflow(workflow)["attention"] is None
    pass_time("1 minute")
    assert run(workflow, "nap", SLEEP)
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_a_reason_to_wait_is_not_told_of_a_step_that_was_taken(kernel: Kernel) -> None:
    workflow = nap(kernel)
    tried(workflow, "nap", OLDER)
    pass_time("1 minute")
    kernel.claim(workflow, "nap")
    assert (shown(kernel, workflow, "nap")["status"], shown(kernel, workflow, "nap")["error"]) == (
        "running", None,
    )  # fmt: skip


@pytest.mark.parametrize("action", [actions()[SLEEP], of_release(Reworded)])
def test_what_a_worker_of_the_same_release_refuses_fails(kernel: Kernel, action: Action) -> None:
    workflow = nap(kernel, "long")
    assert tried(workflow, "nap", action) == (Moves.FAIL, "draining")
    assert kernel.step(workflow, "nap")["error"]["code"] == "invalid_input"


def test_another_release_that_takes_the_input_runs_the_step(kernel: Kernel) -> None:
    workflow = nap(kernel, 2)
    assert tried(workflow, "nap", of_release(WiderInput)) == (Moves.FINISH, "completed")


def test_a_refused_input_fails_the_step_of_a_version_without_fingerprints(kernel: Kernel) -> None:
    workflow = nap(kernel)
    db.row("UPDATE definitions SET fingerprints = NULL", ())
    assert tried(workflow, "nap", OLDER) == (Moves.FAIL, "draining")


def test_a_body_that_is_registered_again_counts_as_checked_again(kernel: Kernel) -> None:
    body = {"name": "again", "do": NAP}
    versions.register(body)
    db.row('UPDATE definitions SET fingerprints = \'{"control.sleep": "older"}\'', ())
    workflow = kernel.start("again", {"seconds": "long"})
    assert tried(workflow, "nap", actions()[SLEEP]) == (Moves.LEAVE, "recorded")
    assert not versions.register(body).is_new
    pass_time("1 minute")
    assert tried(workflow, "nap", actions()[SLEEP]) == (Moves.FAIL, "draining")


def test_fingerprints_of_all_its_actions_are_kept_with_a_version(kernel: Kernel) -> None:
    other = {"compensation": {"action": "control.fail"}}
    name = kernel.register({"sequence": [NAP, {**noop("a"), **other}]})
    row = db.row("SELECT fingerprints FROM definitions WHERE name = %s", (name,))
    assert row is not None
    expected = {SLEEP, "control.noop", "control.fail"}
    assert {name: fingerprint(actions()[name].input) for name in expected}.items() <= row[
        "fingerprints"
    ].items()


def test_the_pauses_grow_to_a_minute_and_no_further(kernel: Kernel) -> None:
    workflow = nap(kernel)

    def pause() -> float:
        tried(workflow, "nap", OLDER)
        row = db.row(
            "SELECT extract(epoch FROM wake_at - playalter_now()) AS s FROM steps"
            " WHERE workflow_id = %s AND key = 'nap'",
            (workflow,),
        )
        assert row is not None
        db.row("UPDATE steps SET wake_at = playalter_now()", ())
        return float(row["s"])

    assert 2 < pause() <= 4
    since = "clock_timestamp() - make_interval(secs => %s)"
    for seconds, shortest, longest in ((80, 14, 21), (86_400, 44, 60)):
        db.row(f"UPDATE steps SET left_since = {since}", (seconds,))
        assert shortest < pause() <= longest


def test_waiting_for_another_worker_takes_none_of_the_steps_own_time(kernel: Kernel) -> None:
    workflow = nap(kernel, timeout="2m")
    tried(workflow, "nap", OLDER)
    assert kernel.step(workflow, "nap")["started_at"] is None
    db.row("UPDATE steps SET tries = 1, started_at = clock_timestamp(), wake_at = NULL", ())
    db.row("UPDATE steps SET expires_at = playalter_now() + interval '1 minute'", ())
    before = kernel.step(workflow, "nap")["expires_at"]
    tried(workflow, "nap", OLDER)
    after = kernel.step(workflow, "nap")
    assert (after["started_at"] is None, after["expires_at"] > before) == (False, True)
    db.row("UPDATE steps SET tries = 0", ())


def test_a_compensation_by_another_action_waits_too(kernel: Kernel) -> None:
    other = {"compensation": {"action": SLEEP, "with": {"seconds": 0}}}
    workflow = kernel.start(kernel.register({"sequence": [{**noop("a"), **other}, fail("b")]}))
    for key, name in (("a", "control.noop"), ("b", "control.fail")):
        assert run(workflow, key, name)
    assert tried(workflow, "a~undo", OLDER) == (Moves.LEAVE, "draining")
    assert shown(kernel, workflow, "a~undo")["error"]["code"] == "action_differs"
    assert kernel.workflow(workflow)["attention"] is None
    pass_time("1 minute")
    drive()
    assert kernel.workflow(workflow)["status"] == "compensated"


def test_a_definition_that_a_worker_cannot_read_waits_for_one_that_can(kernel: Kernel) -> None:
    workflow = nap(kernel)
    db.row("""UPDATE definitions SET body = body || '{"of_a_later_release": 1}'""", ())
    _forget_definitions()
    assert tried(workflow, "nap", actions()[SLEEP]) == (Moves.LEAVE, "recorded")
    assert shown(kernel, workflow, "nap")["error"]["code"] == "definition_unknown"
    db.row("UPDATE definitions SET body = body - 'of_a_later_release'", ())
    _forget_definitions()
    pass_time("1 minute")
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


def _forget_definitions() -> None:
    registry.plan.cache_clear()
    registry.definition.cache_clear()
