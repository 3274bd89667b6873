"""Prompts: the template language, what a version may hold, its values, its tests and its lines."""

from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError

from app.errors import InvalidInput
from app.platform import ActionInput, Json
from app.prompts import MOST_CHARACTERS, Prompt, prompt_fields
from chains.language.patterns.time_limits import time_limit
from chains.prompts.body import PromptBody, checksum, stored_form
from chains.prompts.comparing import lines_of
from chains.prompts.rendering import render
from chains.prompts.template import Place, parse
from chains.prompts.testing import run_tests
from tasks.openai.actions import CaptionInput, ModerateInput

LONG = "x" * MOST_CHARACTERS


def stored(**given: Any) -> Json:
    return stored_form(PromptBody.model_validate(given))


def faults(**given: Any) -> dict[str, str]:
    """What is wrong with a body, by place."""
    with pytest.raises(InvalidInput) as caught:
        run_tests(stored(**given))
    assert caught.value.code in ("prompt_invalid", "prompt_tests_failed")
    return dict(caught.value.errors)


def contents(body: Json, **values: Any) -> list[str]:
    return [each["content"] for each in render(body, values)]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", ()),
        ("plain { braces } and }} too", ("plain { braces } and }} too",)),
        ("{{a}}{{ b_1 }}", (Place("a", 1, 1), Place("b_1", 1, 6))),
        ("x\ny {{ a }}z", ("x\ny ", Place("a", 2, 3), "z")),
        (r"\{{ a }} {{ a }}", ("{{", " a }} ", Place("a", 1, 10))),
        ('{"v":{{{ a }}}', ('{"v":{', Place("a", 1, 7), "}")),
    ],
)
def test_a_template_is_texts_and_places(text: str, pieces: tuple[Any, ...]) -> None:
    template = parse(text)
    assert (template.pieces, template.faults) == (pieces, ())


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{{ a", "line 1, column 1: {{ has no }}"),
        ("one\n two {{ a\n}}", "line 2, column 6: {{ has no }}"),
        ("{{}}", "holds no name"),
        ("{{ a.b }}", "'a.b' is not a variable's name"),
        ("{{ a | upper }}", "is not a variable's name"),
        ("{{ {{ a }} }}", "line 1, column 1: {{ has no }}"),
        ("{{ A }}", "'A' is not"),
        ("{{ a }}" * 1001, "1001 places"),
    ],
)
def test_what_is_no_place_is_named_with_its_line_and_column(text: str, fault: str) -> None:
    assert fault in parse(text).faults[0]


@pytest.mark.parametrize(
    ("text", "count"),
    [("{{" * 50_000, 0), ("{{ a" * 25_000, 0), ("{" * 100_000, 0), ("{{ a }}" * 14_000, 14_000)],
)
def test_a_template_of_the_largest_size_is_read_to_its_end(text: str, count: int) -> None:
    # In quadratic time, each of these would take minutes.
    template = parse(text)
    assert (len(template.places), bool(template.faults)) == (count, True)


def test_values_are_put_in_as_they_are_and_not_read_as_templates() -> None:
    body = stored(text="{{ a }} and {{ a }}, {{ b }}")
    assert body["variables"] == {"a": {"type": ["string", "number"]}} | {
        "b": {"type": ["string", "number"]}
    }
    assert contents(body, a="{{ b }}", b=r"\{{") == [r"{{ b }} and {{ b }}, \{{"]


def test_numbers_booleans_and_defaults_are_texts_in_a_message() -> None:
    variables = {
        "n": {"type": "integer"},
        "x": {"type": "number", "default": 0.5},
        "is_dry": {"type": "boolean", "default": False},
        "words": {"type": "string", "default": ""},
    }
    body = stored(text="{{ n }}|{{ x }}|{{ is_dry }}|{{ words }}", variables=variables)
    assert contents(body, n=3.0) == ["3|0.5|false|"]
    assert contents(body, n=-1, x=2, is_dry=True, words="é") == ["-1|2|true|é"]
    assert contents(body, n=1, x=None) == ["1|0.5|false|"], "null is not given"


