"""Periods by the calendar, in UTC: a month after 31 January is 28 or 29 February."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta


def add_months(at: int, months: int, anchor_day: int | None = None) -> int:
    """Return the time some months after `at` (Unix seconds), on the anchor's day if there is one.

    The day is the last one of a month that has no such day.
    """
    begin = datetime.fromtimestamp(at, UTC)
    years, month = divmod(begin.month - 1 + months, 12)
    year = begin.year + years
    day = min(anchor_day or begin.day, calendar.monthrange(year, month + 1)[1])
    return int(begin.replace(year=year, month=month + 1, day=day).timestamp())


def period_end(at: int, interval: str, count: int, anchor: int | None = None) -> int:
    """Return the end of a period of `count` days, weeks, months or years that begins at `at`."""
    if interval in ("day", "week"):
        days = count * (7 if interval == "week" else 1)
        return at + int(timedelta(days=days).total_seconds())
    day = datetime.fromtimestamp(anchor, UTC).day if anchor is not None else None
    return add_months(at, count * (12 if interval == "year" else 1), day)
