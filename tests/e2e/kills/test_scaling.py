"""Workers come with a backlog and go after it, each as a whole process, and no step is touched."""

import contextlib
from dataclasses import replace
from functools import partial

import pytest

from ops.laptop.scaling.little import Bounds, Rule
from ops.laptop.scaling.readings import Readings
from ops.laptop.scaling.scaler import Kind, Scaler
from ops.laptop.service import Service, State
from tests.e2e.kills.test_threads import FEW, no_reconciler, payments
from tests.e2e.stack import Stack, until

PAYMENTS = 12
SECONDS = 3.0
"""What the vendor takes for each of these payments."""
LAST = 2 * FEW
"""Payments after those: one for each slot of two workers, so that they all are made at once."""
LAST_SECONDS = 8.0
"""With one worker, two of them wait for 26 s: longer than another worker needs to start."""
RULE = Rule(goal_seconds=4.5, window_seconds=0.5)
"""Ten payments that wait need a second worker. Calls that run need none, if nothing waits for their
slots: so it is asked to end in the middle of them."""
TOLD = "SELECT * FROM worker_presence WHERE name ^@ 'worker-2@'"


def worker(stack: Stack, name: str) -> Service:
    """A worker of few threads."""
    made = stack.profile.worker(name, "--threads", str(FEW))
    return replace(made, depends_on=(), log=made.log.with_name(f"scaled-{name}.log"))


def states(stack: Stack) -> dict[str, State]:
    """The workers that are there."""
    assert stack.crew is not None
    return {each.name: each.state for each in stack.crew.status()}


@pytest.mark.timeout(180)
def test_a_worker_is_added_for_a_backlog_and_then_ends_its_steps(stack: Stack) -> None:
    profile = stack.profile
    address = profile.postgres().url(profile.database).replace("+psycopg2", "", 1)
    kind = Kind("worker", partial(worker, stack), Bounds(least=1, most=2))
    with (
        stack.other_workers(worker(stack, "worker")),
        no_reconciler(stack),
        contextlib.closing(Readings(address, profile.valkey().url())) as readings,
    ):
        assert stack.crew is not None
        scaler = Scaler(stack.crew, [kind], readings, rule=RULE)

        def second() -> State | None:
            scaler.look()
            return states(stack).get("worker-2")

        for seconds, count in ((SECONDS, PAYMENTS), (LAST_SECONDS, LAST)):
            held = stack.fault(
                "stripe", "payment_intents.create", "slow", seconds=seconds, count=count
            )
        begun = payments(stack, PAYMENTS + LAST)
        assert until("a second worker", lambda: second() is State.READY, 20.0, stack.dump)
        assert until("its start", lambda: stack.rows(TOLD), 30.0, stack.dump)
        # The first of them ends five seconds after the last one has begun, or later.
        assert until("the last calls", lambda: held() == LAST, 30.0, stack.dump)
        assert until("no backlog", lambda: second() is State.RETIRING, 60.0, stack.dump)
        assert until("its end", lambda: set(states(stack)) == {"worker"}, 30.0, stack.dump)
        (told,) = stack.rows(TOLD)
        assert (told["queues"], told["slots"]) == ([], FEW)
        assert 0 < told["active"] <= FEW, "it was asked to end in the middle of its calls"
        for each in begun:
            each.ended("succeeded", seconds=60.0)
            assert each.counts()["authorizations"] == 1
            kinds = [event["type"] for event in each.events()]
            assert "StepOutcomeUnknown" not in kinds
        text = worker(stack, "worker-2").log.read_text()
        assert "Unrecoverable" not in text
        assert "Traceback" not in text
