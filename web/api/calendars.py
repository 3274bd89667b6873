"""Calendars: named sets of dates, to which schedules may refer."""

from http import HTTPStatus
from typing import Any

from flask import Response

from app.queries import schedules as reading
from chains.commands.command import caller_of
from chains.commands.schedules.calendars import delete_calendar, write_calendar
from web.api import blueprint, problems
from web.auth import caller
from web.bodies import JsonResponse
from web.schemas.schedules import (
    Calendar,
    CalendarList,
    CalendarPath,
    WriteCalendar,
    WrittenCalendar,
)

api = blueprint("calendars", "Schedules")


@api.get(
    "/calendars",
    summary="List calendars",
    responses={200: CalendarList, **problems()},
)
def list_calendars() -> Response:
    """In the order of their names."""
    return JsonResponse({"items": [_shown(each) for each in reading.calendar_list(caller())]})


@api.get(
    "/calendars/<string:name>",
    summary="Get a calendar",
    responses={200: Calendar, **problems(404)},
)
def get_calendar(path: CalendarPath) -> Response:
    """With the names of the schedules that refer to it."""
    return JsonResponse(_shown(reading.calendar(caller(), path.name)))


@api.put(
    "/calendars/<string:name>",
    summary="Write a calendar",
    responses={200: WrittenCalendar, 201: WrittenCalendar, **problems(400, 413, 415)},
)
def put_calendar(path: CalendarPath, body: WriteCalendar) -> Response:
    """Replaces all dates of the calendar, or creates it. In the same transaction, the schedules
    that refer to it get their new next times; `moved` says how many have another one now. So no
    schedule fires on a day that has just become free, or skips one that has just become a working
    day. Nothing of the past is started. A backfill of which other times are left now ends."""
    written = write_calendar(caller_of(caller()), path.name, body.dates)
    shown = _shown(reading.calendar(caller(), path.name)) | {
        "moved": written.moved.moved,
        "ended_backfills": written.moved.ended_backfills,
    }
    return JsonResponse(shown, HTTPStatus.CREATED if written.is_new else HTTPStatus.OK)


@api.delete(
    "/calendars/<string:name>",
    summary="Delete a calendar",
    responses={204: None, **problems(404, 409)},
)
def remove_calendar(path: CalendarPath) -> Response:
    """409 while a schedule refers to it."""
    delete_calendar(caller_of(caller()), path.name)
    return Response(status=HTTPStatus.NO_CONTENT)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"dates": [each.isoformat() for each in row["dates"]]}
