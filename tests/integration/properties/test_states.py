"""The tables of transitions, the diagram drawn from them, and the code agree."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

import app.states
from app import db
from app.db.models import STEP_STATUSES, TERMINAL_WORKFLOW_STATUSES, WORKFLOW_STATUSES
from app.keys import reference
from app.platform import ActionInput, FailedUndo
from app.protocol import intents, outcomes
from app.protocol.deliveries import fail_undo
from app.states import (
    NEW,
    STEP_TRANSITIONS,
    TERMINAL_STEP_STATUSES,
    WORKFLOW_TRANSITIONS,
    Transition,
    document,
)
from chains.commands.cancel import cancel
from chains.commands.command import Caller
from chains.commands.fork import fork
from chains.commands.pause import pause
from chains.commands.resolve import Resolution, resolve
from chains.commands.retry import retry
from chains.commands.skip import skip
from chains.starting.writing import Deferral
from chains.undoing.stop import stop
from tests.integration.conftest import NOTHING, Kernel
from tests.integration.driving import drive, pass_time, run
from tests.integration.properties import observed
from tests.integration.properties.samples import INPUT, failing
from tests.integration.properties.world import World
from tests.unit.definitions import noop


def test_the_picture_is_drawn_from_the_table() -> None:
    drawn = Path(app.states.__file__).with_name("STATES.md").read_text()
    assert drawn == document(TERMINAL_WORKFLOW_STATUSES)


@pytest.mark.parametrize(
    ("transitions", "statuses"),
    [
        (WORKFLOW_TRANSITIONS, set(WORKFLOW_STATUSES)),
        (STEP_TRANSITIONS, set(STEP_STATUSES)),
    ],
)
def test_every_status_is_reached_and_none_is_a_trap(
    transitions: tuple[Transition, ...], statuses: set[str]
) -> None:
    reached = {each.after for each in transitions}
    left = {each.before for each in transitions} - {NEW}
    assert reached == statuses
    assert reached - left <= {*TERMINAL_WORKFLOW_STATUSES, *TERMINAL_STEP_STATUSES}
    assert len({(each.before, each.after) for each in transitions}) == len(transitions)


class Stage:
    """A workflow of a sample, and its steps done one by one."""

    def __init__(self, world: World, sample: str, *, fails: bool = False) -> None:
        self.world = world
        self.id: UUID = world.kernel.start(sample, {**INPUT, "fails": fails})

    def run(self, *keys: str, fault: str = "none") -> str:
        verdict = ""
        for key in keys:
            claim = self.world.claim(self.world.kernel.step(self.id, key))
            assert claim is not None, key
            self.world.vendor.fault = fault
            verdict = self.world.attempt(claim)
        return verdict

    def rest(self) -> str:
        """Run all steps that are due until none is, and return the workflow's status."""
        for _ in range(20):
            self.world.pass_real_time(200.0)
            for workflow in self.world.workflows():
                self.world.look(workflow)
            for step in self.world.due():
                claim = self.world.claim(step)
                if claim is not None:
                    self.world.attempt(claim)
        return str(self.world.kernel.workflow(self.id)["status"])


def success_and_failure(world: World) -> None:
    done = Stage(world, "in_chain")
    assert done.rest() == "succeeded"
    failed = Stage(world, "in_chain", fails=True)
    assert failed.rest() == "compensated"


def a_deferred_start(world: World) -> None:
    """It is begun when it is due, cancelled before that, or does not start in time."""
    ada = Caller(world.kernel.user_id, "ada@example.com")
    begun, cancelled, late = (
        world.kernel.start("noop_chain", deferral=Deferral(None, 60.0, 60.0)) for _ in range(3)
    )
    cancel(ada, cancelled)
    pause(ada, late)
    pass_time("90 seconds")
    drive()
    pass_time("1 hour")
    ends = [world.kernel.workflow(each)["status"] for each in (begun, cancelled, late)]
    assert ends == ["succeeded", "cancelled", "failed"]


def ways_not_taken(world: World) -> None:
    assert Stage(world, "in_turns").rest() == "succeeded"


def a_failure_passed_over_and_undone(world: World) -> None:
    turns = Stage(world, "in_turns", fails=True)
    turns.run("turns~expand", "turns[0].way~choose", "turns[0].pay", "turns[0].way")
    turns.run("turns[0]~until", "turns[1].way~choose")
    turns.run("turns[1].other", fault="refused")
    assert world.kernel.step(turns.id, "turns[1].other")["status"] == "skipped"
    assert turns.rest() == "compensated"


