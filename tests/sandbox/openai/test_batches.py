"""Batches through openai.OpenAI, in hours of the sandbox's time."""

from __future__ import annotations

import time
from typing import Any

import openai
import pytest

from tests.sandbox.openai.batch_files import (
    HOUR,
    MODEL,
    RESPONSES,
    ended,
    file_of,
    later,
    line,
    lines_of,
    started,
)
from tests.sandbox.running import Catcher, Sandbox, until

MINUTE, DAY = 60, 86_400


def chat(number: int) -> dict[str, Any]:
    body = {"model": MODEL, "messages": [{"role": "user", "content": f"Brief: ship {number}"}]}
    return line(number, body, "/v1/chat/completions")


def errors(sandbox: Sandbox, client: openai.OpenAI, lines: list[Any]) -> list[Any]:
    """The errors of a batch that fails because of its file."""
    batch = ended(sandbox, client, started(client, lines), 2 * MINUTE)
    assert batch.status == "failed"
    assert batch.failed_at == batch.created_at + MINUTE
    assert (batch.in_progress_at, batch.output_file_id, batch.error_file_id) == (None, None, None)
    assert batch.errors is not None
    return list(batch.errors.data or [])


def test_batch_goes_on_for_hours_and_each_line_is_answered(
    sandbox: Sandbox, openai_client: openai.OpenAI, catcher: Catcher
) -> None:
    batch = started(openai_client, 40, metadata={"reference": "r-1"})
    assert (batch.status, batch.expires_at) == ("validating", batch.created_at + DAY)
    assert batch.request_counts is not None
    assert batch.request_counts.total == 0
    half = ended(sandbox, openai_client, batch, HOUR + MINUTE)
    assert half.request_counts is not None
    assert (half.status, half.output_file_id) == ("in_progress", None)
    assert (half.request_counts.completed, half.request_counts.total) == (20, 40)
    assert (half.in_progress_at, half.model) == (batch.created_at + MINUTE, MODEL)
    last = ended(sandbox, openai_client, batch, HOUR + 1)
    assert (last.status, last.completed_at) == ("finalizing", None)
    done = ended(sandbox, openai_client, batch, MINUTE)
    assert (done.status, done.error_file_id) == ("completed", None)
    assert done.finalizing_at == batch.created_at + MINUTE + 2 * HOUR
    assert done.completed_at == (done.finalizing_at or 0) + MINUTE
    found = lines_of(openai_client, done.output_file_id)
    names = [each["custom_id"] for each in found]
    assert sorted(names) == sorted(f"line-{number}" for number in range(40))
    assert names != [f"line-{number}" for number in range(40)], "lines come in any order"
    for each in found:
        assert (each["error"], each["response"]["status_code"]) == (None, 200)
    texts = {
        each["custom_id"]: openai.types.responses.Response.model_validate(
            each["response"]["body"]
        ).output_text
        for each in found
    }
    own = openai_client.responses.create(model=MODEL, input="Brief: fair number 7 of the year")
    assert texts["line-7"] == own.output_text
    used = [each["response"]["body"]["usage"] for each in found]
    assert done.usage is not None
    assert done.usage.total_tokens == sum(each["total_tokens"] for each in used)
    assert done.usage.input_tokens == sum(each["input_tokens"] for each in used)
    assert done.metadata == {"reference": "r-1"}
    until(lambda: catcher.events("/hooks/openai", "batch.completed"))
    assert [each["data"]["id"] for each in catcher.events("/hooks/openai")] == [batch.id]
    counts = sandbox.books()
    assert (counts["batches"], counts["batches_completed"], counts["captions"]) == (1, 1, 41)


