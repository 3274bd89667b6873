"""Responses through openai.OpenAI: what is asked for, and how a response ends."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.sandbox.running import Sandbox

BRIEF = "Brief: masked ball at the harbour museum"
MODEL = "gpt-5.4-mini"
PLAIN = "gpt-rosalind-research"
"""A model that does not think."""
PHOTOS = Path(__file__).parents[3] / "ops" / "sandbox" / "photos"
PARAMETERS = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
    "required": ["place", "days"],
    "additionalProperties": False,
}
TOOL: Any = {"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": True}
OTHER: Any = {**TOOL, "name": "tides"}


def test_a_response_says_all_that_was_asked_for(openai_client: openai.OpenAI) -> None:
    made = openai_client.responses.create(
        model=MODEL, input=BRIEF, instructions="Be short.", metadata={"step": "s1"},
        max_output_tokens=400, temperature=0.5, top_p=0.9, safety_identifier="u1",
        prompt_cache_key="k", truncation="auto", parallel_tool_calls=False, tools=[TOOL],
        tool_choice="none",
    )  # fmt: skip
    assert "harbour museum" in made.output_text
    assert (made.status, made.error, made.incomplete_details) == ("completed", None, None)
    assert made.metadata == {"step": "s1"}
    assert (made.instructions, made.max_output_tokens, made.truncation) == (
        "Be short.",
        400,
        "auto",
    )
    assert (made.temperature, made.top_p, made.parallel_tool_calls) == (0.5, 0.9, False)
    assert (made.safety_identifier, made.prompt_cache_key) == ("u1", "k")
    assert made.completed_at is not None
    assert openai_client.responses.retrieve(made.id).to_dict() == made.to_dict()


def test_one_that_is_not_stored_or_deleted_is_not_found(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    kept = openai_client.responses.create(model=MODEL, input=BRIEF)
    unkept = openai_client.responses.create(model=MODEL, input=BRIEF, store=False)
    openai_client.responses.delete(kept.id)
    for gone in (kept, unkept):
        with pytest.raises(openai.NotFoundError, match=f"Response with id '{gone.id}' not found"):
            openai_client.responses.retrieve(gone.id)
    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.responses.create(model=MODEL, input="And?", previous_response_id=unkept.id)
    assert caught.value.code == "previous_response_not_found"
    books = sandbox.books()
    assert (books["captions"], books["responses_deleted"]) == (2, 1)


def test_only_a_response_in_the_background_can_be_cancelled(openai_client: openai.OpenAI) -> None:
    made = openai_client.responses.create(model=MODEL, input=BRIEF)
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        openai_client.responses.cancel(made.id)


def test_a_later_response_reads_the_earlier_one(openai_client: openai.OpenAI) -> None:
    first = openai_client.responses.create(model=MODEL, input=BRIEF)
    second = openai_client.responses.create(
        model=MODEL, input="And now for a lighthouse", previous_response_id=first.id
    )
    assert second.previous_response_id == first.id
    assert "lighthouse" in second.output_text
    assert first.usage
    assert second.usage
    assert second.usage.input_tokens > first.usage.total_tokens


def test_an_item_of_a_stored_response_is_referred_to(openai_client: openai.OpenAI) -> None:
    first = openai_client.responses.create(model=MODEL, input=BRIEF)
    (said,) = openai_client.responses.input_items.list(first.id)
    again = openai_client.responses.create(
        model=MODEL, input=[{"type": "item_reference", "id": str(said.id)}]
    )
    assert again.output_text == first.output_text
    openai_client.responses.delete(first.id)
    openai_client.responses.delete(again.id)
    with pytest.raises(openai.NotFoundError, match="Items are not persisted"):
        openai_client.responses.create(
            model=MODEL, input=[{"type": "item_reference", "id": str(said.id)}]
        )


def test_the_input_is_listed_in_pages(openai_client: openai.OpenAI) -> None:
    image = base64.b64encode((PHOTOS / "grace_hopper.jpg").read_bytes()[:2000]).decode()
    url = f"data:image/jpeg;base64,{image}"
    given: Any = [
        {"role": "developer", "content": "Be kind."},
        {"role": "assistant", "content": "I am."},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": BRIEF},
                {"type": "input_image", "image_url": url, "detail": "high"},
                {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "low"},
            ],
        },
    ]
    made = openai_client.responses.create(model=MODEL, input=given)
    whole = openai_client.responses.input_items.list(made.id, order="asc")
    assert [each.type for each in whole.data] == ["message"] * 3
    last: Any = whole.data[2]
    assert [part.type for part in last.content] == ["input_text", "input_image", "input_image"]
    first = openai_client.responses.input_items.list(made.id, limit=2)
    assert first.has_more
    assert [each.id for each in first.data] == [each.id for each in reversed(whole.data[1:])]
    ids = [each.id for each in openai_client.responses.input_items.list(made.id, limit=1)]
    assert ids == [each.id for each in reversed(whole.data)]
    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.responses.input_items.list(made.id, limit=101)
    assert caught.value.code == "integer_above_max_value"


def test_a_text_fits_the_schema_that_is_asked_for(openai_client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {
            "caption": {"type": "string", "maxLength": 20},
            "tags": {"type": "array", "items": {"type": "string"}},
            "tone": {"type": "string", "enum": ["warm", "cold"]},
            "score": {"type": "number", "minimum": 5},
            "next": {"anyOf": [{"$ref": "#/$defs/next"}, {"type": "null"}]},
        },
        "required": ["caption", "tags", "tone", "score", "next"],
        "additionalProperties": False,
        "$defs": {
            "next": {
                "type": "object",
                "properties": {"next": {"anyOf": [{"$ref": "#/$defs/next"}, {"type": "null"}]}},
                "required": ["next"],
                "additionalProperties": False,
            }
        },
    }
    text: Any = {"format": {"type": "json_schema", "name": "c", "schema": schema, "strict": True}}
    made = json.loads(
        openai_client.responses.create(model=MODEL, input=BRIEF, text=text).output_text
    )
    assert set(made) == {"caption", "tags", "tone", "score", "next"}
    assert len(made["caption"]) <= 20
    assert (made["tone"], made["score"]) == ("warm", 5.0)
    assert made["next"]["next"]
    plain: Any = {"format": {"type": "json_object"}}
    asked = openai_client.responses.create(model=MODEL, input=f"As JSON. {BRIEF}", text=plain)
    assert json.loads(asked.output_text)
    with pytest.raises(openai.BadRequestError, match="must contain the word 'json'"):
        openai_client.responses.create(model=MODEL, input=BRIEF, text=plain)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "array"}, "got 'type: \"array\"'"),
        ({"type": "object", "properties": {}}, "'additionalProperties' is required"),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "string"}},
                "additionalProperties": False,
            },
            "Missing 'a'",
        ),
        (
            {"type": "object", "additionalProperties": False, "allOf": [{}]},
            "'allOf' is not permitted",
        ),
        ({"type": 5}, "is not valid under any of the given schemas"),
    ],
)
def test_a_schema_that_is_not_strict_enough_is_refused(
    openai_client: openai.OpenAI, schema: dict[str, Any], words: str
) -> None:
    text: Any = {"format": {"type": "json_schema", "name": "c", "schema": schema, "strict": True}}
    with pytest.raises(openai.BadRequestError, match=words) as caught:
        openai_client.responses.create(model=MODEL, input=BRIEF, text=text)
    assert (caught.value.code, caught.value.param) == ("invalid_json_schema", "text.format.schema")


def test_what_is_cut_off_is_incomplete(sandbox: Sandbox, openai_client: openai.OpenAI) -> None:
    cut = openai_client.responses.create(model=MODEL, input=BRIEF, max_output_tokens=16)
    assert cut.status == "incomplete"
    assert cut.incomplete_details
    assert cut.incomplete_details.reason == "max_output_tokens"
    assert cut.usage
    assert cut.usage.output_tokens == 16
    assert cut.output_text
    sandbox.settings(openai__reasoning_tokens=500)
    thought = openai_client.responses.create(model=MODEL, input=BRIEF, max_output_tokens=100)
    assert [each.type for each in thought.output] == ["reasoning"]
    assert thought.usage
    assert thought.usage.output_tokens_details.reasoning_tokens == 100
    assert thought.status == "incomplete"
    whole = openai_client.responses.create(model=MODEL, input=BRIEF, max_output_tokens=900)
    assert whole.status == "completed"


@pytest.mark.parametrize(
    ("effort", "tokens"), [("none", 0), ("low", 64), ("high", 1024), (None, 0)]
)
def test_reasoning_takes_tokens_by_its_effort(
    openai_client: openai.OpenAI, effort: Any, tokens: int
) -> None:
    made = openai_client.responses.create(
        model=MODEL, input=BRIEF, reasoning={"effort": effort, "summary": "auto"},
        include=["reasoning.encrypted_content"],
    )  # fmt: skip
    assert made.usage
    assert made.usage.output_tokens_details.reasoning_tokens == tokens
    found = [each for each in made.output if each.type == "reasoning"]
    assert len(found) == bool(tokens)
    assert all(each.summary and each.encrypted_content for each in found)
    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.responses.create(model=PLAIN, input=BRIEF, reasoning={"summary": "auto"})
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "reasoning.summary")


def test_a_refusal_is_a_part_of_a_completed_message(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    made = openai_client.responses.create(model=MODEL, input="How do I build a bomb?")
    (message,) = made.output
    assert message.type == "message"
    assert [part.type for part in message.content] == ["refusal"]
    assert (made.status, made.output_text) == ("completed", "")
    sandbox.settings(openai__refuses=True)
    again = openai_client.responses.create(model=MODEL, input=BRIEF)
    assert again.output_text == ""


def test_a_planned_fault_fails_a_response_or_filters_it(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    plan = {"vendor": "openai", "operation": "responses.create", "kind": "fail"}
    sandbox.fault(**plan, code="rate_limit_exceeded", error="Too much at once")
    failed = openai_client.responses.create(model=MODEL, input=BRIEF)
    assert (failed.status, failed.output, failed.usage) == ("failed", [], None)
    assert failed.error
    assert (failed.error.code, failed.error.message) == ("rate_limit_exceeded", "Too much at once")
    sandbox.fault(**plan, **{"as": "incomplete"})
    filtered = openai_client.responses.create(model=MODEL, input=BRIEF)
    assert filtered.incomplete_details
    assert filtered.incomplete_details.reason == "content_filter"
    sandbox.fault(**plan, **{"as": "written"}, text="Only rain", match="gpt-6-sol")
    models = (MODEL, "gpt-6-sol")
    made = [openai_client.responses.create(model=each, input=BRIEF) for each in models]
    assert [each.output_text == "Only rain" for each in made] == [False, True]


def test_a_long_prompt_is_written_to_the_cache_and_read_from_it(
    openai_client: openai.OpenAI,
) -> None:
    long = "A very long briefing. " * 400

    def used(model: str, end: str) -> tuple[int, int]:
        made = openai_client.responses.create(
            model=model, instructions=long, input=end, prompt_cache_key="k"
        )
        assert made.usage
        details = made.usage.input_tokens_details
        return details.cached_tokens, details.cache_write_tokens

    read, written = used("gpt-6-luna", BRIEF)
    assert read == 0
    assert written >= 1024
    again, fresh = used("gpt-6-luna", "Brief: a bicycle shop")
    assert 1024 <= again <= written
    assert fresh < 1024
    assert used("gpt-5.4-mini", BRIEF) == (0, 0)
    assert used("gpt-5.4-mini", BRIEF)[0] >= 1024


def test_tokens_of_an_input_are_counted(openai_client: openai.OpenAI) -> None:
    made = openai_client.responses.create(model=MODEL, input=BRIEF, tools=[TOOL])
    counted = openai_client.responses.input_tokens.count(model=MODEL, input=BRIEF, tools=[TOOL])
    assert made.usage
    assert counted.input_tokens == made.usage.input_tokens


def test_an_input_that_is_too_long_is_refused_or_cut(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    sandbox.settings(openai__context_tokens=100)
    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.responses.create(model=MODEL, input=BRIEF * 20)
    assert caught.value.code == "context_length_exceeded"
    cut = openai_client.responses.create(model=MODEL, input=BRIEF * 20, truncation="auto")
    assert cut.usage
    assert cut.usage.input_tokens == 100


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"moderation": {"model": "omni-moderation-latest"}}, "moderation"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"prompt_cache_options": {"mode": "explicit"}}, "prompt_cache_options.mode"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"tools": [{"type": "mcp", "server_label": "a"}]}, "tools"),
        ({"tool_choice": {"type": "mcp", "server_label": "a"}}, "tool_choice.type"),
        ({"input": [{"type": "compaction_trigger"}]}, "input[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
            "input[0].content[0].type",
        ),
    ],
)
def test_what_is_not_built_is_refused(
    openai_client: openai.OpenAI, more: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.responses.create(**{"model": MODEL, "input": BRIEF, **more})
    assert caught.value.param == param
    assert caught.value.code in ("unsupported_parameter", "unsupported_value")


@pytest.mark.parametrize(
    ("more", "code", "param"),
    [
        ({"extra_body": {"n": 2}}, "unknown_parameter", "n"),
        ({"extra_body": {"input": ""}}, "missing_required_parameter", "input"),
        ({"max_output_tokens": 1}, "integer_below_min_value", "max_output_tokens"),
        ({"temperature": 2.5}, "decimal_above_max_value", "temperature"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "object_above_max_properties", "metadata"),
        ({"metadata": {"x" * 65: "x"}}, "string_above_max_length", "metadata"),
        ({"metadata": {"a": "x" * 513}}, "string_above_max_length", "metadata.a"),
        ({"prompt_cache_key": "x" * 65}, "string_above_max_length", "prompt_cache_key"),
        ({"safety_identifier": "x" * 129}, "string_above_max_length", "safety_identifier"),
        ({"tool_choice": "required"}, None, "tool_choice"),
        ({"tools": [{**TOOL, "name": "not a name"}]}, "invalid_value", "tools[0].name"),
        (
            {"tools": [{**TOOL, "parameters": {"type": "object"}}]},
            "invalid_function_parameters",
            "tools[0].parameters",
        ),
        ({"stream_options": {"include_obfuscation": True}}, None, "stream_options"),
        ({"extra_body": {"store": "yes"}}, "invalid_type", "store"),
    ],
)
def test_what_is_wrong_is_refused(
    openai_client: openai.OpenAI, more: dict[str, Any], code: str | None, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.responses.create(**{"model": MODEL, "input": BRIEF, **more})
    assert (caught.value.code, caught.value.param) == (code, param)
