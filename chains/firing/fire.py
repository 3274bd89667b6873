"""Fires what is due: one pass prepares the starts of many schedules, and then commits them in sets.

Any number of processes may run passes at once. Each schedule is decided by the process that holds
its row, unless it has changed since that process has read it (see `fire_schedule_v1`). What was
started is published after the commit. If that is lost, the reconciler publishes it.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import structlog

from app import db
from app.errors import Unavailable
from app.platform import Json
from chains.firing import reading, stops, together
from chains.firing.candidates import Candidate, startable
from chains.firing.reading import Schedule, Waiting
from chains.firing.reckoning import Reckoned, reckon
from chains.firing.starts import Starter, key_of, key_of_request
from chains.firing.together import MOST_CHARACTERS, Pass, size_of
from chains.schedules.changes import spans_of
from chains.schedules.times import nominal_times

log = structlog.get_logger()

BATCH = 200
"""So many schedules are read at once."""

MOST_WAITING = 1000
"""So many starts of a schedule may wait (see `fire_schedule_v1`)."""

MOST_OF_BACKFILL = 10
"""So many times of a backfill are decided in one pass."""


def fire_due() -> bool:
    """Run one pass over up to BATCH schedules, and return whether more may be due.

    Raises psycopg2's errors and Unavailable if PostgreSQL is away.
    """
    found = reading.due(BATCH)
    if found:
        together.fire_all(list(_prepared(found)))
    are_more_to_stop = stops.stop_replaced()
    return len(found) >= BATCH or are_more_to_stop


def _prepared(found: Sequence[Schedule]) -> Iterator[Pass]:
    waiting = reading.waiting([each.id for each in found if each.waiting_count])
    starter = Starter()
    for schedule in found:
        try:
            yield prepared(schedule, starter, waiting.get(schedule.id, ()))
        except (*db.AWAY, Unavailable):
            raise
        except Exception as err:  # one schedule must not delay the others
            log.error("schedule.not_prepared", schedule=str(schedule.id), exc_info=err)
            together.postpone(schedule.id)


def prepared(
    schedule: Schedule,
    starter: Starter,
    waiting: Sequence[Waiting] = (),
    manual: Candidate | None = None,
) -> Pass:
    """What `fire_schedule_v1` gets for a schedule: its times and the starts that may begin now."""
    reckoned = _reckoned(schedule)
    catch_up = timedelta(seconds=schedule.catch_up_seconds)
    new = [
        Candidate("regular", nominal, schedule.overlap, expires_at=due + catch_up)
        for nominal, due in reckoned.due
    ]
    new += [] if manual is None else [manual]
    of_backfill, backfill_to = _backfill_part(schedule)
    new += of_backfill
    known = [
        Candidate(
            each.kind,
            each.nominal_at,
            each.overlap or schedule.overlap,
            run=each.run,
            request_id=each.request_id,
        )
        for each in waiting
    ]
    may_start = startable([*known, *new], is_running=schedule.is_running)
    starts = _starts(schedule, starter, may_start)
    return Pass(schedule, reckoned, new, known, starts, backfill_to)


def _starts(
    schedule: Schedule, starter: Starter, candidates: Sequence[Candidate]
) -> dict[Candidate, Json]:
    """The prepared starts of the first candidates, as many as travel well in one statement."""
    starts: dict[Candidate, Json] = {}
    left = MOST_CHARACTERS
    for each in candidates:
        starts[each] = starter.prepare(schedule, each.nominal_at, _key(schedule, each))
        left -= size_of(starts[each])
        if left < 0:
            break
    return starts


def _key(schedule: Schedule, candidate: Candidate) -> str:
    if candidate.request_id is not None:
        return key_of_request(schedule.id, candidate.request_id)
    return key_of(schedule.id, candidate.nominal_at)


def _reckoned(schedule: Schedule) -> Reckoned:
    if schedule.is_paused:
        return Reckoned((), 0, None, schedule.seen_to, None, None)
    return reckon(
        reading.spec_of(schedule),
        schedule.id,
        schedule.seen_to,
        schedule.now,
        timedelta(seconds=schedule.catch_up_seconds),
        spans_of(schedule.left_out),
    )


def _backfill_part(schedule: Schedule) -> tuple[list[Candidate], datetime | None]:
    """The next times of the schedule's backfill, and how far they go; None if nothing is taken.

    A backfill takes no more than half of the places of starts that wait.
    """
    backfill = schedule.backfill
    most = min(MOST_OF_BACKFILL, MOST_WAITING // 2 - schedule.waiting_count)
    if backfill is None or most <= 0:
        return [], None
    times = nominal_times(reading.spec_of(schedule), backfill.done_to, backfill.until_at, most)
    done_to = times[-1] if len(times) == most else backfill.until_at
    return [
        Candidate("backfill", each, backfill.overlap, overlap=backfill.overlap) for each in times
    ], done_to
