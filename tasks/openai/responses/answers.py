"""Reads what OpenAI answers about responses, and judges how a response has ended.

What reading raises ends as `unreadable`. Status 200 with a failed or incomplete response is normal.
https://platform.openai.com/docs/api-reference/responses/object
"""

import json
import math
from typing import Any

from app.errors import Permanent
from app.outbound import http
from app.platform import Json
from tasks.openai.client import count, optional
from tasks.openai.responses.forms import Unchecked, misfit

RUNNING = ("queued", "in_progress")
_LATEST = 2**40
"""No time is so late, in seconds since 1970."""
PASSING = frozenset(
    ("failed_to_download_image", "rate_limit_exceeded", "server_error", "vector_store_timeout")
)
"""The codes of failed responses that another one may not meet."""


def begun(seen: Json) -> Json:
    """A response that was asked for: {id, status}."""
    return {"id": http.text_at(seen, "id"), "status": http.text_at(seen, "status")}


def response(seen: Json) -> Json:
    """A response as it is now: {id, status, is_running, model, tier, text, refusal, error, reason,
    metadata, seconds, is_counted, input_tokens, cached_tokens, cache_write_tokens, output_tokens,
    reasoning_tokens}.

    `refusal` is null unless the model refuses; `error` is {code, message} of one that has failed;
    `reason` says why one is incomplete, and `seconds` how long one took that is whole, if OpenAI
    says it. If not `is_counted`, OpenAI has not told its tokens.
    """
    usage = seen.get("usage") or {}
    read, written = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    texts, refusals = _said(seen.get("output") or [])
    state = begun(seen)
    return state | {
        "is_running": state["status"] in RUNNING,
        "model": http.text_at(seen, "model"),
        "tier": optional(seen.get("service_tier")),
        "text": "".join(texts),
        "refusal": http.quoted(" ".join(refusals)) if refusals else None,
        "error": _error(seen.get("error")),
        "reason": optional((seen.get("incomplete_details") or {}).get("reason")),
        "metadata": {k: v for k, v in (seen.get("metadata") or {}).items() if isinstance(v, str)},
        "is_counted": None not in (usage.get("input_tokens"), usage.get("output_tokens")),
        "seconds": _seconds(seen.get("created_at"), seen.get("completed_at")),
        "input_tokens": count(usage.get("input_tokens")),
        "cached_tokens": count((read or {}).get("cached_tokens")),
        "cache_write_tokens": count((read or {}).get("cache_write_tokens")),
        "output_tokens": count(usage.get("output_tokens")),
        "reasoning_tokens": count((written or {}).get("reasoning_tokens")),
    }


def _seconds(begun_at: Any, ended_at: Any) -> float | None:
    # What is paid for is not refused because of its times.
    times = (begun_at, ended_at)
    if not all(isinstance(each, int | float) and 0 <= each < _LATEST for each in times):
        return None
    return max(0.0, float(ended_at) - float(begun_at))


def _said(output: list[Any]) -> tuple[list[str], list[str]]:
    """The texts and the refusals in the messages of an output.

    What a model says while it works (`commentary`) is no part of its answer.
    """
    texts, refusals = [], []
    for item in output:
        if item.get("type") != "message" or item.get("phase") == "commentary":
            continue
        for part in item["content"]:
            if part.get("type") == "output_text":
                texts.append(optional(part["text"]) or "")
            elif part.get("type") == "refusal":
                refusals.append(optional(part["refusal"]) or "refused")
    return texts, refusals


def _error(error: Any) -> Json | None:
    if error is None:
        return None
    code, message = optional(error.get("code")), optional(error.get("message"))
    return {
        "code": http.code_of(code) or "unknown",
        "message": http.quoted(message or "no message"),
    }


def has_failed_for_now(seen: Json) -> bool:
    """Whether a response has failed for a reason that another may not meet."""
    return seen["status"] == "failed" and (seen["error"] or {}).get("code") in PASSING


def require_whole(seen: Json, most_tokens: int) -> None:
    """Raise Permanent unless a response that has ended is a whole answer.

    The codes are `cut_off` (the tokens did not suffice), `refused` (for its content), `incomplete`
    (another reason), `cancelled`, and that of OpenAI with `response_` before it if it has failed.
    """
    detail = {"response": seen["id"]}
    if seen["status"] == "failed":
        error = seen["error"] or {"code": "unknown", "message": "no message"}
        raise Permanent(
            f"the response failed: {error['message']}",
            code=f"response_{error['code']}",
            detail=detail,
        )
    if seen["status"] == "cancelled":
        raise Permanent("the response was cancelled at OpenAI", code="cancelled", detail=detail)
    if seen["reason"] == "content_filter":
        said = "OpenAI's content filter stopped the answer"
        raise Permanent(said, code="refused", detail=detail)
    if seen["refusal"] is not None:
        raise Permanent(seen["refusal"], code="refused", detail=detail)
    if seen["reason"] == "max_output_tokens":
        raise Permanent(
            f"the answer was cut off after {seen['output_tokens']} tokens, of which the model"
            f" thought {seen['reasoning_tokens']}: raise the step's `max_output_tokens`"
            f" ({most_tokens} now), or lower its `reasoning_effort`",
            code="cut_off",
            detail=detail,
        )
    if seen["status"] != "completed":
        state = http.code_of(seen["status"]) or "no status that is known"
        why = http.code_of(seen["reason"]) or f"it ended as {state}"
        raise Permanent(f"the answer is not complete: {why}", code="incomplete", detail=detail)
    if not seen["text"]:
        raise Permanent("the model wrote no answer", code="empty_answer", detail=detail)


def structured(seen: Json, schema: Json) -> Any:
    """The answer of a response, which must have this JSON Schema.

    Raises Permanent `answer_invalid` if it has another form.
    """
    try:
        read = json.loads(seen["text"], parse_constant=_no_constant, parse_float=_finite)
        answer = http.bounded(read)
    except (ValueError, RecursionError) as err:
        raise _invalid(seen, f"it is no JSON that can be read: {type(err).__name__}") from err
    try:
        fault = misfit(answer, schema)
    except Unchecked as err:
        raise _invalid(seen, str(err)) from err
    if fault is not None:
        raise _invalid(seen, fault)
    return answer


def output_of(seen: Json, schema: Json | None) -> Json:
    """The output of a step whose response is a whole answer.

    Raises Permanent `answer_invalid` if it has not the form of `schema`.
    """
    return told(seen, None if schema is None else structured(seen, schema))


def told(seen: Json, answer: object) -> Json:
    """What a step tells of a response that is whole; `answer` is its text as data, or null."""
    return {
        "text": seen["text"],
        "answer": answer,
        "response": seen["id"],
        "model": seen["model"],
        "tier": seen["tier"],
        "tokens": {
            "input": seen["input_tokens"],
            "cached": seen["cached_tokens"],
            "cache_write": seen["cache_write_tokens"],
            "output": seen["output_tokens"],
            "reasoning": seen["reasoning_tokens"],
        },
    }


def _invalid(seen: Json, why: str) -> Permanent:
    return Permanent(
        f"the answer does not have the form of `answer_schema`: {why}",
        code="answer_invalid",
        detail={"response": seen["id"]},
    )


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(number)
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(name)
