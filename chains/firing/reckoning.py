"""Computes which times of a schedule are due. Pure: the present is an argument."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from chains.schedules.changes import Span, is_within
from chains.schedules.times import count_between, due_at, next_after, nominal_times
from chains.schedules.values import Spec

MOST_AT_ONCE = 100
"""So many times of a schedule are decided in one pass; the next pass goes on."""

MOST_COUNTED = 10_000
"""Times that are too late are counted up to this number, so that no pass takes long. Those of a
plain interval are all counted."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Reckoned:
    """The times of a schedule that are decided now, and the first one after them.

    Each time in `due` is a pair: the nominal time, and the due time, which has the jitter.
    `missed` are too late; the last of them is at or before `missed_at`.
    """

    due: tuple[tuple[datetime, datetime], ...]
    missed: int
    missed_at: datetime | None
    seen_to: datetime
    next: datetime | None
    next_due: datetime | None


def reckon(
    spec: Spec,
    schedule_id: UUID,
    seen_to: datetime,
    now: datetime,
    catch_up: timedelta,
    left_out: Sequence[Span] = (),
) -> Reckoned:
    """The times after `seen_to` that are due at `now`, at most MOST_AT_ONCE.

    A time is too late if its due time was more than `catch_up` ago. Those within `left_out` are
    decided, and nothing becomes of them.
    """
    too_late = now - catch_up
    missed, missed_at = 0, None
    # No time before this one can be due late enough, whatever its jitter.
    certain = too_late - timedelta(seconds=spec.jitter_seconds) - timedelta(seconds=1)
    if certain > seen_to:
        missed = count(spec, seen_to, certain, MOST_COUNTED)
        for first, last in left_out:
            begin, end = max(seen_to, first - _SECOND), min(certain, last)
            missed -= count(spec, begin, end, MOST_COUNTED) if begin < end else 0
        missed = max(missed, 0)
        missed_at = certain if missed else None
        seen_to = certain
    due: list[tuple[datetime, datetime]] = []
    for nominal in nominal_times(spec, seen_to, now, MOST_AT_ONCE):
        if is_within(left_out, nominal):
            seen_to = nominal
            continue
        at = due_at(spec, schedule_id, nominal)
        if at > now:
            return Reckoned(tuple(due), missed, missed_at, seen_to, nominal, at)
        if at < too_late:
            missed, missed_at = missed + 1, nominal
        else:
            due.append((nominal, at))
        seen_to = nominal
    following = next_after(spec, seen_to)
    following_due = None if following is None else due_at(spec, schedule_id, following)
    return Reckoned(tuple(due), missed, missed_at, seen_to, following, following_due)


def count(spec: Spec, after: datetime, until: datetime, bound: int) -> int:
    """How many times there are with after < time <= until; `bound` if more.

    Those of a plain interval are computed, without a bound.
    """
    if spec.every is None or spec.calendar is not None:
        return count_between(spec, after, until, bound)
    if spec.starts_at is not None:
        after = max(after, spec.starts_at - timedelta(seconds=1))
    if spec.ends_at is not None:
        until = min(until, spec.ends_at)
    size = timedelta(seconds=spec.every.seconds)
    start = _EPOCH + timedelta(seconds=spec.every.phase_seconds)
    return max((until - start) // size - (after - start) // size, 0)
