"""Settings. Each process parses them once from the environment. Only this module reads os.environ.

`Settings` has the settings of the kernel and the processes. Each platform has a subclass of
`PlatformSettings` in its own folder. In the environment the names are in upper case, for example
`DATABASE_URL`. Instead of a variable, `<NAME>_FILE` may give the path of a file with the value.
"""

import logging
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeVar, cast

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.errors import NotConfigured

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


_HOST_AND_PORT = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+):([0-9]{1,5})")


def hosts_and_ports(entries: str) -> list[tuple[str, int]]:
    """The hosts and ports in a value of OUTBOUND_ALLOWED. Raises ValueError if it is wrong.

    >>> hosts_and_ports("127.0.0.1:9103, [::1]:80")
    [('127.0.0.1', 9103), ('::1', 80)]
    """
    found = []
    for entry in entries.lower().replace(",", " ").split():
        matched = _HOST_AND_PORT.fullmatch(entry)
        if matched is None or int(matched[2]) > 65_535:
            raise ValueError("must look like 10.0.0.5:8080,[fd00::1]:443,name.internal:80")
        found.append((matched[1].strip("[]"), int(matched[2])))
    return found


def _checked_hosts(entries: str) -> str:
    hosts_and_ports(entries)
    return entries


def _checked_ports(entries: str) -> str:
    for entry in _listed(entries):
        if not entry.isdecimal() or not 0 < int(entry) < 65_536:
            raise ValueError("must look like 443,8443")
    return entries


class SettingsInvalid(SystemExit):
    """A setting is missing or wrong. The message lists the variables. It ends the process."""


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


def _networks(text: str) -> str:
    for each in _listed(text):
        try:
            network = ip_network(each)
        except ValueError as err:
            raise ValueError(f"{each} is no address and no network like 10.0.0.0/8") from err
        if not network.prefixlen:
            raise ValueError(f"{each} is every address; name those of the proxies")
    return text


def _listed(text: str) -> list[str]:
    return text.replace(",", " ").split()


LONGEST_PAUSE_SECONDS = 5.0
"""The longest pause between two passes of a reconciler."""


def _pass_seconds(seconds: float) -> float:
    if not 0 < seconds <= LONGEST_PAUSE_SECONDS:
        raise ValueError(
            f"must be above 0 and at most {LONGEST_PAUSE_SECONDS:g}: between two passes, the steps"
            " of dead workers and lost messages wait"
        )
    return seconds


_LEAST_CHARACTERS = 16
_LEAST_DIFFERENT = 8


