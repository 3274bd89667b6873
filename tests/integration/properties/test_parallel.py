"""What only real parallel transactions can show."""

import time
from functools import partial
from itertools import chain, count
from typing import Any
from uuid import UUID

from app import db
from app.platform import Delivery
from app.protocol import outcomes
from app.protocol.claims import Claim, claim_step
from chains.commands.accept_delivery import accept_delivery
from chains.undoing.settle import settle
from chains.undoing.stop import stop
from tests.integration.conftest import NOTHING, Kernel, Threads
from tests.integration.properties import observed
from tests.integration.properties.world import World
from tests.invariants import broken, holds
from tests.unit.definitions import noop

WIDTH = 8
ROUNDS = 6


def fan(kernel: Kernel) -> UUID:
    """A workflow of branches that can all be claimed."""
    branches = [{"sequence": [noop(f"b{n}"), noop(f"c{n}")]} for n in range(WIDTH)]
    return kernel.start(kernel.register({"parallel": "all", "branches": branches}))


@holds(7)
def test_no_claim_commits_after_the_barrier_of_a_stop(
    observing: Kernel, in_threads: Threads
) -> None:
    for _ in range(ROUNDS):
        World(observing)
        workflow = fan(observing)
        is_behind: list[int] = []

        def claim_all(workflow: UUID = workflow) -> list[Claim]:
            found = (claim_step(workflow, f"b{n}", 30.0) for n in range(WIDTH))
            return [each for each in found if isinstance(each, Claim)]

        def stop_it(workflow: UUID = workflow, is_behind: list[int] = is_behind) -> list[Claim]:
            stop(workflow, "cancelled", {"code": "cancelled"})
            settle(workflow)
            is_behind.append(observed.newest())
            return []

        found = in_threads([claim_all, stop_it, claim_all, claim_all])
        assert observed.forbidden_claims(is_behind[0]) == []
        # What was claimed in time may still record, and only that is left.
        for claim in chain.from_iterable(found):
            assert outcomes.finish_step(claim, NOTHING, outcomes.Finish()).verdict == "draining"
        assert settle(workflow) == "cancelled"
        assert not broken(db.rows)


@holds(2, 11)
def test_the_last_two_parts_of_a_join_release_it_once(
    observing: Kernel, in_threads: Threads
) -> None:
    for _ in range(ROUNDS):
        World(observing)
        branches = [noop("left"), noop("right")]
        workflow = observing.start(observing.register({"parallel": "both", "branches": branches}))
        held = [observing.claim(workflow, key) for key in ("left", "right")]
        finishes = [
            partial(outcomes.finish_step, each, NOTHING, outcomes.Finish()) for each in held
        ]
        # Each outcome comes twice, as from a worker that lost the answer to its commit.
        answers = in_threads(finishes * 2)
        assert sorted(answer.joined or "" for answer in answers) == ["", "", "", "both"]
        assert sorted(answer.verdict for answer in answers) == ["fenced"] * 2 + ["released"] * 2
        assert not broken(db.rows)


@holds(1, 2, 8)
def test_a_webhook_and_a_suspension_at_the_same_moment_always_meet(
    observing: Kernel, in_threads: Threads
) -> None:
    numbers = count()
    for _ in range(ROUNDS):
        World(observing)
        workflow = observing.start("noop_chain")
        held = observing.claim(workflow, "first")
        woken: list[Any] = []

        def suspend(held: Claim = held, woken: list[Any] = woken) -> None:
            outcomes.suspend_step(held, NOTHING, "ext", 3600.0, 7200.0)
            if outcomes.has_delivery("control", "ext"):
                woken.append(outcomes.wake_step(held.workflow_id, "first", "control", "ext"))

        def deliver(number: int) -> None:
            time.sleep(0.0005 * (number % 4))
            accept_delivery("control", Delivery(f"d{number}", "ext", "done", {}))

        in_threads([suspend, partial(deliver, next(numbers)), partial(deliver, next(numbers))])
        step = observing.step(workflow, "first")
        assert step["status"] == "pending"
        assert observed.wins([workflow])[workflow, "first"] == 2, "the start and one wake"
        kinds = [event["type"] for event in observing.events(workflow)]
        assert kinds == ["WorkflowStarted", "StepSuspended", "StepWoken"]
        assert not broken(db.rows)


@holds(10, 14)
def test_an_outcome_and_an_expired_lease_at_the_same_moment_leave_one_record(
    observing: Kernel, in_threads: Threads
) -> None:
    for _ in range(ROUNDS):
        world = World(observing)
        workflow = observing.start("noop_chain")
        held = observing.claim(workflow, "first")
        verdicts = in_threads(
            [
                partial(outcomes.finish_step, held, NOTHING, outcomes.Finish({})),
                partial(world.lapse, held),
            ]
        )
        status = observing.step(workflow, "first")["status"]
        assert (verdicts[0].verdict, status) in {("released", "succeeded"), ("fenced", "pending")}
        assert not broken(db.rows)
