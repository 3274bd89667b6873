"""Creates schedules, and changes them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from app import db
from app.errors import Conflict, InvalidInput
from app.payload import dumps
from app.platform import Json
from chains.commands.command import Caller
from chains.commands.schedules.subject import (
    checked_spec,
    hold_calendar,
    locked,
    note,
    times_after,
)
from chains.firing.flowing import flow_faults_of
from chains.firing.starts import Starter, template_faults
from chains.language.expressions import ExpressionInvalid
from chains.language.schema import refuse_faults
from chains.plans.compiler import DEFAULT_PRIORITY
from chains.schedules.times import default_window
from chains.schedules.values import Spec


@dataclass(frozen=True)
class Wanted:
    """What a schedule shall be. `version` None: the version that is active when it fires.

    `catch_up_seconds` None: twice its interval, at least ten minutes and at most a day.
    """

    name: str
    type: str
    spec: Json
    input: Json
    version: int | None = None
    priority: int = DEFAULT_PRIORITY
    overlap: str = "skip"
    catch_up_seconds: int | None = None
    pauses_on_failure: bool = False
    flow: Json | None = None


@dataclass(frozen=True)
class _Sample:
    """What the starts of the schedule are made from."""

    id: UUID
    name: str
    user_id: UUID
    type: str
    version: int | None
    input: Json
    priority: int
    flow: Json | None


def create(caller: Caller, wanted: Wanted, *, note_of_pause: str | None = None) -> UUID:
    """Create a schedule, paused if `note_of_pause` is given, and return its id.

    Raise InvalidInput, with all faults of one part, if its times or its input are wrong, or if all
    its times are past and it is not paused (then it may be for backfills), and Conflict if the
    caller has a schedule of this name.
    """
    schedule_id = uuid7()

    def insert() -> None:
        with db.begin() as connection:
            hold_calendar(connection, caller, wanted.spec)
            spec, now = _checked(caller, wanted, schedule_id)
            times = times_after(spec, schedule_id, now)
            if times.next is None and note_of_pause is None:
                raise InvalidInput(_PAST, field="/spec", code="times_past")
            given = _columns(wanted, spec, now) | {
                "id": schedule_id,
                "user": caller.id,
                "name": wanted.name,
                "next": times.next,
                "due": times.due,
                "now": now,
            }
            connection.execute(text(_INSERT), given)
            note(connection, schedule_id, "ScheduleCreated", caller, {"name": wanted.name})
            if note_of_pause is not None:
                paused = {"id": schedule_id, "by": caller.on_record, "note": note_of_pause}
                connection.execute(text("SELECT pause_schedule_v1(:id, :by, :note)"), paused)

    _refusing(lambda: db.patiently(insert), wanted)
    return schedule_id


_PAST = (
    "all its times are past, so it would never fire: change them, or create it paused and start"
    " a backfill"
)


def change(caller: Caller, wanted: Wanted) -> None:
    """Replace what the schedule of this name is. What waits stays, and gets the new policy.

    If its times change, those up to now that have not fired yet are discarded, and backfills end.
    Raise like `create`,
    and NotFound if the caller has no schedule of this name.
    """

    def update() -> None:
        with db.begin() as connection:
            hold_calendar(connection, caller, wanted.spec)
            row = locked(connection, caller, wanted.name)
            spec, now = _checked(caller, wanted, row["id"])
            columns = _columns(wanted, spec, now)
            is_same = row["spec"] == spec.as_body()
            times = times_after(spec, row["id"], row["seen_to"] if is_same else row["now"])
            is_paused = row["is_paused"]
            given = columns | {
                "id": row["id"],
                "seen_to": row["seen_to"] if is_same else row["now"],
                "next": None if is_paused else times.next,
                "due": None if is_paused else times.due,
            }
            connection.execute(text(_UPDATE), given)
            if not is_same:
                # Their count and cost were agreed for the former times.
                for each in connection.execute(text(_END_BACKFILLS), given).all():
                    note(connection, row["id"], "BackfillEnded", caller, {"backfill": each.id})
            changed = [name for name in _SHOWN if _differs(row, given, name)]
            note(connection, row["id"], "ScheduleChanged", caller, {"changed": changed})

    _refusing(lambda: db.patiently(update), wanted)


def _checked(caller: Caller, wanted: Wanted, schedule_id: UUID) -> tuple[Spec, datetime]:
    """The times that are wanted, and the present. Raise InvalidInput if anything is wrong.

    The input is rendered as if the schedule fired now.
    """
    spec = checked_spec(wanted.spec, caller.id)
    refuse_faults(list(template_faults(wanted.input)))
    refuse_faults(list(flow_faults_of(wanted.flow, wanted.type, wanted.version)))
    row = db.call("SELECT playalter_now() AS now", ())
    assert row is not None
    now: datetime = row["now"]
    sample = _Sample(
        schedule_id,
        wanted.name,
        caller.id,
        wanted.type,
        wanted.version,
        wanted.input,
        wanted.priority,
        wanted.flow,
    )
    try:
        Starter().prepared(sample, now.replace(microsecond=0), "")
    except ExpressionInvalid as err:
        raise InvalidInput(str(err), field="/input", code="expression_failed") from err
    return spec, now


def _columns(wanted: Wanted, spec: Spec, now: datetime) -> dict[str, Any]:
    window = wanted.catch_up_seconds
    return {
        "type": wanted.type,
        "version": wanted.version,
        "input": dumps(wanted.input),
        "priority": wanted.priority,
        "spec": dumps(spec.as_body()),
        "flow": None if wanted.flow is None else dumps(wanted.flow),
        "calendar": None if spec.calendar is None else spec.calendar.name,
        "overlap": wanted.overlap,
        "catch_up": int(default_window(spec, now).total_seconds()) if window is None else window,
        "pauses": wanted.pauses_on_failure,
    }


_INSERT = """
INSERT INTO schedules (id, organisation_id, project_id, user_id, name, type, version, input,
                       priority, spec, flow, calendar, overlap, catch_up_seconds, pauses_on_failure,
                       seen_to, next_nominal_at, due_at, fires_at)
