"""The lines of a batch's output and error files, and the tokens that its answers have used."""

from __future__ import annotations

import json
from typing import Any

from ops.sandbox.box import token36
from ops.sandbox.store import Json

NOT_DONE = {
    "expired": (
        "batch_expired",
        "This request could not be executed before the completion window expired.",
    ),
    "cancelled": (
        "batch_cancelled",
        "This request could not be executed because the batch was cancelled.",
    ),
}
"""Code and words of the lines that a batch of such an end has not come to."""


def answered(custom_id: str, status: int, body: Any) -> str:
    """Return the line of a request that was answered, also of one that was refused."""
    response = {"status_code": status, "request_id": token36(32), "body": body}
    return _line(custom_id, response, None)


def left(custom_id: str, end: str) -> str:
    """Return the line of a request that the batch has not come to before its end."""
    code, message = NOT_DONE[end]
    return _line(custom_id, None, {"code": code, "message": message})


def _line(custom_id: str, response: Json | None, error: Json | None) -> str:
    found = {"id": f"batch_req_{token36(32)}", "custom_id": custom_id}
    return json.dumps(found | {"response": response, "error": error}) + "\n"


def no_usage() -> Json:
    """Return the usage of a batch that has not begun."""
    return {
        "input_tokens": 0,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 0,
    }


def add_usage(total: Json, body: Any) -> None:
    """Add the tokens that an answer says it has used; Responses and chats name them otherwise."""
    found: Any = body.get("usage") if isinstance(body, dict) else None
    if not isinstance(found, dict):
        return
    sent = int(found.get("input_tokens") or found.get("prompt_tokens") or 0)
    made = int(found.get("output_tokens") or found.get("completion_tokens") or 0)
    read = found.get("input_tokens_details") or found.get("prompt_tokens_details") or {}
    wrote = found.get("output_tokens_details") or found.get("completion_tokens_details") or {}
    total["input_tokens"] += sent
    total["output_tokens"] += made
    total["total_tokens"] += sent + made
    total["input_tokens_details"]["cached_tokens"] += read.get("cached_tokens", 0)
    total["output_tokens_details"]["reasoning_tokens"] += wrote.get("reasoning_tokens", 0)
