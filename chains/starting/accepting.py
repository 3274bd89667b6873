"""What the flow control of a definition decides about a start before the start is written.

Its rate limit may refuse the start, its singleton may answer it with the workflow that lives, and
its debounce or batch may make it a part of a workflow that waits. All of that commits in the
transaction that writes the start, or in one that writes no start.
"""

import math
from typing import Any, Literal

import psycopg2

from app import db
from app.errors import InvalidInput, TooMany
from app.files.mentions import mentioned
from app.payload import dumps
from app.platform import Json
from chains import registry
from chains.flow.keys import Keys
from chains.language.flow import Flow
from chains.starting.committing import retired
from chains.starting.dispatching import lane_is_full
from chains.starting.writing import Start, Statement

How = Literal["started", "waits", "joined", "live"]
"""What became of a request: it has started a workflow (or an earlier request with its idempotency
key has); its workflow waits for further starts; it is part of a workflow that waits; or a workflow
of its singleton lives, so it has started none."""

_FULL = "flow_lane_is_full"
"""The name under which `unless_full_v1` refuses a start."""

SHELL: Json = {"items": []}
"""The input of a workflow that collects starts, until it starts."""


def given_to(flow: Flow | None, value: Json) -> Json:
    """The input of the workflow that a request with this input is for."""
    return {"items": [value]} if flow is not None and flow.collects else value


def gathers(flow: Flow | None) -> bool:
    """Whether a start waits for further ones, by a debounce or a batch."""
    return flow is not None and (flow.debounce is not None or flow.batch is not None)


def of_item(err: InvalidInput) -> InvalidInput:
    """The error of an input that was checked as the first of the items that a workflow collects."""
    prefix = "/input/items/0"
    errors = tuple((_own(place, prefix), words) for place, words in err.errors)
    return InvalidInput(err.message, field=_own(err.field, prefix), code=err.code, errors=errors)


def _own(place: str, prefix: str) -> str:
    return "/input" + place.removeprefix(prefix) if place.startswith(prefix) else place


def asked(flow: Flow | None, start: Start) -> Json | None:
    """What `accept_start_v1` has to decide about a start; None if there is nothing to decide.

    Raise InvalidInput if a key fails, or if the start is deferred although others are to join it.
    """
    if flow is None:
        return None
    keys = Keys(start.input)
    found = {
        "rate": _rate(flow, keys),
        "single": _single(flow, keys),
        "gather": _gather(flow, keys),
    }
    if found["gather"] is not None and start.deferral is not None:
        raise InvalidInput(
            f"{start.type} gathers starts by `{'batch' if flow.batch else 'debounce'}`, which"
            " decides when they start; leave out `start_at`, `delay` and `start_within`",
            field=start.deferral.field,
        )
    return found if any(found.values()) else None


def _rate(flow: Flow, keys: Keys) -> Json | None:
    one = flow.rate_limit
    if one is None:
        return None
    key = keys.of(one.key, "/flow/rate_limit/key")
    return {"key": key, "limit": one.limit, "period": one.period}


def _single(flow: Flow, keys: Keys) -> Json | None:
    one = flow.singleton
    if one is None or one.mode == "queue":
        return None
    return {"key": keys.of(one.key, "/flow/singleton/key"), "mode": one.mode}


def _gather(flow: Flow, keys: Keys) -> Json | None:
    if flow.batch is not None:
        batch = flow.batch
        return {
            "key": keys.of(batch.key, "/flow/batch/key"),
            "period": batch.timeout,
            "keep": "all",
            "size": batch.size,
            "bytes": batch.bytes,
            "shell": SHELL,
        }
    if flow.debounce is not None:
        one = flow.debounce
        return {
            "key": keys.of(one.key, "/flow/debounce/key"),
            "period": one.period,
            "timeout": one.timeout,
            "keep": one.keep,
            "shell": SHELL,
        }
    return None


def accept(start: Start, wanted: Json, statement: Statement) -> Json:
    """Decide about a start, and write it by `statement` if nothing prevents it; in one transaction.

    Returns the row of `accept_start_v1`, with `written`, the verdict of the statement. Raise
    TooMany if the rate limit refuses the start or its lane is full, and Conflict if its version was
    retired meanwhile.
    """
    write, parameters = statement
    given = (
        *(start.id, start.user_id, start.type, start.version, start.text),
        *(start.idempotency_key, start.request_hash, start.priority),
        *(
            registry.plan(start.type, start.version).budget,
            mentioned(start.text),
            dumps(wanted),
            start.flow,
        ),
    )
    sql = (
        "SELECT a.*, CASE WHEN a.verdict = 'accepted'"
        f" THEN unless_full_v1({write}) END AS written"
        f" FROM accept_start_v1({', '.join(['%s'] * len(given))}) AS a"
    )
    # The parameters of the select list stand first.
    row = db.patiently(lambda: _row(start.type, sql, (*parameters, *given)))
    if row["verdict"] == "rate_limited":
        rate = wanted["rate"]
        after = float(row["retry_after"])
        raise TooMany(
            f"nothing was started: {start.type} accepts {rate['limit']} starts in"
            f" {rate['period']:g} s{_of_key(rate['key'])}; try again after {math.ceil(after)} s",
            code="rate_limited",
            after=after,
        )
    return row


def _row(type: str, sql: str, parameters: tuple[Any, ...]) -> Json:
    try:
        row = db.row(sql, parameters)
    except psycopg2.errors.CheckViolation as err:
        if err.diag.constraint_name == _FULL:
            raise lane_is_full(type) from err
        raise retired(err) from err
    assert row is not None
    return row


def _of_key(key: str) -> str:
    return f" for {key!r}" if key else ""
