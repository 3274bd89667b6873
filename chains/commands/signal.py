"""Gives a named signal to a workflow: checks the sender, stores the signal, wakes the approval.

A signal is stored until an approval takes it. If the approval names people, only they may give the
signal; otherwise only the workflow's owner may.
"""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from app import db
from app.errors import Conflict, Forbidden, NotFound
from app.keys import signal_id, signal_of
from app.payload import clean, dumps
from app.platform import ASK, Json
from app.protocol.claims import republish_seconds
from chains import registry
from chains.admission import publish
from chains.approver_groups import approvers, groups_of
from chains.commands.command import (
    Caller,
    Done,
    Subject,
    any_workflow,
    refuse_archived,
    refuse_ended,
)
from chains.language.definition import Approval


@dataclass(frozen=True)
class Signal:
    """A decision about an approval.

    `name` is the name of the signal. `step` is the key of the approval step that takes it; if it is
    None, the first approval that waits for this name takes it.
    """

    name: str
    approved: bool
    comment: str | None = None
    data: Any = None
    step: str | None = None


@dataclass(frozen=True)
class _WaitingApproval:
    """An approval that waits.

    `by` contains the e-mail addresses of the people who may give the signal now, those of groups
    included. If it is None, only the workflow's owner may. `is_busy`: it has waited, and is being
    tried again because it was woken.
    """

    key: str
    by: frozenset[str] | None
    is_busy: bool = False


def give_signal(
    caller: Caller,
    workflow_id: UUID,
    signal: Signal,
    *,
    request_id: str | None = None,
    is_dry: bool = False,
) -> Done:
    """Record the decision, and wake the approval that waits for it.

    A repeated `request_id` records nothing and returns `replayed`. Raise NotFound if the workflow
    or the signal does not exist, or if the caller neither owns the workflow nor is named by an
    approval. Raise Forbidden if the approval names only other people. Raise Conflict if the
    workflow is not running, or if the approval cannot take the signal now.
    """
    try:
        subject = any_workflow(workflow_id)
    except NotFound:
        refuse_archived(caller, workflow_id)
        raise
    delivery_id = f"{workflow_id}:{request_id or uuid7()}"
    payload = {
        "approved": signal.approved,
        "by": caller.email,
        "comment": signal.comment,
        "data": clean(signal.data),
    }
    if groups := groups_of(subject.user_id, caller.email):
        payload["groups"] = groups
    given = None if request_id is None else _given(delivery_id)
    # Whoever has given it is not asked any more, and may repeat the request all the same.
    if given is not None and _is_same(given, signal.name, payload):
        return Done(workflow_id, "replayed")
    nodes = _approvals(subject)
    waiting = _waiting(workflow_id, subject.user_id)
    _refuse_outsiders(caller, subject, nodes, waiting)
    # An action may ask people too. The name of its signal is known only after it has asked.
    known = {_name(node) for node in nodes} | {*waiting}
    if signal.name not in known:
        names = ", ".join(sorted(known)) or "none"
        raise NotFound(f"the workflow has no signal {signal.name!r}; there are: {names}")
    if given is not None:
        raise Conflict(
            "this Idempotency-Key was used with another body; use a new key for a new request",
            code="idempotency_key_reused",
        )
    if subject.status != "running":
        raise _ended(workflow_id)
    chosen = _chosen(caller, subject, signal, nodes, waiting)
    _refuse_second(caller, workflow_id, signal, chosen, nodes)
    found = _record(workflow_id, signal.name, chosen, delivery_id, payload, is_dry)
    if found["verdict"] == "ended":
        raise _ended(workflow_id)
    if found["verdict"] == "duplicate":
        return Done(workflow_id, "replayed")
    if found["verdict"] == "woken" and not found["is_paused"] and not is_dry:
        publish(workflow_id, [found["step_key"]])
    return Done(workflow_id, found["verdict"], found["step_key"])


