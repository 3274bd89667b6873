"""Responses in the background through openai.OpenAI: polls, streams taken up again, webhooks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.sandbox.openai.test_responses import BRIEF, MODEL
from tests.sandbox.openai.test_streams import MESSAGE, PLAN, kinds, until_lost
from tests.sandbox.running import Catcher, Sandbox, until

HOOK = "/hooks/openai"


@pytest.fixture
def quick(sandbox: Sandbox) -> Sandbox:
    sandbox.settings(openai__queue_seconds=0, openai__background_seconds=0.02)
    return sandbox


@pytest.fixture
def held(quick: Sandbox) -> Iterator[Sandbox]:
    """No response in the background ends until the setting is taken back."""
    quick.settings(openai__hold=True)
    yield quick
    quick.settings(openai__hold=False)


def deliveries(sandbox: Sandbox) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sandbox.control("GET", "/webhooks")["deliveries"]
    return found


def begun(client: openai.OpenAI, **more: Any) -> Any:
    return client.responses.create(**{"model": MODEL, "input": BRIEF, "background": True, **more})


def ended(client: openai.OpenAI, response_id: str) -> Any:
    def read() -> Any:
        found = client.responses.retrieve(response_id)
        return found if found.status not in ("queued", "in_progress") else None

    return until(read)


def test_it_is_queued_then_in_progress_then_completed(
    held: Sandbox, openai_client: openai.OpenAI
) -> None:
    made = begun(openai_client, metadata={"step": "s1"}, store=True)
    assert (made.status, made.background, made.output, made.usage) == ("queued", True, [], None)
    until(lambda: openai_client.responses.retrieve(made.id).status == "in_progress")
    held.settings(openai__hold=False)
    final = ended(openai_client, made.id)
    assert final.status == "completed"
    assert "harbour museum" in final.output_text
    assert final.metadata == {"step": "s1"}
    assert openai_client.responses.cancel(made.id).to_dict() == final.to_dict()
    assert held.books()["responses_cancelled"] == 0


def test_its_end_is_told_by_a_webhook_that_the_sdk_believes(
    quick: Sandbox, openai_client: openai.OpenAI, catcher: Catcher
) -> None:
    quick.fault(**PLAN, match="fail me")
    asked: dict[str, Any] = {
        "response.completed": {},
        "response.incomplete": {"max_output_tokens": 16},
        "response.failed": {"input": "fail me"},
    }
    made = {kind: begun(openai_client, **more).id for kind, more in asked.items()}
    until(lambda: len(catcher.events(HOOK)) == len(made))
    for _, headers, body in catcher.got:
        event: Any = openai_client.webhooks.unwrap(
            body, headers, secret=quick.env("OPENAI_WEBHOOK_SECRET")
        )
        assert event.data.id == made[event.type]
        assert event.object == "event"
        assert openai_client.responses.retrieve(event.data.id).status == event.type[9:]


def test_a_webhook_that_is_not_taken_comes_again_for_three_days(
    quick: Sandbox, openai_client: openai.OpenAI, catcher: Catcher
) -> None:
    catcher.statuses += [301, 500]
    made = begun(openai_client)
    until(lambda: [each["tries"] for each in deliveries(quick)] == [1])
    quick.control("POST", "/stripe/advance", {"seconds": 30})
    until(lambda: [each["state"] for each in deliveries(quick)] == ["sent"])
    assert [each["data"]["id"] for each in catcher.events(HOOK)] == [made.id] * 3
    ids = {headers["webhook-id"] for _, headers, _ in catcher.got}
    assert len(ids) == 1


def test_one_that_is_cancelled_stays_so(
    held: Sandbox, openai_client: openai.OpenAI, catcher: Catcher
) -> None:
    made = begun(openai_client)
    assert openai_client.responses.cancel(made.id).status == "cancelled"
    assert openai_client.responses.cancel(made.id).status == "cancelled"
    held.settings(openai__hold=False)
    other = begun(openai_client)
    assert ended(openai_client, other.id).status == "completed"
    assert openai_client.responses.retrieve(made.id).status == "cancelled"
    until(lambda: catcher.events(HOOK, "response.cancelled"))
    assert held.books()["responses_cancelled"] == 1


def test_a_stream_is_taken_up_again_after_any_of_its_events(
    quick: Sandbox, openai_client: openai.OpenAI
) -> None:
    quick.fault(**PLAN, **{"as": "reset", "after": 5})
    seen = until_lost(openai_client, background=True)
    response_id, last = seen[0].response.id, seen[-1].sequence_number
    rest = list(openai_client.responses.retrieve(response_id, stream=True, starting_after=last))
    whole = list(openai_client.responses.retrieve(response_id, stream=True))
    assert [each.sequence_number for each in seen + rest] == list(range(len(whole)))
    assert [each.to_dict() for each in seen + rest] == [each.to_dict() for each in whole]
    assert kinds(whole) == [
        "response.created", "response.queued", "response.in_progress", *MESSAGE,
        "response.completed",
    ]  # fmt: skip


def test_a_follower_sees_a_response_end(held: Sandbox, openai_client: openai.OpenAI) -> None:
    with openai_client.responses.create(
        model=MODEL, input=BRIEF, background=True, stream=True
    ) as stream:
        first = [next(stream).type for _ in range(3)]
        assert first == ["response.created", "response.queued", "response.in_progress"]
        held.settings(openai__hold=False)
        assert [each.type for each in stream][-1] == "response.completed"


def test_a_stream_of_one_that_is_cancelled_ends(
    held: Sandbox, openai_client: openai.OpenAI
) -> None:
    with openai_client.responses.create(
        model=MODEL, input=BRIEF, background=True, stream=True
    ) as stream:
        created: Any = next(stream)
        openai_client.responses.cancel(created.response.id)
        assert "response.completed" not in [each.type for each in stream]


def test_one_that_is_not_to_be_stored_is_kept_for_its_polls(
    quick: Sandbox, openai_client: openai.OpenAI
) -> None:
    made = begun(openai_client, store=False)
    assert ended(openai_client, made.id).status == "completed"
    with pytest.raises(openai.BadRequestError, match="not found"):
        openai_client.responses.create(model=MODEL, input="So?", previous_response_id=made.id)


def test_one_that_has_not_ended_cannot_be_continued(
    held: Sandbox, openai_client: openai.OpenAI
) -> None:
    made = begun(openai_client)
    with pytest.raises(openai.BadRequestError, match="still in progress"):
        openai_client.responses.create(model=MODEL, input="So?", previous_response_id=made.id)


def test_one_whose_reply_is_lost_is_found_by_its_webhook(
    quick: Sandbox, openai_client: openai.OpenAI, catcher: Catcher
) -> None:
    quick.fault(vendor="openai", operation="responses.create", kind="lost_reply")
    with pytest.raises(openai.APIConnectionError):
        begun(openai_client, metadata={"step": "s1"})
    (event,) = until(lambda: catcher.events(HOOK))
    found = openai_client.responses.retrieve(event["data"]["id"])
    assert (found.status, found.metadata) == ("completed", {"step": "s1"})
    assert quick.books()["captions"] == 1


@pytest.mark.long
def test_two_hundred_are_outstanding_and_each_ends_with_one_webhook(
    held: Sandbox, openai_client: openai.OpenAI, catcher: Catcher
) -> None:
    made = {begun(openai_client, input=f"Brief: stall {n}").id for n in range(200)}
    until(lambda: held.control("GET", "/underway")["objects"] == 0)
    held.settings(openai__hold=False)
    until(lambda: len(catcher.events(HOOK, "response.completed")) >= len(made))
    told = [each["data"]["id"] for each in catcher.events(HOOK)]
    assert (len(told), set(told)) == (200, made)
    assert all(openai_client.responses.retrieve(each).status == "completed" for each in made)
