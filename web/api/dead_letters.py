"""Workflows that have failed for good: list and count them, replay or dismiss them."""

from typing import Any

from flask import Response, jsonify

from app.errors import InvalidInput
from app.platform import Json
from app.queries import dead_letters as letters
from app.queries.dead_letters import DeadLetters
from chains.commands import dead_letters as commands
from chains.commands.command import caller_of
from chains.commands.dead_letters import Answers, Chosen, Part
from chains.commands.replay import BEGINNING, FAILED_STEP, Replay, resume_point
from web.api import blueprint, problems
from web.auth import caller, is_operator
from web.remembered import listed
from web.schemas.dead_letters import (
    DeadLetterGroups,
    DeadLetterGroupsQuery,
    DeadLetterPage,
    DeadLettersQuery,
    DismissDeadLetters,
    ReplayDeadLetters,
    SettledDeadLetters,
    SettleDeadLetters,
)
from web.schemas.parts import StartHeader
from web.shares import BULKS, share

api = blueprint("dead_letters", "Dead letters")

_FILTERS = ("type", "cause", "error_code", "action", "platform", "ended_after", "ended_before")


@api.get(
    "/dead-letters",
    summary="List what has failed for good",
    responses={200: DeadLetterPage, **problems()},
)
def list_dead_letters(query: DeadLettersQuery) -> Response:
    """Workflows that will not go on by themselves, and about which no person has decided: they
    failed, exceeded their time-out or their budget, and were undone. A workflow that needs a person
    is in the list of attention until that is settled.

    An admin key lists those of all users.
    """

    def shown() -> dict[str, Any]:
        page = letters.dead_letters(
            caller(),
            _filters(query, query.state),
            is_operator=is_operator(),
            cursor=query.cursor,
            limit=query.limit,
        )
        items = [_with_replays(item) for item in page.items]
        return {"items": items, "next_cursor": page.next_cursor}

    return listed(shown)


@api.get(
    "/dead-letters/groups",
    summary="Count what has failed for good, by error, type and action",
    responses={200: DeadLetterGroups, **problems()},
)
def group_dead_letters(query: DeadLetterGroupsQuery) -> Response:
    """The largest group first. An admin key counts those of all users."""

    def shown() -> dict[str, Any]:
        items, is_complete = letters.dead_letter_groups(
            caller(), _filters(query, query.state), is_operator=is_operator()
        )
        return {"items": items, "is_complete": is_complete}

    return listed(shown)


@api.post(
    "/dead-letters/replay",
    summary="Replay dead letters",
    responses={200: SettledDeadLetters, **problems(429)},
)
def replay_dead_letters(header: StartHeader, body: ReplayDeadLetters) -> Response:
    """Each workflow is replayed once, however often this is sent, and has its own result. `dry_run`
    is the default: it shows the results and changes nothing. With an `Idempotency-Key`, a repeated
    request does not replay the workflows that it has made itself."""
    if body.input is not None and body.from_ is None:
        message = "say where the replay with another input begins: `failed_step` or `beginning`"
        raise InvalidInput(message, field="/from")
    chosen = _chosen(body)
    with share(BULKS, caller()):
        answers = commands.replay_many(
            caller_of(caller()),
            chosen,
            Replay(body.from_ or FAILED_STEP, body.input, body.reason),
            Part(body.limit, body.cursor),
            is_dry=body.dry_run,
            request_id=header.idempotency_key,
        )
    return _settled(body, answers)


@api.post(
    "/dead-letters/dismiss",
    summary="Take dead letters out of the list without a replay",
    responses={200: SettledDeadLetters, **problems(429)},
)
def dismiss_dead_letters(body: DismissDeadLetters) -> Response:
    """The decision, its author and the reason are recorded in an event of each workflow. `dry_run`
    is the default."""
    chosen = _chosen(body)
    with share(BULKS, caller()):
        answers = commands.dismiss_many(
            caller_of(caller()),
            chosen,
            body.reason,
            Part(body.limit, body.cursor),
            is_dry=body.dry_run,
        )
    return _settled(body, answers)


def _filters(given: Any, state: str = "open") -> DeadLetters:
    return DeadLetters(state, **{name: getattr(given, name) for name in _FILTERS})


def _chosen(body: SettleDeadLetters) -> Chosen:
    if (body.filter is None) == (body.ids is None):
        raise InvalidInput("give either `filter` or `ids`", field="/filter")
    if body.filter is not None:
        return _filters(body.filter)
    return body.ids or []


def _with_replays(item: Json) -> Json:
    """An entry with the ways in which it may be replayed."""
    resumes_at = item.pop("resumes_at")
    may_continue, may_start = item.pop("may_continue"), item.pop("may_start")
    is_open = item["state"] == "open"
    replays: list[Json] = []
    if is_open and may_continue:
        boundary = resume_point(item["type"], item["version"], resumes_at)
        replays += [{"from": FAILED_STEP, "step": boundary.name}] if boundary else []
    if is_open and may_start:
        replays.append({"from": BEGINNING, "step": None})
    return item | {"replays": replays}


def _settled(body: SettleDeadLetters, answers: Answers) -> Response:
    items = [
        {
            "id": each.workflow_id,
            "ok": each.is_ok,
            "result": each.result,
            "detail": each.detail,
            "pointer": each.pointer,
            "step": each.step,
            "replay_id": each.replay_id,
        }
        for each in answers[0]
    ]
    count = sum(each.is_ok for each in answers[0])
    return jsonify(
        {
            "dry_run": body.dry_run,
            "ok": count,
            "refused": len(items) - count,
            "items": items,
            "next_cursor": answers[1],
        }
    )