@pytest.mark.parametrize(
    ("endpoint", "body", "is_right"),
    [
        ("/v1/chat/completions", chat(1)["body"], lambda body: body["choices"][0]["message"]),
        (
            "/v1/embeddings",
            {"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 4},
            lambda body: [len(each["embedding"]) for each in body["data"]] == [4, 4],
        ),
        (
            "/v1/moderations",
            {"input": "A fair"},
            lambda body: body["results"][0]["flagged"] is False,
        ),
        (
            "/v1/images/generations",
            {"model": "gpt-image-2", "prompt": "A kite", "size": "64x64"},
            lambda body: body["data"][0]["b64_json"],
        ),
    ],
)
def test_lines_are_carried_out_by_the_endpoint_of_their_url(
    sandbox: Sandbox, openai_client: openai.OpenAI, endpoint: str, body: Any, is_right: Any
) -> None:
    batch = started(openai_client, [line(1, body, endpoint)], endpoint)
    done = ended(sandbox, openai_client, batch)
    (found,) = lines_of(openai_client, done.output_file_id)
    assert is_right(found["response"]["body"])


def test_lines_that_are_refused_are_in_the_error_file(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    wrong = [
        line("no-input", {"model": MODEL}),
        line("streamed", {"model": MODEL, "input": "x", "stream": True}),
        line("unknown", {"model": MODEL, "input": "x", "colour": "red"}),
    ]
    sandbox.fault(vendor="openai", operation="batches.line", kind="fail", match="line-broken")
    batch = started(openai_client, [line(1), *wrong, line("broken"), line(2)])
    done = ended(sandbox, openai_client, batch)
    assert done.request_counts is not None
    assert done.request_counts.model_dump() == {"total": 6, "completed": 2, "failed": 4}
    good, bad = (lines_of(openai_client, each) for each in (done.output_file_id,
                                                            done.error_file_id))  # fmt: skip
    assert {each["custom_id"] for each in good} == {"line-1", "line-2"}
    found = {each["custom_id"]: each["response"] for each in bad}
    assert {name: each["status_code"] for name, each in found.items()} == {
        "line-no-input": 400, "line-streamed": 400, "line-unknown": 400, "line-broken": 500,
    }  # fmt: skip
    assert "Unknown parameter: 'colour'" in found["line-unknown"]["body"]["error"]["message"]
    assert sandbox.books()["captions"] == 2


def test_batch_whose_lines_all_fail_is_completed_without_an_output_file(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    batch = started(openai_client, [line(number, {"model": MODEL}) for number in range(3)])
    done = ended(sandbox, openai_client, batch)
    assert (done.status, done.output_file_id) == ("completed", None)
    assert len(lines_of(openai_client, done.error_file_id)) == 3
    assert done.usage is not None
    assert done.usage.total_tokens == 0


def test_batch_that_takes_too_long_expires_and_keeps_what_is_done(
    sandbox: Sandbox, openai_client: openai.OpenAI, catcher: Catcher
) -> None:
    sandbox.settings(openai__batch_hours=48.0)
    batch = started(openai_client, 10)
    over = ended(sandbox, openai_client, batch, DAY)
    assert (over.status, over.expired_at) == ("expired", batch.expires_at)
    good, bad = (lines_of(openai_client, each) for each in (over.output_file_id,
                                                            over.error_file_id))  # fmt: skip
    assert (len(good), len(bad)) == (4, 6)
    assert not {each["custom_id"] for each in good} & {each["custom_id"] for each in bad}
    assert {each["error"]["code"] for each in bad} == {"batch_expired"}
    assert {each["response"] for each in bad} == {None}
    assert sandbox.books()["captions"] == 4
    until(lambda: catcher.events("/hooks/openai", "batch.expired"))


def test_cancelled_batch_keeps_what_is_done(
    sandbox: Sandbox, openai_client: openai.OpenAI, catcher: Catcher
) -> None:
    batch = started(openai_client, 12)
    later(sandbox, HOUR + MINUTE)
    asked = openai_client.batches.cancel(batch.id)
    assert asked.status == "cancelling"
    assert asked.cancelling_at is not None
    assert openai_client.batches.cancel(batch.id).cancelling_at == asked.cancelling_at
    over = ended(sandbox, openai_client, batch, 10 * MINUTE)
    assert (over.status, over.cancelled_at) == ("cancelled", asked.cancelling_at + MINUTE)
    good, bad = (lines_of(openai_client, each) for each in (over.output_file_id,
                                                            over.error_file_id))  # fmt: skip
    assert (len(good), len(bad)) == (6, 6)
    assert {each["error"]["code"] for each in bad} == {"batch_cancelled"}
    assert openai_client.batches.cancel(batch.id).status == "cancelled"
    until(lambda: catcher.events("/hooks/openai", "batch.cancelled"))
    assert sandbox.books()["captions"] == 6


def test_batch_is_cancelled_before_it_begins_and_not_after_its_end(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    batch = started(openai_client, 2)
    openai_client.batches.cancel(batch.id)
    over = ended(sandbox, openai_client, batch)
    assert (over.status, over.output_file_id, over.error_file_id) == ("cancelled", None, None)
    done = ended(sandbox, openai_client, started(openai_client, 1))
    with pytest.raises(openai.BadRequestError, match="status 'completed'"):
        openai_client.batches.cancel(done.id)
    with pytest.raises(openai.NotFoundError):
        openai_client.batches.cancel("batch_none")


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([line(1), "{no JSON"], [("invalid_json_line", 2, None)]),
        ([line(1), "[1]"], [("invalid_json_line", 2, None)]),
        ([line(1), line(2), line(1)], [("duplicate_custom_id", 3, "custom_id")]),
        ([line(1, url="/v1/embeddings")], [("url_mismatch", 1, "url")]),
        ([line(1), chat(2)], [("url_mismatch", 2, "url")]),
        (
            [line(1), line(2, {"model": "gpt-6-sol", "input": "x"})],
            [("model_mismatch", 2, "body.model")],
        ),
        ([" "], [("empty_file", None, None)]),
        (
            [{"custom_id": "a", "method": "POST", "url": RESPONSES}, line(2), "x"],
            [("missing_required_parameter", 1, "body"), ("invalid_json_line", 3, None)],
        ),
        ([line(1, method="GET")], [("invalid_method", 1, "method")]),
        ([line(1, {"model": "gpt-4.1-nano", "input": "x"})], [("model_not_found", None,
                                                               "body.model")]),
    ],
)  # fmt: skip
def test_batch_fails_after_its_creation_if_its_file_is_wrong(
    sandbox: Sandbox, openai_client: openai.OpenAI, catcher: Catcher, lines: Any, found: Any
) -> None:
    wrong = errors(sandbox, openai_client, lines)
    assert [(each.code, each.line, each.param) for each in wrong] == found
    assert all(each.message for each in wrong)
    until(lambda: catcher.events("/hooks/openai", "batch.failed"))
    assert sandbox.books()["captions"] == 0


def test_more_than_50000_lines_are_too_many(sandbox: Sandbox, openai_client: openai.OpenAI) -> None:
    (wrong,) = errors(sandbox, openai_client, ["{}"] * 50_001)
    assert wrong.code == "too_many_tasks"


def test_tokens_in_the_queue_have_a_quota_of_their_own(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    sandbox.settings(openai__enqueued_tokens=500.0, openai__requests_per_minute=20.0)
    first = started(openai_client, 10)
    later(sandbox, 2 * MINUTE)
    second = ended(sandbox, openai_client, started(openai_client, 10), 2 * MINUTE)
    assert second.status == "failed"
    assert second.errors is not None
    (wrong,) = second.errors.data or []
    assert wrong.code == "token_limit_exceeded"
    assert "Limit: 500 enqueued tokens" in (wrong.message or "")
    assert ended(sandbox, openai_client, first).status == "completed"
    third = ended(sandbox, openai_client, started(openai_client, 10))
    assert third.status == "completed", "what has ended is not in the queue any more"
    sandbox.settings(openai__requests_per_minute=10_000.0)


def test_output_files_expire_when_the_batch_says(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    hour: Any = {"anchor": "created_at", "seconds": 3600}
    batch = started(openai_client, 2, output_expires_after=hour)
    done = ended(sandbox, openai_client, batch, 2 * HOUR + 3 * MINUTE)
    file = openai_client.files.retrieve(done.output_file_id or "")
    assert (file.purpose, file.created_at) == ("batch_output", done.completed_at)
    assert file.expires_at == file.created_at + 3600
    later(sandbox, HOUR)
    with pytest.raises(openai.NotFoundError):
        openai_client.files.content(file.id)


def test_batch_goes_on_if_its_input_file_is_deleted(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    batch = started(openai_client, 4)
    later(sandbox, HOUR)
    openai_client.files.delete(batch.input_file_id)
    done = ended(sandbox, openai_client, batch)
    assert len(lines_of(openai_client, done.output_file_id)) == 4
    early = started(openai_client, 1)
    openai_client.files.delete(early.input_file_id)
    assert ended(sandbox, openai_client, early).status == "failed"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"completion_window": "1h"}, "'24h'"),
        ({"endpoint": "/v1/videos"}, "Unsupported value"),
        ({"endpoint": "/v1/fairs"}, "Invalid value: '/v1/fairs'"),
        ({"metadata": {"a": "x" * 513}}, "maximum length 512"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 60}}, "value >= 3600"),
    ],
)
def test_what_is_no_batch_is_refused_at_once(
    openai_client: openai.OpenAI, more: dict[str, Any], words: str
) -> None:
    given: Any = {
        "input_file_id": file_of(openai_client, [line(1)]), "endpoint": RESPONSES,
        "completion_window": "24h",
    }  # fmt: skip
    with pytest.raises(openai.BadRequestError, match=words):
        openai_client.batches.create(**given | more)


