"""An imitation of OpenAI: chat completions, responses, moderations and models.

The seed and the prompt determine the text. Moderation is a list of words (moderation.py), so
that tests know which inputs are flagged. https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

from werkzeug.wrappers import Request, Response

from ops.sandbox.box import Box, token62
from ops.sandbox.faults import Fault
from ops.sandbox.limits import Window
from ops.sandbox.openai.moderation import judged
from ops.sandbox.openai.text import caption, filled
from ops.sandbox.store import Json
from ops.sandbox.wire import Call, Refusal, Route, Vendor, bearer, json_object, reply

MODELS = [
    "gpt-5.1",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "gpt-4o",
    "gpt-4o-mini",
    "omni-moderation-latest",
]
TIERS = ("auto", "default", "flex", "scale", "priority", "fast", "ultrafast")
_KNOWN_MODEL = re.compile(r"(gpt-|chatgpt-|o\d)[\w.-]*$")


class OpenAI(Vendor):
    """The WSGI application on OpenAI's port (the base URL ends with /v1)."""

    name = "openai"

    def __init__(self, box: Box) -> None:
        super().__init__(box)
        self._window = Window()

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        return [
            ("POST", "/v1/chat/completions", "chat.completions.create", self._chat),
            ("POST", "/v1/responses", "responses.create", self._responses),
            ("GET", "/v1/responses/<id>", "responses.retrieve", self._response),
            ("POST", "/v1/moderations", "moderations.create", self._moderate),
            ("GET", "/v1/models", "models.list", self._models),
            ("GET", "/v1/models/<id>", "models.retrieve", self._model),
        ]

    def authenticate(self, call: Call) -> None:
        """Raise OpenAI's 401 if the key is wrong, and its 429 above the requests per minute."""
        key = bearer(call.request)
        if key is None:
            message = (
                "You didn't provide an API key. You need to provide your API key in an "
                "Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
            )
            raise _error(401, message, None, code=None)
        if key != self.box.credentials.OPENAI_API_KEY:
            masked = f"{key[:8]}{'*' * max(0, len(key) - 12)}{key[-4:]}"
            message = (
                f"Incorrect API key provided: {masked}. You can find your API key at "
                "https://platform.openai.com/account/api-keys."
            )
            raise _error(401, message, None, "invalid_api_key")
        self._limit(call)

    def _limit(self, call: Call) -> None:
        allowed = int(self.box.settings.number("openai.requests_per_minute"))
        left, wait = self._window.take(allowed, 60.0)
        call.notes["left"] = max(0, left - 1)
        if left <= 0:
            raise _rate_limited(wait)

    def missing(self, request: Request) -> Response:
        """Return OpenAI's response for an unknown URL."""
        message = f"Invalid URL ({request.method} {request.path})"
        return _error(404, message, None, None).response()

    def failure(self, status: int, fault: Fault) -> Response:
        """Return an outage or a rate limit in OpenAI's format."""
        if status == 429:
            return _rate_limited(float(fault.parameters.get("retry_after", 1))).response()
        message = fault.parameters.get(
            "message", "The server had an error while processing your request. Sorry about that!"
        )
        return _error(status, message, None, None, "server_error").response()

    def finish(self, call: Call, response: Response) -> Response:
        """Add the headers with the request id and the rate limits."""
        limit = int(self.box.settings.number("openai.requests_per_minute"))
        left = call.notes.get("left", limit)
        more = {
            "x-request-id": f"req_{hashlib.sha256(token62(16).encode()).hexdigest()[:32]}",
            "openai-organization": "playalter-sandbox",
            "openai-processing-ms": "12",
            "openai-version": "2020-10-01",
            "x-ratelimit-limit-requests": str(limit),
            "x-ratelimit-remaining-requests": str(left),
            "x-ratelimit-reset-requests": "6ms",
            "x-ratelimit-limit-tokens": "2000000",
            "x-ratelimit-remaining-tokens": "1999900",
            "x-ratelimit-reset-tokens": "3ms",
        }
        for name, value in more.items():
            response.headers.setdefault(name, value)
        return response

    def _chat(self, call: Call) -> Response:
        body = _body(call.request)
        model = _model(body)
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            message = "Missing required parameter: 'messages'."
            raise _error(400, message, "messages", "missing_required_parameter")
        prompt = _prompt(messages)
        text = self._text(prompt, (body.get("response_format") or {}))
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        thought, tier = self._thought(), self._tier(body)
        text, reason = _cut(text, max(0, limit - thought) if limit and thought else limit)
        chat_id, created = f"chatcmpl-{token62(29)}", int(time.time())
        self._note(call, chat_id, "captions", model, prompt)
        usage = _chat_usage(json.dumps(messages), text, min(thought, limit or thought))
        head = {"id": chat_id, "created": created, "model": _dated(model)}
        if body.get("stream"):
            return Response(_chunks(head, text, reason), content_type="text/event-stream")
        answer: Json = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        choice = {"index": 0, "message": answer, "logprobs": None, "finish_reason": reason}
        more = {"service_tier": tier, "system_fingerprint": "fp_playalter"}
        return reply(
            head | {"object": "chat.completion", "choices": [choice], "usage": usage} | more
        )

    def _thought(self) -> int:
        """The tokens that the model spends on reasoning before it writes."""
        return int(self.box.settings.number("openai.reasoning_tokens"))

    def _tier(self, body: Json) -> str:
        """The level of service; `openai.service_tier` is the project's own, which `auto` means."""
        asked = body.get("service_tier") or "auto"
        if asked not in TIERS:
            words = ", ".join(f"'{each}'" for each in TIERS)
            message = f"Invalid value: '{asked}'. Supported values are: {words}."
            raise _error(400, message, "service_tier", "invalid_value")
        names = {"auto": self.box.settings.text("openai.service_tier"), "fast": "priority"}
        served = names.get(asked, asked)
        if served == "flex" and self.box.settings.flag("openai.flex_is_full"):
            message = "Resource unavailable: there is no capacity for flex processing now."
            raise _error(429, message, None, "resource_unavailable", "resource_unavailable")
        return served

    def _responses(self, call: Call) -> Response:
        body = _body(call.request)
        model = _model(body)
        given = body.get("input")
        if not given:
            message = "Missing required parameter: 'input'."
            raise _error(400, message, "input", "missing_required_parameter")
        messages = [{"role": "user", "content": given}] if isinstance(given, str) else given
        prompt = _prompt(messages)
        form = (body.get("text") or {}).get("format") or {}
        text, _ = _cut(self._text(prompt, form), body.get("max_output_tokens"))
        response_id = f"resp_{token62(48).lower()}"
        answer = _response_object(response_id, model, body, text, self._tier(body))
        with self.box.store.transaction():
            self.box.store.put("response", response_id, answer)
            self._note(call, response_id, "captions", model, prompt)
        return reply(answer)

    def _response(self, call: Call, id: str) -> Response:
        row = self.box.store.get("response", id)
        if row is None:
            raise _error(404, f"Response with id '{id}' not found.", None, None)
        return reply(row.body)

    def _text(self, prompt: str, form: Json) -> str:
        text = self.box.settings.text("openai.written") or caption(self.box.seed, prompt)
        if form.get("type") == "json_schema":
            schema = (form.get("json_schema") or form).get("schema") or {}
            return json.dumps(filled(schema, text))
        return json.dumps({"caption": text}) if form.get("type") == "json_object" else text

    def _moderate(self, call: Call) -> Response:
        body = _body(call.request)
        given = body.get("input")
        if given is None or given == []:
            message = "Missing required parameter: 'input'."
            raise _error(400, message, "input", "missing_required_parameter")
        inputs = [given] if isinstance(given, str) or _is_parts(given) else given
        results = [judged(_plain([each] if isinstance(each, dict) else each)) for each in inputs]
        moderation_id = f"modr-{token62(24).lower()}"
        flagged = any(result["flagged"] for result in results)
        self.box.store.journal(
            "openai", call.operation, "moderations", moderation_id, call.notes.get("key"),
            {"flagged": flagged, "prompt": json.dumps(given)[:2000]},
        )  # fmt: skip
        model = body.get("model", "omni-moderation-latest")
        return reply({"id": moderation_id, "model": model, "results": results})

    def _note(self, call: Call, object_id: str, effect: str, model: str, prompt: str) -> None:
        self.box.store.journal(
            "openai", call.operation, effect, object_id,
            call.request.headers.get("Idempotency-Key"),
            {"model": model, "prompt": prompt[:2000]},
        )  # fmt: skip

    def _models(self, call: Call) -> Response:
        return reply({"object": "list", "data": [_model_object(name) for name in MODELS]})

    def _model(self, call: Call, id: str) -> Response:
        if id not in MODELS:
            raise _error(404, f"The model '{id}' does not exist", "model", "model_not_found")
        return reply(_model_object(id))


