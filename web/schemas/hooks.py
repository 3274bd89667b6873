"""Webhooks."""

from pydantic import BaseModel


class PlatformPath(BaseModel):
    """One platform."""

    platform: str


class Received(BaseModel):
    """The webhook is recorded and will not be lost."""

    received: bool
