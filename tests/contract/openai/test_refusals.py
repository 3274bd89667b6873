"""Calls that OpenAI refuses: which of them are never repeated, and which may have been paid for."""

from collections.abc import Callable

import pytest

from app.errors import Permanent, Retryable, Unknown
from app.platform import Json
from tasks.openai.settings import OpenAISettings
from tests.contract.cases import Claim
from tests.contract.openai.cases import caption, embed, respond, respond_later
from tests.contract.openai.conftest import Alter
from tests.contract.stage import Step
from tests.contract.vendors import Vendors


def test_a_request_that_is_over_the_limit_of_a_minute_is_not_repeated(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(openai__tokens_per_minute=400)
    asked = respond(step)
    with pytest.raises(Permanent, match=r"lower `max_output_tokens`.*Limit 400, Request") as caught:
        asked.run()
    assert caught.value.code == "request_too_large"
    assert [each.resolution for each in asked.intents] == ["refused"]
    assert (vendors.count("captions"), asked.cost) == (0, 0)


BILLED: tuple[tuple[Callable[[Claim], Step], str], ...] = (
    (caption, "chat.completions.create"),
    (embed, "embeddings.create"),
    (respond, "responses.create"),
    (respond_later, "responses.create"),
)


@pytest.mark.parametrize(("prepare", "operation"), BILLED)
def test_a_failure_that_does_not_say_that_nothing_was_made_may_be_paid(
    step: Claim, vendors: Vendors, prepare: Callable[[Claim], Step], operation: str
) -> None:
    for status in (500, 502, 504):
        asked = prepare(step)
        vendors.fault("openai", operation, "status", status=status)
        with pytest.raises(Unknown):
            asked.run()
        assert asked.open_intent().operation == operation
    asked = prepare(step)
    vendors.fault("openai", operation, "status", status=503, code="server_is_overloaded")
    with pytest.raises(Retryable):
        asked.run()
    assert [each.resolution for each in asked.intents] == ["refused"]


def test_an_answer_that_is_too_large_may_be_paid(step: Claim, alter: Alter) -> None:
    asked = respond(step)
    asked.seconds = 20.0
    alter(lambda seen: seen.update(more="x" * 9_000_000))
    with pytest.raises(Unknown) as caught:
        asked.run()
    assert caught.value.code == "answer_too_large"
    assert asked.open_intent().operation == "responses.create"


def test_no_error_shows_the_credential_that_openai_repeats(step: Claim, alter: Alter) -> None:
    key = OpenAISettings.current().api_key.get_secret_value()
    words = f"The key {key} is over its quota. " + "x" * 9_000

    def fail(seen: Json) -> None:
        if "choices" in seen:
            seen["choices"][0]["message"]["refusal"] = words
            return
        error = {"code": "invalid_prompt", "message": words}
        seen.update(status="failed", error=error, output=[])

    def refuse(seen: Json) -> None:
        seen["output"][0]["content"] = [{"type": "refusal", "refusal": words}]

    for prepare, change in ((respond, fail), (respond, refuse), (caption, fail)):
        alter(change)
        with pytest.raises(Permanent) as caught:
            prepare(step).run()
        assert key not in caught.value.message
        assert len(caught.value.message) < 600
