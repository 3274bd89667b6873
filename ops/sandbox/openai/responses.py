"""The responses of the imitated OpenAI."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.openai import wire
from ops.sandbox.openai.desk import Desk, dated, tokens_of, writer
from ops.sandbox.openai.prompts import prompt
from ops.sandbox.openai.text import written
from ops.sandbox.store import Json
from ops.sandbox.wire import Call, Route, reply


class Responses:
    """The endpoints for responses."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        return [
            ("POST", "/v1/responses", "responses.create", self._create),
            ("GET", "/v1/responses/<id>", "responses.retrieve", self._retrieve),
        ]

    def _create(self, call: Call) -> Response:
        body = self._desk.given(call)
        model = writer(body)
        given = body.get("input")
        if not given:
            raise wire.missing("input")
        messages = [{"role": "user", "content": given}] if isinstance(given, str) else given
        asked = prompt(messages)
        limit = body.get("max_output_tokens")
        self._desk.admit(call, model, tokens_of(json.dumps(given)) + (limit or 0))
        text = written(self._desk.box, asked, (body.get("text") or {}).get("format") or {})
        if isinstance(limit, int) and tokens_of(text) > limit:
            text = text[: limit * 4]
        response_id = f"resp_{token62(48).lower()}"
        answer = _response(response_id, model, body, text, self._desk.tier(body))
        with self._desk.store.transaction():
            self._desk.store.put("response", response_id, answer)
            details = {"model": model, "prompt": asked[:2000]}
            self._desk.note(call, "captions", response_id, details)
        return reply(answer)

    def _retrieve(self, call: Call, id: str) -> Response:
        row = self._desk.store.get("response", id)
        if row is None:
            raise wire.error(404, f"Response with id '{id}' not found.")
        return reply(row.body)


def _response(response_id: str, model: str, body: Json, text: str, tier: str) -> Json:
    sent, made = tokens_of(json.dumps(body.get("input"))), tokens_of(text)
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    message = {
        "id": f"msg_{token62(48).lower()}",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }
    return {
        "id": response_id,
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": body.get("metadata") or {},
        "model": dated(model),
        "output": [message],
        "parallel_tool_calls": True,
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "service_tier": tier,
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": {
            "input_tokens": sent,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": made,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": sent + made,
        },
        "user": None,
    }