@pytest.mark.parametrize(
    ("values", "place", "words"),
    [
        ({}, "/variables/a", "this field is required"),
        ({"a": None}, "/variables/a", "this field is required"),
        ({"a": "x", "tone": "dry"}, "/variables/tone", "this field is not known; there are: a"),
        ({"a": ["x"]}, "/variables/a", "join a list"),
        ({"a": {"$": "input.x"}}, "/variables/a", "must be a text"),
        ({"a": 1}, "/variables/a", "must be of type string"),
        ({"a": "long"}, "/variables/a", "is longer than 3 characters"),
    ],
)
def test_a_value_that_is_missing_unknown_or_wrong_is_named(
    values: Json, place: str, words: str
) -> None:
    body = stored(text="{{ a }}", variables={"a": {"type": "string", "maxLength": 3}})
    with pytest.raises(InvalidInput, match=words) as caught:
        render(body, values)
    assert (caught.value.code, caught.value.errors[0][0]) == ("prompt_variables", place)


def test_a_small_template_makes_no_huge_message() -> None:
    body = stored(text="{{ a }}" * 1000)
    assert len(contents(body, a="x" * 200)[0]) == 200_000
    with pytest.raises(InvalidInput, match="256000000 characters") as caught:
        render(body, {"a": "x" * MOST_CHARACTERS})
    assert caught.value.code == "prompt_too_large"


def test_values_are_checked_within_the_time_of_the_tests() -> None:
    body = stored(text="{{ a }}")
    with time_limit(-1), pytest.raises(InvalidInput, match="takes too long"):
        render(body, {"a": "x"})


@pytest.mark.parametrize(
    ("given", "place", "words"),
    [
        ({}, "/messages", "either a `text` or `messages`"),
        ({"text": "a", "messages": [{"role": "user", "content": "b"}]}, "/messages", "either"),
        ({"text": "{{ a }}", "variables": {}}, "/text", "'a' is not in `variables`"),
        (
            {"messages": [{"role": "user", "content": "x\n {{ tnoe }}"}],
             "variables": {"tone": {"type": "string"}}},
            "/messages/0/content",
            "line 2, column 2: 'tnoe' is not in `variables`; did you mean 'tone'?",
        ),
        ({"text": "x", "variables": {"a": {"type": "string"}}}, "/variables/a", "no message has"),
        ({"text": "{{ a }}", "variables": {"a": {}}}, "/variables/a/type", "must be string"),
        ({"text": "{{ a }}", "variables": {"a": {"type": "array"}}}, "/variables/a/type", "join"),
        (
            {"text": "{{ a }}", "variables": {"a": {"type": "string", "$ref": "#"}}},
            "/variables/a/$ref",
            "is not a keyword",
        ),
        (
            {"text": "{{ a }}", "variables": {"a": {"type": "string", "maxLength": -1}}},
            "/variables/a/maxLength",
            "is not a JSON Schema",
        ),
        (
            {"text": "{{ a }}", "variables": {"a": {"type": "string", "pattern": "("}}},
            "/variables/a/pattern",
            "is not a regular expression",
        ),
        (
            {"text": "{{ a }}", "variables": {"a": {"type": "integer", "default": "x"}}},
            "/variables/a/default",
            "must be of type integer",
        ),
        ({"text": "a" * 60_000 + "é" * 30_000}, "/messages", "120000 bytes"),
        ({"text": "a", "settings": {"seed": {"$": "input.x"}}}, "/settings/seed", "a reference"),
    ],
)  # fmt: skip
def test_what_a_version_may_not_hold_is_named_with_its_place(
    given: Json, place: str, words: str
) -> None:
    found = faults(**given)
    assert words in found[place], found


@pytest.mark.parametrize(
    "given",
    [
        {"text": ""},
        {"messages": []},
        {"messages": [{"role": "robot", "content": "x"}]},
        {"text": "x", "variables": {"Tone": {"type": "string"}}},
        {"text": "x", "body": "y"},
        {"text": "x" * 100_001},
    ],
)
def test_a_body_of_another_shape_is_refused(given: Json) -> None:
    with pytest.raises(ValidationError):
        PromptBody.model_validate(given)


