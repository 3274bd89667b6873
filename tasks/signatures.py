"""Checks that the platforms' webhooks share: freshness, constant-time comparison, one JSON object.

Nothing here imports a vendor's SDK: the web process verifies without them.
"""

import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NoReturn

from pydantic import AfterValidator, SecretStr
from standardwebhooks import Webhook

from app.errors import SignatureInvalid
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
"""A setting: a secret of Standard Webhooks, or none."""


def secret_of(secret: SecretStr, setting: str) -> str:
    """The secret's text; an unset one refuses every delivery (an empty HMAC key is no key)."""
    text = secret.get_secret_value()
    if not text:
        raise SignatureInvalid(f"{setting} is not set")
    return text


def header(headers: Mapping[str, str], name: str) -> str:
    """A header that must be there; names are lower case."""
    value = headers.get(name)
    if not value:
        raise SignatureInvalid(f"the {name} header is missing")
    return value


def unix_time(text: str) -> datetime:
    """An aware time from Unix seconds in decimal digits."""
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError) as err:
        raise SignatureInvalid("the time stamp is not a Unix time") from err


def check_fresh(sent_at: datetime, now: datetime, tolerance: timedelta = TOLERANCE) -> None:
    """Refuse what was sent longer ago than `tolerance`, or claims to come from the future."""
    if now - sent_at > tolerance or sent_at - now > TOLERANCE:
        raise SignatureInvalid("the time stamp is outside of the tolerance")


def matches(expected: str, given: str) -> bool:
    """Compare two signatures in constant time; the given one may be any text."""
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))


def json_object(body: bytes) -> Json:
    """The body as a JSON object."""
    try:
        parsed = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as err:
        raise SignatureInvalid("the body is not JSON") from err
    if not isinstance(parsed, dict):
        raise SignatureInvalid("the body is not a JSON object")
    return parsed


def text_at(payload: Json, *path: str) -> str | None:
    """The non-empty text at a path of keys, or None."""
    value: Any = payload
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) and value else None


def standard_webhook(
    headers: Mapping[str, str], body: bytes, now: datetime, secret: str
) -> tuple[str, Json]:
    """Verify a Standard Webhooks delivery; return its id and its payload.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    message_id = header(headers, "webhook-id")
    sent_at = unix_time(header(headers, "webhook-timestamp"))
    given = header(headers, "webhook-signature").split(" ")
    check_fresh(sent_at, now)
    try:
        # Only the library's `sign`: its `verify` reads the clock itself and raises a bare
        # binascii.Error or ValueError for a malformed header.
        expected = Webhook(secret).sign(message_id, sent_at, body.decode())
    except UnicodeDecodeError as err:
        raise SignatureInvalid("the body is not UTF-8") from err
    except Exception as err:  # binascii.Error, EmptyWebhookSecretError, RuntimeError
        raise SignatureInvalid("the webhook secret is malformed") from err
    if not any([matches(expected, each) for each in given]):  # noqa: C419 - no early end: constant time
        raise SignatureInvalid("no signature matches")
    return message_id, json_object(body)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
