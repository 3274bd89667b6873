"""What flow control lets wait, and the limits that are in use."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from app.queries.flow import MOST_AHEAD
from web.schemas.parts import Query, TypeName

MOST = 100


class FlowQuery(Query):
    """Which definition, and how many items of each list."""

    definition: TypeName | None = None
    limit: int = Field(default=MOST, ge=1, le=1000, description="The most items of each list.")


class BlockedBy(BaseModel):
    """A limit that is full, or a throttle (scope `throttle`).

    `key` is empty if it has no key. That of a throttle begins with its numbers, as in `10/60s`.
    """

    scope: str
    name: str
    key: str


class Gathered(BaseModel):
    """What a workflow that waits for further starts has until now."""

    key: str
    opened_at: datetime
    items: int
    bytes: int


class StartWait(BaseModel):
    """Why a pending workflow waits for its start.

    `position` counts from 1 in its lane, your starts of one definition with the same keys. It is
    null if the workflow waits in no lane: it is paused, is not due yet, was just admitted, or
    gathers starts (`gathers`).
    """

    position: int | None
    is_exact: bool = Field(
        description=f"False if {MOST_AHEAD:,} starts or more come before it; `position` is then the"
        " least."
    )
    share_key: str | None
    estimate_seconds: int | None = Field(
        description="Made from how fast its lane moved in the last minutes; null if that is not"
        " known."
    )
    blocked_by: BlockedBy | None
    throttled_until: datetime | None
    held_crosswise: list[UUID] | None = Field(
        default=None,
        description="Not null if the workflow waits for ever: all workflows that hold `blocked_by`"
        " have a child that waits, crosswise, for a place that one of them holds. The ids are of"
        " those that are yours: cancel one. Always null in the answer to a start.",
    )
    gathers: Gathered | None


class Waiting(BaseModel):
    """How many workflows of a type flow control lets wait."""

    type: str
    waiting: int
    oldest_waiting_since: datetime


class Gathering(BaseModel):
    """An open debounce or batch. It starts at `starts_at`, unless a start puts that off or fills
    it."""

    type: str
    version: int
    key: str
    workflow_id: UUID
    opened_at: datetime
    starts_at: datetime
    items: int
    bytes: int


class FlowLimit(BaseModel):
    """A limit that is in use, or a throttle (scope `throttle`, without `held` and `most`).

    `held` of `most` places are taken. `most_from` differs if definitions or versions give the limit
    different numbers. `blocked_lanes` wait for it.
    """

    scope: str
    name: str
    key: str
    held: int | None
    most: int | None
    most_from: int | None
    blocked_lanes: int
    throttled_until: datetime | None


class FlowLane(BaseModel):
    """A lane in which starts wait. `rate` is how many start in a second, a moving average."""

    definition: str
    share_key: str | None
    weight: float
    waiting: int
    oldest_waiting_since: datetime | None
    rate: float
    estimate_seconds: int | None
    blocked_by: BlockedBy | None
    throttled_until: datetime | None


class FlowRate(BaseModel):
    """A rate limit that is partly used; all of it is back at `back_at`."""

    type: str
    key: str
    back_at: datetime


class FlowState(BaseModel):
    """What flow control does now.

    `waiting` and `gatherings` are your own; with an admin key, `gatherings` are those of all users.
    `limits`, `lanes` and `rates` are shared by all users, and null without an admin key, because
    their keys are made from inputs.
    """

    waiting: list[Waiting]
    gatherings: list[Gathering]
    limits: list[FlowLimit] | None
    lanes: list[FlowLane] | None
    rates: list[FlowRate] | None
