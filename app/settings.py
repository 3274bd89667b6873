"""Settings, parsed once per process from the environment; the only reader of `os.environ`.

`Settings` is what the kernel and the processes need; each platform has a model of its own beside
its client, made on `PlatformSettings`. Names are upper case in the environment (`DATABASE_URL`).
Any of them may come from a file that `<NAME>_FILE` names.
"""

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self, TypeVar, cast

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.errors import NotConfigured

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


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
    autoscale: str = Field(default="4,2", pattern=r"^\d+,\d+$")
    database_pool: int = Field(default=5, ge=1)
    database_connections: int = Field(default=16, ge=2)
    """The most that a process's short statements use at once; its transactions have their pool."""


class PlatformChoice(BaseSettings):
    """Which platforms are used; also for a command that needs no other setting."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    platforms: str = Field(default="", pattern=r"^[a-z0-9_, ]*$")
    """Names with commas; empty: every platform that is installed."""


def chosen_platforms() -> frozenset[str] | None:
    """The names in PLATFORMS; None where all are used."""
    names = load(PlatformChoice, os.environ).platforms.replace(",", " ").split()
    return frozenset(names) or None


class PlatformSettings(BaseSettings):
    """Base of a platform's settings: its variables begin with the platform's name.

    A subclass says so, with `model_config = SettingsConfigDict(env_prefix="PRESS_")`, and has a
    field for the rest of each name. A wrong value stops a process when it starts. A missing one is
    asked for when it is first needed: a field without a default by `current`, any other by
    `needed`. So a platform that is not used needs no settings.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    @classmethod
    def current(cls) -> Self:
        """The settings of this process; raise NotConfigured where one without a default is not set.

        Raises SettingsInvalid, which ends the process, where one is wrong.
        """
        if cls not in _parsed:
            _parsed[cls] = load(cls, os.environ)
        return cast(Self, _parsed[cls])


_parsed: dict[type[PlatformSettings], PlatformSettings] = {}


def needed(value: str | SecretStr, name: str) -> str:
    """The text of a platform's setting; raise NotConfigured where it is empty."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not text:
        raise NotConfigured((name,))
    return text


M = TypeVar("M", bound=BaseSettings)


def load(model: type[M], environ: Mapping[str, str]) -> M:
    """Parse a model's settings; raise SettingsInvalid with every wrong variable named.

    Where a platform's are right but for those that are missing, raises NotConfigured.
    """
    values: dict[str, str] = {}
    for field in model.model_fields:
        name = variable(model, field)
        file = environ.get(f"{name}_FILE")
        if file:
            values[field] = _read_secret(name, file)
        elif environ.get(name):
            values[field] = environ[name]
    try:
        return model.model_validate(values)
    except ValidationError as err:
        faults = {variable(model, *each["loc"]): each for each in err.errors(include_url=False)}
    missing = tuple(name for name, fault in faults.items() if fault["type"] == "missing")
    if issubclass(model, PlatformSettings) and len(missing) == len(faults):
        raise NotConfigured(missing)
    lines = [f"  {name}: {_words(fault)}" for name, fault in faults.items()]
    raise SettingsInvalid("settings are wrong:\n" + "\n".join(lines))


def variable(model: type[BaseSettings], *place: int | str) -> str:
    """The environment variable of a model's field.

    >>> variable(Settings, "database_url")
    'DATABASE_URL'
    """
    prefix = str(model.model_config.get("env_prefix", ""))
    return (prefix + ".".join(map(str, place))).upper()


def _words(fault: "ErrorDetails") -> str:
    missing = fault["type"] == "missing"
    return "is not set" if missing else fault["msg"].removeprefix("Value error, ")


def _read_secret(name: str, file: str) -> str:
    try:
        return Path(file).read_text().strip()
    except OSError as err:
        raise SettingsInvalid(f"{name}_FILE: cannot read {file}: {err.strerror}") from err


@lru_cache(maxsize=1)
def current() -> Settings:
    """The settings of this process, but for the platforms'."""
    return load(Settings, os.environ)


def forget() -> None:
    """Let go of all that was parsed: the environment may have changed."""
    current.cache_clear()
    _parsed.clear()
