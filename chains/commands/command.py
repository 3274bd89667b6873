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
    """The caller's workflow; raise NotFound if it does not exist or belongs to another user."""
    found = any_workflow(workflow_id)
    if found.user_id != caller.id:
        raise NotFound("there is no such workflow")
    return found


def refuse_ended(workflow_id: UUID) -> Conflict:
    """Return the Conflict to raise for a command to a workflow that has ended or not started."""
    status = any_workflow(workflow_id).status
    if status == "pending":
        return Conflict("the workflow has not begun yet", code="not_running")
    return Conflict(f"the workflow is {status} already", code="workflow_ended")
