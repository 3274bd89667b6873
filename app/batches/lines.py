"""Lines of batches, as the steps see them whose calls they are.

Invariant: a line is recorded after the intent of its call, once. So a step that runs again finds
its line, and no call has two.
"""

from dataclasses import dataclass
from uuid import UUID

from app import db
from app.platform import Json
from app.protocol.claims import Claim


@dataclass(frozen=True, slots=True)
class StepLine:
    """A line: `waiting` or `sent`, or how it has ended: `answered`, `failed` or `dropped`.

    `answer` is None too if the step has ended since and runs again; `error` is {code, message}.
    `cost` is in micro-USD, and `model` is what was paid for, if that is known.
    """

    state: str
    answer: Json | None
    error: Json | None
    cost: int
    model: str | None


def add(
    claim: Claim, ordinal: int, platform: str, endpoint: str, model: str, *, size: int, ceiling: int
) -> str:
    """Record the call `ordinal` of the claim's generation as a line, and return the line's id.

    `size` is that of the line as it will be sent, in bytes; `ceiling` is the most that it may cost,
    in micro-USD. Raises Unavailable if PostgreSQL does not come back in time.
    """
    given = (claim.workflow_id, claim.key, claim.generation, ordinal)
    sent = (platform, endpoint, model, size, ceiling)
    row = db.call("SELECT add_line_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s) AS id", (*given, *sent))
    assert row is not None
    return str(row["id"])


def read(line: str) -> StepLine | None:
    """A line as it is now; None if it was deleted long after its end."""
    row = db.call(
        "SELECT state, answer, error, cost, paid_model AS model FROM batch_lines WHERE id = %s",
        (UUID(line),),
    )
    return None if row is None else StepLine(**row)


def of_step(workflow_id: UUID, step_key: str) -> list[str]:
    """The ids of all lines of a step, oldest first."""
    found = db.patiently(
        lambda: db.rows(
            "SELECT id FROM batch_lines WHERE workflow_id = %s AND step_key = %s ORDER BY id",
            (workflow_id, step_key),
        )
    )
    return [str(row["id"]) for row in found]


def drop(line: str) -> str:
    """Drop a line that its step does not want any more; the verdict of `drop_line_v1`."""
    row = db.call("SELECT drop_line_v1(%s) AS verdict", (UUID(line),))
    assert row is not None
    return str(row["verdict"])
