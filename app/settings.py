"""One frozen `Settings`, parsed once from the environment; the only reader of `os.environ`.

Names are upper case in the environment (`DATABASE_URL`). A secret may come from a file named by
`<NAME>_FILE`. A sandbox is nothing but other base URLs.
"""

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsInvalid(SystemExit):
    """A setting is missing or wrong; the message names the variables. Ends the process."""


def _psycopg2_url(url: str) -> str:
    # SQLAlchemy 2.1 reads a bare postgresql:// as psycopg 3.
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in {"postgres", "postgresql", "postgresql+psycopg2"}:
        raise ValueError("must look like postgresql://user:password@host:5432/name")
    return f"postgresql+psycopg2://{rest}"


def _http_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return url.rstrip("/")


def _page_url(url: str) -> str:
    if "{url}" not in url:
        raise ValueError("must contain {url}, the deployment's address")
    return url


HttpUrl = Annotated[str, AfterValidator(_http_url)]


class Settings(BaseSettings):
    """Everything that differs between a laptop and production."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    database_url: Annotated[str, AfterValidator(_psycopg2_url)]
    database_replica_url: Annotated[str, AfterValidator(_psycopg2_url)] | None = None
    """Where questions go instead, if set; what is decided or written never does."""
    redis_url: str = Field(pattern=r"^(redis|rediss|unix)://")
    public_base_url: HttpUrl = "http://127.0.0.1:8000"
    storage_dir: Path
    web_host: str = "127.0.0.1"
    web_port: int = 8000
    web_threads: int = Field(default=32, ge=2)
    flower_port: int = 5555
    flower_user: str = "playalter"
    flower_password: SecretStr | None = None
    metrics_dir: Path | None = None
    log_level: str = "INFO"
    log_json: bool = True

    key_pepper: SecretStr
    """Mixed into the hash of API keys; changing it invalidates them all."""
    link_secret: SecretStr
    """Signs the links under which artifacts are served to platforms."""

    lease_seconds: float = Field(default=30.0, ge=0.5)
    reconcile_seconds: float = Field(default=2.0, gt=0)
    republish_seconds: float = Field(default=15.0, ge=0.5, le=15.0)
    workers: int = Field(default=1, ge=1)
    autoscale: str = Field(default="4,2", pattern=r"^\d+,\d+$")
    database_pool: int = Field(default=5, ge=1)
    database_connections: int = Field(default=16, ge=2)
    """The most that a process's short statements use at once; its transactions have their pool."""

    stripe_base_url: HttpUrl = "https://api.stripe.com"
    stripe_api_key: SecretStr = SecretStr("")
    stripe_webhook_secret: SecretStr = SecretStr("")
    openai_base_url: HttpUrl = "https://api.openai.com/v1"
    openai_api_key: SecretStr = SecretStr("")
    openai_webhook_secret: SecretStr = SecretStr("")
    openai_caption_model: str = "gpt-4o-mini"
    openai_moderation_model: str = "omni-moderation-latest"
    replicate_base_url: HttpUrl = "https://api.replicate.com"
    replicate_api_token: SecretStr = SecretStr("")
    replicate_webhook_secret: SecretStr = SecretStr("")
    replicate_face_swap_model: str = "playalter-sandbox/face-swap"
    replicate_poll_seconds: float = Field(default=120.0, gt=0)
    vercel_base_url: HttpUrl = "https://api.vercel.com"
    vercel_token: SecretStr = SecretStr("")
    vercel_team_id: str = ""
    vercel_project: str = "playalter-gallery"
    vercel_webhook_secret: SecretStr = SecretStr("")
    vercel_page_url: Annotated[str, AfterValidator(_page_url)] = "https://{url}"
    vercel_poll_seconds: float = Field(default=30.0, gt=0)
    agora_base_url: HttpUrl = "https://api.agora.io"
    agora_app_id: str = ""
    agora_app_certificate: SecretStr = SecretStr("")
    agora_customer_id: str = ""
    agora_customer_secret: SecretStr = SecretStr("")
    agora_webhook_secret: SecretStr = SecretStr("")
    n8n_base_url: HttpUrl = "http://127.0.0.1:5678"
    n8n_webhook_path: str = "playalter-campaign"
    n8n_api_key: SecretStr = SecretStr("")
    n8n_webhook_secret: SecretStr = SecretStr("")
    n8n_poll_seconds: float = Field(default=600.0, gt=0)


def load(environ: Mapping[str, str]) -> Settings:
    """Parse settings from `environ`; raise SettingsInvalid with every wrong variable named."""
    values: dict[str, str] = {}
    for name in Settings.model_fields:
        file = environ.get(f"{name.upper()}_FILE")
        if file:
            values[name] = _read_secret(name, file)
        elif environ.get(name.upper()):
            values[name] = environ[name.upper()]
    try:
        return Settings.model_validate(values)
    except ValidationError as err:
        lines = [
            f"  {'.'.join(map(str, e['loc'])).upper()}: "
            f"{'is not set' if e['type'] == 'missing' else e['msg'].removeprefix('Value error, ')}"
            for e in err.errors(include_url=False, include_input=False)
        ]
        raise SettingsInvalid("settings are wrong:\n" + "\n".join(lines)) from err


def _read_secret(name: str, file: str) -> str:
    try:
        return Path(file).read_text().strip()
    except OSError as err:
        raise SettingsInvalid(f"{name.upper()}_FILE: cannot read {file}: {err.strerror}") from err


@lru_cache(maxsize=1)
def current() -> Settings:
    """The settings of this process."""
    return load(os.environ)
