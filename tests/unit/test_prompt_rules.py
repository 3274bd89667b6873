"""Prompts in a definition: how they are named, and what of it is checked when it is registered."""

from typing import Any

import pytest

from app.errors import Permanent
from app.platform import Json
from chains.actions import actions
from chains.language.faults import DefinitionRefused
from chains.plans.prompt_rules import KnownPrompt, prompts_used, references
from chains.plans.validation import definition_of, examine
from chains.prompts.body import PromptBody, stored_form
from chains.rehearsal import FakeMissing, rehearse

CAPTION = {"caption": "A", "model": "m", "tokens": 1}


def prompt(**given: Any) -> Json:
    return stored_form(PromptBody.model_validate(given))


BRIEF = {"brief": {"type": "string", "maxLength": 20}}
BODY = prompt(text="Brief: {{ brief }}", variables=BRIEF)
KNOWN = {
    "caption": KnownPrompt(
        {"production": 1, "odd": 2, "strange": 3},
        {
            1: BODY,
            2: prompt(text="{{ brief }}", variables=BRIEF, settings={"temperature": 1}),
            3: prompt(text="{{ brief }}", variables=BRIEF, settings={"style": "dry"}),
        },
    )
}


def using(value: Any, **rest: Any) -> Json:
    step = {"step": "a", "action": "openai.caption", "with": {"prompt": value, **rest}}
    return {"name": "sample", "do": step}


def named(**given: Any) -> Json:
    whole = {"name": "caption", "label": "production", "variables": {"brief": "x"}, **given}
    return {name: value for name, value in whole.items() if value is not None}


def faults(body: Json, known: Any = KNOWN) -> dict[str, str]:
    with pytest.raises(DefinitionRefused) as caught:
        examine(definition_of(body), actions(), prompts=known)
    return dict(caught.value.errors)


@pytest.mark.parametrize(
    "value",
    [
        named(),
        named(variables={"brief": {"$": "input.brief"}}),
        named(label=None, version=1),
        named(label=None, version=1.0),
    ],
)
def test_a_prompt_that_exists_and_fits_is_taken(value: Json) -> None:
    assert examine(definition_of(using(value)), actions(), prompts=KNOWN).heads


@pytest.mark.parametrize(
    ("value", "place", "words"),
    [
        (named(name="capton"), "/do/with/prompt/name", "there is no prompt 'capton'"),
        (named(label="prodution"), "/do/with/prompt/label", "did you mean 'production'?"),
        (named(label=None, version=9), "/do/with/prompt/version", "has no version 9"),
        (named(label=None), "/do/with/prompt", "needs either a `label`"),
        (named(version=1), "/do/with/prompt", "needs either a `label`"),
        (named(name={"$": "input.n"}), "/do/with/prompt/name", "must be fixed"),
        (named(label={"$": "input.n"}), "/do/with/prompt/label", "must be fixed"),
        (named(variables={"$": "input"}), "/do/with/prompt/variables", "must name each variable"),
        ({"$": "input.prompt"}, "/do/with/prompt", "is named in the definition itself"),
        (named(variables={}), "/do/with/prompt/variables/brief", "this field is required"),
        (named(variables={"brief": None}), "/do/with/prompt/variables/brief", "is required"),
        (
            named(variables={"brief": "x", "tone": "dry"}),
            "/do/with/prompt/variables/tone",
            "this field is not known; there are: brief",
        ),
        (named(variables={"brief": "x" * 21}), "/do/with/prompt/variables/brief", "is longer"),
        (named(variables={"brief": ["x"]}), "/do/with/prompt/variables/brief", "must be of type"),
        (named(lable="x"), "/do/with/prompt/lable", "this field is not known"),
        (named(name="Caption"), "/do/with/prompt/name", "does not match"),
        (named(label="odd"), "/do/with/prompt", "the setting 'temperature', which openai.caption"),
        (named(label="strange"), "/do/with/prompt", "with the settings of the prompt, the input"),
        ("caption", "/do/with/prompt", "must be of type object"),
    ],
)
def test_what_is_wrong_with_a_prompt_is_named_with_its_place(
    value: Any, place: str, words: str
) -> None:
    found = faults(using(value))
    assert words in found[place], found


