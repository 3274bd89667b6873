"""Values that every command uses: the caller, the workflow, and the result."""

from dataclasses import dataclass
from uuid import UUID

from app import db
from app.db.models import TERMINAL_WORKFLOW_STATUSES
from app.errors import Conflict, NotFound


@dataclass(frozen=True)
class Caller:
    """The user who gives a command."""

    id: UUID
    email: str

    @property
    def on_record(self) -> str:
        """The user's id as text. Events contain it, because they contain no personal data."""
        return str(self.id)


@dataclass(frozen=True)
class Subject:
    """The workflow that a command acts on, as it was when it was read."""

    id: UUID
    user_id: UUID
    type: str
    version: int
    status: str
    is_paused: bool

    @property
    def has_ended(self) -> bool:
        """Whether the workflow is in a terminal status."""
        return self.status in TERMINAL_WORKFLOW_STATUSES


@dataclass(frozen=True)
class Done:
    """The result of a control.

    `result` is one word, such as `paused`. `changed` contains the ids of the workflows that were
    paused or resumed.
    """

    workflow_id: UUID
    result: str
    step: str | None = None
    changed: tuple[UUID, ...] = ()
    fork_id: UUID | None = None


def caller_of(user_id: UUID) -> Caller:
    """The user with this id; raise NotFound if there is no such user."""
    row = db.patiently(lambda: db.row("SELECT email FROM users WHERE id = %s", (user_id,)))
    if row is None:
        raise NotFound("there is no such user")
    return Caller(user_id, row["email"])


def any_workflow(workflow_id: UUID) -> Subject:
    """The workflow with this id, of any owner; raise NotFound if there is no such workflow."""
    row = db.patiently(
        lambda: db.row(
            "SELECT id, user_id, type, version, status, paused_at IS NOT NULL AS is_paused"
            " FROM workflows WHERE id = %s",
            (workflow_id,),
        ),
    )
    if row is None:
        raise NotFound("there is no such workflow")
    return Subject(**row)


def own_workflow(caller: Caller, workflow_id: UUID) -> Subject:
    """The caller's workflow; raise NotFound if it does not exist or belongs to another user.

    Raise Conflict if it is archived.
    """
    try:
        found = any_workflow(workflow_id)
    except NotFound:
        refuse_archived(caller, workflow_id)
        raise
    if found.user_id != caller.id:
        raise NotFound("there is no such workflow")
    return found


def archived_subject(caller: Caller, workflow_id: UUID) -> Subject | None:
    """The caller's workflow if it is archived; None if it is not.

    Raise Conflict if it was erased.
    """
    row = db.call(_ARCHIVED, (workflow_id, caller.id))
    if row is None or row["state"] == "restored":
        return None
    if row["state"] == "erased":
        raise Conflict("the workflow was archived and then erased", code="workflow_erased")
    del row["state"]
    return Subject(**row)


_ARCHIVED = (
    "SELECT workflow_id AS id, user_id, type, version, status, is_paused, state FROM archived"
    " WHERE workflow_id = %s AND user_id = %s"
)


def refuse_archived(caller: Caller, workflow_id: UUID) -> None:
    """Raise Conflict if the workflow is an archived one of the caller."""
    if archived_subject(caller, workflow_id) is not None:
        raise Conflict(
            "the workflow is archived: it can be read, forked, and its bundle downloaded",
            code="workflow_archived",
        )


def refuse_ended(workflow_id: UUID) -> Conflict:
    """Return the Conflict to raise for a command to a workflow that has ended or not started."""
    status = any_workflow(workflow_id).status
    if status == "pending":
        return Conflict("the workflow has not begun yet", code="not_running")
    return Conflict(f"the workflow is {status} already", code="workflow_ended")
