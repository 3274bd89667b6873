"""What every command about a schedule needs: its row under a lock, its calendars, its events."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, text

from app import db
from app.errors import InvalidInput, NotFound
from app.payload import dumps
from app.platform import Json
from chains.commands.command import Caller
from chains.schedules.spec import InvalidSpec, Spec, read_spec, read_stored
from chains.schedules.times import due_at, next_after

_LOCKED = (
    "SELECT id, type, version, input, priority, spec, flow, calendar, overlap, catch_up_seconds,"
    " pauses_on_failure, seen_to, next_nominal_at, due_at, fires_at,"
    " paused_at IS NOT NULL AS is_paused, playalter_now() AS now"
    " FROM schedules WHERE user_id = :user AND name = :name FOR NO KEY UPDATE"
)
_NOTE = "SELECT note_schedule_v1(:id, :type, :by, cast(:data AS jsonb))"


@dataclass(frozen=True)
class Times:
    """The first time of a schedule after an instant, without and with its jitter."""

    next: datetime | None
    due: datetime | None


def locked(connection: Connection, caller: Caller, name: str) -> Json:
    """The caller's schedule, whose row is locked until the end of the transaction.

    Raise NotFound if there is none.
    """
    found = connection.execute(text(_LOCKED), {"user": caller.id, "name": name})
    row = found.mappings().one_or_none()
    if row is None:
        raise no_schedule(name)
    return dict(row)


def id_of(caller: Caller, name: str) -> UUID:
    """The id of the caller's schedule; raise NotFound if there is none."""
    row = db.call("SELECT id FROM schedules WHERE user_id = %s AND name = %s", (caller.id, name))
    if row is None:
        raise no_schedule(name)
    found: UUID = row["id"]
    return found


def no_schedule(name: str) -> NotFound:
    """The error to raise if the caller has no schedule of this name."""
    return NotFound(f"there is no schedule {name}")


def note(connection: Connection, schedule_id: UUID, type: str, caller: Caller, data: Json) -> None:
    """Append an event of a schedule. `data` must contain no payload."""
    given = {"id": schedule_id, "type": type, "by": caller.on_record, "data": dumps(data)}
    connection.execute(text(_NOTE), given)


def calendars(user_id: UUID) -> dict[str, list[date]]:
    """The user's calendars: the dates by name."""
    rows = db.patiently(
        lambda: db.rows("SELECT name, dates FROM calendars WHERE user_id = %s", (user_id,))
    )
    return {row["name"]: row["dates"] for row in rows}


def hold_calendar(connection: Connection, caller: Caller, spec: Json) -> None:
    """Keep the calendar that a spec names, if any, as it is until the end of the transaction.

    A schedule that begins to refer to a calendar would otherwise be overlooked by a change of it
    that commits meanwhile. The row of the calendar is locked before that of the schedule, as
    `write_calendar` does.
    """
    calendar = spec.get("calendar")
    if isinstance(calendar, dict):
        given = {"user": caller.id, "name": str(calendar.get("name"))}
        connection.execute(text(_HOLD_CALENDAR), given)


_HOLD_CALENDAR = "SELECT FROM calendars WHERE user_id = :user AND name = :name FOR SHARE"


def checked_spec(body: Json, user_id: UUID) -> Spec:
    """The times that a body asks for; raise InvalidInput with all faults. Pointers start with
    `/spec`."""
    try:
        return read_spec(body, calendars(user_id))
    except InvalidSpec as err:
        faults = tuple((f"/spec{place}", words) for place, words in err.faults)
        raise InvalidInput(
            faults[0][1], field=faults[0][0], code="invalid_spec", errors=faults
        ) from err


def stored_spec(body: Json, user_id: UUID) -> Spec:
    """The times of a stored schedule."""
    return read_stored(body, calendars(user_id))


def times_after(spec: Spec, schedule_id: UUID, instant: datetime) -> Times:
    """The first time of a schedule after an instant."""
    following = next_after(spec, instant)
    due = None if following is None else due_at(spec, schedule_id, following)
    return Times(following, due)
