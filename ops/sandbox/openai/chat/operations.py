"""The endpoint for chat completions. https://platform.openai.com/docs/api-reference/chat"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.openai.chat.asking import Asked, asked
from ops.sandbox.openai.desk import Desk, dated, tokens_of
from ops.sandbox.openai.writing.answers import reasons, thought, written
from ops.sandbox.openai.writing.caching import Cached, through_cache
from ops.sandbox.openai.writing.functions import called
from ops.sandbox.store import Json
from ops.sandbox.wire import Call, Route, reply

_CHARACTERS = 4
_CHUNK = 12


@dataclass(frozen=True)
class _Choice:
    """What one choice says, why it ended, and its tokens: those of thinking, and the others."""

    message: Json
    reason: str
    thinking: int
    made: int


class Chat:
    """Writes chat completions."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Return the endpoint."""
        return [("POST", "/v1/chat/completions", "chat.completions.create", self._create)]

    def _create(self, call: Call) -> Response:
        found = asked(self._desk.given(call))
        most = (found.most_tokens or 0) * found.count
        self._desk.admit(call, found.model, found.read_tokens + most)
        tier = self._desk.tier(found.body)
        choices = [self._choice(found, number) for number in range(found.count)]
        head: Json = {
            "id": f"chatcmpl-{token62(29)}",
            "created": int(time.time()),
            "model": dated(found.model),
            "service_tier": tier,
            "system_fingerprint": "fp_playalter",
        }
        with self._desk.store.transaction():
            cached = self._through_cache(found)
            details = {"model": found.model, "prompt": found.prompt[:2000]}
            self._desk.note(call, "captions", head["id"], details)
            usage = _usage(found, choices, cached)
            self._desk.bill(call, head["id"], found.model, usage, tier)
        if found.body.get("stream"):
            options = found.body.get("stream_options") or {}
            chunks = _chunks(choices, usage if options.get("include_usage") else None)
            head["object"] = "chat.completion.chunk"
            return Response(_sent(head, chunks, options), content_type="text/event-stream")
        shown = [
            {
                "index": number,
                "message": each.message,
                "logprobs": None,
                "finish_reason": each.reason,
            }
            for number, each in enumerate(choices)
        ]
        return reply(head | {"object": "chat.completion", "choices": shown, "usage": usage})

    def _choice(self, found: Asked, number: int) -> _Choice:
        box, most = self._desk.box, found.most_tokens
        effort = found.body.get("reasoning_effort")
        wanted = thought(box, effort) if reasons(found.model) else 0
        thinking = wanted if most is None else min(wanted, most)
        left = None if most is None else most - thinking
        functions = called(
            found.choice, found.prompt, self._desk.settings.text("openai.calls"),
            is_parallel=found.body.get("parallel_tool_calls") is not False,
            is_answered=found.is_answered,
        )  # fmt: skip
        message: Json = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
        if functions:
            calls = [_call(each.name, each.arguments(found.prompt)) for each in functions]
            text = "".join(each["function"]["arguments"] for each in calls)
            if left is not None and tokens_of(text) > left:
                del calls[1:]
                calls[0]["function"]["arguments"] = text[: left * _CHARACTERS]
                return _Choice(message | {"tool_calls": calls}, "length", thinking, left)
            message["tool_calls"] = calls
            is_named = found.choice.is_named
            return _Choice(message, "stop" if is_named else "tool_calls", thinking, tokens_of(text))
        words = written(
            box, found.prompt, found.form, found.body.get("verbosity"),
            (*found.images, *([str(number)] if number else [])),
        )  # fmt: skip
        text, reason = _cut(_stopped(words.text, found.stops), left)
        message["refusal" if words.is_refusal else "content"] = text
        return _Choice(message, reason, thinking, tokens_of(text) if text else 0)

    def _through_cache(self, found: Asked) -> Cached:
        options = found.body.get("prompt_cache_options") or {}
        key = found.body.get("prompt_cache_key") or ""
        return through_cache(
            self._desk.store, found.model, key, found.text, options.get("ttl", "30m")
        )


def _call(name: str, arguments: str) -> Json:
    function = {"name": name, "arguments": arguments}
    return {"id": f"call_{token62(24)}", "type": "function", "function": function}


def _stopped(text: str, stops: list[str]) -> str:
    """The text up to the first of the texts at which the model stops."""
    ends = [text.find(each) for each in stops if each and each in text]
    return text[: min(ends)] if ends else text


def _cut(text: str, most: int | None) -> tuple[str, str]:
    if most is not None and text and tokens_of(text) > most:
        return text[: most * _CHARACTERS], "length"
    return text, "stop"


def _usage(found: Asked, choices: list[_Choice], cached: Cached) -> Json:
    thinking = sum(each.thinking for each in choices)
    made = thinking + sum(each.made for each in choices)
    return {
        "prompt_tokens": found.read_tokens,
        "completion_tokens": made,
        "total_tokens": found.read_tokens + made,
        "prompt_tokens_details": {
            "cached_tokens": cached.read,
            "cache_write_tokens": cached.written,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": thinking,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _chunks(choices: list[_Choice], usage: Json | None) -> Iterator[Json]:
    for number, each in enumerate(choices):
        for delta in (*_deltas(each.message), {}):
            reason = None if delta else each.reason
            choice = {"index": number, "delta": delta, "logprobs": None, "finish_reason": reason}
            yield {"choices": [choice], **({"usage": None} if usage else {})}
    if usage:
        yield {"choices": [], "usage": usage}


def _deltas(message: Json) -> Iterator[Json]:
    calls = message.get("tool_calls") or []
    yield {"role": "assistant", "content": None if calls else "", "refusal": None}
    for field in ("content", "refusal"):
        for word in re.findall(r"\s*\S+|\s+$", message[field] or ""):
            yield {field: word}
    for index, call in enumerate(calls):
        text = call["function"]["arguments"]
        first = {**call, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield {"tool_calls": [{"index": index, **first}]}
        for start in range(0, len(text), _CHUNK):
            part = {"arguments": text[start : start + _CHUNK]}
            yield {"tool_calls": [{"index": index, "function": part}]}


def _sent(head: Json, chunks: Iterator[Json], options: Json) -> Iterator[str]:
    for each in chunks:
        padding = {"obfuscation": token62(8)} if options.get("include_obfuscation", True) else {}
        yield f"data: {json.dumps({**head, **each, **padding})}\n\n"
    yield "data: [DONE]\n\n"
