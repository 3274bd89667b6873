"""Claims: the right to run one step until a lease ends, and the right to publish one.

Each call is one transaction on an autocommit connection of this process.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app import db, settings
from app.platform import Json


class Fenced(Exception):
    """Somebody else holds the step now; nothing of this attempt may be recorded or sent."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one step until its lease ends; `fence` is the token that may record."""

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


@dataclass(frozen=True, slots=True)
class Advance:
    """What recording an outcome led to. `released` are successors this caller publishes."""

    verdict: str
    released: tuple[str, ...] = ()
    joined: str | None = None
    claim: Claim | None = None


def claim_of(workflow_id: UUID, key: str, row: dict[str, Any]) -> Claim:
    """The claim that a row of `claim_step` or `advance_step` describes."""
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
    )


def claim_step(workflow_id: UUID, key: str, attempt_seconds: float) -> Claim | Advance | None:
    """Claim the step; an Advance when it was recorded before; None when it is not to be run.

    Raises Unavailable when PostgreSQL stays away.
    """
    (row,) = db.hot(
        "claim_step_v1",
        "uuid, text, float8, float8, float8",
        (workflow_id, key, settings.current().lease_seconds, attempt_seconds, republish_seconds()),
    )
    if row["verdict"] == "claimed":
        return claim_of(workflow_id, key, row)
    if row["verdict"] == "done":
        return Advance("done", tuple(row["released"] or ()), row["joined"])
    return None


def win_publish(workflow_id: UUID, keys: list[str]) -> list[str]:
    """Those of `keys` that this caller may publish now."""
    row = db.call(
        "SELECT win_publish_v1(%s, %s, %s) AS won", (workflow_id, keys, republish_seconds())
    )
    assert row is not None
    return list(row["won"])


def republish_seconds() -> float:
    """Until when a step that is published now is published again at the earliest."""
    return settings.current().republish_seconds
