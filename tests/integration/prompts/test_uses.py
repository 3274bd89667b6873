"""What is read of the prompts that a definition names."""

from app import db
from app.platform import Json
from chains.actions import actions
from chains.catalogue.prompts import creating
from chains.catalogue.prompts.uses import project_of
from chains.plans.prompt_rules import prompts_used
from chains.plans.validation import definition_of
from chains.prompts.body import PromptBody
from chains.starting.prompts import known_prompts
from tests.integration.prompts.conftest import Prompts


def test_only_what_is_named_is_read_of_the_prompts(prompts: Prompts) -> None:
    body = PromptBody.model_validate({"text": "{{ brief }}", "settings": {"cache": False}})
    creating.create(prompts.author, "other", body)
    for text in ("{{ brief }}", "2 {{ brief }}", "3 {{ brief }}"):
        prompts.make(text)
    prompts.move(3)
    named: list[Json] = [
        {"name": "caption", "label": "production"},
        {"name": "caption", "version": 1},
        {"name": "other", "version": 2},
        {"name": "other", "label": "production"},
    ]
    steps = [
        {"step": f"s{number}", "action": "openai.caption", "with": {"prompt": each}}
        for number, each in enumerate(named)
    ]
    uses = prompts_used(definition_of({"name": "s", "do": {"sequence": steps}}), actions())
    with db.begin() as connection:
        known = known_prompts(connection, project_of(connection, prompts.author.user_id), uses)
    variables = {"brief": {"type": ["string", "number"]}}
    slim = {"variables": variables, "settings": {}}
    assert (known["caption"].labels, known["caption"].bodies) == (
        {"production": 3}, {1: slim, 3: slim},
    )  # fmt: skip
    assert (known["other"].labels, known["other"].bodies) == ({}, {})
