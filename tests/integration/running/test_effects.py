"""The contract of each effect: what follows on a call of unknown outcome, forward and undone.

The vendor never gives a whole answer. For each effect it must be seen how often the call is sent,
how soon, and when a person is called.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from app import db
from app.engine.attempt import execute
from app.engine.call import Call
from app.engine.outcome_writer import record
from app.engine.retry import UNDO_POLICY
from app.errors import Unknown
from app.platform import Action, ActionInput, CannotTell, Effect, Intent, Json, LookupAnswer
from app.protocol import claims
from app.protocol.claims import Claim
from chains.actions import actions
from chains.running.prepare import prepare
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, statuses
from tests.unit.definitions import fail, noop

pytestmark = pytest.mark.usefixtures("agreeing")

NOOP = "control.noop"
DAYS = 3
Perform = Callable[[Json, str], Json]


class Vendor:
    """A vendor that gets each call, and never gives a whole answer."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def lose(self, request: Json, key: str) -> Json:
        """Get a call."""
        self.sent.append(key)
        raise Unknown("no complete answer")

    def action(self, effect: Effect, *, is_looked_up: bool = False) -> Action:
        """An action of this effect, whose calls the vendor gets."""

        def run(call: Call, given: ActionInput) -> Json:
            return call.once("pages.print", {"page": 1}, self.lose)

        return replace(
            actions()[NOOP],
            run=run,
            effect=effect,
            lookup=_cannot_tell if is_looked_up else None,
            key_life=timedelta(hours=24) if effect is Effect.IDEMPOTENT else None,
            quick=False,
        )


def _cannot_tell(call: Call, intent: Intent) -> LookupAnswer:
    return CannotTell(1.0, "the list is not up to date")


def attempts(workflow: UUID, key: str, action: Action, days: float) -> int:
    """Let the step run whenever it is due, for so many days; the number of attempts."""
    count, passed = 0, 0.0
    while passed < days * 86_400:
        assert count < 400, f"{count} attempts within {passed:.0f} s"
        claimed = claims.claim_step(workflow, key, 60.0)
        if not isinstance(claimed, Claim):
            break
        record(claimed, execute(claimed, action, prepare, time.monotonic()), fraction=0.0)
        count += 1
        row = db.row(
            "SELECT extract(epoch FROM wake_at - playalter_now()) AS s FROM steps"
            " WHERE workflow_id = %s AND key = %s",
            (workflow, key),
        )
        assert row is not None
        if row["s"] is None:
            break
        seconds = max(float(row["s"]), 0.001)
        passed += seconds
        _let_pass(seconds)
    return count


def _let_pass(seconds: float) -> None:
    db.row(
        "INSERT INTO clock_offset (amount) VALUES (make_interval(secs => %s))"
        " ON CONFLICT (is_only) DO UPDATE SET amount = clock_offset.amount + excluded.amount",
        (seconds,),
    )
    # An intent's age is that of the database's own clock.
    db.row(
        "UPDATE intents SET first_sent_at = first_sent_at - make_interval(secs => %s),"
        " key_sent_at = key_sent_at - make_interval(secs => %s)",
        (seconds, seconds),
    )
    db.row("UPDATE steps SET publish_after = clock_timestamp() WHERE publish_after IS NOT NULL", ())


def forward(kernel: Kernel) -> tuple[UUID, str]:
    """A workflow whose first step is due."""
    return kernel.start(kernel.register(noop("a"))), "a"


def undone(kernel: Kernel) -> tuple[UUID, str]:
    """A workflow that is undone, by another action than the step's own, which is due."""
    step = {**noop("a"), "compensation": {"action": NOOP}}
    workflow = kernel.start(kernel.register({"sequence": [step, fail("b")]}))
    # The compensation itself stays: it is the last that is due.
    for _ in range(20):
        if "a~undo" in statuses(workflow):
            break
        drive(1)
    return workflow, "a~undo"


SIDES = [forward, undone]


@pytest.mark.parametrize("begin", SIDES)
@pytest.mark.parametrize("is_looked_up", [False, True])
def test_an_idempotent_call_is_sent_ever_less_while_its_key_lives_and_then_a_person_is_called(
    kernel: Kernel, begin: Callable[[Kernel], tuple[UUID, str]], is_looked_up: bool
) -> None:
    vendor = Vendor()
    workflow, key = begin(kernel)
    action = vendor.action(Effect.IDEMPOTENT, is_looked_up=is_looked_up)
    attempts(workflow, key, action, days=0.9)
    assert len(set(vendor.sent)) == 1
    assert 10 < len(vendor.sent) < 150
    attempts(workflow, key, action, days=0.15)
    sent = len(vendor.sent)
    attempts(workflow, key, action, days=2)
    assert len(vendor.sent) == sent, "a dead key was used"
    assert kernel.workflow(workflow)["attention"] == "unknown_outcome"


@pytest.mark.parametrize("begin", SIDES)
@pytest.mark.parametrize("effect", [Effect.LOOKUP, Effect.PERSON])
def test_what_only_a_lookup_or_a_person_can_tell_is_sent_once(
    kernel: Kernel, begin: Callable[[Kernel], tuple[UUID, str]], effect: Effect
) -> None:
    vendor = Vendor()
    workflow, key = begin(kernel)
    action = vendor.action(effect, is_looked_up=effect is Effect.LOOKUP)
    assert attempts(workflow, key, action, DAYS) > 10
    assert len(vendor.sent) == 1
    assert kernel.workflow(workflow)["attention"] == "unknown_outcome"
    told = [event for event in kernel.events(workflow) if event["type"] == "StepOutcomeUnknown"]
    assert len(told) <= 3


@pytest.mark.parametrize("begin", SIDES)
@pytest.mark.parametrize("effect", [Effect.NONE, Effect.REPEATABLE])
def test_what_may_happen_twice_is_tried_again_a_bounded_number_of_times(
    kernel: Kernel, begin: Callable[[Kernel], tuple[UUID, str]], effect: Effect
) -> None:
    vendor = Vendor()
    workflow, key = begin(kernel)
    attempts(workflow, key, vendor.action(effect), DAYS)
    assert 5 < len(vendor.sent) <= (UNDO_POLICY.tries or 0)
