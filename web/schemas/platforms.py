"""The state of the platforms."""

from datetime import datetime

from pydantic import BaseModel, Field


class OpenCircuit(BaseModel):
    """An operation that is not called for a while, because calls of it have failed or were slow."""

    operation: str
    reason: str
    until: datetime = Field(description="Then one call tries whether the platform serves again.")


class OpenBatches(BaseModel):
    """The batches of a platform in one state, in which calls of many steps are sent together."""

    state: str = Field(
        description="`waiting` (lines that are in no batch yet), `gathered`, `uploading`,"
        " `uploaded`, `creating`, `running` (the platform works on it), `reading` or `clearing`."
    )
    batches: int
    lines: int = Field(description="The calls in these batches, each of which is that of a step.")
    since: datetime = Field(description="When the oldest was gathered, or recorded.")
    error: str | None = Field(description="Why one of them cannot be moved on now.")


class PlatformState(BaseModel):
    """Whether a platform serves this installation."""

    platform: str
    is_ok: bool = Field(
        description="False if its last probe failed, or if it has refused a call since because of"
        " the credential or the account."
    )
    error: str | None = Field(description="What it answered, if it is not well.")
    response_time: int = Field(description="Of the last probe, in milliseconds.")
    checked_at: datetime
    circuits: list[OpenCircuit] = Field(description="The operations that are not called now.")
    batches: list[OpenBatches] | None = Field(
        description="Its batches that have not ended, of all users. Null without an admin key."
    )


class AllowanceUse(BaseModel):
    """What is used of what the settings allow at a platform. Without a limit, it is null."""

    platform: str
    is_for_all: bool = Field(description="False: it is that of your organisation.")
    running: int = Field(description="The predictions and trainings that run, for example.")
    most_running: int | None
    spent_micro_usd: int = Field(description="By what has begun in this hour and has ended.")
    reserved_micro_usd: int = Field(description="What the rest of it may still cost.")
    hourly_micro_usd: int | None


class PlatformList(BaseModel):
    """The platforms for which a credential is set."""

    items: list[PlatformState]
    allowances: list[AllowanceUse]
