"""Cron expressions of five fields (minute, hour, day of month, month, day of week) in local time.

cronsim finds the local times, without a zone; `occurrences` turns them into instants. Fields take
`*`, lists, ranges, steps and names (MON, JAN). Days take `L` (the last day), `LW` (the last working
day of the month), `5L` (the last Friday) and `MON#2` (the second Monday).

If day of month and day of week are both given, a day needs to match one of them (as in Debian's
cron; Temporal wants both). If one of the two begins with `*`, a day needs to match both.
"""

from collections.abc import Iterator
from copy import copy
from datetime import datetime, time, timedelta
from functools import lru_cache

from cronsim import CronSim, CronSimError

from chains.schedules.calendars import Calendar

MAX_LENGTH = 200
MAX_FRUITLESS_DAYS = 5_000
"""A search ends after so many matching days in a row that the calendar leaves out."""

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of month", "1 to 31, L or LW"),
    ("month", "1 to 12 or JAN to DEC"),
    ("day of week", "0 to 7 or SUN to SAT, 5L or MON#2"),
)
_ANY = "* * * * *"
_SECOND = timedelta(seconds=1)
_LAST_SECOND = time(23, 59, 59)


def fault(expression: str) -> str | None:
    """What is wrong with an expression, and what to write; None if it can be read."""
    fields = expression.split()
    if len(expression) > MAX_LENGTH:
        return f"is longer than {MAX_LENGTH} characters; split it into several schedules"
    if fields and fields[0].lower() in MACROS:
        return f"is a name; write {MACROS[fields[0].lower()]!r}"
    if len(fields) != 5:
        more = "; seconds are not read: use `every`" if len(fields) == 6 else ""
        return (
            f"has {len(fields)} fields; write five: minute, hour, day of month, month,"
            f" day of week{more}"
        )
    for place, (name, takes) in enumerate(_FIELDS):
        alone = _ANY.split()
        alone[place] = fields[place]
        if not _can_read(" ".join(alone)):
            return f"names the {name} {fields[place]!r}, which cannot be read; it takes {takes}"
    return None if _can_read(expression) else "never fires: no month has such a day"


def minutes(expression: str) -> frozenset[int]:
    """The minutes of the hour that the expression names."""
    return frozenset(_parsed(expression).minutes)


def as_lists(expression: str) -> str:
    """The same expression with its minutes and hours written as lists or as one range.

    >>> as_lists("*/30 */6 * * MON")
    '0,30 0,6,12,18 * * MON'
    """
    read = _parsed(expression)
    days = expression.split()[2:]
    return " ".join([_listed(sorted(read.minutes)), _listed(sorted(read.hours)), *days])


def local_times(expression: str, calendar: Calendar | None, after: datetime) -> Iterator[datetime]:
    """The naive local times after `after`, in order, with the calendar applied.

    The iterator ends if cronsim finds no match in 50 years, or after MAX_FRUITLESS_DAYS.
    """
    if calendar is None:
        return _walk(expression, after)
    return _moved(expression, calendar, after)


def _moved(expression: str, calendar: Calendar, after: datetime) -> Iterator[datetime]:
    at = datetime.combine(calendar.earliest_source(after.date()), time()) - _SECOND
    done = None
    fruitless = 0
    while fruitless < MAX_FRUITLESS_DAYS:
        first = next(_walk(expression, at), None)
        if first is None:
            return
        day = first.date()
        at = datetime.combine(day, _LAST_SECOND)
        target = calendar.target(day)
        fruitless += 1
        # Targets come in order, and each matching day has the same times of day.
        if target is None or target == done or target < after.date():
            continue
        done = target
        for each in _walk(expression, first - _SECOND):
            if each.date() != day:
                break
            moved = datetime.combine(target, each.time())
            if moved > after:
                fruitless = 0
                yield moved


@lru_cache(maxsize=4096)
def _parsed(expression: str) -> CronSim:
    return CronSim(expression, datetime(2000, 1, 1))  # noqa: DTZ001


def _walk(expression: str, after: datetime) -> Iterator[datetime]:
    # To parse takes longer than to find the next time, and a walk changes only its own `dt`.
    walk = copy(_parsed(expression))
    walk.dt = after.replace(microsecond=0)
    return walk


def _can_read(expression: str) -> bool:
    try:
        _parsed(expression)
    except (CronSimError, AssertionError, ValueError):
        return False
    return True


def _listed(numbers: list[int]) -> str:
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]}-{numbers[-1]}"
    return ",".join(map(str, numbers))
