"""What a step has made in an earlier generation is taken back, whatever webhooks come and when."""

import time
from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import text

from app import db
from app.protocol import intents, outcomes
from app.protocol.claims import Claim
from chains.commands.command import Caller
from chains.commands.resolve import Resolution, resolve
from chains.commands.retry import retry
from chains.repair import orphans
from tests.integration.conftest import NOTHING, Kernel, Threads
from tests.integration.orphaned import (
    LOST,
    accepted,
    address,
    begun,
    found,
    take_back,
    tell,
    upload,
    waits,
)

pytestmark = pytest.mark.usefixtures("agreeing", "reconciler_was_there")

STORE = text(
    "SELECT accept_delivery_v1('replicate', 'late', NULL, 'prediction.starting', '{}', 'first',"
    " NULL, NULL, ARRAY[:place], ARRAY['replicate.predict'])"
)
BLOCKED = (
    "SELECT pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def held_off(kernel: Kernel) -> UUID:
    """A workflow whose step `render` has a prediction, and waits for its next attempt."""
    workflow, claim = begun(kernel)
    waits(claim, "first")
    db.row(
        "UPDATE steps SET status = 'pending', wake_at = playalter_now() + interval '1 h'"
        " WHERE workflow_id = %s AND key = 'render'",
        (workflow,),
    )
    return workflow


def retry_anew(ada: Caller, workflow: UUID) -> None:
    """A person corrects the input, so that the step begins a new generation."""
    given = {"source": "a", "target": "c"}
    retry(ada, workflow, step="render", input=given, reason="the wrong photograph")


def predict_anew(kernel: Kernel, workflow: UUID) -> None:
    """The new generation makes a prediction, and the effects are decided."""
    again = kernel.claim(workflow, "render")
    upload(again)
    assert intents.record_intent(again, 1, "predictions.create", {}, "k3") is not None
    waits(again, "second")
    orphans.decide(10)


def test_what_an_earlier_generation_made_is_taken_back_although_no_webhook_came(
    kernel: Kernel, ada: Caller
) -> None:
    workflow = held_off(kernel)
    retry_anew(ada, workflow)
    orphans.decide(10)
    assert found(kernel, workflow) == [], "not before the step has another"
    predict_anew(kernel, workflow)
    assert found(kernel, workflow) == ["first"]
    take_back(kernel, workflow, "first")
    assert tell(workflow, "first", "canceled")
    assert tell(workflow, "second")
    orphans.decide(10)
    assert found(kernel, workflow) == ["first"]


def test_a_webhook_that_is_stored_while_a_person_retries_hides_no_orphan(
    kernel: Kernel, ada: Caller
) -> None:
    workflow = held_off(kernel)
    with db.begin() as storing:
        assert storing.execute(STORE, {"place": address(workflow)}).scalar_one()
        retry_anew(ada, workflow)
    predict_anew(kernel, workflow)
    assert found(kernel, workflow) == ["first"]


def test_a_mark_as_own_that_is_made_while_a_person_retries_hides_no_orphan(
    kernel: Kernel, ada: Caller, in_threads: Threads
) -> None:
    workflow, claim = begun(kernel)
    tell(workflow, "first", "processing")
    waits(claim, "first")
    kernel.due(workflow, "render")
    db.row(
        "UPDATE steps SET status = 'pending', wake_at = playalter_now() + interval '1 h'"
        " WHERE workflow_id = %s AND key = 'render'",
        (workflow,),
    )
    with db.engine().connect() as holder:
        holder.execute(text("SELECT FROM webhook_deliveries FOR UPDATE"))

        def retry_meanwhile() -> None:
            ends = time.monotonic() + 10
            while not db.rows(BLOCKED, ()):
                assert time.monotonic() < ends, "no pass waits for the delivery"
                time.sleep(0.02)
            # The pass has read that the step waits for the effect, and could not mark it yet.
            retry_anew(ada, workflow)
            holder.rollback()

        in_threads([lambda: orphans.decide(10), retry_meanwhile])
    predict_anew(kernel, workflow)
    assert found(kernel, workflow) == ["first"]


def says_never(ada: Caller, claim: Claim) -> None:
    """A person says that the step's other call, whose reply was lost, was never made."""
    assert intents.record_intent(claim, 2, "predictions.label", {}, "k4") is not None
    outcomes.doubt_step(claim, NOTHING, LOST, 3600.0, "unknown_outcome")
    word = Resolution("never", "it is not on the vendor's page")
    resolve(ada, claim.workflow_id, "render", word)


def replays_a_failure(ada: Caller, claim: Claim) -> None:
    """The platform replays the failure that it has stored under the key of another call."""
    error = {"code": "stored", "message": "the platform replays a failure"}
    outcomes.retry_step(claim, NOTHING, error, 0.0, new_generation=True)


@pytest.mark.parametrize("rise", [says_never, replays_a_failure])
def test_however_the_generation_rises_what_was_made_before_is_taken_back(
    rise: Callable[[Caller, Claim], None], kernel: Kernel, ada: Caller
) -> None:
    workflow, claim = begun(kernel)
    accepted(claim, "first")
    rise(ada, claim)
    assert kernel.step(workflow, "render")["generation"] == 1
    predict_anew(kernel, workflow)
    assert found(kernel, workflow) == ["first"]