def test_a_caption_has_a_brief_or_a_prompt_and_no_style_beside_a_prompt() -> None:
    assert faults(using(named(), brief="x")) == {"/do/with": "needs exactly one of: brief, prompt"}
    assert "dependency" in faults(using(named(), style="dry"))["/do/with"]
    neither = {"name": "sample", "do": {"step": "a", "action": "openai.caption", "with": {}}}
    assert faults(neither) == {"/do/with": "needs exactly one of: brief, prompt"}


def test_without_a_server_the_form_is_checked_and_not_what_exists() -> None:
    examine(definition_of(using(named(name="unheard_of"))), actions())
    assert "needs either" in faults(using(named(label=None)), None)["/do/with/prompt"]


def test_the_prompts_of_a_definition_are_listed_once_each_also_of_compensations() -> None:
    def step(key: str, **rest: Any) -> Json:
        return {"step": key, "action": "openai.caption", "with": {"prompt": named()}, **rest}

    other = {"action": "openai.caption", "with": {"prompt": named(label=None, version=1)}}
    body = {"name": "s", "do": {"sequence": [step("a"), step("b", compensation=other)]}}
    uses = prompts_used(definition_of(body), actions())
    assert [use.pointer for use in uses] == [
        "/do/sequence/0/with/prompt",
        "/do/sequence/1/with/prompt",
        "/do/sequence/1/compensation/with/prompt",
    ]
    assert references(uses) == [
        {"name": "caption", "label": "production"},
        {"name": "caption", "version": 1},
    ]


def test_a_definition_names_a_hundred_prompts_at_most() -> None:
    def with_versions(count: int) -> Json:
        given = [named(label=None, version=number + 1) for number in range(count)]
        steps = [
            {"step": f"s{number}", "action": "openai.caption", "with": {"prompt": each}}
            for number, each in enumerate(given)
        ]
        return {"name": "sample", "do": {"sequence": steps}}

    assert faults(with_versions(101)) == {"/do": "names 101 prompts, and 100 are allowed"}
    assert len(examine(definition_of(with_versions(100)), actions()).steps) == 100


def test_a_rehearsal_renders_the_prompt_as_a_worker_does() -> None:
    body = using(named(variables={"brief": {"$": "input.brief"}}))
    given = {"text": "Brief: {{ brief }}", "variables": BRIEF, "settings": {"cache": False}}
    run = rehearse(
        body,
        input={"brief": "Heroes"},
        prompts={"caption": given},
        actions={"openai.caption": CAPTION},
    )
    (sent,) = run.calls("openai.caption")
    assert sent["cache"] is False
    assert sent["prompt"]["messages"] == [{"role": "user", "content": "Brief: Heroes"}]
    assert (sent["prompt"]["label"], sent["prompt"]["version"]) == ("production", 1)


def test_a_value_that_does_not_fit_fails_the_step_with_its_place() -> None:
    body = using(named(variables={"brief": {"$": "input.brief"}}))
    given = {"text": "{{ brief }}", "variables": BRIEF}
    run = rehearse(
        body, input={}, prompts={"caption": given}, actions={"openai.caption": Permanent("unused")}
    )
    assert run.status == "failed"
    error = run.steps["a"].error
    assert error is not None
    assert error["code"] == "prompt_variables"
    assert error["message"] == (
        "prompt 'caption' version 1: /variables/brief: this field is required"
    )


def test_an_input_that_comes_from_elsewhere_names_no_prompt() -> None:
    body = {"name": "s", "do": {"step": "a", "action": "openai.caption", "with": {"$": "input"}}}
    given = {"prompt": named()}
    run = rehearse(
        body,
        input=given,
        prompts={"caption": {"text": "{{ brief }}"}},
        actions={"openai.caption": CAPTION},
    )
    error = run.steps["a"].error
    assert error is not None
    assert error["code"] == "prompt_not_named"


def test_a_prompt_that_a_rehearsal_is_not_given_is_named() -> None:
    with pytest.raises(FakeMissing, match="the prompt 'caption'"):
        rehearse(using(named()), input={}, actions={"openai.caption": CAPTION})
