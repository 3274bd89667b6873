"""OpenAI through openai.OpenAI."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.sandbox.running import Sandbox

BRIEF = "Brief: masked ball at the harbour museum"


def caption(client: openai.OpenAI, prompt: str = BRIEF) -> str:
    answer = client.chat.completions.create(
        model="gpt-5.4-mini", messages=[{"role": "user", "content": prompt}]
    )
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0
    return answer.choices[0].message.content or ""


def test_caption_is_made_of_the_brief_and_is_the_same_every_time(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    first = caption(openai_client)
    assert "harbour museum" in first
    assert caption(openai_client) == first
    assert "harbour" not in caption(openai_client, "Brief: opening of a bicycle shop in Ghent")
    assert sandbox.books()["captions"] == 3


def test_response_has_output_text_and_can_be_structured(openai_client: openai.OpenAI) -> None:
    answer = openai_client.responses.create(model="gpt-5.4-mini", input=BRIEF)
    assert "harbour museum" in answer.output_text
    assert answer.usage is not None
    schema = {"type": "object", "properties": {"caption": {"type": "string"}}}
    text: Any = {"format": {"type": "json_schema", "name": "c", "schema": schema}}
    answer = openai_client.responses.create(model="gpt-5.4-mini", input=BRIEF, text=text)
    assert "harbour museum" in json.loads(answer.output_text)["caption"]


def test_streamed_caption_is_the_whole_caption(openai_client: openai.OpenAI) -> None:
    stream = openai_client.chat.completions.create(
        model="gpt-5.4-mini", messages=[{"role": "user", "content": BRIEF}], stream=True
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text == caption(openai_client)


@pytest.mark.parametrize(
    ("text", "is_flagged"),
    [("A skilled painter at work", False), ("how I will kill and murder them", True)],
)
def test_moderation_flags_by_its_list_of_words(
    openai_client: openai.OpenAI, text: str, is_flagged: bool
) -> None:
    result = openai_client.moderations.create(model="omni-moderation-latest", input=text)
    assert result.results[0].flagged is is_flagged
    assert result.results[0].categories.violence is is_flagged


def test_429_and_500_are_openais_and_carry_retry_after(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    sandbox.fault(vendor="openai", operation="chat.completions.create", kind="status", status=429,
                  retry_after=2)  # fmt: skip
    sandbox.fault(vendor="openai", operation="chat.*", kind="status", status=500)
    with pytest.raises(openai.RateLimitError) as limited:
        caption(openai_client)
    assert limited.value.code == "rate_limit_exceeded"
    assert limited.value.response.headers["retry-after"] == "2"
    with pytest.raises(openai.InternalServerError):
        caption(openai_client)
    assert caption(openai_client)


def test_wrong_key_and_unknown_model_are_openais_errors(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    with pytest.raises(openai.AuthenticationError) as refused:
        openai_client.with_options(api_key="sk-wrong").models.list()
    assert refused.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as unknown:
        openai_client.chat.completions.create(
            model="llama-9", messages=[{"role": "user", "content": "x"}]
        )
    assert unknown.value.code == "model_not_found"
    assert unknown.value.request_id
