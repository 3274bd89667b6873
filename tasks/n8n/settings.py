"""n8n's settings."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from app.settings import HttpUrl, PlatformSettings
from tasks.signatures import StandardSecret


class N8nSettings(PlatformSettings):
    """`webhook_secret` signs our requests to n8n and n8n's answers.

    If `api_key` is set, the status of an execution that has not answered is read every
    `poll_seconds`.
    """

    model_config = SettingsConfigDict(env_prefix="N8N_")

    base_url: HttpUrl = "http://127.0.0.1:5678"
    webhook_path: str = "playalter-campaign"
    webhook_secret: StandardSecret = SecretStr("")
    webhook_secret_old: StandardSecret = SecretStr("")
    api_key: SecretStr = SecretStr("")
    api_key_old: SecretStr = SecretStr("")
    poll_seconds: float = Field(default=600.0, gt=0)
    limit_requests: float = Field(default=20.0, ge=0)
    """The calls that n8n gets in each second. 0: not known."""
    limit_in_flight: int = Field(default=20, ge=0)
    """The calls that may run at the same time. 0: any number."""