def test_file_of_a_batch_must_be_there_and_be_for_batches(openai_client: openai.OpenAI) -> None:
    given: Any = {"endpoint": RESPONSES, "completion_window": "24h"}
    with pytest.raises(openai.NotFoundError, match="No such File object: file-none"):
        openai_client.batches.create(input_file_id="file-none", **given)
    other = openai_client.files.create(file=("a.txt", b"x"), purpose="user_data")
    with pytest.raises(openai.BadRequestError, match="expected 'batch'"):
        openai_client.batches.create(input_file_id=other.id, **given)


def test_batches_are_listed_in_pages(openai_client: openai.OpenAI) -> None:
    made = [started(openai_client, 1).id for _ in range(3)]
    assert [each.id for each in openai_client.batches.list(limit=2)] == list(reversed(made))
    page = openai_client.batches.list(after=made[1])
    assert [each.id for each in page.data] == [made[0]]


@pytest.mark.long
def test_batch_of_2000_lines_takes_seconds_and_lets_others_in(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    batch = started(openai_client, [chat(number) for number in range(2000)],
                    "/v1/chat/completions")  # fmt: skip
    sandbox.control("POST", "/stripe/advance", {"seconds": 3 * HOUR})
    begun, served = time.monotonic(), 0
    while openai_client.batches.retrieve(batch.id).status != "completed":
        assert time.monotonic() - begun < 60
        served += 1
        time.sleep(0.01)
    assert served > 3, "the sandbox answers while a batch is carried out"
    done = openai_client.batches.retrieve(batch.id)
    found = lines_of(openai_client, done.output_file_id)
    assert len({each["custom_id"] for each in found}) == 2000
    assert sandbox.books()["captions"] == 2000


@pytest.mark.long
def test_batch_goes_on_after_a_kill_and_does_no_line_twice(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    alone = Sandbox(tmp_path_factory.mktemp("killed"))
    alone.start()
    with openai.OpenAI(
        api_key=alone.env("OPENAI_API_KEY"), base_url=alone.env("OPENAI_BASE_URL"), max_retries=0
    ) as client:
        batch = started(client, 1500)
        alone.control("POST", "/stripe/advance", {"seconds": 3 * HOUR})
        until(lambda: (client.batches.retrieve(batch.id).request_counts or batch).completed)  # type: ignore[union-attr]
    alone.kill()
    alone = Sandbox(alone.state)
    alone.start()
    try:
        with openai.OpenAI(
            api_key=alone.env("OPENAI_API_KEY"), base_url=alone.env("OPENAI_BASE_URL")
        ) as client:
            until(lambda: client.batches.retrieve(batch.id).status == "completed")
            done = client.batches.retrieve(batch.id)
            found = [each["custom_id"] for each in lines_of(client, done.output_file_id)]
        assert len(found) == len(set(found)) == 1500
        assert alone.books()["captions"] == 1500
    finally:
        alone.stop()
