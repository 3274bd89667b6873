"""Files through openai.OpenAI."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
import requests
from openai.types import FileObject

from tests.sandbox.running import Sandbox, until

DAY = 86_400
LINES = b'{"a": 1}\n{"a": 2}\n'


def upload(
    client: openai.OpenAI, data: bytes = LINES, purpose: Any = "batch", name: str = "a.jsonl",
    **more: Any,
) -> FileObject:  # fmt: skip
    return client.files.create(file=(name, data), purpose=purpose, **more)


def wait(sandbox: Sandbox, seconds: float) -> None:
    sandbox.control("POST", "/stripe/advance", {"seconds": seconds})


def test_file_is_kept_as_it_was_sent(sandbox: Sandbox, openai_client: openai.OpenAI) -> None:
    made = upload(openai_client)
    assert (made.filename, made.bytes, made.purpose, made.status) == (
        "a.jsonl", len(LINES), "batch", "processed",
    )  # fmt: skip
    assert openai_client.files.retrieve(made.id) == made
    assert openai_client.files.content(made.id).read() == LINES
    assert openai_client.files.wait_for_processing(made.id) == made
    assert openai_client.files.delete(made.id).deleted
    for call in (openai_client.files.retrieve, openai_client.files.content,
                 openai_client.files.delete):  # fmt: skip
        with pytest.raises(openai.NotFoundError, match=f"No such File object: {made.id}") as gone:
            call(made.id)
        assert gone.value.param == "id"
    counts = sandbox.books()
    assert (counts["files"], counts["files_deleted"]) == (1, 1)


def test_batch_files_expire_after_30_days_and_others_when_they_say(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    batch = upload(openai_client)
    hour: Any = {"anchor": "created_at", "seconds": 3600}
    short, lasting = upload(openai_client, expires_after=hour), upload(
        openai_client, b"x", "user_data", "a.txt"
    )  # fmt: skip
    assert batch.expires_at == batch.created_at + 30 * DAY
    assert short.expires_at == short.created_at + 3600
    assert lasting.expires_at is None
    wait(sandbox, 3601)
    assert {each.id for each in openai_client.files.list()} == {batch.id, lasting.id}
    with pytest.raises(openai.NotFoundError):
        openai_client.files.content(short.id)
    wait(sandbox, 30 * DAY)
    assert [each.id for each in openai_client.files.list()] == [lasting.id]
    blobs = sandbox.state / "blobs"
    until(lambda: len(list(blobs.glob("openai-*"))) == 1)


def test_files_are_listed_in_pages_by_order_and_purpose(openai_client: openai.OpenAI) -> None:
    made = [upload(openai_client, name=f"{number}.jsonl").id for number in range(5)]
    other = upload(openai_client, b"x", "user_data", "a.txt").id
    assert [each.id for each in openai_client.files.list(limit=2)] == [other, *reversed(made)]
    assert [each.id for each in openai_client.files.list(order="asc")] == [*made, other]
    assert [each.id for each in openai_client.files.list(purpose="user_data")] == [other]
    page = openai_client.files.list(after=made[3], limit=2)
    assert [each.id for each in page.data] == [made[2], made[1]]
    assert page.has_more


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "a.json"}, "Invalid file format for Batch API. Must be .jsonl"),
        ({"data": b"\xff\xfe{"}, "Must be utf-8 encoded"),
        ({"data": b""}, "File is empty"),
        ({"purpose": "assistant"}, "'assistants', 'batch', 'fine-tune'"),
        ({"purpose": "fine-tune", "data": b'{"a": 1}\n[1]\n'}, "Line 2 is not a dictionary"),
        ({"expires_after": {"anchor": "created_at", "seconds": 3599}}, "value >= 3600"),
        ({"expires_after": {"anchor": "created_at", "seconds": 2592001}}, "value <= 2592000"),
        ({"expires_after": {"anchor": "now", "seconds": 3600}}, "'created_at'"),
        ({"expires_after": {"anchor": "created_at"}}, "'expires_after.seconds'"),
        ({"extra_body": {"colour": "red"}}, "Unknown parameter: 'colour'"),
    ],
)
def test_what_is_no_file_is_refused_in_openais_words(
    sandbox: Sandbox, openai_client: openai.OpenAI, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=words):
        upload(openai_client, **given)
    assert sandbox.books()["files"] == 0


def test_form_without_a_file_is_refused(sandbox: Sandbox, http: requests.Session) -> None:
    answer = http.post(
        f"{sandbox.env('OPENAI_BASE_URL')}/files",
        files={"purpose": (None, "batch")},
        headers={"Authorization": f"Bearer {sandbox.env('OPENAI_API_KEY')}"},
        timeout=10,
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "Missing required parameter: 'file'."


def test_files_of_some_purposes_cannot_be_read_again(openai_client: openai.OpenAI) -> None:
    made = upload(openai_client, b"x", "user_data", "a.txt")
    with pytest.raises(openai.BadRequestError, match="download files of purpose: user_data"):
        openai_client.files.content(made.id)


def test_lines_of_a_batch_are_not_looked_at(openai_client: openai.OpenAI) -> None:
    made = upload(openai_client, b"no JSON\n")
    assert json.loads(made.model_dump_json())["bytes"] == 8
