"""What the start of a workflow writes and publishes."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from app.payload import dumps
from app.platform import Json
from chains import registry
from chains.admission import notice, publish_start
from chains.dispatch import dispatch_start
from chains.plans.asking import asked_at_start
from chains.plans.compiler import DEFAULT_PRIORITY, first_rows
from chains.plans.plan import Plan

KNOWN_KEY = "SELECT id, request_hash FROM known_start_v1(%s, %s)"
"""The workflow that a user's idempotency key stands for, live or archived."""
RETIRED = "workflows_not_on_a_retired_version"
"""The constraint that refuses a start if its version was retired or deleted after it was chosen."""


Statement = tuple[str, tuple[Any, ...]]
"""An SQL expression that writes a start and returns its verdict, and its parameters."""


@dataclass(frozen=True)
class Parent:
    """The parent of a child: the workflow and its step that starts the child.

    `depth` is the number of levels from the root to the child.
    """

    id: UUID
    step_key: str
    depth: int


@dataclass(frozen=True)
class Deferral:
    """When a workflow starts that does not start at once: at an instant, or after a delay.

    If it has not started `within_seconds` after that, it is stopped; None: it waits for ever.
    Without an instant and a delay, only flow control lets it wait.
    """

    at: datetime | None
    delay_seconds: float | None
    within_seconds: float | None

    @property
    def is_bound(self) -> bool:
        """Whether it puts nothing off, and only bounds how long flow control may."""
        return self.at is None and self.delay_seconds is None

    @property
    def field(self) -> str:
        """The JSON pointer to the part of a request that says when it starts."""
        if self.is_bound:
            return "/start_within"
        return "/delay" if self.at is None else "/start_at"

    def as_body(self) -> Json:
        """What the hash of a request covers."""
        at = None if self.at is None else self.at.astimezone(UTC).isoformat()
        return {"at": at, "delay": self.delay_seconds, "within": self.within_seconds}


@dataclass(frozen=True)
class Start:
    """The values that the start of a workflow writes."""

    id: UUID
    user_id: UUID
    type: str
    version: int
    input: Json
    priority: int = DEFAULT_PRIORITY
    idempotency_key: str | None = None
    request_hash: bytes | None = None
    parent: Parent | None = None
    deferral: Deferral | None = None
    flow: str | None = None
    """The terms of flow control (see chains.flow.stored); None if nothing controls the start."""

    @cached_property
    def text(self) -> str:
        """The input as it is stored."""
        return dumps(self.input)


def first_rows_of(start: Start, plan: Plan) -> str:
    """The JSON text of the rows with which the workflow starts."""
    asked = asked_at_start(plan, start.input)
    if asked:
        return dumps(first_rows(plan, asked))
    return registry.first_rows(start.type, start.version)


def publish(start: Start, verdict: str) -> bool:
    """Publish the first steps, unless they were lined up; return False if Redis was not reached."""
    plan = registry.plan(start.type, start.version)
    return publish_start(
        start.id,
        plan,
        plan.heads,
        verdict,
        lambda: dispatch_start(start.id, start.type, start.version, start.priority, notice),
    )
