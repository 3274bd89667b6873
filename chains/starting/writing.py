"""What the start of a workflow writes and publishes."""

from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from app.payload import dumps
from app.platform import Json
from chains import registry
from chains.admission import publish_start
from chains.dispatch import dispatch_start
from chains.plans.asking import asked_at_start
from chains.plans.compiler import DEFAULT_PRIORITY, first_rows
from chains.plans.plan import Plan


@dataclass(frozen=True)
class Parent:
    """The parent of a child: the workflow and its step that starts the child.

    `depth` is the number of levels from the root to the child.
    """

    id: UUID
    step_key: str
    depth: int


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


def publish(start: Start, verdict: str) -> None:
    """Publish the first steps, unless they were lined up."""
    plan = registry.plan(start.type, start.version)
    publish_start(
        start.id,
        plan,
        plan.heads,
        verdict,
        lambda: dispatch_start(start.id, start.type, start.version, start.priority),
    )
