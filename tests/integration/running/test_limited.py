"""Steps that wait for a limit of their platform: in turn, and not for dead workers."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from app import db
from app.engine.attempt import execute
from app.engine.call import Call
from app.engine.outcome_writer import record
from app.errors import Unknown
from app.outbound import http, limits
from app.outbound.http import Demand, Limit
from app.outbound.limits.limiter import Limiter
from app.outbound.limits.stores import Shared, Stores
from app.platform import Action, ActionInput, Effect, Intent, Json, LookupAnswer, Never
from app.protocol import claims, intents
from app.protocol.claims import Claim
from app.settings import Settings
from chains.actions import actions
from chains.running.prepare import prepare
from tests.integration.conftest import Kernel
from tests.integration.driving import pass_time
from tests.integration.repair.looking import lapse
from tests.integration.starting.test_admission import another_user
from tests.unit.definitions import noop

SLOW = Demand((Limit("slow", requests=0.5),))
JOBS = Demand((Limit("jobs", in_flight=1),))


@pytest.fixture
def other(settings: Settings) -> Iterator[Limiter]:
    """Another process under the same limits."""
    limits.share(settings.redis_url)
    made = Limiter(Stores(Shared(settings.redis_url), "other"))
    yield made
    made.close()


def ask(demand: Demand) -> Json:
    """A call that takes a place and reaches nobody."""
    with http.operation("press", "print", repeatable=True, demand=demand):
        http.send("GET", "http://127.0.0.1:1/")
    return {}


def attempt(workflow: UUID, demand: Demand, **more: Any) -> tuple[str, float]:
    """An attempt of a workflow's step, whose action asks, or has `more`: the code of its error, and
    the seconds until the step is due again."""
    parts: dict[str, Any] = {"run": lambda call, given: ask(demand), "quick": False, **more}
    action: Action = replace(actions()["control.noop"], **parts)
    claimed = claims.claim_step(workflow, "a", 60.0)
    assert isinstance(claimed, Claim), claimed
    result = execute(claimed, action, prepare, time.monotonic())
    record(claimed, result, fraction=0.5)
    row = db.row(
        "SELECT error_code, extract(epoch FROM wake_at - playalter_now()) AS s FROM steps"
        " WHERE workflow_id = %s AND key = 'a'",
        (workflow,),
    )
    assert row is not None
    return row["error_code"], float(row["s"])


def test_the_steps_of_a_user_are_due_behind_each_other_and_not_behind_anothers(
    kernel: Kernel, other: Limiter
) -> None:
    ada, bo = kernel, another_user(kernel, "bo")
    # All ask within one call's time, also on a machine that is busy.
    slower = Demand((Limit("slower", requests=0.25),))
    other.take("press", slower, hold_seconds=1.0, seconds_left=60.0)
    name = kernel.register(noop("a"))
    ada_waits = [attempt(ada.start(name), slower) for _ in range(20)]
    bo_waits = [attempt(bo.start(name), slower) for _ in range(2)]
    assert {code for code, _ in ada_waits + bo_waits} == {"rate_limited"}
    assert ada_waits[-1][1] > 70
    assert max(seconds for _, seconds in bo_waits) < 24


def test_a_step_comes_when_its_turn_is_however_long_it_has_waited(
    kernel: Kernel, other: Limiter
) -> None:
    workflow = kernel.start(kernel.register(noop("a")))
    other.take("press", SLOW, hold_seconds=1.0, seconds_left=60.0)
    for since in (None, None, "1 hour"):  # at last as if the vendor had refused it an hour ago
        db.row(
            "UPDATE steps SET held_since = clock_timestamp() - %s::interval"
            " WHERE workflow_id = %s AND key = 'a' AND error_code IS NOT NULL",
            (since, workflow),
        )
        code, seconds = attempt(workflow, SLOW)
        assert (code, seconds < 10) == ("rate_limited", True)
        step = kernel.step(workflow, "a")
        assert (step["tries"], step["held_since"] is None) == (0, since is None)
        pass_time("2 minutes")
    told = [each for each in kernel.events(workflow) if each["type"] == "StepRetryScheduled"]
    assert [each["data"]["code"] for each in told] == ["rate_limited"]


def test_a_lookup_comes_when_its_turn_is_however_old_the_call_is(
    kernel: Kernel, other: Limiter
) -> None:
    workflow = kernel.start(kernel.register(noop("a")))

    def lose(request: Json, key: str) -> Json:
        raise Unknown("no complete answer")

    def run(call: Call, given: ActionInput) -> Json:
        return call.once("pages.print", {"page": 1}, lose)

    def find(call: Call, intent: Intent) -> LookupAnswer:
        ask(SLOW)
        return Never()

    action: dict[str, Any] = {
        "run": run,
        "lookup": find,
        "effect": Effect.LOOKUP,
        "attempt_seconds": 0.1,
    }
    assert attempt(workflow, SLOW, **action)[0] == "unknown_outcome"
    other.take("press", SLOW, hold_seconds=1.0, seconds_left=60.0)
    db.row("UPDATE intents SET first_sent_at = first_sent_at - interval '2 hours'", ())
    pass_time("2 minutes")
    assert attempt(workflow, SLOW, **action)[1] < 10
    error = kernel.step(workflow, "a")["error"]
    assert "the limit slow of press is used up" in error["message"]


@pytest.mark.usefixtures("agreeing")
def test_a_wait_at_the_same_limit_after_a_lookup_for_a_dead_worker_is_an_event(
    kernel: Kernel, other: Limiter
) -> None:
    workflow = kernel.start(kernel.register(noop("a")))
    rare = Demand((Limit("rare", requests=0.01),))
    other.take("press", rare, hold_seconds=1.0, seconds_left=60.0)
    assert attempt(workflow, rare)[0] == "rate_limited"
    pass_time("2 minutes")
    held = kernel.claim(workflow, "a")
    assert intents.record_intent(held, 0, "pages.print", {}, "k") is not None
    db.row("UPDATE intents SET first_sent_at = first_sent_at - interval '2 hours'", ())
    lapse(workflow, "a")
    db.row("SELECT expire_lease_v1(%s, 'a', %s, true)", (workflow, held.fence))
    found: dict[str, Any] = {"lookup": lambda call, intent: Never(), "effect": Effect.LOOKUP}
    assert attempt(workflow, rare, **found)[0] == "rate_limited"
    assert kernel.step(workflow, "a")["status"] == "pending"
    kinds = [each["type"] for each in kernel.events(workflow)]
    assert kinds[1:] == ["StepRetryScheduled", "StepOutcomeUnknown", "StepRetryScheduled"]


@pytest.mark.usefixtures("agreeing")
def test_a_step_put_off_for_the_same_reason_after_a_dead_worker_is_an_event(
    kernel: Kernel,
) -> None:
    workflow = kernel.start(kernel.register(noop("a")))
    kernel.claim(workflow, "a")
    put_off = "SELECT put_off_step_v1(%s, 'a', '{}', 'budget')"
    db.row(put_off, (workflow,))
    pass_time("2 minutes")
    held = kernel.claim(workflow, "a")
    assert intents.record_intent(held, 0, "pages.print", {}, "k") is not None
    lapse(workflow, "a")
    db.row("SELECT expire_lease_v1(%s, 'a', %s, true)", (workflow, held.fence))
    pass_time("2 minutes")
    kernel.claim(workflow, "a")
    db.row(put_off, (workflow,))
    kinds = [each["type"] for each in kernel.events(workflow)]
    assert kinds[1:] == ["StepRetryScheduled", "StepOutcomeUnknown", "StepRetryScheduled"]


def test_the_next_attempt_has_the_place_that_a_dead_worker_holds(
    kernel: Kernel, other: Limiter
) -> None:
    name = kernel.register(noop("a"))
    first, second = kernel.start(name), kernel.start(name)
    other.take("press", JOBS, hold_seconds=60.0, seconds_left=60.0, owner=f"{first} a")
    assert attempt(second, JOBS)[0] == "rate_limited"
    assert attempt(first, JOBS)[0] == "not_reached"
    assert other.take("press", JOBS, hold_seconds=60.0, seconds_left=60.0).demand is JOBS
