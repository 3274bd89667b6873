"""A prompt reaches OpenAI as it is, and a workflow that runs keeps its version."""

import json

import pytest

from app import db
from app.errors import Unknown
from app.platform import Json
from chains.catalogue import versions
from chains.catalogue.prompts import creating, labels
from chains.catalogue.prompts.subject import Author
from chains.prompts.body import PromptBody
from chains.repair import rebuild
from tasks.openai.actions import CaptionInput, caption_ceiling, lost_cost
from tests.contract.cases import Claim
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, run
from tests.unit.definitions import noop
from tests.unit.documents import CHECKOUT, blocks

GUIDE = CHECKOUT / "ops" / "guide" / "prompts.md"
PROMPT = {"name": "caption", "version": 2, "hash": "a" * 64}


def given(*contents: str) -> Json:
    messages = [{"role": "user", "content": each} for each in contents]
    return {"prompt": {**PROMPT, "messages": messages}}


def request(step: str = "caption") -> Json:
    """What was recorded of the call of a step, before it was sent."""
    row = db.row("SELECT request FROM intents WHERE step_key = %s", (step,))
    assert row is not None
    found: Json = row["request"]
    return found


def test_the_prompt_of_the_guide_is_what_is_sent(kernel: Kernel, vendors: Vendors) -> None:
    body, definition, *_ = (json.loads(text) for text in blocks(GUIDE, "json"))
    author = Author(kernel.user_id, is_admin=True)
    creating.create(author, "caption", PromptBody.model_validate(body), label="production")
    definition["do"]["with"]["cache"] = True
    definition["do"] = {"sequence": [noop("first"), definition["do"]]}
    versions.register(definition, activates=True, by=kernel.user_id)
    workflow = kernel.start("captioned", {"brief": "A circus in the rain"})
    run(workflow, "first", "control.noop")
    other = PromptBody(text="Something else: {{ brief }}")
    creating.create(author, "caption", other, label="production")
    drive()
    step = kernel.step(workflow, "caption")
    assert (step["status"], step["input"]["prompt"]["version"]) == ("succeeded", 1)
    assert [each["content"] for each in request()["messages"]] == [
        "You write captions of at most 25 words. Answer with the caption only.",
        "Tone: warm\nBrief: A circus in the rain",
    ]
    assert vendors.count("captions") == 1
    assert list(rebuild.differences()) == []
    labels.rollback(author, "caption", "production")
    again = kernel.start("captioned", {"brief": "A circus in the rain"})
    drive()
    # It said the same, so its result is known; the record says which version it used.
    assert kernel.step(again, "caption")["input"]["prompt"]["version"] == 1
    assert vendors.count("captions") == 1


def test_what_a_prompt_costs_is_reserved_by_its_length(step: Claim) -> None:
    asked = step("openai.caption", given("Heroes", "of space"))
    asked.run()
    short, long = (
        caption_ceiling(CaptionInput.model_validate_json(json.dumps(given("x" * n))))
        for n in (10, 100_000)
    )
    assert 0 < asked.cost <= short < long
    called = asked.intents[0].request
    assert lost_cost(called) > 0
    assert [each["content"] for each in called["messages"]] == ["Heroes", "of space"]


def test_a_lost_answer_to_a_prompt_is_booked_and_asked_for_again(
    step: Claim, vendors: Vendors
) -> None:
    asked = step("openai.caption", given("Heroes"))
    vendors.fault("openai", "chat.completions.create", "lost_reply")
    with pytest.raises(Unknown):
        asked.run()
    assert lost_cost(asked.open_intent().request) >= 100
    asked.call().write_off_lost()
    assert asked.run()["caption"]
