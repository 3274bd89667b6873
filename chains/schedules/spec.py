"""Reads the times of a schedule from a body of JSON, and refuses what is not plainly meant.

A body has exactly one of
- `cron`: an expression of five fields in local time, such as "30 2 * * *" (see `cron`);
- `every`: a duration such as "6h", or {"hours": 6, "phase_seconds": 900}, on absolute time: the
  instants epoch + n * interval + phase, whatever the clocks of the zone do;
- `times`: a list of instants with offsets, such as ["2027-01-01T09:00:00+01:00"];
and may have `time_zone` ("UTC" by default), `starts_at`, `ends_at` (inclusive instants),
`jitter_seconds` (0 by default) and `calendar`: {"name": "holidays", "on_free_day": "skip"},
where "weekend": ["SAT", "SUN"] makes these days free too (see `calendars`).
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from chains.language.faults import MAX_FAULTS
from chains.schedules import readings
from chains.schedules.calendars import Calendar
from chains.schedules.occurrences import occurrences
from chains.schedules.reading import EARLIEST, Fault, Reader
from chains.schedules.values import Every, Spec

__all__ = ["Calendar", "Every", "InvalidSpec", "Spec", "read_spec", "read_stored"]


class InvalidSpec(ValueError):
    """Raised if a body is refused. `faults` has its faults, at most 20: (JSON pointer, words)."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(
            "; ".join(f"{place or 'the body'}: {text}" for place, text in faults[:MAX_FAULTS])
        )
        self.faults = faults[:MAX_FAULTS]


def read_spec(body: Mapping[str, Any], calendars: Mapping[str, Collection[date]]) -> Spec:
    """The spec of a body that an author sends; raise InvalidSpec with all its faults.

    `calendars` has the free dates of each calendar by name. Besides fields that cannot be read,
    it refuses an expression that means two things when the zone's clocks change, and times that
    never come. It knows no present: times that all lie in the past are not refused.
    """
    reader = Reader(body, calendars)
    spec = reader.spec()
    faults = reader.faults
    if spec.cron is not None and "/time_zone" not in dict(faults):
        doubt = readings.doubt(spec.cron, spec.time_zone)
        faults += [("/cron", doubt)] if doubt is not None else []
    faults += _never(spec) if not faults else []
    if faults:
        raise InvalidSpec(faults)
    return spec


def read_stored(body: Mapping[str, Any], calendars: Mapping[str, Collection[date]]) -> Spec:
    """The spec of a body that `read_spec` has accepted before.

    A later tzdata or calendar may give an accepted expression a second reading or no further
    time. That is no reason to stop it: its times stay defined (see `occurrences`). Raise
    InvalidSpec only for what cannot be computed: an unknown zone or calendar.
    """
    reader = Reader(body, calendars)
    spec = reader.spec()
    if reader.faults:
        raise InvalidSpec(reader.faults)
    return spec


def _never(spec: Spec) -> list[Fault]:
    if _has_a_time(spec):
        return []
    kind = "/cron" if spec.cron is not None else "/every" if spec.every is not None else "/times"
    if not _has_a_time(replace(spec, starts_at=None, ends_at=None, calendar=None)):
        return [(kind, "never fires: no day matches; change the day or the month")]
    if not _has_a_time(replace(spec, starts_at=None, ends_at=None)):
        return [("/calendar", "never fires: the calendar frees every day that matches")]
    return [(kind, "never fires: no time lies between starts_at and ends_at; change one of them")]


def _has_a_time(spec: Spec) -> bool:
    begin = (spec.starts_at or EARLIEST) - timedelta(seconds=1)
    return next(occurrences(spec, begin), None) is not None
