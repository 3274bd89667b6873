"""Replicate's errors: problem documents (RFC 7807) with `title`, `detail` and `status`.

Where Replicate does not publish the words of an error, they are the sandbox's own.
https://replicate.com/docs/reference/http#errors
"""

from __future__ import annotations

from typing import Any

from ops.sandbox.store import Json
from ops.sandbox.wire import Refusal

# https://github.com/nodetool-ai/nodetool/issues/5196
_REDUCED = (
    "Your rate limit for creating predictions is reduced to 6 requests per minute with a burst of "
    "1 requests "
)
REDUCTIONS = {
    "low": f"{_REDUCED}while you have less than $5.0 in credit. ",
    "no_payment_method": f"{_REDUCED}until you add a payment method. ",
}
"""By the state of the account (`replicate.credit`), why it may create so few predictions."""


def problem(status: int, title: str, detail: str, **more: Any) -> Refusal:
    """Return an error with the three members that most of them have."""
    return Refusal(status, {"title": title, "detail": detail, "status": status} | more)


def not_found(detail: str = "The requested resource could not be found.") -> Refusal:
    """Return the error for what does not exist, or what the account may not see."""
    return problem(404, "Not found", detail)


def throttled(seconds: int, why: str = "") -> Refusal:
    """Return the error for too many requests; it has no title, and says when to try again.

    https://replicate.com/docs/topics/predictions/rate-limits
    """
    detail = f"Request was throttled. {why}Your rate limit resets in ~{seconds}s."
    return Refusal(429, {"detail": detail, "status": 429, "retry_after": seconds})


def without_credit() -> Refusal:
    """Return the error for a prediction or training that the account cannot pay."""
    return problem(
        402,
        "Insufficient credit",
        "You have insufficient credit to run this model. Go to "
        "https://replicate.com/account/billing#billing to purchase credit. Once you purchase "
        "credit, please wait a few minutes before trying again.",
    )


def invalid(fields: list[Json]) -> Refusal:
    """Return the error for a request that misses its schema; each field is {type, field,
    description}."""
    lines = "".join(
        f"- {field['field']}: {field['description']}\n".replace("- : ", "- ") for field in fields
    )
    return problem(422, "Input validation failed", lines, invalid_fields=fields)


def wrong(field: str, description: str, kind: str = "invalid") -> Refusal:
    """Return the error for one field."""
    return invalid([{"type": kind, "field": field, "description": description}])
