"""Instants of ISO 8601. A result is always in UTC, such as `2027-01-01T09:00:00Z`."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from chains.language.definition import parse_duration
from chains.language.functions.failed import FunctionFailed, Spend

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)
_LETTERS: Mapping[str, Callable[[datetime], str]] = {
    "Y": lambda at: f"{at.year:04}",
    "m": lambda at: f"{at.month:02}",
    "d": lambda at: f"{at.day:02}",
    "H": lambda at: f"{at.hour:02}",
    "M": lambda at: f"{at.minute:02}",
    "S": lambda at: f"{at.second:02}",
    "j": lambda at: f"{at.timetuple().tm_yday:03}",
    "u": lambda at: str(at.isoweekday()),
    "G": lambda at: f"{at.isocalendar().year:04}",
    "V": lambda at: f"{at.isocalendar().week:02}",
    "%": lambda at: "%",
}
"""The letters of strftime whose meaning depends neither on a language nor on a time zone."""


def written(at: datetime) -> str:
    """An instant as expressions see it: ISO 8601 in UTC, with microseconds unless they are 0.

    >>> written(datetime(2027, 1, 1, 9, tzinfo=UTC))
    '2027-01-01T09:00:00Z'
    """
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def add(spend: Spend, at: str, duration: str | float) -> str:
    """The instant after the duration; a number is in seconds."""
    return _moved("date_add", at, duration, 1)


def subtract(spend: Spend, at: str, duration: str | float) -> str:
    """The instant before the duration; a number is in seconds."""
    return _moved("date_subtract", at, duration, -1)


def difference(spend: Spend, later: str, earlier: str) -> float:
    """The seconds from `earlier` to `later`; negative if `later` comes first."""
    passed = _instant("date_diff", later) - _instant("date_diff", earlier)
    seconds = passed.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def formatted(spend: Spend, at: str, pattern: str) -> str:
    """The instant in the pattern, such as `%d.%m.%Y`, in UTC."""
    found = _instant("date_format", at)
    spend(2 * len(pattern))

    def put(directive: re.Match[str]) -> str:
        letter = directive[1]
        if letter not in _LETTERS:
            known = ", ".join(f"%{each}" for each in _LETTERS)
            raise FunctionFailed(f"date_format: %{letter} is not one of {known}")
        return _LETTERS[letter](found)

    return _DIRECTIVE.sub(put, pattern)


def _moved(name: str, at: str, duration: str | float, sign: int) -> str:
    found = _instant(name, at)
    try:
        seconds = parse_duration(duration)
    except ValueError as err:
        raise FunctionFailed(f"{name}: {_quoted(duration)}: {err}") from err
    try:
        return written(found + sign * timedelta(seconds=seconds))
    except (OverflowError, ValueError) as err:
        raise FunctionFailed(f"{name}: the result is not in the years 1 to 9999") from err


def _instant(name: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as err:
        raise FunctionFailed(
            f"{name}: {_quoted(text)} is not an instant such as 2027-01-01T09:00:00Z"
        ) from err
    if found.tzinfo is None and _DAY.fullmatch(text):
        return found.replace(tzinfo=UTC)
    if found.tzinfo is None:
        raise FunctionFailed(f"{name}: {_quoted(text)} has no offset from UTC; end it with Z")
    try:
        return found.astimezone(UTC)
    except OverflowError as err:
        raise FunctionFailed(f"{name}: {_quoted(text)} is not in the years 1 to 9999") from err


def _quoted(value: object) -> str:
    return repr(str(value)[:40])