def retry_and_lapse(world: World) -> None:
    chain = Stage(world, "in_chain")
    chain.run("a")
    chain.run("pay", fault="limited")
    world.pass_real_time(200.0)
    claim = world.claim(world.kernel.step(chain.id, "pay"))
    assert claim is not None
    world.lapse(claim)
    assert chain.rest() == "succeeded"


def doubt_and_lookup(world: World) -> None:
    chain = Stage(world, "in_chain")
    chain.run("a")
    chain.run("pay", fault="lost_reply")
    assert world.kernel.step(chain.id, "pay")["status"] == "unknown"
    assert chain.rest() == "succeeded"


def doubt_while_stopping(world: World) -> None:
    chain = Stage(world, "in_chain")
    chain.run("a")
    chain.run("pay", fault="lost_reply")
    world.cancel(chain.id)
    assert chain.rest() == "compensated"


def wait_and_wake(world: World) -> None:
    branches = Stage(world, "in_parallel")
    branches.run("job")
    world.deliver(world.kernel.step(branches.id, "job"))
    assert branches.rest() == "succeeded"


def cancel_what_waits(world: World) -> None:
    branches = Stage(world, "in_parallel")
    branches.run("job")
    world.cancel(branches.id)
    assert branches.rest() == "compensated"


def cancel_and_time_out_with_nothing_to_undo(world: World) -> None:
    assert world.cancel(Stage(world, "in_chain").id) == "cancelled"
    late = Stage(world, "in_chain")
    stop(late.id, "timed_out", {"code": "timed_out"})
    assert late.rest() == "failed"


def a_stop_refused(world: World) -> None:
    sent = Stage(world, "with_pivot")
    sent.run("first")
    held = world.claim(world.kernel.step(sent.id, "publish"))
    assert held is not None
    stop(sent.id, "timed_out", {"code": "timed_out"})
    world.attempt(held)
    assert world.kernel.workflow(sent.id)["status"] == "running"


def a_stop_refused_beside_a_doubt(world: World) -> None:
    branches = [noop("a"), {**noop("z"), "pivot": True}]
    root = {"sequence": [{"parallel": "p", "branches": branches}, noop("e")]}
    stopped = world.kernel.start(world.kernel.register(root), INPUT)
    doubtful, pivot = world.kernel.claim(stopped, "a"), world.kernel.claim(stopped, "z")
    outcomes.doubt_step(doubtful, NOTHING, {"code": "x"}, 0.0, None)
    stop(stopped, "timed_out", {"code": "timed_out"})
    run(stopped, "a", "control.noop")
    outcomes.finish_step(pivot, NOTHING, outcomes.Finish(is_pivot=True))
    drive()


def a_child_reopened(world: World) -> None:
    parent = Stage(world, "with_child", fails=True)
    assert parent.rest() == "compensated"
    child = world.workflows()[1]
    assert world.kernel.workflow(child)["status"] == "compensated"


def a_doubt_that_is_dropped(world: World) -> None:
    """A step whose call is looked up while its workflow stops is cancelled and undone."""
    chain = Stage(world, "in_chain")
    held = world.claim(world.kernel.step(chain.id, "a"))
    assert held is not None
    outcomes.doubt_step(held, NOTHING, {"code": "x"}, 0.0, None)
    world.cancel(chain.id)
    assert chain.rest() in {"cancelled", "compensated"}


def people_decide(world: World) -> None:
    """A person retries a step, skips one, resolves one, and declares compensations done."""
    ada = Caller(world.kernel.user_id, "ada@example.com")
    root = {"sequence": [failing("b", "`true`"), noop("c")]}
    held = world.kernel.start(world.kernel.register(root, on_failure="hold"), INPUT)
    drive()
    retry(ada, held)
    drive()
    skip(ada, held, step="b", reason="not needed")
    drive()
    assert world.kernel.workflow(held)["status"] == "succeeded"

    doubted = world.kernel.start(world.kernel.register(noop("a")), INPUT)
    claim = world.kernel.claim(doubted, "a")
    assert intents.record_intent(claim, 0, "op", {}, "key") is not None
    outcomes.doubt_step(claim, NOTHING, {"code": "x"}, 3600.0, "unknown_outcome")
    resolve(ada, doubted, "a", Resolution("never", "asked them"))
    drive()

    undone = {**noop("a"), "compensation": {"action": "control.fail"}}
    wait = {"wait": "w", "for": "1h"}
    for kind in ("permanent", "retryable"):
        failing_undo = {"action": "control.fail", "with": {"kind": kind}}
        node = {"sequence": [{**undone, "compensation": failing_undo}, wait]}
        gave_up = world.kernel.start(world.kernel.register(node), INPUT)
        drive()
        cancel(ada, gave_up)
        drive()
        resolve(ada, gave_up, "a~undo", Resolution("done", "done by hand"))
        assert world.kernel.workflow(gave_up)["status"] == "compensated"


