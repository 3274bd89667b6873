"""What OpenAI says of batches and of their lines.

https://platform.openai.com/docs/api-reference/batch/object
"""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

from app.errors import Retryable
from app.outbound import http
from app.platform import Json
from app.platform.batches import Fault, LineEnd, Seen
from tasks.openai import limits
from tasks.openai.batches import calls
from tasks.openai.costs import BATCH, cost
from tasks.openai.responses import answers

_ENDINGS = ("completed", "failed", "expired", "cancelled")
_FULL = "token_limit_exceeded"
"""The code of a batch for which OpenAI has too much of ours in its queue already."""
_EXPIRED = "batch_expired"
_LONGEST_LINE = 16 * 1024 * 1024
_PASSING = (408, 409, 429)
_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, RecursionError)


def look(batch: str) -> Seen:
    """How a batch stands. A status that is not known counts as running."""
    seen = calls.retrieve(batch)
    try:
        counts = seen.get("request_counts") or {}
        done = sum(int(counts.get(name) or 0) for name in ("completed", "failed"))
        files = [seen.get(name) for name in ("output_file_id", "error_file_id")]
        return Seen(
            _ending(seen["status"]),
            done,
            tuple(each for each in files if isinstance(each, str) and each),
            tuple(map(fault_of, ((seen.get("errors") or {}).get("data") or []))),
        )
    except _UNREADABLE as err:
        raise Retryable(f"batch {batch} cannot be read", code="unreadable") from err


def _ending(status: object) -> Any:
    return status if status in _ENDINGS else None


def fault_of(error: Json) -> Fault:
    """Why a batch has failed, by one of its errors."""
    code = error.get("code")
    line = error.get("line")
    is_unpaid = limits.is_exhausted(code)
    return Fault(
        http.code_of(code) or "batch_failed",
        http.quoted(str(error.get("message") or "no message")),
        line if isinstance(line, int) and line > 0 else None,
        passes=is_unpaid or code == _FULL,
        is_unpaid=is_unpaid,
    )


def results(file: str) -> Iterator[LineEnd]:
    """What became of the lines in a file of results, read line by line from a copy on disk."""
    with tempfile.TemporaryFile() as copy:
        calls.download(file, copy)
        copy.seek(0)
        while text := copy.readline(_LONGEST_LINE):
            found = _line_end(text)
            if found is not None:
                yield found


def _line_end(text: bytes) -> LineEnd | None:
    """None for what names no line."""
    try:
        given = http.bounded(json.loads(text))
        line = given["custom_id"]
    except _UNREADABLE:
        return None
    if not isinstance(line, str):
        return None
    try:
        return _read(line, given)
    except _UNREADABLE as err:
        # It is paid, and what it has cost is not known.
        error = _error("unreadable", f"the answer cannot be read ({type(err).__name__})")
        return LineEnd(line, "failed", error=error, cost=None)


def _read(line: str, given: Json) -> LineEnd:
    error: Any = given.get("error")
    response: Any = given.get("response")
    if response is None:
        code, message = http.code_of(error["code"]), str(error.get("message") or "no message")
        is_left = code == _EXPIRED
        return _failed(line, "again" if is_left else "failed", code or "line_failed", message)
    status, body = response["status_code"], response["body"]
    if 200 <= status < 300:
        return _answered(line, body)
    said = body["error"] if isinstance(body, dict) and isinstance(body.get("error"), dict) else {}
    code = http.code_of(said.get("code")) or http.code_of(said.get("type")) or f"status_{status}"
    is_unpaid = any(limits.is_exhausted(said.get(name)) for name in ("code", "type"))
    passes = is_unpaid or status in _PASSING or status >= 500
    message = f"OpenAI answered {status}: {said.get('message') or 'no message'}"
    failed = _failed(line, "again" if passes else "failed", code, message)
    return replace(failed, is_unpaid=is_unpaid)


def _answered(line: str, body: Json) -> LineEnd:
    seen = answers.response(body) | {"tier": BATCH}
    error = seen["error"] or {}
    is_passing = seen["status"] == "failed" and error.get("code") in answers.PASSING
    used = seen["input_tokens"] or seen["output_tokens"]
    if is_passing and not used:
        return _failed(line, "again", f"response_{error['code']}", str(error["message"]))
    paid = cost(seen).micro_usd if is_priced(seen) else None
    return LineEnd(line, "answered", answer=seen, cost=paid, model=seen["model"])


def is_priced(seen: Json) -> bool:
    """Whether it is known what an answer has cost: OpenAI tells its tokens, or tells none because
    the response has failed before the model was asked."""
    return bool(seen["is_counted"]) or seen["status"] == "failed"


def _failed(line: str, state: Literal["failed", "again"], code: str, message: str) -> LineEnd:
    return LineEnd(line, state, error=_error(code, http.quoted(message)))


def _error(code: str, message: str) -> Json:
    return {"code": code, "message": message}