def _ended(workflow_id: UUID) -> Conflict:
    if any_workflow(workflow_id).status == "compensating":
        return Conflict("the workflow is being stopped and undone", code="workflow_stopping")
    return refuse_ended(workflow_id)


def _approvals(subject: Subject) -> list[Approval]:
    steps = registry.plan(subject.type, subject.version).steps.values()
    return [step.node for step in steps if isinstance(step.node, Approval)]


def _name(node: Approval) -> str:
    return node.signal or node.approval


def _waiting(workflow_id: UUID, owner: UUID) -> dict[str, list[_WaitingApproval]]:
    """What waits for people now, by the name of the signal that each waits for: approvals, and
    actions that have asked, also while these are tried again."""
    rows = db.patiently(
        lambda: db.rows(
            "SELECT key, signal, approvers_v1(%s, asked) AS asked, asked IS NULL AS is_owners,"
            " status <> 'waiting' AS is_busy FROM steps s WHERE workflow_id = %s"
            " AND signal IS NOT NULL AND (status = 'waiting' OR status IN ('pending', 'running')"
            " AND EXISTS (SELECT FROM intents WHERE workflow_id = s.workflow_id"
            " AND step_key = s.key AND generation = s.generation AND operation = %s))"
            " ORDER BY position, key",
            (owner, workflow_id, ASK),
        ),
    )
    found: dict[str, list[_WaitingApproval]] = {}
    for row in rows:
        people = None if row["is_owners"] else _people(row["asked"])
        asked = _WaitingApproval(row["key"], people, row["is_busy"])
        found.setdefault(row["signal"], []).append(asked)
    return found


def _people(by: Any) -> frozenset[str]:
    return frozenset(str(each).casefold() for each in by) if isinstance(by, list) else frozenset()


def _may_give(caller: Caller, subject: Subject, by: frozenset[str] | None) -> bool:
    return caller.id == subject.user_id if by is None else caller.email.casefold() in by


def _named(subject: Subject, node: Approval) -> frozenset[str] | None:
    """The people whom a definition asks by name or group; None if it asks the owner."""
    if not node.by:
        return None
    return approvers(subject.user_id, [each.casefold() for each in node.by])


def _refuse_outsiders(
    caller: Caller,
    subject: Subject,
    nodes: list[Approval],
    waiting: dict[str, list[_WaitingApproval]],
) -> None:
    """Raise NotFound if the caller neither owns the workflow nor is named by an approval."""
    if caller.id == subject.user_id:
        return
    named = [_named(subject, node) for node in nodes if isinstance(node.by, tuple)]
    asked = [*named, *(approval.by for each in waiting.values() for approval in each)]
    if not any(caller.email.casefold() in each for each in asked if each is not None):
        raise NotFound("there is no such workflow")


def _chosen(
    caller: Caller,
    subject: Subject,
    signal: Signal,
    nodes: list[Approval],
    waiting: dict[str, list[_WaitingApproval]],
) -> _WaitingApproval | None:
    """The step that takes the signal; None if no approval waits for it yet. A busy one takes it
    when it waits again, and no other step does.

    Raise Forbidden if the approval names only other people, and Conflict if `signal.step` does not
    wait for the signal.
    """
    found = waiting.get(signal.name, [])
    asked = [each for each in found if not each.is_busy]
    is_of_action = all(_name(node) != signal.name for node in nodes)
    is_named = signal.step in {each.key for each in found if each.is_busy}
    if is_of_action and (is_named or not asked):
        return _chosen_busy(caller, subject, signal, found)
    if signal.step is not None:
        asked = [each for each in asked if each.key == signal.step]
        if not asked:
            raise Conflict(
                f"step {signal.step!r} does not wait for {signal.name!r}", code="not_waiting"
            )
    allowed = [each for each in asked if _may_give(caller, subject, each.by)]
    if allowed:
        return allowed[0]
    if asked:
        raise Forbidden(f"only other people may give {signal.name!r}", code="not_asked")
    _refuse_early(caller, subject, signal.name, nodes)
    return None


