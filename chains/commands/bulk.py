"""Applies one control (such as `pause`) to many workflows, one after the other.

If one workflow refuses the control, the others still get it. A dry run executes each command and
rolls its transaction back, so it returns the answers of a real run.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import UUID

from app import db, queries
from app.errors import Conflict, PlayalterError, Unavailable
from app.platform import Json
from app.queries import Filters, Page
from chains.commands.cancel import cancel
from chains.commands.command import Caller, Done
from chains.commands.fork import fork
from chains.commands.pause import pause, resume
from chains.commands.resolve import Resolution, resolve
from chains.commands.retry import retry
from chains.commands.signal import Signal, give_signal
from chains.commands.skip import skip

T = TypeVar("T")

MOST = 1000
BUDGET_SECONDS = 40.0
"""A request stops after this time and leaves the remaining workflows to the next request."""


@dataclass(frozen=True)
class Answered:
    """The answer for one workflow.

    If `is_ok`, `result` is the control's result; otherwise `result` and `detail` are the code and
    the message of the refusal.
    """

    workflow_id: UUID
    is_ok: bool
    result: str
    detail: str | None = None
    step: str | None = None
    fork_id: UUID | None = None


@dataclass(frozen=True)
class Bulk:
    """The answers, for the newest workflow first.

    The next request continues after `next_cursor`; it is None if no workflows are left.
    """

    answers: list[Answered]
    next_cursor: str | None


def _signal(caller: Caller, workflow_id: UUID, *, is_dry: bool, **given: Any) -> Done:
    request_id = given.pop("request_id", None)
    signal = Signal(**given)
    return give_signal(caller, workflow_id, signal, request_id=request_id, is_dry=is_dry)


def _fork(caller: Caller, workflow_id: UUID, *, is_dry: bool, **given: Any) -> Done:
    request_id = given.pop("request_id", None)
    forked = fork(caller, workflow_id, idempotency_key=request_id, is_dry=is_dry, **given)
    result = "forked" if forked.created else "replayed"
    return Done(workflow_id, result, given["from_step"], fork_id=None if is_dry else forked.id)


def _resolve(
    caller: Caller, workflow_id: UUID, *, is_dry: bool, step: str | None = None, **given: Any
) -> Done:
    chosen = step or _step_in_need(workflow_id)
    return resolve(caller, workflow_id, chosen, Resolution(**given), is_dry=is_dry)


def _step_in_need(workflow_id: UUID) -> str:
    """The only step for which the workflow is marked for attention.

    Raise Conflict if it is not the only one. A step whose call is being looked up needs no person
    yet. Whose workflow it is, `resolve` checks afterwards.
    """
    rows = db.rows(_IN_NEED, (workflow_id,))
    if len(rows) == 1:
        return str(rows[0]["step_key"])
    words = "several steps need" if rows else "no step needs"
    raise Conflict(f"{words} a person: name the step to resolve", code="step_not_chosen")


_IN_NEED = """
SELECT n.step_key FROM workflows w CROSS JOIN LATERAL needs_person_v1(w.id, NULL) n
 WHERE w.id = %s AND w.attention IS NOT NULL
   AND (w.attention = n.reason OR w.attention = 'lookup_refused' AND n.reason = 'unknown_outcome')
"""


CONTROLS: Mapping[str, Callable[..., Done]] = {
    "cancel": cancel,
    "pause": pause,
    "resume": resume,
    "retry": retry,
    "skip": skip,
    "signal": _signal,
    "fork": _fork,
    "resolve": _resolve,
}
"""The controls by name; each is called as `control(caller, workflow_id, **arguments, is_dry=...)`.
"""

_KEYED = frozenset({"signal", "fork"})


def run(
    caller: Caller,
    action: str,
    filters: Filters,
    arguments: Json,
    *,
    is_dry: bool,
    limit: int = MOST,
    cursor: str | None = None,
    request_id: str | None = None,
) -> Bulk:
    """Apply `action` to those workflows of the caller that match `filters`, and return the answers.

    Takes at most `limit` workflows, all started before the workflow at `cursor`. A request that is
    repeated with the same `request_id` makes no second fork and no second signal.
    """
    if action == "fork" and request_id is not None:
        # A repeated request must not fork the forks that the first request made.
        filters = replace(filters, without_key=_prefix(request_id))
    page = queries.workflow_list(caller.id, filters, cursor=cursor, limit=limit)

    def answer(workflow_id: UUID) -> Answered:
        more = _request_of(workflow_id, request_id) if action in _KEYED else {}
        return _one(caller, workflow_id, CONTROLS[action], {**arguments, **more}, is_dry)

    return Bulk(*in_time(page, cursor, answer))


def in_time(
    page: Page, cursor: str | None, answer: Callable[[UUID], T]
) -> tuple[list[T], str | None]:
    """Call `answer` for the workflows of the page, one after the other, for BUDGET_SECONDS at most.

    `cursor` is that of the page. Return the answers, and the cursor of what is left; None if all
    were called.
    """
    until = time.monotonic() + BUDGET_SECONDS
    answers: list[T] = []
    for at, workflow_id in page.places:
        if answers and time.monotonic() > until:
            return answers, cursor
        answers.append(answer(workflow_id))
        cursor = queries.cursor_of(at, workflow_id)
    return answers, page.next_cursor


def _request_of(workflow_id: UUID, request_id: str | None) -> Json:
    """The argument `request_id` for one workflow, derived from the id of the bulk request."""
    if request_id is None:
        return {}
    return {"request_id": f"{_prefix(request_id)}{workflow_id.hex}"}


def _prefix(request_id: str) -> str:
    """The prefix that is common to the request ids of all workflows in one bulk request."""
    return f"bulk-{hashlib.sha256(request_id.encode()).hexdigest()[:32]}-"


def _one(
    caller: Caller, workflow_id: UUID, action: Callable[..., Done], arguments: Json, is_dry: bool
) -> Answered:
    try:
        done = action(caller, workflow_id, **arguments, is_dry=is_dry)
    except Unavailable:
        raise
    except PlayalterError as err:
        return Answered(workflow_id, False, err.code, err.message)
    return Answered(workflow_id, True, done.result, None, done.step, done.fork_id)
