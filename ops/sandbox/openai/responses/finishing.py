"""How a response ends: what the model thinks, calls or writes, and what that takes.

It is decided when the request comes, so that a response in the background ends as any other. A
planned fault of the kind `fail` decides otherwise, by its `as`:

- `failed` (the usual one) with the error of its `code` and `error`;
- `incomplete`, stopped by a filter of contents;
- `written`: the model writes the `text` (with `match`, only the model that the request names);
- `error`: a stream ends with this error after its first events (`after`), though its status is 200;
- `reset`: the connection of a stream is lost after its first events, the response ends as it would.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, replace

from ops.sandbox.faults import Fault
from ops.sandbox.openai.desk import Desk, tokens_of
from ops.sandbox.openai.responses import items
from ops.sandbox.openai.responses.asking import Asked, prompt_text
from ops.sandbox.openai.writing.answers import Written, reasons, thought, written
from ops.sandbox.openai.writing.caching import through_cache
from ops.sandbox.openai.writing.functions import Function, called
from ops.sandbox.store import Json
from ops.sandbox.wire import Call

_CHARACTERS = 4
_USUAL_EVENTS = 5
_ERRORS = ("server_error", "rate_limit_exceeded", "invalid_prompt", "vector_store_timeout",
           "image_parse_error", "failed_to_download_image")  # fmt: skip


@dataclass(frozen=True)
class Ending:
    """How a response ends, and where its stream breaks off: after so many events, with an `error`
    event, or (None) without a word. Until then it is that of `shown`, if there is one."""

    final: Json
    breaks_after: int | None = None
    error: Json | None = None
    shown: Json | None = None


def ending(desk: Desk, call: Call, response: Json, asked: Asked) -> Ending:
    """Return how a response ends that has begun; call this in the transaction that keeps it."""
    fault = desk.box.faults.take("openai", call.operation, ("fail",), call.text)
    kind = fault.parameters.get("as", "failed") if fault else None
    if fault and kind in ("failed", "error"):
        error = _error(fault)
        final = {**response, "status": "failed", "error": error, "output": []}
        if kind == "failed":
            return Ending(final)
        return Ending(final, _after(fault), error, _ended(desk, response, asked))
    if fault and kind == "written":
        asked = replace(asked, said=str(fault.parameters.get("text", "")))
    final = _ended(desk, response, asked)
    if kind == "incomplete":
        final |= {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
    return Ending(final, _after(fault) if fault and kind == "reset" else None)


def _error(fault: Fault) -> Json:
    code = fault.parameters.get("code", "server_error")
    words = fault.parameters.get("error") or "The model failed to generate a response."
    return {"code": code if code in _ERRORS else "server_error", "message": str(words)}


def _after(fault: Fault) -> int:
    return max(1, int(fault.parameters.get("after", _USUAL_EVENTS)))


def _ended(desk: Desk, response: Json, asked: Asked) -> Json:
    output, thinking, made, is_cut = _output(desk, asked)
    body = asked.body
    cached = through_cache(
        desk.store,
        asked.model,
        body.get("prompt_cache_key") or "",
        prompt_text(body, asked.items),
        (body.get("prompt_cache_options") or {}).get("ttl", "30m"),
    )
    usage = {
        "input_tokens": asked.read_tokens,
        "input_tokens_details": {
            "cached_tokens": cached.read,
            "cache_write_tokens": cached.written,
        },
        "output_tokens": thinking + made,
        "output_tokens_details": {"reasoning_tokens": thinking},
        "total_tokens": asked.read_tokens + thinking + made,
    }
    reason = {"reason": "max_output_tokens"} if is_cut else None
    status = "incomplete" if is_cut else "completed"
    return {
        **response, "status": status, "incomplete_details": reason, "output": output, "usage": usage
    }  # fmt: skip


def _output(desk: Desk, asked: Asked) -> tuple[list[Json], int, int, bool]:
    """The items of the output, the tokens of thinking, those of the rest, and whether it was cut
    off."""
    most = asked.most_tokens
    wanted = thought(desk.box, asked.effort) if reasons(asked.model) else 0
    thinking = wanted if most is None else min(wanted, most)
    output = [_reasoning(asked)] if thinking else []
    left = None if most is None else most - thinking
    if left == 0:
        return output, thinking, 0, True
    functions = called(
        asked.choice, asked.prompt, desk.settings.text("openai.calls"),
        is_parallel=asked.body.get("parallel_tool_calls") is not False,
        is_answered=asked.is_answered,
    )  # fmt: skip
    made, is_cut = 0, False
    for function in functions:
        text, is_cut = _cut(function.arguments(asked.prompt), left)
        output.append(_call(function, text, is_cut=is_cut))
        made += tokens_of(text)
        if left is not None:
            left -= tokens_of(text)
        if is_cut or left == 0:
            is_cut = is_cut or function is not functions[-1]
            break
    if not functions:
        message, made, is_cut = _message(desk, asked, left)
        output.append(message)
    return output, thinking, made, is_cut


def _cut(text: str, most: int | None) -> tuple[str, bool]:
    if most is None or tokens_of(text) <= most:
        return text, False
    return text[: most * _CHARACTERS], True


def _message(desk: Desk, asked: Asked, most: int | None) -> tuple[Json, int, bool]:
    verbosity = (asked.body.get("text") or {}).get("verbosity")
    images = items.images_of(asked.items)
    found = written(desk.box, asked.prompt, asked.form, verbosity, images)
    if asked.said is not None:
        found = Written(asked.said)
    text, is_cut = _cut(found.text, most)
    part: Json = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    if found.is_refusal:
        part = {"type": "refusal", "refusal": text}
    message = {
        "id": items.new_id("message"),
        "type": "message",
        "status": "incomplete" if is_cut else "completed",
        "role": "assistant",
        "content": [part],
    }
    return message, tokens_of(text), is_cut


def _reasoning(asked: Asked) -> Json:
    given = asked.body.get("reasoning") or {}
    is_told = given.get("summary") or given.get("generate_summary")
    words = f"**Reading the request**\n\nIt is about: {asked.prompt[:200] or 'its images'}."
    item: Json = {
        "id": items.new_id("reasoning"),
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": words}] if is_told else [],
    }
    if "reasoning.encrypted_content" in (asked.body.get("include") or []):
        sealed = hashlib.sha256(json.dumps(item).encode()).digest()
        item["encrypted_content"] = base64.b64encode(sealed).decode()
    return item


def _call(function: Function, arguments: str, *, is_cut: bool) -> Json:
    return {
        "id": items.new_id("function_call"),
        "type": "function_call",
        "status": "incomplete" if is_cut else "completed",
        "call_id": f"call_{items.new_id('function_call')[3:27]}",
        "name": function.name,
        "arguments": arguments,
    }
