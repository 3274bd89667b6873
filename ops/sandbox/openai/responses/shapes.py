"""The object of a response, as it begins."""

from __future__ import annotations

import time
from typing import Any

from ops.sandbox.box import token62
from ops.sandbox.openai.desk import dated
from ops.sandbox.openai.responses import tools
from ops.sandbox.openai.responses.asking import Asked
from ops.sandbox.openai.writing.answers import reasons
from ops.sandbox.store import Json

_SHOWN = (
    "instructions", "max_output_tokens", "max_tool_calls", "previous_response_id",
    "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "user",
)  # fmt: skip


def begun(asked: Asked, tier: str) -> Json:
    """Return the response to a request: without an output, and `queued` if it is a background
    one."""
    body = asked.body
    is_background = bool(body.get("background"))

    def given(name: str, usual: Any) -> Any:
        value = body.get(name)
        return usual if value is None else value

    text = body.get("text") or {}
    cache = body.get("prompt_cache_options") or {}
    options = {"mode": "implicit", "ttl": cache.get("ttl", "30m")}
    return {
        "id": f"resp_{token62(48).lower()}",
        "object": "response",
        "created_at": int(time.time()),
        "completed_at": None,
        "status": "queued" if is_background else "in_progress",
        "background": is_background,
        "error": None,
        "incomplete_details": None,
        "metadata": body.get("metadata") or {},
        "model": dated(asked.model),
        "output": [],
        "parallel_tool_calls": given("parallel_tool_calls", True),
        **({"prompt_cache_options": options} if cache else {}),
        "reasoning": _reasoning(asked),
        "service_tier": tier,
        "temperature": given("temperature", 1.0),
        "text": {"format": asked.form, "verbosity": text.get("verbosity") or "medium"},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": tools.shown(body.get("tools") or []),
        "top_logprobs": 0,
        "top_p": given("top_p", 1.0),
        "truncation": given("truncation", "disabled"),
        "usage": None,
        **{name: body.get(name) for name in _SHOWN},
    }


def _reasoning(asked: Asked) -> Json:
    given = asked.body.get("reasoning") or {}
    effort = given.get("effort") or ("medium" if reasons(asked.model) else None)
    return {"effort": effort, "summary": given.get("summary") or given.get("generate_summary")}