def _error(
    status: int,
    message: str,
    param: str | None,
    code: str | None,
    type_: str = "invalid_request_error",
) -> Refusal:
    body = {"message": message, "type": type_, "param": param, "code": code}
    return Refusal(status, {"error": body})


def _rate_limited(seconds: float) -> Refusal:
    message = (
        f"Rate limit reached for requests in organization playalter-sandbox on requests per min "
        f"(RPM). Please try again in {seconds:g}s. Visit "
        "https://platform.openai.com/account/rate-limits to learn more."
    )
    refusal = _error(429, message, None, "rate_limit_exceeded", "requests")
    refusal.headers = {
        "Retry-After": f"{max(0, seconds):.0f}",
        "retry-after-ms": f"{max(0, seconds) * 1000:.0f}",
    }
    return refusal


def _body(request: Request) -> Json:
    body = json_object(request)
    if body is None:
        message = (
            "We could not parse the JSON body of your request. (HINT: This likely means you "
            "aren't using your HTTP library correctly.)"
        )
        raise _error(400, message, None, None)
    return body


def _model(body: Json) -> str:
    model = body.get("model")
    if not model:
        raise _error(400, "you must provide a model parameter", None, None)
    if not isinstance(model, str) or not _KNOWN_MODEL.match(model):
        message = f"The model `{model}` does not exist or you do not have access to it."
        raise _error(404, message, None, "model_not_found")
    return model


