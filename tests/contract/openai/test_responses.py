"""What only `openai.respond` does: how a response ends, and what it costs."""

import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from app import db
from app.errors import Permanent, Retryable, Suspend
from app.platform import Json
from app.settings import Settings
from tasks.openai.responses.calls import retrieve
from tasks.openai.responses.inputs import RespondInput, is_background
from tests.contract.cases import Claim
from tests.contract.openai.cases import ASKED, respond, respond_later
from tests.contract.openai.conftest import Alter
from tests.contract.pictures import small, upload, wait
from tests.contract.stage import Step
from tests.contract.vendors import Vendors

SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "pattern": "^(a+)+$"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["title", "tags"],
    "additionalProperties": False,
}


def failing(vendors: Vendors, code: str, **more: Any) -> None:
    vendors.fault("openai", "responses.create", "fail", code=code, **more)


def ended(step: Step) -> Json:
    """Run a step in the background to its end."""
    with pytest.raises(Suspend) as waiting:
        step.run()
    return wait(step, waiting.value.external_id)


def spent(step: Step) -> int:
    (row,) = db.rows("SELECT spent FROM workflows WHERE id = %s", (step.claim.workflow_id,))
    return int(row["spent"])


@pytest.mark.parametrize("background", [False, True])
def test_an_answer_has_its_text_its_tokens_and_its_cost(
    step: Claim, vendors: Vendors, background: bool
) -> None:
    vendors.change(openai__reasoning_tokens=100)
    asked = step("openai.respond", ASKED | {"background": background})
    made = ended(asked) if background else asked.run()
    tokens = made["tokens"]
    assert made["text"]
    assert made["answer"] is None
    assert (tokens["reasoning"], tokens["output"] > 100, tokens["input"] > 0) == (100, True, True)
    assert 0 < asked.cost == spent(asked) <= asked.ceiling
    (intent,) = asked.intents
    assert intent.request["store"] is True
    assert intent.request["service_tier"] == "default"
    marks = {"reference": asked.call().reference, "generation": "0", "call": intent.key}
    assert intent.request["metadata"] == marks


def test_a_structured_answer_is_checked_and_given_as_data(step: Claim) -> None:
    made = step("openai.respond", ASKED | {"answer_schema": SCHEMA}).run()
    assert set(made["answer"]) == {"title", "tags"}


def test_what_a_model_says_while_it_works_is_no_part_of_its_answer(
    step: Claim, alter: Alter
) -> None:
    def comment(seen: Json) -> None:
        said = {"type": "output_text", "text": "I look it up first.", "annotations": []}
        item = {"type": "message", "role": "assistant", "content": [said], "phase": "commentary"}
        seen["output"].insert(0, item)

    plain = respond(step).run()["text"]
    alter(comment)
    assert respond(step).run()["text"] == plain


def test_the_model_sees_pictures_of_ours_and_of_the_web(step: Claim, vendors: Vendors) -> None:
    plain = respond(step).run()["text"]
    asked = respond(step)
    photo = upload(asked, small("astronaut.png"))
    asked.given = ASKED | {"images": [{"artifact": photo}, {"url": "https://a.example/b.png"}]}
    made = asked.run()
    assert made["text"] != plain
    assert made["tokens"]["input"] > 1_000
    (intent,) = asked.intents
    first, second = intent.request["input"][0]["content"][1:]
    assert first == {"type": "input_image", "artifact": photo, "detail": "high"}
    assert second["image_url"] == "https://a.example/b.png"


def test_a_picture_of_another_user_is_not_sent(step: Claim, vendors: Vendors) -> None:
    asked = respond(step)
    other = "01890a5d-ac96-774b-bcce-b302099a8057"
    asked.given = ASKED | {"images": [{"artifact": other}]}
    with pytest.raises(Permanent, match="no artifact"):
        asked.run()
    assert vendors.count("captions") == 0


@pytest.mark.parametrize("background", [False, True])
def test_an_answer_that_needs_more_tokens_says_so_and_is_paid(
    step: Claim, vendors: Vendors, background: bool
) -> None:
    vendors.change(openai__reasoning_tokens=5_000)
    asked = step("openai.respond", ASKED | {"background": background})
    with pytest.raises(Permanent) as caught:
        ended(asked) if background else asked.run()
    assert caught.value.code == "cut_off"
    assert "thought 500" in caught.value.message
    assert "raise the step's `max_output_tokens` (500 now)" in caught.value.message
    assert 0 < spent(asked) <= asked.ceiling


def test_a_refusal_and_a_filter_are_told_from_failures(step: Claim, vendors: Vendors) -> None:
    vendors.change(openai__refuses=True)
    with pytest.raises(Permanent, match="can't assist") as refused:
        respond(step).run()
    vendors.change(openai__refuses=False)
    vendors.fault("openai", "responses.create", "fail", **{"as": "incomplete"})
    with pytest.raises(Permanent, match="content filter") as filtered:
        respond(step).run()
    failing(vendors, "invalid_prompt")
    with pytest.raises(Permanent) as failed:
        respond(step).run()
    codes = [each.value.code for each in (refused, filtered, failed)]
    assert codes == ["refused", "refused", "response_invalid_prompt"]
    assert vendors.count("captions") == 3


