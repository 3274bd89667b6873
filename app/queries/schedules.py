"""Schedules, calendars, and what became of the times of schedules.

They are read from the primary: a user reads a schedule right after its creation, and few are read.
"""

from uuid import UUID

from app import db
from app.errors import NotFound
from app.platform import Json

_SHOWN = """
SELECT s.id, s.name, s.type, s.version, s.input, s.priority, s.spec, s.flow, s.overlap,
       s.catch_up_seconds,
       s.pauses_on_failure, s.paused_at IS NOT NULL AS is_paused, s.paused_at, s.paused_by,
       s.paused_note, s.next_nominal_at AS next_at, s.due_at, s.last_fired_at, s.started, s.missed,
       s.skipped, s.dropped, s.refused, s.created_at, s.changed_at,
       counted.running, counted.waiting
  FROM schedules AS s CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE r.outcome = 'started' AND r.ended_at IS NULL) AS running,
              count(*) FILTER (WHERE r.outcome = 'buffered') AS waiting
         FROM schedule_runs AS r WHERE r.schedule_id = s.id AND r.is_open) AS counted
"""
_RUN = (
    "SELECT id, kind, nominal_at, times, outcome, reason, detail, workflow_id, decided_at,"
    " ended_at, ended_as, cause FROM schedule_runs"
)


def schedule_list(user_id: UUID, *, after: str = "", limit: int) -> list[Json]:
    """The user's schedules whose names come after `after`, in the order of their names."""
    sql = f"{_SHOWN} WHERE s.user_id = %s AND s.name > %s ORDER BY s.name LIMIT %s"
    return _rows(sql, user_id, after, limit)


def schedule_detail(user_id: UUID, name: str) -> Json:
    """The user's schedule; raise NotFound if there is none."""
    found = _rows(f"{_SHOWN} WHERE s.user_id = %s AND s.name = %s", user_id, name)
    if not found:
        raise NotFound(f"there is no schedule {name}")
    return found[0]


def schedule_runs(schedule_id: UUID, *, before: int | None = None, limit: int) -> list[Json]:
    """What became of the last times of a schedule, newest first, from before the run `before`."""
    bound = 2**63 - 1 if before is None else before
    sql = f"{_RUN} WHERE schedule_id = %s AND id < %s ORDER BY id DESC LIMIT %s"
    return _rows(sql, schedule_id, bound, limit)


def schedule_backfills(schedule_id: UUID, *, limit: int) -> list[Json]:
    """The last backfills of a schedule, newest first."""
    sql = (
        "SELECT id, after_at AS after, until_at AS until, done_to, overlap, times, created_at,"
        " ended_at FROM schedule_backfills WHERE schedule_id = %s ORDER BY id DESC LIMIT %s"
    )
    return _rows(sql, schedule_id, limit)


def schedule_events(schedule_id: UUID, *, limit: int) -> list[Json]:
    """Who has changed a schedule, newest first. `by` is a user's id, or `system`."""
    sql = (
        "SELECT at, type, by, data FROM schedule_events WHERE schedule_id = %s"
        " ORDER BY id DESC LIMIT %s"
    )
    return _rows(sql, schedule_id, limit)


def calendar_list(user_id: UUID) -> list[Json]:
    """The user's calendars in the order of their names, with the names of their schedules."""
    return _rows(f"{_CALENDAR} WHERE c.user_id = %s ORDER BY c.name", user_id)


def calendar(user_id: UUID, name: str) -> Json:
    """The user's calendar; raise NotFound if there is none."""
    found = _rows(f"{_CALENDAR} WHERE c.user_id = %s AND c.name = %s", user_id, name)
    if not found:
        raise NotFound(f"there is no calendar {name}")
    return found[0]


_CALENDAR = """
SELECT c.name, c.dates, c.created_at, c.changed_at, ARRAY(
       SELECT s.name FROM schedules AS s WHERE s.user_id = c.user_id AND s.calendar = c.name
        ORDER BY s.name) AS schedules FROM calendars AS c
"""


def last_jobs() -> dict[str, Json]:
    """The last outcome of each periodic job of the product itself, by the name of its task."""
    sql = (
        "SELECT DISTINCT ON (name) name, state, error, ended_at FROM job_results"
        " ORDER BY name, ended_at DESC"
    )
    return {row.pop("name"): row for row in _rows(sql)}


def _rows(sql: str, *given: object) -> list[Json]:
    return db.patiently(lambda: db.rows(sql, given))
