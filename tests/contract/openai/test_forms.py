"""The forms of structured answers: which are taken, and whether an answer has one."""

import time

import pytest
from pydantic import ValidationError

from app.errors import Permanent
from app.platform import Json
from tasks.openai.responses import forms
from tasks.openai.responses.answers import structured
from tasks.openai.responses.inputs import RespondInput
from tests.contract.openai.cases import ASKED
from tests.contract.openai.test_responses import SCHEMA

SLOW = {"pattern": "^(a+)+$", "type": "string"}
OLD = "http://json-schema.org/draft-07/schema#"


def said(text: str) -> Json:
    return {"id": "resp_1", "text": text}


def of(**parts: object) -> Json:
    """A schema of an object with the property `x`, and these parts."""
    closed = {"type": "object", "required": ["x"], "additionalProperties": False}
    return {**closed, "properties": {"x": {"type": "string"}}, **parts}


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "no JSON",
        '{"title": 1, "tags": []}',
        "[" * 5000,
        '{"title": NaN, "tags": []}',
        '{"title": 1e999, "tags": []}',
    ],
)
def test_a_text_of_another_form_is_no_answer(text: str) -> None:
    with pytest.raises(Permanent) as caught:
        structured(said(text), SCHEMA)
    assert caught.value.code == "answer_invalid"
    assert caught.value.detail == {"response": "resp_1"}


def test_an_error_tells_where_an_answer_is_wrong_and_not_what_it_says() -> None:
    with pytest.raises(Permanent, match="/tags/1 does not fit `type`") as caught:
        structured(said('{"title": "a", "tags": ["b", ["secret words"]]}'), SCHEMA)
    assert "secret" not in caught.value.message


def test_patterns_and_references_out_of_a_schema_are_not_followed() -> None:
    seen = said(f'{{"title": "{"a" * 60}!", "tags": []}}')
    assert structured(seen, SCHEMA)["tags"] == []
    elsewhere = {"type": "object", "properties": {"tags": {"$ref": "http://127.0.0.1:1/s.json"}}}
    with pytest.raises(Permanent, match="cannot be checked"):
        structured(seen, elsewhere)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (of(properties={"x": SLOW | {"$schema": OLD}}), "/properties/x/.schema is no keyword"),
        (of(**{"$schema": OLD}), "/.schema is no keyword"),
        (of(**{"$ref": "#", "$schema": OLD}), "is no keyword"),
        (of(**{"$ref": "#/$defs/x", "$defs": {"x": SLOW}}), "/.ref must be in a part"),
        (of(properties={"x": {"$ref": "#/properties/y/default"}}), "or `#/.defs/<name>`"),
        (of(properties={"x": {"$ref": "#/$defs/y%2Fdefault"}}), "or `#/.defs/<name>`"),
        (of(properties={"x": {"$ref": "#/$defs/none"}}), "or `#/.defs/<name>`"),
        (of(properties={"x": {"$dynamicRef": "#"}}), "is no keyword"),
        (of(patternProperties={"^(a+)+$": {}}), "/patternProperties is no keyword"),
        (of(properties={"x": {"anyOf": [{"not": SLOW}]}}), "/properties/x/anyOf/0/not is no"),
        (of(properties={"x": {"items": {"uniqueItems": True}}}), "uniqueItems is no keyword"),
    ],
)
def test_what_the_strict_mode_does_not_know_is_refused(schema: Json, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        RespondInput(**ASKED | {"answer_schema": schema})


def test_a_schema_may_use_what_the_strict_mode_knows() -> None:
    schema = of(
        properties={"x": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
        **{"$defs": {"node": of(properties={"x": {"type": ["integer", "null"], "minimum": 3}})}},
    )
    RespondInput(**ASKED | {"answer_schema": schema})
    assert forms.misfit({"x": {"x": 5}}, schema) is None
    assert forms.misfit({"x": {"x": 2}}, schema) == "/x does not fit `anyOf` of its schema"


def test_a_check_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "MOST_SECONDS", 0.2)
    twice = {"anyOf": [{"items": {"$ref": "#/$defs/a"}, "minItems": 9}] * 2}
    schema = of(properties={"x": {"$ref": "#/$defs/a"}}, **{"$defs": {"a": twice}})
    deep: list[object] = []
    for _ in range(40):
        deep = [deep]
    began = time.thread_time()
    with pytest.raises(forms.Unchecked, match="takes longer"):
        forms.misfit({"x": deep}, schema)
    assert time.thread_time() - began < 20
