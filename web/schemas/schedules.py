"""Schedules: when workflows start by themselves; and calendars."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from chains.commands.schedules.backfill import MOST_TIMES
from chains.commands.schedules.calendars import MOST_DATES
from web.schemas.parts import Body, IdempotencyKey, Parameters, Query, Reason, TypeName

ScheduleName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$", examples=["every_morning"])]
Overlap = Literal[
    "skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other", "allow_all"
]
Instant = Annotated[AwareDatetime, Field(strict=False)]
CatchUp = Annotated[
    int,
    Field(
        ge=10,
        le=366 * 86_400,
        description="A start that is later than this is missed, for example after an outage. By"
        " default twice the interval, at least ten minutes and at most a day.",
    ),
]
Policy = Annotated[
    Overlap,
    Field(
        description="What to do if a time comes while a workflow of the schedule runs. `skip`:"
        " start nothing. `buffer_one`: start one when it has ended. `buffer_all`: start all one"
        " after the other; at most 1,000 wait. `cancel_other`: cancel it, and start when it is"
        " undone; undoing may take days. `terminate_other`: cancel it, and start at once, while it"
        " is undone beside. `allow_all`: start at once. For all but `terminate_other`, a workflow"
        " that is being undone still runs.",
    ),
]
_SPEC = Field(
    description="Exactly one of `cron` (five fields, in `time_zone`), `every` (a duration, or units"
    " with `phase_seconds`) and `times` (instants); and `time_zone`, `starts_at`, `ends_at`,"
    " `jitter_seconds`, and `calendar`: {`name`, `on_free_day`: `skip`, `previous` or `next`}.",
    examples=[{"cron": "30 2 * * *", "time_zone": "Europe/Berlin"}],
)


class ChangeSchedule(Body):
    """What a schedule shall be from now on; what is left out gets its default."""

    type: TypeName
    version: int | None = Field(
        default=None,
        ge=1,
        le=2**31 - 1,
        description="By default, the version that is active when it fires.",
    )
    input: dict[str, Any] = Field(
        default_factory=dict,
        description='A template: `{"$": "<JMESPath>"}` reads `scheduled_at` (the time of the'
        " schedule, without jitter) and `schedule` (`id`, `name`).",
        examples=[{"day": {"$": "scheduled_at"}}],
    )
    priority: int = Field(default=5, ge=1, le=9)
    spec: dict[str, Any] = _SPEC
    flow: dict[str, Any] | None = Field(
        default=None,
        description="Flow control of this schedule: fields of the `flow` of a definition, which"
        " take the place of those of the definition. `debounce` and `batch` are the definition's.",
        examples=[{"throttle": {"limit": 10, "period": "1m"}}],
    )
    overlap: Policy = "skip"
    catch_up_seconds: CatchUp | None = None
    pauses_on_failure: bool = Field(
        default=False, description="Pause it if a workflow of it fails or times out."
    )


class CreateSchedule(ChangeSchedule):
    """A new schedule. It begins with the first time after now, unless it is created `paused`."""

    name: ScheduleName
    paused: Reason | None = Field(default=None, description="Create it paused, with this note.")


class PauseSchedule(Body):
    """`note`: why it is paused."""

    note: Reason


class ResumeSchedule(Body):
    """`note`: why it goes on."""

    note: Reason | None = None


class RunSchedule(Body):
    """`overlap`: the policy of this start; by default that of the schedule."""

    overlap: Overlap | None = None


class BackfillSchedule(Body):
    """The times between `after` (exclusive) and `until` (inclusive), which are in the past. `after`
    is in the year 2000 or later.

    Without `times`, only an estimate is made. `times` is the number of times in the estimate.
    """

    after: Instant
    until: Instant
    overlap: Overlap = Field(
        default="buffer_all", description="The policy of these starts; see `overlap` of schedules."
    )
    times: int | None = Field(default=None, ge=0, le=MOST_TIMES)


class PreviewSchedule(Body):
    """The times of a schedule that does not exist."""

    spec: dict[str, Any] = _SPEC


class SchedulePath(BaseModel):
    """One schedule of the caller."""

    name: ScheduleName


class BackfillPath(SchedulePath):
    """One backfill of a schedule."""

    backfill_id: int = Field(ge=1, le=2**63 - 1)


class ScheduleListQuery(Query):
    """Which page of schedules: those whose names come after `cursor`."""

    cursor: ScheduleName | None = None
    limit: int = Field(default=50, ge=1, le=100)


class UpcomingQuery(Query):
    """How many of the next times, and after which instant; by default after now."""

    count: int = Field(default=10, ge=1, le=100)
    after: AwareDatetime | None = None


class RunsQuery(Query):
    """Which page of what became of its times, newest first."""

    cursor: int | None = Field(default=None, ge=1, le=2**63 - 1)
    limit: int = Field(default=50, ge=1, le=200)


class RunHeader(Parameters):
    """A repeated request with the same key starts nothing new."""

    idempotency_key: IdempotencyKey | None = Field(
        default=None,
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]+$",
    )


class Schedule(BaseModel):
    """A schedule. `kind` is `user`, or `system` for a periodic job of Playalter itself.

    `next_at` is its next time and `due_at` the same with jitter; null while it is paused, or if it
    has no further time. `last_fired_at`: when it last started a workflow. The counts are of times:
    `skipped` because of `overlap` or of a singleton, `missed` because they were too late, `dropped`
    because too many waited, of a rate limit, or because the schedule was paused, `refused` by the
    definition. `running` and `waiting` are of
    now. A `system` job has only `name`, `every_seconds`, `last_fired_at` and `last_error`.
    """

    kind: Literal["user", "system"]
    name: str
    id: UUID | None
    type: str | None
    version: int | None
    input: dict[str, Any] | None
    priority: int | None
    spec: dict[str, Any] | None
    flow: dict[str, Any] | None
    overlap: Overlap | None
    catch_up_seconds: int | None
    pauses_on_failure: bool | None
    is_paused: bool
    paused_at: datetime | None
    paused_by: str | None = Field(description="The id of a user, or `system`.")
    paused_note: str | None
    next_at: datetime | None
    due_at: datetime | None
    last_fired_at: datetime | None
    started: int | None
    missed: int | None
    skipped: int | None
    dropped: int | None
    refused: int | None
    running: int | None
    waiting: int | None
    created_at: datetime | None
    changed_at: datetime | None
    every_seconds: float | None
    last_error: str | None


class SchedulePage(BaseModel):
    """Schedules in the order of their names. With an admin key, the system's own come last."""

    items: list[Schedule]
    next_cursor: str | None


