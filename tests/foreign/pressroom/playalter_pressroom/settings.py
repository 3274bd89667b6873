"""Pressroom's settings."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from app.settings import HttpUrl, PlatformSettings
from tasks.signatures import StandardSecret


class PressroomSettings(PlatformSettings):
    """`poll_seconds`: how often an order whose webhook does not come is asked about."""

    model_config = SettingsConfigDict(env_prefix="PRESSROOM_")

    base_url: HttpUrl = "https://api.pressroom.example"
    api_key: SecretStr = SecretStr("")
    webhook_secret: StandardSecret = SecretStr("")
    poll_seconds: float = Field(default=300.0, gt=0)
