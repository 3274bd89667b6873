"""The next times of a schedule, with what the clocks' changes and its calendar do to them."""

from datetime import datetime
from uuid import UUID

from app import db
from app.platform import Json
from chains.commands.schedules.subject import checked_spec, stored_spec
from chains.schedules.times import Described, described

MOST = 100


def upcoming(
    user_id: UUID, schedule_id: UUID, spec: Json, *, count: int, after: datetime | None = None
) -> list[Json]:
    """The next times of a stored schedule after an instant, by default those to come."""
    found = described(
        stored_spec(spec, user_id),
        after or _now(schedule_id),
        min(count, MOST),
        schedule_id=schedule_id,
    )
    return [_shown(each) for each in found]


def upcoming_of(
    user_id: UUID, spec: Json, *, count: int, after: datetime | None = None
) -> list[Json]:
    """The next times that a schedule with these times would have.

    Raise InvalidInput, with all faults, if the times are wrong. The jitter is not known yet.
    """
    found = described(checked_spec(spec, user_id), after or _now(), min(count, MOST))
    return [_shown(each) for each in found]


def _now(schedule_id: UUID | None = None) -> datetime:
    """The time of the database, or the time after it up to which a schedule has no times."""
    sql = "SELECT greatest(playalter_now(), max(seen_to)) AS now FROM schedules WHERE id = %s"
    row = db.call(sql, (schedule_id,))
    assert row is not None
    found: datetime = row["now"]
    return found


def _shown(each: Described) -> Json:
    return {
        "at": each.nominal,
        "local": each.local.isoformat(),
        "due_at": each.due,
        "notes": list(each.notes),
        "clocks_change": each.clocks_change,
    }
