"""The state of the platforms."""

from datetime import datetime

from pydantic import BaseModel, Field


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


class PlatformList(BaseModel):
    """The platforms for which a credential is set."""

    items: list[PlatformState]
