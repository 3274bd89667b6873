"""Reads how long a platform asks to wait: in headers, else in the text of its answer. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_SECONDS = 86_400.0
"""A longer wait is cut to this, and then the platform is asked again."""
_UNITS = {"milli": 0.001, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = r"(\d{1,9}(?:\.\d{1,9})?)\s*(milli|ms|h|m|s)[a-z]*\s*"
_STATED = re.compile(rf"\b(?:in|after)\s+(?:about\s+)?~?((?:{_PART})+)", re.IGNORECASE)


def stated_wait(headers: Mapping[str, str], message: str) -> float | None:
    """The seconds to wait by `retry-after-ms`, else Retry-After, else the message; or None.

    >>> stated_wait({"retry-after-ms": "1500", "retry-after": "2"}, "")
    1.5
    >>> stated_wait({}, "Request was throttled. Expected available in 9 seconds.")
    9.0
    >>> stated_wait({}, "Please try again in 120ms."), stated_wait({}, "slow down")
    (0.12, None)
    >>> stated_wait({}, "retry after 250 milliseconds")
    0.25
    >>> stated_wait({}, "The limit for 24h is reached. Try again in 1m30s.")
    90.0
    """
    known = {name.lower(): value for name, value in headers.items()}
    milliseconds = _number(known.get("retry-after-ms", ""))
    if milliseconds is not None:
        return _bounded(milliseconds / 1000.0)
    by_header = retry_after(known)
    if by_header is not None:
        return by_header
    found = _STATED.search(message)
    if found is None:
        return None
    parts = re.findall(_PART, found[1], re.IGNORECASE)
    return _bounded(sum(float(number) * _UNITS[unit.lower()] for number, unit in parts))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds to wait by a Retry-After header (a delay or a date, RFC 9110 10.2.3), or None."""
    value = (headers.get("retry-after") or headers.get("Retry-After") or "").strip()
    seconds = _number(value)
    if seconds is not None:
        return _bounded(seconds)
    try:
        at = parsedate_to_datetime(value)
        aware = at if at.tzinfo else at.replace(tzinfo=UTC)
        return _bounded((aware - answered_at(headers)).total_seconds())
    except (ValueError, OverflowError):
        return None


def answered_at(headers: Mapping[str, str]) -> datetime:
    """When the platform answered: by its own clock if it sent a Date header (RFC 9110 6.6.1).

    The times in an answer are by the platform's clock, and this machine's clock may be wrong.
    """
    try:
        at = parsedate_to_datetime(headers.get("date") or headers.get("Date") or "")
    except (ValueError, OverflowError):
        return datetime.now(UTC)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number == number else None


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), LONGEST_SECONDS)
