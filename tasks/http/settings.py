"""The secrets that an operator lends to steps, and the hosts to which each may be sent."""

import re
from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, TypeAdapter
from pydantic import ValidationError as Invalid
from pydantic_settings import SettingsConfigDict

from app.errors import Permanent
from app.outbound.fetching import origin
from app.settings import PlatformSettings, needed

SETTING = "HTTP_SECRETS"
_LEAST_CHARACTERS = 8
_SENDABLE = re.compile(r"[\x21-\x7e]+( [\x21-\x7e]+)*")
_SHAPE = '{"NAME": {"value": "Bearer ...", "to": ["https://api.example.com"]}}'


def _sendable(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if len(text) < _LEAST_CHARACTERS or not _SENDABLE.fullmatch(text):
        raise ValueError("is no text of at least 8 printable ASCII characters")
    return secret


def _origin(text: str) -> str:
    scheme, host, port = origin(text if "://" in text else f"https://{text}")
    if scheme not in {"http", "https"} or not host or port is None:
        raise ValueError("is no host, such as https://api.example.com")
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class HttpSecret(BaseModel):
    """The whole value of a header, and the origins to which it may be sent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: Annotated[SecretStr, AfterValidator(_sendable)]
    to: tuple[Annotated[str, AfterValidator(_origin)], ...] = Field(min_length=1)

    def may_be_sent_to(self, url: str) -> bool:
        """Whether a request to this address may carry the secret."""
        return origin(url) in map(origin, self.to)


_SECRETS: TypeAdapter[dict[str, HttpSecret]] = TypeAdapter(dict[str, HttpSecret])


def _parsed(secrets: SecretStr) -> SecretStr:
    try:
        _SECRETS.validate_json(secrets.get_secret_value() or "{}")
    except Invalid as err:
        # Neither the input nor the message of the JSON parser is shown: they hold secrets.
        place = ".".join(str(each) for each in err.errors()[0]["loc"])
        raise ValueError(f"must look like {_SHAPE}" + (f"; see {place}" if place else "")) from None
    return secrets


class HttpSettings(PlatformSettings):
    """`secrets` is a JSON object: the name of each secret, its value, and where it may be sent."""

    model_config = SettingsConfigDict(env_prefix="HTTP_")

    secrets: Annotated[SecretStr, AfterValidator(_parsed)] = SecretStr("")
    limit_requests: float = Field(default=20.0, ge=0)
    """The requests that each host gets in each second. 0: not known."""
    limit_in_flight: int = Field(default=16, ge=0)
    """The requests to each host that may run at the same time. 0: any number."""

    @cached_property
    def _by_name(self) -> dict[str, HttpSecret]:
        return _SECRETS.validate_json(needed(self.secrets, SETTING))

    def secret(self, name: str, url: str) -> str:
        """The value of a secret, to be sent to this address.

        Raises Permanent if there is no such secret or it may not be sent there, and NotConfigured
        if there are no secrets at all.
        """
        found = self._by_name.get(name)
        if found is None:
            raise Permanent(f"{SETTING} has no secret {name!r}", code="secret_unknown")
        if not found.may_be_sent_to(url):
            raise Permanent(
                f"the secret {name!r} may not be sent to {origin(url)[1]}: {SETTING} names the"
                " hosts that may get it",
                code="secret_refused",
            )
        return found.value.get_secret_value()
