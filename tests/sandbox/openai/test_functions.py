"""Functions that a response calls, through openai.OpenAI."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.sandbox.openai.test_responses import BRIEF, MODEL, OTHER, TOOL
from tests.sandbox.running import Sandbox


def calls(made: Any) -> list[str]:
    return [each.name for each in made.output if each.type == "function_call"]


@pytest.mark.parametrize(
    ("choice", "prompt", "called"),
    [
        ("auto", BRIEF, []),
        ("auto", "What weather, and which tides?", ["weather", "tides"]),
        ("none", "What weather?", []),
        ("required", BRIEF, ["weather"]),
        ({"type": "function", "name": "tides"}, BRIEF, ["tides"]),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "tides"}],
            },
            BRIEF,
            ["tides"],
        ),
    ],
)
def test_functions_are_called_as_the_request_says(
    openai_client: openai.OpenAI, choice: Any, prompt: str, called: list[str]
) -> None:
    made = openai_client.responses.create(
        model=MODEL, input=prompt, tools=[TOOL, OTHER], tool_choice=choice
    )
    assert calls(made) == called
    for each in made.output:
        if each.type == "function_call":
            assert set(json.loads(each.arguments)) == {"place", "days"}
            assert json.loads(each.arguments)["days"] == 2


def test_one_call_at_a_time_and_the_call_of_the_settings(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    made = openai_client.responses.create(
        model=MODEL, input="weather and tides", tools=[TOOL, OTHER], parallel_tool_calls=False
    )
    assert calls(made) == ["weather"]
    sandbox.settings(openai__calls="tides")
    made = openai_client.responses.create(model=MODEL, input=BRIEF, tools=[TOOL, OTHER])
    assert calls(made) == ["tides"]


def test_the_output_of_a_call_ends_in_a_text(openai_client: openai.OpenAI) -> None:
    first = openai_client.responses.create(
        model=MODEL, input="What weather at the harbour?", tools=[TOOL]
    )
    (call,) = [each for each in first.output if each.type == "function_call"]
    answer: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "Rain"}
    second = openai_client.responses.create(
        model=MODEL, input=[answer], tools=[TOOL], previous_response_id=first.id
    )
    assert second.output_text
    sent: Any = [{"role": "user", "content": "weather"}, call.to_dict(), answer]
    assert openai_client.responses.create(model=MODEL, input=sent, tools=[TOOL]).output_text
    listed = openai_client.responses.input_items.list(second.id)
    assert [each.type for each in listed.data] == ["function_call_output"]
    with pytest.raises(openai.BadRequestError, match="No tool output found for function call"):
        openai_client.responses.create(model=MODEL, input="So?", previous_response_id=first.id)
    with pytest.raises(openai.BadRequestError, match="No tool call found for function call output"):
        openai_client.responses.create(model=MODEL, input=[answer])