@pytest.mark.parametrize(
    ("case", "place", "words"),
    [
        ({}, "/tests/0", "checks nothing"),
        ({"contains": [], "lacks": []}, "/tests/0", "checks nothing"),
        ({"variables": {"name": LONG}, "lacks": ["x"]}, "/tests/0/variables", "characters, and"),
        ({"contains": ["Dear", "Eve"]}, "/tests/0/contains/1", "does not contain 'Eve'"),
        ({"lacks": ["Ada"]}, "/tests/0/lacks/0", "contains 'Ada'"),
        ({"equals": "Dear Ada,"}, "/tests/0/equals", "the text is another: 'Be kind."),
        ({"matches": "^Dear"}, "/tests/0/matches", "does not match"),
        ({"matches": "("}, "/tests/0/matches", "is not a regular expression"),
        ({"most_characters": 18}, "/tests/0/most_characters", "19 characters, more than 18"),
        ({"most_tokens": 4}, "/tests/0/most_tokens", "5 tokens, more than 4"),
        ({"message": 2, "contains": ["x"]}, "/tests/0/message", "there is no message 2"),
        ({"message": 1, "contains": ["Be"]}, "/tests/0/contains/0", "does not contain 'Be'"),
        ({"variables": {}, "contains": ["x"]}, "/tests/0/variables/name", "is required"),
        ({"name": "greets", "contains": ["Eve"]}, "/tests/0/contains/0", "test 'greets': the text"),
    ],
)
def test_a_version_that_fails_a_test_of_its_own_is_refused(
    case: Json, place: str, words: str
) -> None:
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Dear {{ name }},"},
    ]
    found = faults(messages=messages, tests=[{"variables": {"name": "Ada"}, **case}])
    assert words in found[place], found


def test_a_version_that_passes_its_tests_is_kept_with_them() -> None:
    messages = [{"role": "user", "content": "Dear {{ name }},"}]
    checks = {"contains": ["Ada"], "lacks": ["{{"], "equals": "Dear Ada,", "matches": "^D.*,$"}
    case = {"variables": {"name": "Ada"}, "message": 0, "most_tokens": 3, **checks}
    body = stored(messages=messages, tests=[case])
    run_tests(body)
    assert body["tests"] == [case]


def test_the_checksum_depends_on_the_body_alone() -> None:
    by_text, by_message = stored(text="a"), stored(messages=[{"role": "user", "content": "a"}])
    assert checksum(by_text) == checksum(by_message)
    assert checksum(stored(text="a", settings={"n": 1.0})) == checksum(
        stored(text="a", settings={"n": 1})
    )
    assert checksum(stored(text="b")) != checksum(by_text)


def test_the_lines_of_a_version_show_all_that_it_holds() -> None:
    body = stored(text="Dear {{ name }}\nhello", description="A greeting", settings={"n": 1})
    assert lines_of(body) == [
        "[description]", "A greeting", "",
        "[user]", "Dear {{ name }}", "hello", "",
        "[variables]", "{", '  "name": {', '    "type": [', '      "string",', '      "number"',
        "    ]", "  }", "}", "",
        "[settings]", "{", '  "n": 1', "}",
    ]  # fmt: skip


def test_an_action_takes_prompts_in_the_fields_of_that_type() -> None:
    assert prompt_fields(CaptionInput) == ("prompt",)
    assert prompt_fields(ModerateInput) == ()
    schema = CaptionInput.model_json_schema(by_alias=True)
    assert set(schema["$defs"]["Prompt"]["properties"]) == {"name", "label", "version", "variables"}


def test_a_field_takes_one_prompt_and_no_list_of_them() -> None:
    class Two(ActionInput):
        first: Prompt
        second: Annotated[Prompt | None, Field(title="second")] = None

    class Several(ActionInput):
        prompts: dict[str, list[Annotated[Prompt, Field(title="one")]]] | None = None

    assert prompt_fields(Two) == ("first", "second")
    with pytest.raises(TypeError, match=r"Several\.prompts: a field takes one Prompt"):
        prompt_fields(Several)


def test_a_prompt_without_messages_is_no_input() -> None:
    with pytest.raises(ValidationError, match="messages"):
        Prompt.model_validate({"name": "caption", "version": 1, "hash": "0" * 64})
