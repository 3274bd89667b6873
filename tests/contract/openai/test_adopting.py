"""A response whose answer was lost: its webhook tells of it, or the call is written off."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from app import db
from app.errors import PlatformUnavailable, Suspend, Unknown
from app.platform import CannotTell, Found, Lost
from app.protocol import intents
from app.protocol.deliveries import reported_effects
from app.settings import Settings
from chains.repair.reconcile import reconcile
from tasks.openai.costs import cost
from tasks.openai.responses import calls
from tasks.openai.responses.adopting import find_response
from tasks.openai.responses.ended import lost_cost
from tests.contract.cases import Claim
from tests.contract.openai.cases import ASKED, respond, respond_later, tell, told
from tests.contract.openai.test_responses import spent, wait_for
from tests.contract.pictures import wait
from tests.contract.stage import Step
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive


def lost(step: Claim, vendors: Vendors) -> Step:
    """A step whose response runs in the background, and whose answer was lost."""
    asked = respond_later(step)
    vendors.fault("openai", "responses.create", "lost_reply")
    with pytest.raises(Unknown):
        asked.run()
    return asked


def test_a_webhook_adopts_the_response_whose_answer_was_lost(step: Claim, vendors: Vendors) -> None:
    asked = lost(step, vendors)
    asked.call().write_off_lost()
    intent = asked.open_intent()
    assert isinstance(asked.look_up(), CannotTell)
    (response,) = vendors.ids("captions")
    wait_for(response)
    assert told("response.completed", response)
    assert not told("response.completed", response)
    found = asked.look_up()
    assert found == Found({"id": response, "status": "completed"})
    asked.adopt(found)
    with pytest.raises(Suspend) as waiting:
        asked.run()
    assert waiting.value.external_id == response
    assert wait(asked, response)["response"] == response
    assert 0 < spent(asked) < lost_cost(intent.request)
    assert vendors.count("captions") == 1


def test_the_response_of_another_step_or_generation_is_not_adopted(
    step: Claim, vendors: Vendors
) -> None:
    other = respond_later(step)
    with pytest.raises(Suspend):
        other.run()
    again = other.retried()
    asked = lost(step, vendors)
    vendors.fault("openai", "responses.create", "reset_before")
    with pytest.raises(Unknown):
        again.run()
    tell(vendors)
    assert isinstance(again.look_up(), CannotTell)
    assert isinstance(asked.look_up(), Found)


def test_without_webhooks_a_lost_call_is_written_off_at_once(
    step: Claim, vendors: Vendors, configure: Callable[..., Settings]
) -> None:
    asked = lost(step, vendors)
    configure(DATABASE_URL=os.environ["DATABASE_URL"], OPENAI_WEBHOOK_SECRET="")
    assert asked.look_up() == Lost()
    request = asked.open_intent().request
    asked.call().write_off(asked.open_intent())
    with pytest.raises(Suspend):
        asked.run()
    assert vendors.count("captions") == 2
    assert spent(asked) == lost_cost(request)


def test_an_answer_at_once_that_is_lost_is_asked_for_again(step: Claim, vendors: Vendors) -> None:
    asked = respond(step)
    vendors.fault("openai", "responses.create", "lost_reply")
    with pytest.raises(Unknown):
        asked.run()
    assert asked.look_up() == Lost()


@pytest.mark.parametrize("status", [400, 401, 403, 429, 503])
def test_an_event_is_sent_again_while_its_response_cannot_be_read(
    step: Claim, vendors: Vendors, status: int
) -> None:
    asked = lost(step, vendors)
    (response,) = vendors.ids("captions")
    vendors.fault("openai", "responses.retrieve", "status", status=status)
    with pytest.raises(PlatformUnavailable):
        told("response.completed", response)
    assert reported_effects("openai", asked.claim.workflow_id, "step") == []
    assert not told("response.completed", response)
    assert reported_effects("openai", asked.claim.workflow_id, "step") == [response]


def test_an_event_about_a_response_that_is_not_ours_is_kept_and_does_nothing(
    step: Claim, vendors: Vendors
) -> None:
    asked = lost(step, vendors)
    assert told("response.failed", "resp_of/../others?x=1")
    assert isinstance(asked.look_up(), CannotTell)


@pytest.mark.parametrize(
    ("tokens", "age", "expected"),
    [
        (500, 3_500, CannotTell),
        (500, 3_700, Lost),
        (128_000, 12_700, CannotTell),
        (128_000, 12_900, Lost),
    ],
)
def test_a_lost_call_is_written_off_when_its_response_would_long_have_been_told(
    step: Claim, vendors: Vendors, tokens: int, age: int, expected: type
) -> None:
    asked = lost(step, vendors)
    intent = asked.open_intent()
    sent = replace(
        intent,
        request={**intent.request, "max_output_tokens": tokens},
        first_sent_at=intent.first_sent_at - timedelta(seconds=age),
    )
    assert isinstance(find_response(asked.call(), sent), expected)


def test_an_event_about_a_lost_call_lets_its_step_look_at_once(
    kernel: Kernel, vendors: Vendors
) -> None:
    node = {"step": "ask", "action": "openai.respond", "with": {**ASKED, "background": True}}
    workflow = kernel.start(kernel.register(node))
    vendors.fault("openai", "responses.create", "lost_reply")
    drive()
    assert kernel.step(workflow, "ask")["status"] == "unknown"
    assert kernel.step(workflow, "ask")["wake_at"] is not None
    (response,) = vendors.ids("captions")
    wait_for(response)
    told("response.completed", response)
    assert kernel.step(workflow, "ask")["wake_at"] is None
    drive()
    assert kernel.step(workflow, "ask")["status"] == "succeeded"
    assert vendors.count("captions") == 1


@pytest.fixture
def waiting(kernel: Kernel, vendors: Vendors) -> UUID:
    """A workflow whose step waits for a response in the background, which does not end."""
    vendors.change(openai__hold=True)
    node = {"step": "ask", "action": "openai.respond", "with": {**ASKED, "background": True}}
    workflow = kernel.start(kernel.register(node))
    drive()
    return workflow


def test_an_event_about_a_response_that_is_waited_for_wakes_its_step_and_reads_nothing(
    kernel: Kernel, vendors: Vendors, waiting: UUID
) -> None:
    (response,) = vendors.ids("captions")
    assert kernel.step(waiting, "ask")["external_id"] == response
    vendors.fault("openai", "responses.retrieve", "status", status=503)
    assert told("response.completed", response)
    assert kernel.step(waiting, "ask")["status"] == "pending"


def test_a_response_that_was_written_off_and_comes_late_is_an_orphan(
    kernel: Kernel, vendors: Vendors, waiting: UUID
) -> None:
    (intent,) = intents.intents(waiting, "ask")
    # The first sending of the step, whose answer was lost.
    late = calls.create(intent.request, "a key")["id"]
    assert told("response.completed", late)
    reconcile()
    (found,) = [each for each in kernel.events(waiting) if each["type"] == "OrphanFound"]
    assert found["data"] == {"external_id": late}


def written_off(step: Claim, vendors: Vendors) -> tuple[Step, str, int]:
    """A step whose first sending was lost and written off, the response of that, and the cost that
    was booked for it. The second sending is answered."""
    asked = lost(step, vendors)
    (late,) = vendors.ids("captions")
    intent = asked.open_intent()
    asked.call().write_off(intent)
    with pytest.raises(Suspend):
        asked.run()
    assert spent(asked) == lost_cost(intent.request) > 0
    return asked, late, spent(asked)


def test_the_cost_of_a_response_that_comes_late_takes_the_place_of_what_was_written_off(
    step: Claim, vendors: Vendors
) -> None:
    asked, late, booked = written_off(step, vendors)
    wait_for(late)
    own = cost(calls.retrieve(late)).micro_usd
    assert asked.take_back(late, status="succeeded")["result"] == "deleted"
    assert 0 < spent(asked) == own < booked
    assert asked.take_back(late, status="succeeded")["result"] == "already"
    assert spent(asked) == own
    assert len(db.rows("SELECT FROM events WHERE body LIKE '%%\"CostCorrected\"%%'", ())) == 1


def test_a_response_that_came_late_and_is_gone_stays_written_off(
    step: Claim, vendors: Vendors
) -> None:
    asked, late, booked = written_off(step, vendors)
    wait_for(late)
    assert calls.delete(late)
    assert asked.take_back(late, status="succeeded")["result"] == "already"
    assert spent(asked) == booked


def test_the_answer_that_counts_does_not_take_the_place_of_one_that_was_written_off(
    step: Claim, vendors: Vendors
) -> None:
    asked, _, booked = written_off(step, vendors)
    answered = asked.intents[-1].response
    assert answered is not None
    made = wait(asked, answered["id"])
    own = cost(calls.retrieve(made["response"])).micro_usd
    assert spent(asked) == booked + own
    assert asked.undo(external_id=made["response"])["result"] == "deleted"
    assert spent(asked) == booked + own
