"""Agora's settings."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from app.settings import HttpUrl, PlatformSettings

_HEX = re.compile(r"[0-9a-fA-F]{32}")


def _hex(value: str) -> str:
    if value and not _HEX.fullmatch(value):
        raise ValueError("must be 32 hex digits")
    return value


def _secret_hex(value: SecretStr) -> SecretStr:
    _hex(value.get_secret_value())
    return value


class AgoraSettings(PlatformSettings):
    """`app_certificate` signs tokens; `customer_id` and `customer_secret` are for the REST API."""

    model_config = SettingsConfigDict(env_prefix="AGORA_")

    base_url: HttpUrl = "https://api.agora.io"
    app_id: Annotated[str, AfterValidator(_hex)] = ""
    app_certificate: Annotated[SecretStr, AfterValidator(_secret_hex)] = SecretStr("")
    customer_id: str = ""
    customer_secret: SecretStr = SecretStr("")
    customer_id_old: str = ""
    customer_secret_old: SecretStr = SecretStr("")
    webhook_secret: SecretStr = SecretStr("")
    webhook_secret_old: SecretStr = SecretStr("")
    limit_queries: float = Field(default=20.0, ge=0)
    """The queries that Agora allows the account in each second. 0: not known."""
    limit_requests: float = Field(default=10.0, ge=0)
    """All other calls that Agora allows in each second."""
    limit_in_flight: int = Field(default=10, ge=0)
    """The calls that may run at the same time. 0: any number."""
