"""Writes and deletes calendars: named sets of dates, to which schedules may refer."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

import psycopg2
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app import db
from app.errors import Conflict, NotFound
from chains.commands.command import Caller
from chains.commands.schedules.moving import Moved, ahead, move
from chains.schedules.calendars import MAX_DATES

MOST_DATES = MAX_DATES


@dataclass(frozen=True)
class Written:
    """A calendar was written. `is_new`: there was none of this name."""

    is_new: bool
    moved: Moved


def write_calendar(caller: Caller, name: str, dates: Collection[date]) -> Written:
    """Write a calendar, which replaces one of this name.

    In the same transaction, all schedules that refer to it get their new next times. A change
    concerns the times after it: none of the past is started because its day is free no more.
    """
    found = ahead(caller, name, dates)

    def write() -> Written:
        with db.begin() as connection:
            given = {"user": caller.id, "name": name, "dates": sorted(found.dates)}
            former: list[date] | None = connection.execute(text(_WRITE), given).scalar_one()
            if former is None or found.dates == set(former):
                return Written(former is None, Moved())
            return Written(False, move(connection, caller, found, former))

    return db.patiently(write)


_WRITE = """
INSERT INTO calendars AS c (user_id, name, organisation_id, project_id, dates)
SELECT id, :name, organisation_id, project_id, cast(:dates AS date[]) FROM users WHERE id = :user
ON CONFLICT (user_id, name) DO UPDATE SET dates = excluded.dates, changed_at =
  CASE WHEN c.dates = excluded.dates THEN c.changed_at ELSE clock_timestamp() END
RETURNING old.dates
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
