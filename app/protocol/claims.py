"""Claims: the right of a worker to run a step until a lease ends, and the right to publish a step.

Each function is one transaction on an autocommit connection of this process.
"""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from app import db, settings
from app.platform import Json
from app.protocol.known import Known


class Fenced(Exception):
    """This attempt has lost its claim, and another attempt may hold the step now.

    Raised when the attempt records an intent, the intent's resolution or a file. The engine then
    drops the attempt: nothing more of it is recorded or sent.
    """


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one step until its lease ends.

    `fence` is the id of the claim. PostgreSQL records something for the step only if it is given
    the step's current fence.
    """

    workflow_id: UUID
    key: str
    fence: UUID
    prior: str
    tries: int
    generation: int
    external_id: str | None
    input: Json | None
    item: Any
    expired: bool
    undo: bool
    stopping: bool
    skips: bool
    user_id: UUID
    type: str
    version: int
    is_budgeted: bool = False
    """Whether the workflow spends a budget, in which the step must reserve what it may cost."""
    code: str | None = None
    """The code of the step's error; None if it has none, or if a step before it was claimed too."""
    known: Known = field(default_factory=Known, compare=False, repr=False)
    """What the message of this claim knows of the workflow."""


@dataclass(frozen=True, slots=True)
class Advance:
    """What the recording of an outcome led to: the verdict of the SQL function.

    `released` are the keys of the steps that the caller must publish; `joined` is the join among
    them. `claim` is the claim of the next step, if it was claimed too. `has_flow`: the workflow has
    succeeded, and has given the places back that it held under flow control.
    """

    verdict: str
    released: tuple[str, ...] = ()
    joined: str | None = None
    claim: Claim | None = None
    has_flow: bool = False


def claim_of(workflow_id: UUID, key: str, row: dict[str, Any], known: Known) -> Claim:
    """The claim that a row of `claim_step` or `advance_step` describes; `known` learns from it."""
    if row.get("given") is not None:
        known.workflow = {
            "id": workflow_id,
            "type": row["type"],
            "user_id": row["user_id"],
            "started_at": row["begun_at"],
            "input": row["given"],
        }
    return Claim(
        workflow_id,
        key,
        row["fence"],
        row["prior"],
        row["tries"],
        row["generation"],
        row["external_id"],
        row["input"],
        row["item"],
        row["expired"],
        bool(row.get("undo")),
        bool(row.get("stopping")),
        row["skips"],
        row["user_id"],
        row["type"],
        row["version"],
        bool(row["is_budgeted"]),
        row.get("code"),
        known,
    )


_CLAIMS = db.Together(
    "claim_step_v1",
    "claim_steps_v1",
    "uuid, text, float8, float8, float8",
    seconds=db.PATIENCE_SECONDS,
)


def claim_step(
    workflow_id: UUID, key: str, attempt_seconds: float, known: Known | None = None
) -> Claim | Advance | None:
    """Claim the step. `known` is what its message knows of the workflow.

    Returns an Advance if the step was recorded earlier, and None if it must not run now. Raises
    Unavailable if PostgreSQL does not come back in time.
    """
    (row,) = _CLAIMS.call(
        (workflow_id, key, settings.current().lease_seconds, attempt_seconds, republish_seconds())
    )
    if row["verdict"] == "claimed":
        return claim_of(workflow_id, key, row, Known() if known is None else known)
    if row["verdict"] == "done":
        return Advance("done", tuple(row["released"] or ()), row["joined"])
    return None


def cancelled_keys(workflow_id: UUID) -> list[str]:
    """The keys of the workflow's cancelled steps; none while the workflow is running."""
    rows = db.patiently(lambda: db.rows(_CANCELLED, (workflow_id,)))
    return [row["key"] for row in rows]


_CANCELLED = """
SELECT s.key FROM steps s JOIN workflows w ON w.id = s.workflow_id
 WHERE s.workflow_id = %s AND s.status = 'cancelled' AND s.kind = 'step' AND w.status <> 'running'
"""


def win_publish(workflow_id: UUID, keys: list[str]) -> list[str]:
    """Return those of `keys` that this caller must publish now."""
    row = db.call(
        "SELECT win_publish_v1(%s, %s, %s) AS won", (workflow_id, keys, republish_seconds())
    )
    assert row is not None
    return list(row["won"])


def republish_seconds() -> float:
    """The seconds that must pass before a published step is published again."""
    return settings.current().republish_seconds
