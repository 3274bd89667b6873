"""What happens to a run on a day when the clocks change or the calendar is free, in words."""

from collections.abc import Iterator
from datetime import datetime, time, timedelta, tzinfo
from itertools import islice

from chains.schedules import zones
from chains.schedules.values import Spec

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
_MAX_NOTES = 10


def has_change(where: tzinfo, instant: datetime) -> bool:
    """Whether the zone's clocks change on the local day of an instant."""
    day = datetime.combine(zones.local(where, instant).date(), time())
    around = zones.changes_between(where, instant - 2 * _DAY, instant + 2 * _DAY)
    return any(
        day.date() in {zones.local(where, each.at - _SECOND).date(), (each.window[1]).date()}
        for each in around
    )


def notes(spec: Spec, before: datetime, nominal: datetime) -> tuple[str, ...]:
    """What moved, doubled or left out this run, and the runs left out since `before`."""
    where = zones.zone(spec.time_zone)
    return tuple(islice(_notes(spec, where, before, nominal), _MAX_NOTES))


def _notes(spec: Spec, where: tzinfo, before: datetime, nominal: datetime) -> Iterator[str]:
    return iter(())
