"""Vercel's settings."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from app.settings import HttpUrl, PlatformSettings


def _page_url(url: str) -> str:
    if "{url}" not in url:
        raise ValueError("must contain {url}, the deployment's address")
    return url


class VercelSettings(PlatformSettings):
    """`page_url` is the address of a deployment's page.

    `protection_bypass` is the secret with which the page is checked although Vercel asks its
    visitors to log in; without it, such a page counts as not served.
    `poll_seconds` is the time between two status requests for a deployment that is not ready.
    """

    model_config = SettingsConfigDict(env_prefix="VERCEL_")

    base_url: HttpUrl = "https://api.vercel.com"
    token: SecretStr = SecretStr("")
    token_old: SecretStr = SecretStr("")
    team_id: str = ""
    project: str = "playalter-gallery"
    webhook_secret: SecretStr = SecretStr("")
    webhook_secret_old: SecretStr = SecretStr("")
    page_url: Annotated[str, AfterValidator(_page_url)] = "https://{url}"
    protection_bypass: SecretStr = SecretStr("")
    poll_seconds: float = Field(default=30.0, gt=0)
    limit_in_flight: int = Field(default=20, ge=0)
    """The calls that may run at the same time. 0: any number."""
