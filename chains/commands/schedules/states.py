"""Pauses, resumes and deletes schedules."""

from sqlalchemy import text

from app import db
from app.errors import Conflict
from chains.commands.command import Caller
from chains.commands.schedules.subject import locked, note, stored_spec, times_after


def pause(caller: Caller, name: str, reason: str) -> None:
    """Pause a schedule: none of its times starts anything, and what waits is dropped.

    What a person asks for (`run`, `backfill`) still starts. Workflows that run go on. Raise
    NotFound, and Conflict if the schedule is paused already.
    """

    def write() -> bool:
        with db.begin() as connection:
            row = locked(connection, caller, name)
            given = {"id": row["id"], "by": caller.on_record, "note": reason}
            sql = text("SELECT pause_schedule_v1(:id, :by, :note)")
            return bool(connection.execute(sql, given).scalar_one())

    if not db.patiently(write):
        raise Conflict("the schedule is already paused", code="already_paused")


def resume(caller: Caller, name: str, reason: str | None = None) -> None:
    """Let a schedule go on with the times after now. The times of the pause are not made up for.

    Raise NotFound, and Conflict if the schedule is not paused.
    """

    def write() -> bool:
        with db.begin() as connection:
            row = locked(connection, caller, name)
            if not row["is_paused"]:
                return False
            # It is later than now if a change of the calendar would repeat a time (`repeated_to`).
            seen_to = max(row["seen_to"], row["now"])
            times = times_after(stored_spec(row["spec"], caller.id), row["id"], seen_to)
            given = {"id": row["id"], "seen_to": seen_to, "next": times.next, "due": times.due}
            connection.execute(text(_RESUME), given)
            note(connection, row["id"], "ScheduleResumed", caller, {"note": reason})
            return True

    if not db.patiently(write):
        raise Conflict("the schedule is not paused", code="not_paused")


# A pass looks at once: a backfill may be under way.
_RESUME = (
    "UPDATE schedules SET paused_at = NULL, paused_by = NULL, paused_note = NULL,"
    " seen_to = :seen_to, next_nominal_at = :next, due_at = :due, fires_at = playalter_now(),"
    " refused_in_row = 0 WHERE id = :id"
)


def delete(caller: Caller, name: str) -> None:
    """Delete a schedule and what became of its times. Its workflows go on, and its events stay.

    Raise NotFound if the caller has no schedule of this name.
    """

    def write() -> None:
        with db.begin() as connection:
            row = locked(connection, caller, name)
            note(connection, row["id"], "ScheduleDeleted", caller, {"name": name})
            for statement in (
                "DELETE FROM schedule_runs WHERE schedule_id = :id",
                "DELETE FROM schedules WHERE id = :id",
            ):
                connection.execute(text(statement), {"id": row["id"]})

    db.patiently(write)