def test_a_failure_that_passes_is_followed_by_another_response(
    step: Claim, vendors: Vendors
) -> None:
    asked = respond(step)
    failing(vendors, "server_error")
    with pytest.raises(Retryable) as caught:
        asked.run()
    assert caught.value.code == "server_error"
    assert 0 < (caught.value.after or 0) <= 5
    with pytest.raises(Retryable):
        asked.run()
    assert vendors.count("captions") == 1
    sent_earlier(asked)
    assert asked.run()["text"]
    assert vendors.count("captions") == 2
    assert [each.ordinal for each in asked.intents] == [0, 1]


def test_failures_in_the_background_end_too(step: Claim, vendors: Vendors) -> None:
    asked = respond_later(step)
    failing(vendors, "rate_limit_exceeded", count=9)
    with pytest.raises(Suspend) as waiting:
        asked.run()
    known = [waiting.value.external_id]
    for _ in range(2):
        wait_for(known[-1])
        with pytest.raises(Suspend) as pause:
            asked.run(known[-1])
        assert pause.value.external_id == known[-1]
        assert 0 < pause.value.poll_seconds <= 30
        sent_earlier(asked)
        with pytest.raises(Suspend) as again:
            asked.run(known[-1])
        known.append(again.value.external_id)
    wait_for(known[-1])
    with pytest.raises(Permanent) as caught:
        asked.run(known[-1])
    assert caught.value.code == "response_rate_limit_exceeded"
    assert len(set(known)) == vendors.count("captions") == 3
    assert spent(asked) == 0
    assert asked.undo(external_id=known[-1])["result"] == "deleted"
    assert vendors.count("responses_deleted") == 3


def wait_for(response: str) -> None:
    """Wait until a response has ended."""
    until = time.monotonic() + 10
    while retrieve(response)["is_running"]:
        assert time.monotonic() < until
        time.sleep(0.05)


def sent_earlier(asked: Step) -> None:
    """Let the step's calls have been sent a minute ago."""
    db.rows(
        "UPDATE intents SET first_sent_at = first_sent_at - interval '60 s'"
        " WHERE workflow_id = %s RETURNING 1",
        (asked.claim.workflow_id,),
    )


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, False),
        ({"max_output_tokens": 4_000}, True),
        ({"reasoning_effort": "high"}, True),
        ({"service_tier": "flex"}, True),
        ({"max_output_tokens": 2_000, "background": False}, False),
        ({"background": True}, True),
    ],
)
def test_what_may_take_long_is_made_in_the_background(
    settings: Settings, more: Json, expected: bool
) -> None:
    assert is_background(RespondInput(**ASKED | more)) is expected


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"images": [{"detail": "low"}]}, "either an `artifact` or a `url`"),
        ({"images": [{"url": "ftp://a.example"}]}, "pattern"),
        ({"answer_schema": {"type": "array"}}, "schema of an object"),
        ({"answer_schema": {"type": "unheard"}}, "is no JSON Schema"),
        ({"service_tier": "flex", "background": False}, "waits for room"),
        ({"max_output_tokens": 2_001, "background": False}, "at most 2,000 tokens"),
        ({"reasoning_effort": "xhigh", "background": False}, "no more effort than `medium`"),
        ({"max_output_tokens": 3}, "greater than or equal to 16"),
    ],
)
def test_an_input_that_cannot_be_sent_is_refused(wrong: Json, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        RespondInput(**ASKED | wrong)


def test_a_configured_level_that_waits_is_used_in_the_background_only(
    configure: Callable[..., Settings], step: Claim, vendors: Vendors
) -> None:
    asked = step("openai.respond", ASKED | {"background": False})
    later = step("openai.respond", ASKED)
    configure(OPENAI_SERVICE_TIER="flex", DATABASE_URL=os.environ["DATABASE_URL"])
    with pytest.raises(Permanent) as caught:
        asked.run()
    assert caught.value.code == "needs_background"
    assert vendors.count("captions") == 0
    assert ended(later)["tier"] == "flex"


def test_a_model_that_has_ended_is_refused_with_its_successor(step: Claim) -> None:
    with pytest.raises(Permanent, match="gpt-6-luna") as caught:
        step("openai.respond", ASKED | {"model": "gpt-4.1-nano"}).run()
    assert caught.value.code == "model_ended"


def test_what_was_answered_at_once_is_deleted_by_its_compensation(
    step: Claim, vendors: Vendors
) -> None:
    asked = respond(step)
    made = asked.run()
    assert [asked.undo()["result"] for _ in range(2)] == ["deleted", "already"]
    assert vendors.count("responses_deleted") == 1
    with pytest.raises(Permanent) as caught:
        retrieve(made["response"])
    assert caught.value.code == "not_found"
