"""Responses in a stream through openai.OpenAI: their events, and streams that break off."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.sandbox.openai.test_responses import BRIEF, MODEL, TOOL
from tests.sandbox.running import Sandbox

BEGUN = ["response.created", "response.in_progress"]
MESSAGE = [
    "response.output_item.added", "response.content_part.added", "response.output_text.delta",
    "response.output_text.done", "response.content_part.done", "response.output_item.done",
]  # fmt: skip
PLAN = {"vendor": "openai", "operation": "responses.create", "kind": "fail"}


def events_of(client: openai.OpenAI, **more: Any) -> list[Any]:
    with client.responses.create(
        **{"model": MODEL, "input": BRIEF, "stream": True, **more}
    ) as stream:
        found = list(stream)
    assert [each.sequence_number for each in found] == list(range(len(found)))
    return found


def until_lost(client: openai.OpenAI, **more: Any) -> list[Any]:
    """The events of a stream until its connection is lost."""
    seen: list[Any] = []

    def read() -> None:
        stream: Any = client.responses.create(model=MODEL, input=BRIEF, stream=True, **more)
        seen.extend(stream)

    with pytest.raises(openai.APIConnectionError):
        read()
    return seen


def kinds(events: list[Any]) -> list[str]:
    """The types of events, each run of the same one once."""
    found = [each.type for each in events]
    return [each for at, each in enumerate(found) if at == 0 or found[at - 1] != each]


def test_a_text_comes_in_pieces(openai_client: openai.OpenAI) -> None:
    events = events_of(openai_client)
    assert kinds(events) == [*BEGUN, *MESSAGE, "response.completed"]
    final = events[-1].response
    text = "".join(each.delta for each in events if each.type == "response.output_text.delta")
    assert text == final.output_text
    assert events[0].response.status == "in_progress"
    assert events[0].response.output == []
    assert openai_client.responses.retrieve(final.id).to_dict() == final.to_dict()
    assert final.output_text == openai_client.responses.create(model=MODEL, input=BRIEF).output_text


def test_reasoning_and_calls_come_in_pieces(openai_client: openai.OpenAI) -> None:
    events = events_of(
        openai_client, tools=[TOOL], tool_choice="required",
        reasoning={"effort": "low", "summary": "detailed"},
    )  # fmt: skip
    assert kinds(events) == [
        *BEGUN,
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    name = "response.function_call_arguments.delta"
    text = "".join(each.delta for each in events if each.type == name)
    assert text == events[-1].response.output[1].arguments


def test_a_refusal_comes_in_pieces(openai_client: openai.OpenAI) -> None:
    events = events_of(openai_client, input="How do I build a bomb?")
    assert {"response.refusal.delta", "response.refusal.done"} <= set(kinds(events))
    assert "response.output_text.delta" not in kinds(events)


def test_a_stream_ends_incomplete_or_failed(sandbox: Sandbox, openai_client: openai.OpenAI) -> None:
    assert kinds(events_of(openai_client, max_output_tokens=16))[-1] == "response.incomplete"
    sandbox.fault(**PLAN, code="server_error")
    events = events_of(openai_client)
    assert kinds(events) == [*BEGUN, "response.failed"]
    assert events[-1].response.error.code == "server_error"


def test_deltas_hide_their_length_unless_asked_not_to(openai_client: openai.OpenAI) -> None:
    def padded(**more: Any) -> set[bool]:
        deltas = [each for each in events_of(openai_client, **more) if "delta" in each.type]
        return {hasattr(each, "obfuscation") for each in deltas}

    assert padded() == {True}
    assert padded(stream_options={"include_obfuscation": False}) == {False}


def test_an_error_comes_inside_a_stream(sandbox: Sandbox, openai_client: openai.OpenAI) -> None:
    sandbox.fault(**PLAN, **{"as": "error", "code": "rate_limit_exceeded", "after": 2})
    events = events_of(openai_client)
    assert kinds(events) == [*BEGUN, "error"]
    assert events[-1].code == "rate_limit_exceeded"
    failed = openai_client.responses.retrieve(events[0].response.id)
    assert failed.status == "failed"


def test_the_connection_of_a_stream_is_lost(sandbox: Sandbox, openai_client: openai.OpenAI) -> None:
    sandbox.fault(**PLAN, **{"as": "reset", "after": 3})
    seen = until_lost(openai_client)
    assert len(seen) == 3
    assert openai_client.responses.retrieve(seen[0].response.id).output_text


def test_one_that_is_not_in_the_background_is_not_streamed_again(
    openai_client: openai.OpenAI,
) -> None:
    made = openai_client.responses.create(model=MODEL, input=BRIEF)
    with pytest.raises(openai.BadRequestError, match="cannot be streamed"):
        openai_client.responses.retrieve(made.id, stream=True)
