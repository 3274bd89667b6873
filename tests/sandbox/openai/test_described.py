"""The sandbox's description of parameters is that of the SDK, and what is wrong is noticed."""

from __future__ import annotations

import json

import pytest

from ops.sandbox.openai.parameters import CALLS, check, from_text
from ops.sandbox.wire import Refusal
from tests.sandbox.openai import unchecked
from tests.sandbox.openai.asked import faults_of_request
from tests.sandbox.openai.checked import faults_of_error, faults_of_reply
from tests.sandbox.openai.describe import FOLDER, parameters
from tests.sandbox.openai.served import EVENTS, LISTS, REPLIES, WITHOUT_TYPE, routes


def test_the_parameters_are_those_of_the_sdk() -> None:
    """`python -m tests.sandbox.openai.describe` writes them anew after an update of the SDK."""
    assert json.loads((FOLDER / "parameters.json").read_text()) == parameters()


def test_what_is_not_compared_is_listed() -> None:
    """`python -m tests.sandbox.openai.unchecked` writes the list anew."""
    assert unchecked.FILE.read_text() == unchecked.text()


def test_each_call_has_a_type_for_its_reply_or_a_reason_why_not() -> None:
    served = {operation for _, _, operation in routes()}
    assert served == {*REPLIES, *LISTS, *WITHOUT_TYPE}
    assert set(EVENTS) <= served
    assert set(CALLS) >= {"responses.create", "chat.completions.create"}


RIGHT = {"model": "gpt-5.4-mini", "input": [{"role": "user", "content": "Hi"}]}
PART = {"type": "input_text", "text": "Hi"}


@pytest.mark.parametrize(
    ("more", "param", "code", "words"),
    [
        ({"colour": "red"}, "colour", "unknown_parameter", "Unknown parameter: 'colour'."),
        (
            {"input": [{"role": "user"}]},
            "input[0].content",
            "missing_required_parameter",
            "Missing required parameter: 'input[0].content'.",
        ),
        (
            {"input": [{"role": "user", "content": [PART, {"type": "smell"}]}]},
            "input[0].content[1].type",
            "invalid_value",
            (
                "Invalid value: 'smell'. Supported values are: 'input_text', 'input_image', and "
                "'input_file'."
            ),
        ),
        (
            {"input": [{"role": "user", "content": [PART, {**PART, "loud": True}]}]},
            "input[0].content[1].loud",
            "unknown_parameter",
            "Unknown parameter: 'input[0].content[1].loud'.",
        ),
        (
            {"input": [{"type": "smell"}]},
            "input[0].type",
            "invalid_value",
            "Invalid value: 'smell'. Supported values are: 'message',",
        ),
        (
            {"max_output_tokens": "many"},
            "max_output_tokens",
            "invalid_type",
            "Invalid type for 'max_output_tokens': expected an integer, but got a string instead.",
        ),
        (
            {"max_output_tokens": 20.5},
            "max_output_tokens",
            "invalid_type",
            (
                "Invalid type for 'max_output_tokens': expected an integer, but got a decimal "
                "number instead."
            ),
        ),
        (
            {"background": "yes"},
            "background",
            "invalid_type",
            "Invalid type for 'background': expected a boolean, but got a string instead.",
        ),
        (
            {"input": 7},
            "input",
            "invalid_type",
            (
                "Invalid type for 'input': expected one of a string or an array of objects, but "
                "got an integer instead."
            ),
        ),
        (
            {"text": {"format": {"type": "json_schema", "name": "x"}}},
            "text.format.schema",
            "missing_required_parameter",
            "Missing required parameter: 'text.format.schema'.",
        ),
        (
            {"reasoning": {"effort": "enormous"}},
            "reasoning.effort",
            "invalid_value",
            "Invalid value: 'enormous'. Supported values are: 'none', 'minimal',",
        ),
        (
            {"tools": [{"type": "function"}]},
            "tools[0].name",
            "missing_required_parameter",
            "Missing required parameter: 'tools[0].name'.",
        ),
        (
            {"metadata": {"a": 1}},
            "metadata.a",
            "invalid_type",
            "Invalid type for 'metadata.a': expected a string, but got an integer instead.",
        ),
        (
            {"include": None, "tools": None},
            "tools",
            "invalid_type",
            "Invalid type for 'tools': expected an array of objects, but got null instead.",
        ),
    ],
)
def test_a_wrong_parameter_is_refused_with_its_path(
    more: dict[str, object], param: str, code: str, words: str
) -> None:
    check(RIGHT, CALLS["responses.create"])
    with pytest.raises(Refusal) as caught:
        check(RIGHT | more, CALLS["responses.create"])
    wrong = caught.value.body["error"]
    assert (wrong["param"], wrong["code"]) == (param, code)
    assert wrong["message"].startswith(words)


def test_a_query_is_read_by_the_types_of_its_parameters() -> None:
    pairs = [
        ("stream", "true"), ("starting_after", "7"), ("include[]", "reasoning.encrypted_content"),
        ("include[]", "web_search_call.results"), ("odd[a][b]", "1"),
    ]  # fmt: skip
    assert from_text(pairs, CALLS["responses.retrieve"]) == {
        "stream": True,
        "starting_after": 7,
        "include": ["reasoning.encrypted_content", "web_search_call.results"],
        "odd": {"a": {"b": "1"}},
    }
    single = from_text([("include", "web_search_call.results")], CALLS["responses.retrieve"])
    assert single == {"include": ["web_search_call.results"]}


def test_a_wrong_request_is_noticed() -> None:
    for body, words in (
        (RIGHT | {"colour": "red"}, "Unknown parameter: 'colour'."),
        (RIGHT | {"stream": 1}, "expected a boolean"),
    ):
        (fault,) = faults_of_request("responses.create", "", json.dumps(body).encode(), "")
        assert words in fault
    (fault,) = faults_of_request("responses.input_items.list", "limit=many", b"", "")
    assert "expected an integer" in fault
    assert faults_of_request("responses.create", "", json.dumps(RIGHT).encode(), "") == []


def test_a_wrong_reply_is_noticed() -> None:
    counted = {"object": "response.input_tokens", "input_tokens": 3}
    assert _faults(counted) == []
    assert _faults({**counted, "colour": "red"}) == ["InputTokenCountResponse has no colour"]
    assert _faults({"object": "response.input_tokens"}) == ["input_tokens: Field required"]
    (fault,) = _faults({**counted, "input_tokens": "3"})
    assert "valid integer" in fault
    event = b'event: x\ndata: {"type": "response.refusal.done", "refusal": "No"}\n\n'
    assert faults_of_reply("responses.create", event, "text/event-stream")
    assert faults_of_error(b'{"error": {"message": "No"}}')


def _faults(reply: object) -> list[str]:
    return faults_of_reply(
        "responses.input_tokens.count", json.dumps(reply).encode(), "application/json"
    )
