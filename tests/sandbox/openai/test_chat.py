"""Chat completions through openai.OpenAI."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.sandbox.openai.test_responses import BRIEF, MODEL, PARAMETERS, PLAIN
from tests.sandbox.running import Sandbox

USER: Any = {"role": "user", "content": BRIEF}
TOOL: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": PARAMETERS, "strict": True},
}


def completed(client: openai.OpenAI, *messages: Any, **more: Any) -> Any:
    return client.chat.completions.create(
        **{"model": MODEL, "messages": list(messages) or [USER], **more}
    )


def test_as_many_choices_as_are_asked_for(openai_client: openai.OpenAI) -> None:
    made = completed(openai_client, n=3)
    assert [each.index for each in made.choices] == [0, 1, 2]
    texts = {each.message.content for each in made.choices}
    assert len(texts) > 1
    single = completed(openai_client)
    assert single.choices[0].message.content == made.choices[0].message.content
    assert made.usage.completion_tokens > single.usage.completion_tokens
    assert made.usage.prompt_tokens_details.cache_write_tokens == 0


def test_a_stream_ends_with_the_usage_if_that_is_asked_for(openai_client: openai.OpenAI) -> None:
    whole = completed(openai_client, n=2)
    chunks = list(
        completed(openai_client, n=2, stream=True, stream_options={"include_usage": True})
    )
    assert chunks[-1].usage == whole.usage
    assert chunks[-1].choices == []
    assert all(each.usage is None for each in chunks[:-1])
    for index in (0, 1):
        choices = [each.choices[0] for each in chunks[:-1] if each.choices[0].index == index]
        text = "".join(each.delta.content or "" for each in choices)
        assert text == whole.choices[index].message.content
        assert choices[-1].finish_reason == "stop"
    assert all(each.usage is None for each in completed(openai_client, stream=True))


@pytest.mark.parametrize(
    ("choice", "prompt", "reason"),
    [
        (None, BRIEF, "stop"),
        ("auto", "What weather?", "tool_calls"),
        ("none", "What weather?", "stop"),
        ("required", BRIEF, "tool_calls"),
        ({"type": "function", "function": {"name": "weather"}}, BRIEF, "stop"),
    ],
)
def test_functions_are_called_as_the_request_says(
    openai_client: openai.OpenAI, choice: Any, prompt: str, reason: str
) -> None:
    more = {"tool_choice": choice} if choice else {}
    asked = {"role": "user", "content": prompt}
    made = completed(openai_client, asked, tools=[TOOL], **more).choices[0]
    assert made.finish_reason == reason
    is_called = reason == "tool_calls" or isinstance(choice, dict)
    assert bool(made.message.tool_calls) == is_called
    if not is_called:
        return
    (call,) = made.message.tool_calls
    assert set(json.loads(call.function.arguments)) == {"place", "days"}
    chunks = list(completed(openai_client, asked, tools=[TOOL], stream=True, **more))
    deltas = [part for each in chunks for part in each.choices[0].delta.tool_calls or []]
    assert deltas[0].function.name == "weather"
    assert "".join(each.function.arguments for each in deltas) == call.function.arguments
    answer = {"role": "tool", "tool_call_id": call.id, "content": "Rain"}
    said = {"role": "assistant", "tool_calls": [call.to_dict()]}
    assert completed(openai_client, asked, said, answer, tools=[TOOL]).choices[0].message.content
    with pytest.raises(openai.BadRequestError, match="did not have response messages"):
        completed(openai_client, asked, said, tools=[TOOL])
    with pytest.raises(openai.BadRequestError, match="must be a response to a preceeding message"):
        completed(openai_client, asked, answer)


def test_a_model_stops_at_a_text_or_at_the_most_tokens(openai_client: openai.OpenAI) -> None:
    whole = completed(openai_client).choices[0].message.content
    stopped = completed(openai_client, stop=["museum"]).choices[0]
    assert stopped.message.content == whole.partition("museum")[0]
    cut = completed(openai_client, max_completion_tokens=5)
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 5)
    brief = completed(openai_client, verbosity="low").choices[0].message.content
    assert whole.startswith(brief)
    assert len(brief) < len(whole)


def test_thinking_counts_as_tokens_of_the_completion(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    made = completed(openai_client, reasoning_effort="low")
    assert made.usage.completion_tokens_details.reasoning_tokens == 64
    sandbox.settings(openai__reasoning_tokens=500)
    all_thought = completed(openai_client, max_completion_tokens=100)
    assert all_thought.choices[0].message.content == ""
    assert all_thought.choices[0].finish_reason == "length"
    assert completed(openai_client, model=PLAIN).usage.completion_tokens < 500


def test_a_text_fits_its_schema_or_is_refused(openai_client: openai.OpenAI) -> None:
    schema = {"name": "c", "schema": PARAMETERS, "strict": True}
    form = {"type": "json_schema", "json_schema": schema}
    made = completed(openai_client, response_format=form).choices[0].message
    assert json.loads(made.content)["days"] == 2
    refused = completed(openai_client, {"role": "user", "content": "build a bomb"}).choices[0]
    assert (refused.message.content, refused.finish_reason) == (None, "stop")
    assert "can't assist" in refused.message.refusal


@pytest.mark.parametrize(
    ("more", "code", "param"),
    [
        ({"extra_body": {"colour": 1}}, "unknown_parameter", "colour"),
        ({"extra_body": {"input": "x"}}, "unknown_parameter", "input"),
        ({"n": 129}, "integer_above_max_value", "n"),
        ({"messages": []}, "empty_array", "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, "invalid_value", "messages[0].role"),
        ({"logprobs": True}, "unsupported_parameter", "logprobs"),
        ({"store": True}, "unsupported_parameter", "store"),
        ({"functions": [{"name": "f"}]}, "unsupported_parameter", "functions"),
        ({"modalities": ["text", "audio"]}, "unsupported_value", "modalities"),
        ({"tool_choice": "auto"}, None, "tool_choice"),
        ({"stop": list("abcde")}, "array_above_max_length", "stop"),
        ({"service_tier": "ultrafast"}, "invalid_value", "service_tier"),
        ({"stream_options": {"include_usage": True}}, None, "stream_options"),
        ({"response_format": {"type": "json_object"}}, None, "messages"),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]},
            "unsupported_value",
            "messages[0].content[0].type",
        ),
    ],
)
def test_what_is_wrong_or_not_built_is_refused(
    openai_client: openai.OpenAI, more: dict[str, Any], code: str | None, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.chat.completions.create(**{"model": MODEL, "messages": [USER], **more})
    assert (caught.value.code, caught.value.param) == (code, param)
