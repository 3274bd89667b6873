"""The errors, bodies and pages of the imitated OpenAI, in OpenAI's words.

https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, NoReturn

from werkzeug.wrappers import Request

from ops.sandbox.store import Json
from ops.sandbox.wire import Refusal

_UNREADABLE = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using "
    "your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not "
    "valid JSON.)"
)
_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. For more "
    "information on this error, read the docs: "
    "https://platform.openai.com/docs/guides/error-codes/api-errors."
)
_SORRY = "The server had an error while processing your request. Sorry about that!"
BILLING = (
    "insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded", "organization_usage_limit_exceeded",
)  # fmt: skip
"""The codes of a 429 of an account that must pay first."""
KNOWN: dict[str, tuple[int, str, str]] = {
    **dict.fromkeys(BILLING, (429, "insufficient_quota", _QUOTA)),
    "slow_down": (
        429,
        "rate_limit_error",
        "Your request rate grew too fast. Please slow down and ramp up gradually.",
    ),
    "server_is_overloaded": (
        503,
        "service_unavailable_error",
        "Our servers are currently overloaded. Please try again later.",
    ),
    "resource_unavailable": (
        429,
        "resource_unavailable",
        "Resource unavailable: there is no capacity for flex processing now.",
    ),
    "context_length_exceeded": (
        400,
        "invalid_request_error",
        "Your input exceeds the context window of this model. Please adjust your input.",
    ),
    "invalid_prompt": (
        400,
        "invalid_request_error",
        "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
    ),
    "server_error": (500, "server_error", _SORRY),
}
"""Status, type and message of an error by its code."""


def error(
    status: int,
    message: str,
    param: str | None = None,
    code: str | None = None,
    type_: str = "invalid_request_error",
    headers: dict[str, str] | None = None,
) -> Refusal:
    """Return an error in OpenAI's format."""
    body = {"message": message, "type": type_, "param": param, "code": code}
    return Refusal(status, {"error": body}, headers)


def known(code: str, message: str = "") -> Refusal:
    """Return one of the errors that have their own code (`KNOWN`), with other words if given."""
    status, type_, words = KNOWN[code]
    return error(status, message or words, None, code, type_)


def outage(status: int, message: str = "") -> Refusal:
    """Return an error of OpenAI's own with this status."""
    return error(status, message or _SORRY, None, None, "server_error")


def missing(param: str) -> Refusal:
    """Return the error for a parameter that must be given."""
    message = f"Missing required parameter: '{param}'."
    return error(400, message, param, "missing_required_parameter")


def invalid_value(param: str, value: Any, supported: Sequence[Any]) -> Refusal:
    """Return the error for a value that is not one of those that the parameter has."""
    message = f"Invalid value: '{value}'. Supported values are: {_listed(supported)}."
    return error(400, message, param, "invalid_value")


def unsupported(param: str, message: str = "") -> Refusal:
    """Return the error for a parameter, or a value of it, that is not built."""
    words = message or f"Unsupported parameter: '{param}' is not supported with this model."
    return error(400, words, param, "unsupported_parameter")


def unsupported_value(param: str, value: Any, supported: Sequence[Any] = ()) -> Refusal:
    """Return the error for a value of a parameter that is not built."""
    message = f"Unsupported value: '{param}' does not support '{value}' with this model."
    if supported:
        message += f" Supported values are: {_listed(supported)}."
    return error(400, message, param, "unsupported_value")


def bounded(given: Json, param: str, least: float | None = None, most: float | None = None) -> None:
    """Raise OpenAI's error if the number of a parameter is out of its bounds."""
    value = given.get(param)
    if value is None:
        return
    kind = "integer" if isinstance(value, int) else "decimal"
    if least is not None and not value >= least:
        words, code, sign, bound = "below minimum value", "below_min_value", ">=", least
    elif most is not None and not value <= most:
        words, code, sign, bound = "above maximum value", "above_max_value", "<=", most
    else:
        return
    expected = f"Expected a value {sign} {bound}, but got {value} instead."
    message = f"Invalid '{param}': {kind} {words}. {expected}"
    raise error(400, message, param, f"{kind}_{code}")


def long_text(param: str, text: str, most: int) -> None:
    """Raise OpenAI's error if a text is longer than this."""
    if len(text) > most:
        expected = f"Expected a string with maximum length {most}"
        message = (
            f"Invalid '{param}': string too long. {expected}, but got a string with length "
            f"{len(text)} instead."
        )
        raise error(400, message, param, "string_above_max_length")


def long_list(param: str, given: Sequence[Any], most: int) -> None:
    """Raise OpenAI's error if a list has more entries than this."""
    if len(given) > most:
        expected = f"Expected an array with maximum length {most}"
        message = (
            f"Invalid '{param}': array too long. {expected}, but got an array with length "
            f"{len(given)} instead."
        )
        raise error(400, message, param, "array_above_max_length")


def empty_list(param: str) -> NoReturn:
    """Raise OpenAI's error for a list without entries."""
    expected = "Expected an array with minimum length 1, but got an empty array instead."
    raise error(400, f"Invalid '{param}': empty array. {expected}", param, "empty_array")


def metadata_of(given: Json) -> Json:
    """Return the metadata of a body: up to 16 pairs, with keys up to 64 and values up to 512
    characters."""
    found: Json = given.get("metadata") or {}
    if len(found) > 16:
        expected = "Expected an object with at most 16 properties"
        message = (
            f"Invalid 'metadata': too many properties. {expected}, but got an object with "
            f"{len(found)} properties instead."
        )
        raise error(400, message, "metadata", "object_above_max_properties")
    for name, value in found.items():
        long_text("metadata", name, 64)
        long_text(f"metadata.{name}", value, 512)
    return found


def json_body(request: Request) -> Json:
    """Return the JSON object in the body, {} if the body is empty."""
    raw = request.get_data()
    if not raw:
        return {}
    try:
        found = json.loads(raw, parse_constant=_no_number, parse_float=_finite)
        if b"\\ud" in raw.lower():
            json.dumps(found, ensure_ascii=False).encode()  # Half a pair of surrogates is no text.
    except (ValueError, RecursionError) as err:
        raise error(400, _UNREADABLE) from err
    if not isinstance(found, dict):
        raise error(400, _UNREADABLE)
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no finite number")
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def page(
    items: Sequence[Json], asked: Json, limit: int = 20, order: str = "desc", most: int = 100
) -> Json:
    """Return one page of a list; `items` are in the order in which they were made.

    `asked` has `after`, `limit` and `order`; an `after` that is no id of the list is refused.
    """
    bounded(asked, "limit", 1, most)
    ordered = list(items) if asked.get("order", order) == "asc" else list(reversed(items))
    after = asked.get("after")
    if after is not None:
        at = next((n for n, each in enumerate(ordered) if each["id"] == after), None)
        if at is None:
            raise error(400, f"Invalid 'after': no item with id '{after}' found.", "after")
        ordered = ordered[at + 1 :]
    data = ordered[: asked.get("limit") or limit]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(ordered) > len(data),
    }


def _listed(values: Sequence[Any]) -> str:
    quoted = [f"'{each}'" for each in values]
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])}{',' if len(quoted) > 2 else ''} and {quoted[-1]}"
