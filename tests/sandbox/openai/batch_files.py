"""Batches as the tests make them."""

from __future__ import annotations

import json
from typing import Any

import openai
from openai.types import Batch

from tests.sandbox.running import Sandbox, until

MODEL = "gpt-6-luna"
RESPONSES = "/v1/responses"
HOUR = 3600


def line(number: int | str, body: Any = None, url: str = RESPONSES, **more: Any) -> dict[str, Any]:
    """One line: by default a response to a brief with its number."""
    own = {"model": MODEL, "input": f"Brief: fair number {number} of the year"}
    return {
        "custom_id": f"line-{number}", "method": "POST", "url": url,
        "body": own if body is None else body, **more,
    }  # fmt: skip


def file_of(client: openai.OpenAI, lines: list[Any]) -> str:
    """Upload lines (texts as they are) and return the id of the file."""
    texts = [each if isinstance(each, str) else json.dumps(each) for each in lines]
    data = "\n".join(texts).encode() + b"\n"
    return client.files.create(file=("lines.jsonl", data), purpose="batch").id


def started(
    client: openai.OpenAI, lines: int | list[Any], endpoint: Any = RESPONSES, **more: Any
) -> Batch:
    """Create a batch of so many usual lines, or of these."""
    given = [line(number) for number in range(lines)] if isinstance(lines, int) else lines
    return client.batches.create(
        input_file_id=file_of(client, given), endpoint=endpoint, completion_window="24h", **more
    )


def later(sandbox: Sandbox, seconds: float) -> None:
    """Move the sandbox's time, and wait until what is then due is done."""
    sandbox.control("POST", "/stripe/advance", {"seconds": seconds})
    until(lambda: sandbox.control("GET", "/underway")["objects"] == 0)


def ended(
    sandbox: Sandbox, client: openai.OpenAI, batch: Batch, seconds: float = 3 * HOUR
) -> Batch:
    """Return a batch after some hours."""
    later(sandbox, seconds)
    return client.batches.retrieve(batch.id)


def lines_of(client: openai.OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    """The lines of an output or error file; none if there is no file."""
    if file_id is None:
        return []
    text = client.files.content(file_id).text
    return [json.loads(each) for each in text.splitlines()]
