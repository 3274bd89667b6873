"""Schedules: create, change, pause and resume them, run them now, and start times of the past."""

from http import HTTPStatus
from typing import Any
from uuid import uuid4

from flask import Response

from app.queries import schedules as reading
from chains.commands.command import Caller, caller_of
from chains.commands.schedules import states
from chains.commands.schedules.backfill import Estimate, backfill, end_backfill, estimate
from chains.commands.schedules.create import Wanted, change, create
from chains.commands.schedules.run import run_now
from chains.commands.schedules.upcoming import upcoming, upcoming_of
from chains.repair.housekeeping import JOBS
from web.api import blueprint, problems
from web.auth import caller, is_operator
from web.bodies import JsonResponse
from web.schemas.schedules import (
    BackfillEstimate,
    BackfillList,
    BackfillPath,
    BackfillSchedule,
    ChangeSchedule,
    CreateSchedule,
    PauseSchedule,
    PreviewSchedule,
    ResumeSchedule,
    RunHeader,
    RunPage,
    RunSchedule,
    RunsQuery,
    Schedule,
    ScheduleDetail,
    ScheduleEventList,
    ScheduleListQuery,
    SchedulePage,
    SchedulePath,
    StartedRun,
    UpcomingList,
    UpcomingQuery,
)

api = blueprint("schedules", "Schedules")

_SHOWN = 10
_NOTHING = dict.fromkeys(Schedule.model_fields)


@api.get(
    "/schedules",
    summary="List schedules",
    responses={200: SchedulePage, **problems()},
)
def list_schedules(query: ScheduleListQuery) -> Response:
    """In the order of their names. With an admin key, the last page also has the periodic jobs of
    Playalter itself, which cannot be changed."""
    found = reading.schedule_list(caller(), after=query.cursor or "", limit=query.limit + 1)
    page = found[: query.limit]
    is_last = len(found) <= query.limit
    items = [_shown(each) for each in page]
    if is_last and is_operator():
        items += _system()
    return JsonResponse({"items": items, "next_cursor": None if is_last else page[-1]["name"]})


@api.post(
    "/schedules",
    summary="Create a schedule",
    responses={201: ScheduleDetail, **problems(400, 409, 413, 415)},
)
def create_schedule(body: CreateSchedule) -> Response:
    """422 names the fields that are wrong: of `spec` also what it would do on days on which the
    clocks change, if that is not plain. The input is checked as if the schedule fired now."""
    user = _caller()
    create(user, _wanted(body.name, body), note_of_pause=body.paused)
    location = {"Location": f"/v1/schedules/{body.name}"}
    return JsonResponse(_detail(user, body.name), HTTPStatus.CREATED, location)


@api.post(
    "/schedules/preview",
    summary="Check the times of a schedule without creating it",
    responses={200: UpcomingList, **problems(400, 413, 415)},
)
def preview_schedule(query: UpcomingQuery, body: PreviewSchedule) -> Response:
    """Returns the next times."""
    found = upcoming_of(caller(), body.spec, count=query.count, after=query.after)
    return JsonResponse({"items": found})


@api.get(
    "/schedules/<string:name>",
    summary="Get a schedule with its next ten and its last ten times",
    responses={200: ScheduleDetail, **problems(404)},
)
def get_schedule(path: SchedulePath) -> Response:
    """`last` says what became of each time."""
    return JsonResponse(_detail(_caller(), path.name))


@api.put(
    "/schedules/<string:name>",
    summary="Change a schedule",
    responses={200: ScheduleDetail, **problems(400, 404, 413, 415)},
)
def change_schedule(path: SchedulePath, body: ChangeSchedule) -> Response:
    """Replaces the whole schedule. It stays paused if it was. What waits gets the new policy and
    the new input. If the times change, those up to now that have not fired yet are discarded."""
    user = _caller()
    change(user, _wanted(path.name, body))
    return JsonResponse(_detail(user, path.name))


@api.delete(
    "/schedules/<string:name>",
    summary="Delete a schedule",
    responses={204: None, **problems(404)},
)
def delete_schedule(path: SchedulePath) -> Response:
    """Workflows that it has started go on; what waits is never started."""
    states.delete(_caller(), path.name)
    return Response(status=HTTPStatus.NO_CONTENT)


@api.post(
    "/schedules/<string:name>/pause",
    summary="Pause a schedule",
    responses={200: ScheduleDetail, **problems(400, 404, 409, 413, 415)},
)
def pause_schedule(path: SchedulePath, body: PauseSchedule) -> Response:
    """What waits is dropped. Its workflows go on. The times of the pause are never made up for; a
    backfill can start them."""
    user = _caller()
    states.pause(user, path.name, body.note)
    return JsonResponse(_detail(user, path.name))


@api.post(
    "/schedules/<string:name>/resume",
    summary="Resume a paused schedule",
    responses={200: ScheduleDetail, **problems(400, 404, 409, 413, 415)},
)
def resume_schedule(path: SchedulePath, body: ResumeSchedule) -> Response:
    """It goes on with the first time after now."""
    user = _caller()
    states.resume(user, path.name, body.note)
    return JsonResponse(_detail(user, path.name))