def _strong(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if len(text) < _LEAST_CHARACTERS or len(set(text)) < _LEAST_DIFFERENT:
        raise ValueError(
            f"is too weak: it must have at least {_LEAST_CHARACTERS} characters,"
            f" {_LEAST_DIFFERENT} of them different; `openssl rand -base64 32` makes one"
        )
    return secret


_MOST_DAYS = 36_600

StrongSecret = Annotated[SecretStr, AfterValidator(_strong)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]


class Settings(BaseSettings):
    """Everything that differs between a laptop and production."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    database_url: Annotated[str, AfterValidator(_psycopg2_url)]
    database_replica_url: Annotated[str, AfterValidator(_psycopg2_url)] | None = None
    """A read replica, for queries that only show data. Decisions and writes use the primary."""
    redis_url: str = Field(pattern=r"^(redis|rediss|unix)://")
    public_base_url: HttpUrl = "http://127.0.0.1:8000"
    storage_dir: Path
    web_host: str = "127.0.0.1"
    web_port: int = 8000
    web_threads: int = Field(default=32, ge=2)
    web_connections_per_address: int = Field(default=100, ge=1)
    """Most connections of one client address. A trusted proxy may have more."""
    web_trusted_proxies: Annotated[str, AfterValidator(_networks)] = ""
    """Addresses and networks, separated by commas, whose X-Forwarded-For is believed."""
    web_head_seconds: float = Field(default=10.0, gt=0)
    web_small_body_seconds: float = Field(default=10.0, gt=0)
    web_slot_seconds: float = Field(default=15.0, gt=0)
    """The longest wait of a large body for a thread that may read it."""
    web_list_seconds: float = Field(default=1.0, ge=0, le=5)
    """For how long a list or a count is remembered for whoever asks again; 0: not at all."""
    web_grace_seconds: float = Field(default=10.0, gt=0)
    """How far a large body may be behind `web_least_rate`, bytes a second."""
    web_least_rate: int = Field(default=16_384, ge=1)
    web_body_seconds: float = Field(default=600.0, gt=0)
    flower_port: int = 5555
    flower_user: str = "playalter"
    flower_password: StrongSecret | None = None
    metrics_dir: Path | None = None
    log_level: str = "INFO"
    log_json: bool = True

    outbound_allowed: Annotated[str, AfterValidator(_checked_hosts)] = ""
    """Hosts and ports that are no public addresses, and to which a step or a webhook may be sent
    nevertheless."""
    webhook_ports: Annotated[str, AfterValidator(_checked_ports)] = "443"
    """The ports to which webhooks may be sent, separated by commas."""

    key_pepper: StrongSecret
    """The secret in the hashes of new API keys."""
    key_pepper_old: StrongSecret | None = None
    """The pepper before the present one. API keys that were made with it stay valid while it is
    set; keys made with any other pepper are invalid."""
    link_secret: StrongSecret
    """The secret that signs the links by which platforms fetch artifacts."""

    lease_seconds: float = Field(default=30.0, ge=0.5)
    reconcile_seconds: Annotated[float, AfterValidator(_pass_seconds)] = 2.0
    republish_seconds: float = Field(default=15.0, ge=0.5, le=15.0)
    expression_share: float = Field(default=0.1, gt=0, le=1)
    """The part of one core's time that a user's expressions may take in each worker."""
    events_in_days: float = Field(default=30.0, gt=0)
    """How long events that came in are kept, and how long a repeat of one is known."""
    retention_hot_days: float | Literal["never"] = 90.0
    """After so many days an ended workflow is archived, unless its definition says otherwise."""
    retention_archive_days: float | Literal["forever"] = 400.0
    """After so many days in the archive it is erased, unless its definition says otherwise."""
    archive_share: float = Field(default=0.08, gt=0, le=1)
    """The part of the time in which archiving works beside others; it takes more if they rest."""
    worker_threads: int = Field(default=32, ge=1, le=500)
    """How many steps a worker runs at once, unless its command line says it."""
    database_pool: int = Field(default=5, ge=1)
    database_connections: int = Field(default=16, ge=2)
    """The most connections that the short statements of a process use at the same time.

    Its longer transactions have a pool of their own (`database_pool`). What it reads for answers
    has another one of the same size.
    """

    @field_validator("retention_hot_days", "retention_archive_days")
    @classmethod
    def _is_a_time(cls, days: float | str) -> float | str:
        if isinstance(days, float) and not 0 < days <= _MOST_DAYS:
            raise ValueError(f"must be above 0 and at most {_MOST_DAYS:,}")
        return days

    @property
    def trusted_proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks in `web_trusted_proxies`."""
        return tuple(map(ip_network, _listed(self.web_trusted_proxies)))

    @property
    def allowed_webhook_ports(self) -> frozenset[int]:
        """The ports in `webhook_ports`."""
        return frozenset(map(int, _listed(self.webhook_ports)))

    @field_validator("key_pepper_old", "link_secret")
    @classmethod
    def _differs(cls, secret: SecretStr | None, others: ValidationInfo) -> SecretStr | None:
        for name in ("key_pepper", "key_pepper_old"):
            if secret is not None and name in others.data and secret == others.data[name]:
                reason = "so that one lost secret is one loss"
                raise ValueError(f"must differ from {name.upper()}, {reason}")
        return secret


class PlatformChoice(BaseSettings):
    """The setting that selects the platforms. A command may need it without any other setting."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    platforms: str = Field(default="", pattern=r"^[a-z0-9_, ]*$")
    """Names, separated by commas. Empty: every installed platform is used."""


def chosen_platforms() -> frozenset[str] | None:
    """The names in the variable PLATFORMS, or None if all installed platforms are used."""
    names = load(PlatformChoice, os.environ).platforms.replace(",", " ").split()
    return frozenset(names) or None


class PlatformSettings(BaseSettings):
    """Base class of a platform's settings, whose variables begin with the platform's name.

    A subclass sets this prefix, for example `model_config =
    SettingsConfigDict(env_prefix="PRESS_")`, and has one field for the rest of each name. A wrong
    value stops the process at its start. A missing value raises NotConfigured only when it is
    needed: `current` raises it for a field without a default, `needed` for an empty field. So a
    platform that is not used needs no settings.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    def models(self) -> tuple[str, ...]:
        """The vendor's models that the settings choose: people are told of those that end."""
        return ()

    @classmethod
    def current(cls) -> Self:
        """The platform's settings in this process. Those in files are read again when the files
        change, so that a credential is replaced without a restart.

        Raises NotConfigured if one without a default is not set, and SettingsInvalid, which ends
        the process, if one is wrong. If a changed file is empty or wrong, the settings stay as they
        were, and the log says so.
        """
        known = _parsed.get(cls)
        if known is None:
            # The stamps are taken first: a file that changes while it is read is read again.
            stamps = _stamps(cls)
            known = _parsed[cls] = _Parsed(load(cls, os.environ), stamps)
        elif time.monotonic() - known.looked_at >= _LOOK_SECONDS:
            _look(cls, known)
        return cast(Self, known.settings)


_LOOK_SECONDS = 1.0
"""The time between two looks at the files of settings."""
Stamp = tuple[int, int, int] | None
"""What changes when a file is written or replaced. None: it cannot be seen."""


@dataclass
class _Parsed:
    settings: PlatformSettings
    stamps: dict[str, Stamp]
    """Of the files, by the variables that name them."""
    looked_at: float = field(default_factory=time.monotonic)


_parsed: dict[type[PlatformSettings], _Parsed] = {}


def _stamps(model: type[PlatformSettings]) -> dict[str, Stamp]:
    names = [f"{variable(model, each)}_FILE" for each in model.model_fields]
    return {name: _stamp(path) for name in names if (path := os.environ.get(name))}


def _stamp(path: str) -> Stamp:
    try:
        seen = Path(path).stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_ino, seen.st_size


def _look(model: type[PlatformSettings], known: _Parsed) -> None:
    """Read the settings again if one of their files has changed."""
    known.looked_at = time.monotonic()
    stamps = _stamps(model)
    if stamps == known.stamps:
        return
    changed = sorted(name for name, stamp in stamps.items() if stamp != known.stamps.get(name))
    known.stamps = stamps
    log = logging.getLogger(__name__)
    try:
        if not all(_read_secret(n.removesuffix("_FILE"), os.environ[n]) for n in changed):
            raise SettingsInvalid("a file is empty")
        known.settings = load(model, os.environ)
    except (SettingsInvalid, NotConfigured) as err:
        log.error("%s changed and is not used: %s", ", ".join(changed), err)
    else:
        log.warning("%s changed and is used from now on", ", ".join(changed))


def needed(value: str | SecretStr, name: str) -> str:
    """The text of a platform's setting. Raises NotConfigured if it is empty."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not text:
        raise NotConfigured((name,))
    return text


M = TypeVar("M", bound=BaseSettings)


def load(model: type[M], environ: Mapping[str, str]) -> M:
    """Parse a model's settings.

    Raises SettingsInvalid with all wrong and missing variables. For a platform whose only fault is
    that some are missing, raises NotConfigured instead.
    """
    values: dict[str, str] = {}
    for each in model.model_fields:
        name = variable(model, each)
        file = environ.get(f"{name}_FILE")
        if file:
            values[each] = _read_secret(name, file)
        elif environ.get(name):
            values[each] = environ[name]
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
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as err:
        raise SettingsInvalid(f"{name}_FILE: cannot read {file}: {err.strerror}") from err
    except ValueError:
        # The error holds the bytes, which may be a part of the secret.
        raise SettingsInvalid(f"{name}_FILE: {file} is not UTF-8 text") from None


@lru_cache(maxsize=1)
def current() -> Settings:
    """The settings of this process, without those of the platforms."""
    return load(Settings, os.environ)


def forget() -> None:
    """Discard all parsed settings, so that they are read again. For a changed environment."""
    current.cache_clear()
    _parsed.clear()