class Upcoming(BaseModel):
    """One of the next times. `notes` say what the clocks' changes and the calendar do to it."""

    at: datetime
    local: str
    due_at: datetime | None
    notes: list[str]
    clocks_change: bool


class UpcomingList(BaseModel):
    """The next times, in order."""

    items: list[Upcoming]


class Run(BaseModel):
    """What became of a time, or of several `times` up to `nominal_at`.

    `ended_at`, `ended_as` (its status) and `cause` are of its workflow. `reason` says more about an
    outcome, and `detail` is the message of a refusal.
    """

    id: int
    kind: Literal["regular", "manual", "backfill"]
    nominal_at: datetime
    times: int
    outcome: Literal["started", "buffered", "skipped", "missed", "dropped", "replaced", "refused"]
    reason: str | None
    detail: str | None
    workflow_id: UUID | None
    decided_at: datetime
    ended_at: datetime | None
    ended_as: str | None
    cause: str | None


class RunPage(BaseModel):
    """One page of what became of a schedule's times, newest first. Old ones are removed."""

    items: list[Run]
    next_cursor: int | None


class ScheduleDetail(Schedule):
    """A schedule with its next ten times and what became of the last ten."""

    next: list[Upcoming]
    last: list[Run]


class StartedRun(BaseModel):
    """What became of a start that was asked for."""

    run: int
    outcome: str
    reason: str | None
    nominal_at: datetime
    workflow_id: UUID | None


class BackfillEstimate(BaseModel):
    """How many times a backfill has. `cost_micro_usd` is what they may cost, from the last
    workflows of the schedule; `most_micro_usd` follows from the budget of the definition. Times of
    which a workflow exists are counted, and not started again. `id` is that of the backfill, if it
    was begun."""

    times: int
    cost_micro_usd: int | None
    most_micro_usd: int | None
    id: int | None


class Backfill(BaseModel):
    """A backfill; `done_to` says how far it has come."""

    id: int
    after: datetime
    until: datetime
    done_to: datetime
    overlap: Overlap
    times: int
    created_at: datetime
    ended_at: datetime | None


class BackfillList(BaseModel):
    """The last backfills of a schedule, newest first."""

    items: list[Backfill]


class ScheduleEvent(BaseModel):
    """A change of a schedule. `by` is the id of a user, or `system`."""

    at: datetime
    type: str
    by: str
    data: dict[str, Any]


class ScheduleEventList(BaseModel):
    """The last changes of a schedule, newest first."""

    items: list[ScheduleEvent]


class WriteCalendar(Body):
    """The dates of a calendar."""

    dates: Annotated[
        list[Annotated[date, Field(strict=False)]],
        Field(max_length=MOST_DATES, examples=[["2026-12-25", "2026-12-26"]]),
    ]


class CalendarPath(BaseModel):
    """One calendar of the caller."""

    name: ScheduleName


class Calendar(BaseModel):
    """A named set of dates. `schedules` are those that refer to it."""

    name: str
    dates: list[date]
    schedules: list[str]
    created_at: datetime
    changed_at: datetime


class WrittenCalendar(Calendar):
    """`moved` of its schedules have another next time now, and `ended_backfills` backfills of them
    have ended, because other times were left of them than were agreed."""

    moved: int
    ended_backfills: int


class CalendarList(BaseModel):
    """The caller's calendars in the order of their names."""

    items: list[Calendar]
