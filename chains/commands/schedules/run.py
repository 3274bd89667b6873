"""Starts a workflow of a schedule now, because a person asks for it."""

import time
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg2

from app import db
from app.errors import InvalidInput, Unavailable
from app.platform import Json
from chains.commands.command import Caller
from chains.commands.schedules.subject import id_of, no_schedule
from chains.firing import fire, reading, together
from chains.firing.candidates import Candidate
from chains.firing.starts import Starter, key_of_request
from chains.language.expressions import ExpressionInvalid

_TRIES = 40
_PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class Ran:
    """What became of the request. `is_new` is false if an earlier one had the same id."""

    run: int
    outcome: str
    reason: str | None
    nominal_at: datetime
    workflow_id: UUID | None
    is_new: bool


def run_now(caller: Caller, name: str, *, request_id: str, overlap: str | None = None) -> Ran:
    """Start a workflow of the schedule, by the policy `overlap` if given, else by its own.

    It starts also while the schedule is paused, and never becomes too late. Raise NotFound, and
    InvalidInput if the definition does not take the input.
    """
    schedule_id = id_of(caller, name)
    known = _known(schedule_id, request_id)
    if known is not None:
        return _ran(known, is_new=False)
    for _ in range(_TRIES):
        schedule = reading.one(schedule_id)
        if schedule is None:
            raise no_schedule(name)
        if _fired(schedule, request_id, overlap):
            made = _known(schedule_id, request_id)
            assert made is not None
            return _ran(made, is_new=True)
        time.sleep(_PAUSE_SECONDS)
    raise Unavailable("the schedule is busy; nothing was started, try again")


def _fired(schedule: reading.Schedule, request_id: str, overlap: str | None) -> bool:
    """Decide the request, unless another process holds the schedule or has changed it."""
    starter = Starter()
    nominal = schedule.now.replace(microsecond=0)  # as the times of schedules are
    key = key_of_request(schedule.id, request_id)
    try:
        starter.prepared(schedule, nominal, key)
    except ExpressionInvalid as err:
        raise InvalidInput(str(err), field="/input", code="expression_failed") from err
    manual = Candidate(
        "manual",
        nominal,
        overlap or schedule.overlap,
        overlap=overlap,
        request_id=request_id,
    )
    waiting = reading.waiting([schedule.id]).get(schedule.id, ())
    try:
        rows = together.fire_one(fire.prepared(schedule, starter, waiting, manual))
    except psycopg2.errors.UniqueViolation:
        return _known(schedule.id, request_id) is not None
    except psycopg2.errors.CheckViolation:
        return False  # its version was retired meanwhile; another one is chosen
    return bool(rows[0]["verdict"] == "fired")


def _known(schedule_id: UUID, request_id: str) -> Json | None:
    return db.call(_RUN, (schedule_id, request_id))


_RUN = (
    "SELECT id AS run, outcome, reason, nominal_at, workflow_id FROM schedule_runs"
    " WHERE schedule_id = %s AND request_id = %s"
)


def _ran(row: Json, *, is_new: bool) -> Ran:
    return Ran(**row, is_new=is_new)
