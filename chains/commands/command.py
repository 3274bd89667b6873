"""What every command begins with: who asks, about which workflow; and what it answers."""

from dataclasses import dataclass
from uuid import UUID

from app import db
from app.db.models import TERMINAL_WORKFLOW_STATUSES
from app.errors import Conflict, NotFound


@dataclass(frozen=True)
class Caller:
    """A user."""

    id: UUID
    email: str

    @property
    def on_record(self) -> str:
        """How events name the user: they keep no personal data."""
        return str(self.id)


@dataclass(frozen=True)
class Subject:
    """The workflow that is asked about, as it stood when it was looked at."""

    id: UUID
    user_id: UUID
    type: str
    version: int
    status: str
    is_paused: bool

    @property
    def has_ended(self) -> bool:
        """Whether nothing more can happen to it."""
        return self.status in TERMINAL_WORKFLOW_STATUSES


@dataclass(frozen=True)
class Done:
    """What a control did: in one word, to which step, to which workflows, by which fork."""

    workflow_id: UUID
    result: str
    step: str | None = None
    changed: tuple[UUID, ...] = ()
    fork_id: UUID | None = None


def caller_of(user_id: UUID) -> Caller:
    """The user of an id; NotFound when there is none."""
    row = db.patiently(lambda: db.row("SELECT email FROM users WHERE id = %s", (user_id,)))
    if row is None:
        raise NotFound("there is no such user")
    return Caller(user_id, row["email"])


def any_workflow(workflow_id: UUID) -> Subject:
    """The workflow, whoever owns it; NotFound when there is none."""
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
    """The caller's workflow; NotFound when it is not there or another's."""
    found = any_workflow(workflow_id)
    if found.user_id != caller.id:
        raise NotFound("there is no such workflow")
    return found


def refuse_ended(workflow_id: UUID) -> Conflict:
    """What is answered to whoever asks something of a workflow that has ended, or not begun."""
    status = any_workflow(workflow_id).status
    if status == "pending":
        return Conflict("the workflow has not begun yet", code="not_running")
    return Conflict(f"the workflow is {status} already", code="workflow_ended")
