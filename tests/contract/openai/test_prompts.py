"""A prompt's messages reach OpenAI as they are."""

import json

import pytest

from app.errors import Unknown
from app.platform import Json
from tasks.openai.actions import CaptionInput, caption_ceiling, lost_cost
from tests.contract.cases import Claim
from tests.contract.vendors import Vendors

PROMPT = {"name": "caption", "version": 2, "hash": "a" * 64}


def given(*contents: str) -> Json:
    messages = [{"role": "user", "content": each} for each in contents]
    return {"prompt": {**PROMPT, "messages": messages}}


def test_what_a_prompt_costs_is_reserved_by_its_length(step: Claim) -> None:
    asked = step("openai.caption", given("Heroes", "of space"))
    asked.run()
    short, long = (
        caption_ceiling(CaptionInput.model_validate_json(json.dumps(given("x" * n))))
        for n in (10, 100_000)
    )
    assert 0 < asked.cost <= short < long
    called = asked.intents[0].request
    assert lost_cost(called) > 0
    assert [each["content"] for each in called["messages"]] == ["Heroes", "of space"]


def test_a_lost_answer_to_a_prompt_is_booked_and_asked_for_again(
    step: Claim, vendors: Vendors
) -> None:
    asked = step("openai.caption", given("Heroes"))
    vendors.fault("openai", "chat.completions.create", "lost_reply")
    with pytest.raises(Unknown):
        asked.run()
    assert lost_cost(asked.open_intent().request) >= 100
    asked.call().write_off_lost()
    assert asked.run()["caption"]