def people_end_compensations(world: World) -> None:
    """A person declares compensations done: one of unknown outcome, and one that waits."""
    ada = Caller(world.kernel.user_id, "ada@example.com")
    undone = {**noop("a"), "compensation": {"action": "control.noop"}}
    name = world.kernel.register({"sequence": [undone, {"wait": "w", "for": "1h"}]})
    for is_unknown in (True, False):
        stopped = world.kernel.start(name, INPUT)
        drive()
        cancel(ada, stopped)
        claim = world.kernel.claim(stopped, "a~undo")
        if is_unknown:
            outcomes.doubt_step(claim, NOTHING, {"code": "x"}, 3600.0, "unknown_outcome")
        else:
            outcomes.suspend_step(claim, NOTHING, "ext", 600.0, 3600.0)
        resolve(ada, stopped, "a~undo", Resolution("done", "done by hand"))
        assert world.kernel.workflow(stopped)["status"] == "compensated"


def a_compensation_that_fails_later(world: World) -> None:
    """The platform tells by a webhook that what a compensation did has not lasted."""
    chain = Stage(world, "in_chain", fails=True)
    assert chain.rest() == "compensated"
    action = world.kernel.step(chain.id, "pay~undo")["action"]
    told = FailedUndo("refund-1", reference(chain.id, "pay"), "sent back by the bank")
    assert fail_undo("vendor", told, [action]) == "reopened"
    assert fail_undo("vendor", told, [action]) == "known"
    ada = Caller(world.kernel.user_id, "ada@example.com")
    resolve(ada, chain.id, "pay~undo", Resolution("done", "paid otherwise"))
    assert world.kernel.workflow(chain.id)["status"] == "compensated"


def a_fork_adopts(world: World) -> None:
    ada = Caller(world.kernel.user_id, "ada@example.com")
    each = {
        "map": "m",
        "over": {"$": "input.items"},
        "on_item_failure": "collect",
        "do": {"sequence": [failing("x", "index == `0`"), noop("y")]},
    }
    source = world.kernel.start(world.kernel.register({"sequence": [each, noop("z")]}), INPUT)
    drive()
    fork(ada, source, from_step="z")
    drive()


class OlderInput(ActionInput):
    """The input of an older release, which has minutes instead of seconds."""

    minutes: float


def left_to_another_release(world: World) -> None:
    """A worker of another release leaves the step twice, each time as it was before the claim."""
    nap = {"step": "nap", "action": "control.sleep", "with": {"seconds": 0}}
    left = world.kernel.start(world.kernel.register(nap), INPUT)
    newer = world.actions["control.sleep"]
    for action in (replace(newer, input=OlderInput),) * 2 + (newer,):
        world.actions["control.sleep"] = action
        claim = world.claim(world.kernel.step(left, "nap"))
        assert claim is not None
        world.attempt(claim)
        world.pass_real_time(200.0)
    assert world.kernel.workflow(left)["status"] == "succeeded"


SCENES: tuple[Callable[[World], None], ...] = (
    success_and_failure,
    a_deferred_start,
    ways_not_taken,
    a_failure_passed_over_and_undone,
    retry_and_lapse,
    left_to_another_release,
    doubt_and_lookup,
    doubt_while_stopping,
    wait_and_wake,
    cancel_what_waits,
    cancel_and_time_out_with_nothing_to_undo,
    a_stop_refused,
    a_stop_refused_beside_a_doubt,
    a_child_reopened,
    a_doubt_that_is_dropped,
    people_decide,
    people_end_compensations,
    a_compensation_that_fails_later,
    a_fork_adopts,
)


def test_every_transition_of_the_table_happens_and_no_other_one(observing: Kernel) -> None:
    seen: dict[str, set[observed.Pair]] = {"workflow": set(), "step": set()}
    for scene in SCENES:
        scene(World(observing))
        assert observed.unmarked() == []
        for kind, found in seen.items():
            found |= observed.transitions(kind)
    assert seen["workflow"] == {(each.before, each.after) for each in WORKFLOW_TRANSITIONS}
    assert seen["step"] == {(each.before, each.after) for each in STEP_TRANSITIONS}


def test_a_change_that_is_not_in_the_table_is_seen(observing: Kernel) -> None:
    workflow = World(observing).kernel.start("in_chain", INPUT)
    db.row("UPDATE steps SET status = 'compensated' WHERE key = 'a'", ())
    (row,) = observed.unmarked()
    assert (row["workflow_id"], row["before"], row["after"]) == (workflow, "pending", "compensated")
