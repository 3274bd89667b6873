"""Checks of webhooks that several platforms share: the time stamp, the signature and the JSON body.

This module imports no vendor's SDK, because the web process verifies webhooks without any SDK.
"""

import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NoReturn

from pydantic import AfterValidator, SecretStr
from standardwebhooks import Webhook

from app.errors import SignatureInvalid
from app.outbound.replies import bounded
from app.platform import Json

TOLERANCE = timedelta(seconds=300)


def _standard(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    try:
        if text:
            Webhook(text)
    except Exception as err:  # binascii.Error, EmptyWebhookSecretError
        raise ValueError("must be base64, with or without whsec_ before it") from err
    return secret


StandardSecret = Annotated[SecretStr, AfterValidator(_standard)]
"""The type of a setting that holds a secret of Standard Webhooks or is empty."""


def secret_of(secret: SecretStr, setting: str) -> str:
    """The text of the secret; raise SignatureInvalid if the secret is not set.

    Anybody can sign with an empty secret, so no delivery is accepted without one.
    """
    return secrets_of(setting, secret, SecretStr(""))[0]


def secrets_of(setting: str, secret: SecretStr, old: SecretStr) -> tuple[str, ...]:
    """The texts of the secret and, while it is replaced, of the one before it (`<setting>_OLD`).

    Raises SignatureInvalid if neither is set.
    """
    texts = tuple(filter(None, (secret.get_secret_value(), old.get_secret_value())))
    if not texts:
        raise SignatureInvalid(f"{setting} is not set")
    return texts


def check_digest(secrets: Sequence[str], signed: bytes, digest: str, given: Iterable[str]) -> None:
    """Raise SignatureInvalid if no given text is the hexadecimal HMAC of `signed` under one of the
    secrets. `digest` is the name of the hash, such as sha256."""
    expected = [hmac.new(secret.encode(), signed, digest).hexdigest() for secret in secrets]
    given = list(given)
    # All are compared, so that the time does not tell which one is near.
    if not any([matches(own, each) for own in expected for each in given]):  # noqa: C419
        raise SignatureInvalid("the signature does not match")


def header(headers: Mapping[str, str], name: str) -> str:
    """The value of a required header; raise SignatureInvalid if it is missing.

    The names of headers are in lower case.
    """
    value = headers.get(name)
    if not value:
        raise SignatureInvalid(f"the {name} header is missing")
    return value


def unix_time(text: str) -> datetime:
    """The aware time of a text with Unix seconds; raise SignatureInvalid if it is no such time."""
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError) as err:
        raise SignatureInvalid("the time stamp is not a Unix time") from err


def check_fresh(sent_at: datetime, now: datetime, tolerance: timedelta = TOLERANCE) -> None:
    """Raise SignatureInvalid if `sent_at` is more than `tolerance` before `now`, or more than
    `TOLERANCE` after it."""
    if now - sent_at > tolerance or sent_at - now > TOLERANCE:
        raise SignatureInvalid("the time stamp is too old or in the future")


def matches(expected: str, given: str) -> bool:
    """Whether two signatures are equal, compared in constant time; `given` may be any text."""
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))


def json_object(body: bytes) -> Json:
    """The body as a JSON object; raise SignatureInvalid if it is anything else, or nested so deeply
    that it could not be stored."""
    try:
        parsed = bounded(json.loads(body, parse_constant=_no_constant))
    except (ValueError, RecursionError) as err:
        raise SignatureInvalid("the body is not JSON, or is nested too deeply") from err
    if not isinstance(parsed, dict):
        raise SignatureInvalid("the body is not a JSON object")
    return parsed


def text_at(payload: Json, *path: str) -> str | None:
    """The text at a path of keys in the payload; None if it is missing, empty or not a text."""
    value: Any = payload
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) and value else None


def standard_webhook(
    headers: Mapping[str, str], body: bytes, now: datetime, *secrets: str
) -> tuple[str, Json]:
    """Verify a delivery with a Standard Webhooks signature under one of the secrets, and return its
    id and its payload.

    Raises SignatureInvalid if a header, the signature or the body is wrong.
    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    message_id = header(headers, "webhook-id")
    sent_at = unix_time(header(headers, "webhook-timestamp"))
    given = header(headers, "webhook-signature").split(" ")
    check_fresh(sent_at, now)
    try:
        # The library's `verify` is not used: it reads the clock itself, and it raises a plain
        # binascii.Error or ValueError if a header is malformed.
        text = body.decode()
        expected = [Webhook(secret).sign(message_id, sent_at, text) for secret in secrets]
    except UnicodeDecodeError as err:
        raise SignatureInvalid("the body is not UTF-8") from err
    except Exception as err:  # binascii.Error, EmptyWebhookSecretError, RuntimeError
        raise SignatureInvalid("the webhook secret is malformed") from err
    if not any([matches(own, each) for own in expected for each in given]):  # noqa: C419 - as above
        raise SignatureInvalid("no signature matches")
    return message_id, json_object(body)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
