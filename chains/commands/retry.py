"""Retries a step now, with its input corrected if asked. A fork continues a failed workflow."""

from typing import Any
from uuid import UUID

from pydantic import ValidationError

import tasks
from app import db
from app.errors import Conflict, InvalidInput
from app.files.mentions import mentioned
from app.payload import dumps, merged, whole_numbers
from app.platform import Json
from app.protocol.claims import republish_seconds
from app.protocol.controls import verdict
from chains.commands.command import Caller, Done, Subject, own_workflow
from chains.commands.fork import boundaries_of, fork
from chains.commands.step_verdicts import for_people, moved, refuse_step, refuse_unless_running


def retry(
    caller: Caller,
    workflow_id: UUID,
    *,
    step: str | None = None,
    input: Json | None = None,
    reason: str | None = None,
    is_dry: bool = False,
) -> Done:
    """Run a step now if it has failed or waits for its next attempt.

    `input` is a JSON merge patch of the step's recorded input. If the workflow has failed and
    nothing was undone, a fork from that step continues it. Without `step`, the only step that can
    be retried is taken. Raise NotFound if the caller has no such
    workflow, InvalidInput if `input` is wrong, and Conflict if the step cannot be retried.
    """
    subject = own_workflow(caller, workflow_id)
    if subject.has_ended:
        return _retry_in_fork(caller, subject, step, input, reason, is_dry)
    refuse_unless_running(subject)
    key = step if step is not None else _only_candidate(workflow_id)
    corrected = None if input is None else dumps(_checked(subject, key, input))
    given = {
        "workflow": workflow_id,
        "key": key,
        "input": corrected,
        "artifacts": mentioned(corrected),
        "by": caller.on_record,
        "reason": reason,
        "person": for_people(),
        "republish": republish_seconds(),
    }
    found = verdict("retry_step_by_hand_v1", given, is_dry=is_dry)
    return moved(workflow_id, key, found, is_dry)


def _only_candidate(workflow_id: UUID) -> str:
    rows = db.patiently(lambda: db.rows(_CANDIDATES, (workflow_id,)))
    keys = [row["key"] for row in rows]
    if len(keys) == 1:
        return str(keys[0])
    if not keys:
        raise Conflict("no step has failed or waits for its next try", code="nothing_to_retry")
    named = ", ".join(keys[:20]) + (", ..." if len(keys) > 20 else "")
    raise Conflict(f"several steps can be retried; name one: {named}", code="step_required")


_CANDIDATES = """
SELECT key FROM steps WHERE workflow_id = %s AND kind = 'step'
   AND (status = 'pending' AND wake_at > playalter_now()
        OR status = 'failed' AND NOT is_tolerated)
 ORDER BY position, key LIMIT 21
"""


def _checked(subject: Subject, key: str, patch: Json) -> Any:
    """The step's input with the corrections; raise InvalidInput, with the place of the fault, if
    the action refuses it. A step that failed before its input was made has none yet."""
    row = db.patiently(
        lambda: db.row(
            "SELECT action, input FROM steps WHERE workflow_id = %s AND key = %s",
            (subject.id, key),
        ),
    )
    if row is None:
        raise refuse_step(key, "no_step")
    return checked_input(row["action"], merged(row["input"], patch))


def checked_input(name: str, given: Json) -> Any:
    """The corrected input of the action `name`, with whole numbers such as 2.0 as integers.

    Raise InvalidInput, with the place of each fault, if the input is wrong. Raise Conflict if the
    action is not a platform's, or asks people: its input cannot be corrected. Otherwise the owner
    would name those who judge what others have rejected.
    """
    action = tasks.actions().get(name)
    if action is None or action.asks_people:
        raise Conflict(f"the input of {name} cannot be corrected", code="no_input")
    whole = whole_numbers(given)
    try:
        action.input.model_validate_json(dumps(whole))
    except ValidationError as err:
        faults = tuple(
            ("/input/" + "/".join(map(str, fault["loc"])), fault["msg"])
            for fault in err.errors(include_url=False, include_input=False)
        )
        place, words = faults[0]
        raise InvalidInput(f"{place}: {words}", field=place, errors=faults) from err
    return whole


def _retry_in_fork(
    caller: Caller,
    subject: Subject,
    step: str | None,
    input: Json | None,
    reason: str | None,
    is_dry: bool,
) -> Done:
    if subject.status == "succeeded":
        raise Conflict(
            "the workflow has succeeded; to run a part of it again, fork it", code="workflow_ended"
        )
    if subject.status != "failed":
        words = {"compensated": "undone", "cancelled": "cancelled"}[subject.status]
        raise Conflict(f"the workflow was {words}; start a new one", code="workflow_ended")
    key = step if step is not None else _failed_step(subject.id)
    child = boundaries_of(subject).holder(key)
    if child is None:
        raise refuse_step(key, "no_step")
    if input is not None and child.name != key:
        raise Conflict(
            f"the step is part of {child.name!r}, which runs again as a whole; the step's input"
            " cannot be corrected on its own",
            code="no_input",
        )
    given = None if input is None else _checked(subject, key, input)
    _refuse_second_fork(subject.id, key)
    forked = fork(
        caller,
        subject.id,
        from_step=child.name,
        step_input=given,
        reason=reason,
        is_dry=is_dry,
    )
    return Done(subject.id, "forked", child.name, fork_id=forked.id)


def _refuse_second_fork(workflow_id: UUID, key: str) -> None:
    """Raise Conflict if a fork already continues the workflow, or has continued it to success.

    Without this check a repeated retry would do the work twice.
    """
    row = db.patiently(
        lambda: db.row(
            "SELECT id FROM workflows WHERE forked_from = %s"
            " AND (completed_at IS NULL OR status = 'succeeded')"
            " UNION SELECT workflow_id FROM archived WHERE forked_from = %s"
            " AND status = 'succeeded' ORDER BY id LIMIT 1",
            (workflow_id, workflow_id),
        ),
    )
    if row is not None:
        raise Conflict(
            f"fork {row['id']} already carries the workflow on; to run {key!r} again, fork it",
            code="forked",
        )


def _failed_step(workflow_id: UUID) -> str:
    row = db.patiently(
        lambda: db.row(
            "SELECT error, (SELECT min(key) FROM steps"
            "   WHERE workflow_id = workflows.id AND status = 'failed' AND kind = 'step') AS key"
            " FROM workflows WHERE id = %s",
            (workflow_id,),
        ),
    )
    key = None if row is None else (row["error"] or {}).get("step", row["key"])
    if key is None:
        raise Conflict("no step has failed; start a new workflow", code="nothing_to_retry")
    return str(key)
