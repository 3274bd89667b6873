"""Writes and deletes calendars: named sets of dates, to which schedules may refer."""

from collections.abc import Collection
from datetime import date

import psycopg2
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app import db
from app.errors import Conflict, NotFound
from chains.commands.command import Caller
from chains.commands.schedules.subject import note
from chains.schedules.calendars import MAX_DATES

MOST_DATES = MAX_DATES


def write_calendar(caller: Caller, name: str, dates: Collection[date]) -> bool:
    """Write a calendar, which replaces one of this name; return whether it is new.

    The next times of all schedules that refer to it are computed again.
    """

    def write() -> bool:
        with db.begin() as connection:
            given = {"user": caller.id, "name": name, "dates": sorted(set(dates))}
            is_new: bool = connection.execute(text(_WRITE), given).scalar_one()
            for row in connection.execute(text(_AGAIN), given).all():
                note(connection, row.id, "CalendarChanged", caller, {"calendar": name})
            return is_new

    return db.patiently(write)


_WRITE = """
INSERT INTO calendars AS c (user_id, name, organisation_id, project_id, dates)
SELECT id, :name, organisation_id, project_id, cast(:dates AS date[]) FROM users WHERE id = :user
ON CONFLICT (user_id, name) DO UPDATE SET dates = excluded.dates, changed_at = clock_timestamp()
RETURNING c.xmax = 0 AS is_new
"""
_AGAIN = """
UPDATE schedules SET spec_version = spec_version + 1,
       fires_at = CASE WHEN paused_at IS NULL THEN playalter_now() ELSE fires_at END
 WHERE id IN (SELECT id FROM schedules WHERE user_id = :user AND calendar = :name
               ORDER BY id FOR NO KEY UPDATE)
RETURNING id
"""


def delete_calendar(caller: Caller, name: str) -> None:
    """Delete a calendar. Raise NotFound, and Conflict while a schedule refers to it."""
    sql = "DELETE FROM calendars WHERE user_id = :user AND name = :name RETURNING 1"

    def write() -> bool:
        with db.begin() as connection:
            given = {"user": caller.id, "name": name}
            return connection.execute(text(sql), given).scalar_one_or_none() is not None

    try:
        is_known = db.patiently(write)
    except IntegrityError as err:
        if not isinstance(err.orig, psycopg2.errors.ForeignKeyViolation):
            raise
        raise Conflict(
            "schedules refer to this calendar; change or delete them first", code="calendar_in_use"
        ) from err
    if not is_known:
        raise NotFound(f"there is no calendar {name}")