@api.post(
    "/schedules/<string:name>/run",
    summary="Start a workflow of a schedule now",
    responses={201: StartedRun, 200: StartedRun, **problems(400, 404, 413, 415)},
)
def run_schedule(path: SchedulePath, header: RunHeader, body: RunSchedule) -> Response:
    """201 with what became of it: `started` with the workflow, or by the policy `buffered` or
    `skipped`. 200 if an earlier request with this `Idempotency-Key` has done it. A paused schedule
    can be run."""
    ran = run_now(
        _caller(),
        path.name,
        request_id=header.idempotency_key or uuid4().hex,
        overlap=body.overlap,
    )
    shown = {
        "run": ran.run,
        "outcome": ran.outcome,
        "reason": ran.reason,
        "nominal_at": ran.nominal_at,
        "workflow_id": ran.workflow_id,
    }
    if ran.is_new:
        return JsonResponse(shown, HTTPStatus.CREATED)
    return JsonResponse(shown, HTTPStatus.OK, {"Idempotent-Replayed": "true"})


@api.post(
    "/schedules/<string:name>/backfills",
    summary="Start times of the past, or estimate that",
    responses={202: BackfillEstimate, 200: BackfillEstimate, **problems(400, 404, 409, 413, 415)},
)
def backfill_schedule(path: SchedulePath, body: BackfillSchedule) -> Response:
    """Without `times`: 200 with the number of times and what they may cost. With that number as
    `times`: 202, and some are started each second. 409 if it is another number by then."""
    user = _caller()
    found = estimate(user, path.name, body.after, body.until)
    if body.times is None:
        return JsonResponse(_estimated(found, None))
    begun = backfill(
        user, path.name, body.after, body.until, times=body.times, overlap=body.overlap
    )
    return JsonResponse(_estimated(found, begun), HTTPStatus.ACCEPTED)


@api.get(
    "/schedules/<string:name>/backfills",
    summary="List the last backfills of a schedule",
    responses={200: BackfillList, **problems(404)},
)
def list_backfills(path: SchedulePath) -> Response:
    """Newest first."""
    found = reading.schedule_detail(caller(), path.name)
    return JsonResponse({"items": reading.schedule_backfills(found["id"], limit=50)})


@api.delete(
    "/schedules/<string:name>/backfills/<int:backfill_id>",
    summary="End a backfill",
    responses={204: None, **problems(404, 409)},
)
def delete_backfill(path: BackfillPath) -> Response:
    """It starts no further times, and what of it waits is dropped. Its workflows go on."""
    end_backfill(_caller(), path.name, path.backfill_id)
    return Response(status=HTTPStatus.NO_CONTENT)


@api.get(
    "/schedules/<string:name>/next",
    summary="Get the next times of a schedule",
    responses={200: UpcomingList, **problems(404)},
)
def get_next(path: SchedulePath, query: UpcomingQuery) -> Response:
    """Also those of a paused schedule, as if it were not paused."""
    found = reading.schedule_detail(caller(), path.name)
    items = upcoming(caller(), found["id"], found["spec"], count=query.count, after=query.after)
    return JsonResponse({"items": items})


@api.get(
    "/schedules/<string:name>/runs",
    summary="List what became of the times of a schedule",
    responses={200: RunPage, **problems(404)},
)
def list_runs(path: SchedulePath, query: RunsQuery) -> Response:
    """Newest first. About the last 200 are kept."""
    found = reading.schedule_detail(caller(), path.name)
    runs = reading.schedule_runs(found["id"], before=query.cursor, limit=query.limit + 1)
    page = runs[: query.limit]
    following = page[-1]["id"] if len(runs) > query.limit else None
    return JsonResponse({"items": page, "next_cursor": following})


@api.get(
    "/schedules/<string:name>/events",
    summary="List who has changed a schedule",
    responses={200: ScheduleEventList, **problems(404)},
)
def list_schedule_events(path: SchedulePath) -> Response:
    """Newest first, at most 200."""
    found = reading.schedule_detail(caller(), path.name)
    return JsonResponse({"items": reading.schedule_events(found["id"], limit=200)})


def _caller() -> Caller:
    return caller_of(caller())


def _wanted(name: str, body: ChangeSchedule) -> Wanted:
    return Wanted(
        name=name,
        type=body.type,
        spec=body.spec,
        input=body.input,
        version=body.version,
        priority=body.priority,
        overlap=body.overlap,
        catch_up_seconds=body.catch_up_seconds,
        pauses_on_failure=body.pauses_on_failure,
        flow=body.flow,
    )


def _detail(user: Caller, name: str) -> dict[str, Any]:
    found = reading.schedule_detail(user.id, name)
    return _shown(found) | {
        "next": upcoming(user.id, found["id"], found["spec"], count=_SHOWN),
        "last": reading.schedule_runs(found["id"], limit=_SHOWN),
    }


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return _NOTHING | {"kind": "user"} | row


def _system() -> list[dict[str, Any]]:
    last = reading.last_jobs()
    return [
        _NOTHING
        | {
            "kind": "system",
            "name": name,
            "is_paused": False,
            "every_seconds": seconds,
            "last_fired_at": last.get(task, {}).get("ended_at"),
            "last_error": last.get(task, {}).get("error"),
        }
        for name, (task, seconds) in sorted(JOBS.items())
    ]


def _estimated(found: Estimate, begun: int | None) -> dict[str, Any]:
    return {
        "times": found.times,
        "cost_micro_usd": found.cost_micro_usd,
        "most_micro_usd": found.most_micro_usd,
        "id": begun,
    }
