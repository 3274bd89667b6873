"""The chat completions of the imitated OpenAI."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.openai import wire
from ops.sandbox.openai.desk import Desk, dated, tokens_of, writer
from ops.sandbox.openai.prompts import prompt
from ops.sandbox.openai.text import written
from ops.sandbox.store import Json
from ops.sandbox.wire import Call, Route, reply


class Chat:
    """The endpoint for chat completions."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Return the endpoint."""
        return [("POST", "/v1/chat/completions", "chat.completions.create", self._create)]

    def _create(self, call: Call) -> Response:
        body = self._desk.given(call)
        model = writer(body)
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise wire.missing("messages")
        asked = prompt(messages)
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        self._desk.admit(call, model, tokens_of(json.dumps(messages)) + (limit or 0))
        text = written(self._desk.box, asked, (body.get("response_format") or {}))
        thought = int(self._desk.settings.number("openai.reasoning_tokens"))
        tier = self._desk.tier(body)
        text, reason = _cut(text, max(0, limit - thought) if limit and thought else limit)
        chat_id, created = f"chatcmpl-{token62(29)}", int(time.time())
        self._desk.note(call, "captions", chat_id, {"model": model, "prompt": asked[:2000]})
        usage = _usage(json.dumps(messages), text, min(thought, limit or thought))
        head = {"id": chat_id, "created": created, "model": dated(model)}
        if body.get("stream"):
            return Response(_chunks(head, text, reason), content_type="text/event-stream")
        answer: Json = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        choice = {"index": 0, "message": answer, "logprobs": None, "finish_reason": reason}
        more = {"service_tier": tier, "system_fingerprint": "fp_playalter"}
        return reply(
            head | {"object": "chat.completion", "choices": [choice], "usage": usage} | more
        )


def _cut(text: str, limit: Any) -> tuple[str, str]:
    if isinstance(limit, int) and tokens_of(text) > limit:
        return text[: limit * 4], "length"
    return text, "stop"


def _usage(sent_text: str, text: str, thought: int) -> Json:
    sent, made = tokens_of(sent_text), tokens_of(text) + thought
    return {
        "prompt_tokens": sent,
        "completion_tokens": made,
        "total_tokens": sent + made,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": thought,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _chunks(head: Json, text: str, reason: str) -> Iterator[str]:
    deltas: list[tuple[Json, str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": word}, None) for word in re.findall(r"\S+\s*", text)]
    for delta, finish in [*deltas, ({}, reason)]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = head | {"object": "chat.completion.chunk", "choices": [choice]}
        yield f"data: {json.dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"