def _chosen_busy(
    caller: Caller, subject: Subject, signal: Signal, found: list[_WaitingApproval]
) -> _WaitingApproval:
    """The step of an action that has asked for the signal, was woken, and takes it when it waits
    again: the one that the signal names, or the only one.

    Raise Forbidden if other people are asked, and Conflict if no such step is, or if several are.
    """
    busy = [each for each in found if each.is_busy and signal.step in (None, each.key)]
    if not busy:
        about = f"step {signal.step!r} does not wait" if signal.step else "no step waits"
        raise Conflict(f"{about} for {signal.name!r} now; try again", code="not_waiting")
    if len(busy) > 1:
        keys = ", ".join(sorted(each.key for each in busy))
        raise Conflict(
            f"several steps are about to wait for {signal.name!r}; give one of {keys} as `step`",
            code="not_waiting",
        )
    if not _may_give(caller, subject, busy[0].by):
        raise Forbidden(f"only other people may give {signal.name!r}", code="not_asked")
    return busy[0]


def _refuse_early(caller: Caller, subject: Subject, name: str, nodes: list[Approval]) -> None:
    """Check that the caller may give the signal `name` before an approval waits for it.

    Any approval with this signal may take it later, so the caller must be allowed for all of them.
    Raise Forbidden if one names only other people. Raise Conflict if one takes its people from an
    expression, which has a value only when the approval waits.
    """
    for node in nodes:
        if _name(node) != name:
            continue
        if isinstance(node.by, dict):
            raise Conflict(
                f"no step waits for {name!r} yet, and only such a step names who may give it",
                code="not_waiting",
            )
        if not _may_give(caller, subject, _named(subject, node)):
            raise Forbidden(f"only other people may give {name!r}", code="not_asked")


def _refuse_second(
    caller: Caller,
    workflow_id: UUID,
    signal: Signal,
    chosen: _WaitingApproval | None,
    nodes: list[Approval],
) -> None:
    """Raise Conflict if the caller has approved already, and the approval needs several people."""
    if not any(node.needed > 1 for node in nodes if _name(node) == signal.name):
        return
    ids = [signal_id(workflow_id, signal.name)]
    if chosen is not None:
        ids.append(signal_id(workflow_id, signal.name, chosen.key))
    rows = db.patiently(
        lambda: db.rows(
            "SELECT payload FROM webhook_deliveries"
            " WHERE platform = 'control' AND external_id = ANY (%s)",
            (ids,),
        ),
    )
    if any(row["payload"].get("by") == caller.email for row in rows):
        raise Conflict("you have decided already; others are needed too", code="already_decided")


def _given(delivery_id: str) -> Json | None:
    """The signal {payload, external_id} that an earlier request with this key has stored."""
    return db.patiently(
        lambda: db.row(
            "SELECT payload, external_id FROM webhook_deliveries"
            " WHERE platform = 'control' AND delivery_id = %s",
            (delivery_id,),
        ),
    )


def _is_same(stored: Json, name: str, payload: Json) -> bool:
    # The sender may belong to other groups now.
    given = {**json.loads(dumps(payload)), "groups": None}, name
    return ({**stored["payload"], "groups": None}, signal_of(stored["external_id"])) == given


def _record(
    workflow_id: UUID,
    name: str,
    chosen: _WaitingApproval | None,
    delivery_id: str,
    payload: Json,
    is_dry: bool,
) -> Json:
    key = None if chosen is None else chosen.key
    if is_dry:
        verdict = "stored" if chosen is None or chosen.is_busy else "woken"
        return {"verdict": verdict, "step_key": key, "is_paused": False}
    row = db.patiently(
        lambda: db.row(
            "SELECT * FROM signal_workflow_v1(%s, %s, %s, %s, %s, %s, %s)",
            (
                workflow_id,
                name,
                signal_id(workflow_id, name),
                key,
                delivery_id,
                dumps(payload),
                republish_seconds(),
            ),
        ),
    )
    assert row is not None
    return row