def _dated(model: str) -> str:
    return model if re.search(r"\d{4}-\d{2}-\d{2}$", model) else f"{model}-2025-08-07"


def _model_object(name: str) -> Json:
    return {"id": name, "object": "model", "created": 1754425777, "owned_by": "system"}


def _is_parts(given: Any) -> bool:
    return isinstance(given, list) and bool(given) and isinstance(given[0], dict)


def _plain(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [str(part.get("text", "")) for part in parts if isinstance(part, dict)]
    return "\n".join(text for text in texts if text)


def _prompt(messages: list[Any]) -> str:
    users = [each for each in messages if isinstance(each, dict) and each.get("role") == "user"]
    if not users:
        return _plain(messages[-1].get("content") if isinstance(messages[-1], dict) else "")
    return _plain(users[-1].get("content"))


def _tokens(text: str) -> int:
    return max(1, len(text) // 4)


def _cut(text: str, limit: Any) -> tuple[str, str]:
    if isinstance(limit, int) and _tokens(text) > limit:
        return text[: limit * 4], "length"
    return text, "stop"


def _chat_usage(prompt: str, text: str, thought: int) -> Json:
    sent, made = _tokens(prompt), _tokens(text) + thought
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


def _response_object(response_id: str, model: str, body: Json, text: str, tier: str) -> Json:
    sent, made = _tokens(json.dumps(body.get("input"))), _tokens(text)
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
        "model": _dated(model),
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
