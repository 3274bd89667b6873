"""What is booked if OpenAI does not tell what an answer has cost, or tells it in an odd way."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.errors import Permanent, Suspend
from app.platform import Json
from tasks.openai.costs import cost
from tasks.openai.responses import calls
from tests.contract.cases import Claim
from tests.contract.openai.cases import ASKED, caption, embed, respond, respond_later
from tests.contract.openai.conftest import Alter
from tests.contract.openai.test_responses import spent, wait_for
from tests.contract.stage import Step
from tests.contract.vendors import Vendors


def lost(asked: Step) -> int:
    """What the newest call of a step may have cost."""
    assert asked.action.lost is not None
    return asked.action.lost(asked.intents[-1].request)


@pytest.mark.parametrize("prepare", [caption, embed, respond])
@pytest.mark.parametrize("usage", [None, {}])
def test_an_answer_without_its_tokens_is_booked_at_the_most(
    step: Claim, alter: Alter, prepare: Callable[[Claim], Step], usage: Json | None
) -> None:
    asked = prepare(step)
    alter(lambda seen: seen.update(usage=usage))
    made = asked.run()
    assert spent(asked) == lost(asked) > 0
    assert asked.run() == made
    assert spent(asked) == lost(asked)


def test_a_response_that_is_stopped_without_its_tokens_is_booked_at_the_most(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(openai__hold=True)
    asked = respond_later(step)
    with pytest.raises(Suspend) as waiting:
        asked.run()
    response = waiting.value.external_id
    assert asked.undo(external_id=response)["result"] == "cancelled"
    assert spent(asked) == lost(asked) > 0


def failed(seen: Json, **usage: Any) -> None:
    error = {"code": "server_error", "message": "The model failed."}
    seen.update(status="failed", error=error, output=[], usage=usage or None)


def test_a_failure_that_was_paid_for_is_not_followed_by_another_response(
    step: Claim, vendors: Vendors, alter: Alter
) -> None:
    asked = respond(step)
    alter(lambda seen: failed(seen, input_tokens=100, output_tokens=0))
    with pytest.raises(Permanent) as caught:
        asked.run()
    assert caught.value.code == "response_server_error"
    assert vendors.count("captions") == 1
    assert 0 < spent(asked) < lost(asked)


def test_a_response_that_openai_shows_no_more_is_booked_at_the_most(
    step: Claim, vendors: Vendors
) -> None:
    asked = respond_later(step)
    with pytest.raises(Suspend) as waiting:
        asked.run()
    response = waiting.value.external_id
    wait_for(response)
    assert calls.delete(response)
    asked.claim = replace(asked.claim, tries=20)
    with pytest.raises(Permanent, match="does not show the response any more") as caught:
        asked.run(response)
    assert caught.value.code == "response_lost"
    assert spent(asked) == lost(asked) > 0
    assert asked.undo(external_id=response)["result"] == "already"
    assert spent(asked) == lost(asked)


def test_a_response_that_is_gone_before_it_is_undone_is_booked_at_the_most(step: Claim) -> None:
    asked = respond_later(step)
    with pytest.raises(Suspend) as waiting:
        asked.run()
    response = waiting.value.external_id
    wait_for(response)
    assert calls.delete(response)
    assert asked.undo(external_id=response)["result"] == "already"
    assert spent(asked) == lost(asked) > 0


def test_an_undone_response_without_its_level_of_service_costs_that_of_its_request(
    step: Claim, alter: Alter
) -> None:
    given = ASKED | {"background": True, "service_tier": "priority"}
    asked = step("openai.respond", given)
    alter(lambda seen: seen.pop("service_tier", None))
    with pytest.raises(Suspend) as waiting:
        asked.run()
    response = waiting.value.external_id
    wait_for(response)
    seen = calls.retrieve(response)
    assert seen["tier"] is None
    assert asked.undo(external_id=response)["result"] == "deleted"
    assert spent(asked) == cost(seen | {"tier": "priority"}).micro_usd > cost(seen).micro_usd