SELECT :id, organisation_id, project_id, id, :name, :type, :version, cast(:input AS jsonb),
       :priority, cast(:spec AS jsonb), cast(:flow AS jsonb), :calendar, :overlap, :catch_up,
       :pauses, :now, :next, :due, :due FROM users WHERE id = :user
"""
# A pass looks at once, and computes from seen_to when it must look again.
_UPDATE = """
UPDATE schedules SET type = :type, version = :version, input = cast(:input AS jsonb),
       priority = :priority, spec = cast(:spec AS jsonb), flow = cast(:flow AS jsonb),
       calendar = :calendar, overlap = :overlap,
       catch_up_seconds = :catch_up, pauses_on_failure = :pauses, seen_to = :seen_to,
       next_nominal_at = :next, due_at = :due, fires_at = playalter_now(),
       spec_version = spec_version + 1, refused_in_row = 0, changed_at = clock_timestamp()
 WHERE id = :id
"""
_END_BACKFILLS = (
    "UPDATE schedule_backfills SET ended_at = clock_timestamp()"
    " WHERE schedule_id = :id AND ended_at IS NULL RETURNING id"
)
_SHOWN = {
    "type": "type",
    "version": "version",
    "input": "input",
    "priority": "priority",
    "spec": "spec",
    "flow": "flow",
    "overlap": "overlap",
    "catch_up_seconds": "catch_up",
    "pauses_on_failure": "pauses",
}


def _differs(row: Any, given: dict[str, Any], name: str) -> bool:
    old, new = row[name], given[_SHOWN[name]]
    if name in {"input", "spec", "flow"}:
        old = None if old is None else dumps(old)
    return bool(old != new)


def _refusing(write: Any, wanted: Wanted) -> None:
    """Write, and turn the refusals of PostgreSQL's constraints into errors of the request."""
    try:
        write()
    except IntegrityError as err:
        constraint = getattr(getattr(err.orig, "diag", None), "constraint_name", None)
        if constraint == "schedules_pkey":
            return  # an earlier try has committed, but its answer was lost
        if constraint == "schedules_one_name":
            raise Conflict(
                f"there is a schedule {wanted.name} already; change it, or use another name",
                code="schedule_exists",
            ) from err
        if constraint == "schedules_calendar":
            raise InvalidInput(
                "there is no such calendar any more",
                field="/spec/calendar/name",
                code="invalid_spec",
            ) from err
        raise
