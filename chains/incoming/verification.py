"""Checks that a webhook was sent by its source: Standard Webhooks, or HMAC as the source says.

Pure. The schemes of well-known senders are settings of `Scheme`; ops/guide/events-in.md has their
values.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.errors import InvalidInput, SignatureInvalid
from tasks.signatures import check_fresh, header, matches, standard_webhook, unix_time

STANDARD, HMAC, NONE = "standard_webhooks", "hmac", "none"
LEAST_SECRET = 16
LONGEST_SECRET = 500
BODY, TIMESTAMP = "{body}", "{timestamp}"
_PLACE = re.compile(r"(\{[a-z]*\})")


@dataclass(frozen=True)
class Scheme:
    """How webhooks are signed by HMAC.

    `header` has the signature, after `prefix`. With `signature_key`, the header is a list such as
    `t=1,v1=ab,v1=cd`, and each value of that key is a signature. `signed` is what is signed, with
    `{body}` and `{timestamp}`; the time is that of `timestamp_key` in the list, or of
    `timestamp_header`, and may be `tolerance_seconds` old.
    """

    header: str
    algorithm: str = "sha256"
    encoding: str = "hex"
    prefix: str = ""
    signed: str = BODY
    signature_key: str | None = None
    timestamp_key: str | None = None
    timestamp_header: str | None = None
    tolerance_seconds: int = 300
    key_encoding: str = "text"

    def check(self) -> None:
        """Raise InvalidInput if no webhook can be checked by this scheme."""
        for fault in self._faults():
            raise InvalidInput(fault[1], field=f"/hmac/{fault[0]}")

    def _faults(self) -> list[tuple[str, str]]:
        places = _PLACE.findall(self.signed)
        has_time = places.count(TIMESTAMP) == 1
        times = (self.timestamp_key is not None) + (self.timestamp_header is not None)
        checks = (
            (
                places.count(BODY) != 1 or len(places) != 1 + has_time,
                "signed",
                f"must have {BODY} once, at most one {TIMESTAMP}, and no other place",
            ),
            (
                has_time and times != 1,
                "signed",
                f"{TIMESTAMP} needs either timestamp_key or timestamp_header",
            ),
            (times > 0 and not has_time, "signed", f"a time that is not signed as {TIMESTAMP}"),
            (
                self.timestamp_key is not None and self.signature_key is None,
                "timestamp_key",
                "needs signature_key: both are keys of the same header",
            ),
        )
        return [(field, words) for is_wrong, field, words in checks if is_wrong]

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime, secret: str) -> None:
        """Raise SignatureInvalid unless a signature is right and not too old."""
        given = header(headers, self.header.lower())
        pairs = [each.strip().partition("=")[::2] for each in given.split(",")]
        if self.signature_key is None:
            signatures = [given.strip()]
        else:
            signatures = [value for key, value in pairs if key == self.signature_key]
        time = None
        if self.timestamp_key is not None:
            time = next((value for key, value in pairs if key == self.timestamp_key), "")
        elif self.timestamp_header is not None:
            time = header(headers, self.timestamp_header.lower())
        if time is not None:
            tolerance = timedelta(seconds=self.tolerance_seconds)
            check_fresh(unix_time(time), now, tolerance)
        expected = self.prefix + self._signature(body, time or "", secret)
        if not any([matches(expected, each) for each in signatures]):  # noqa: C419 - compare all, in constant time
            raise SignatureInvalid("no signature matches")

    def _signature(self, body: bytes, time: str, secret: str) -> str:
        parts = {BODY: body, TIMESTAMP: time.encode("utf-8", "surrogatepass")}
        signed = b"".join(parts.get(each, each.encode()) for each in _PLACE.split(self.signed))
        digest = hmac.digest(key_of(secret, self.key_encoding), signed, self.algorithm)
        return digest.hex() if self.encoding == "hex" else base64.b64encode(digest).decode()


def key_of(secret: str, encoding: str) -> bytes:
    """The bytes of a secret; raise InvalidInput if it is not encoded so."""
    try:
        if encoding == "base64":
            return base64.b64decode(secret, validate=True)
        return bytes.fromhex(secret) if encoding == "hex" else secret.encode()
    except (ValueError, binascii.Error) as err:
        raise InvalidInput(f"is not {encoding}", field="/secret") from err


def verify(
    verification: str,
    scheme: Mapping[str, Any] | None,
    secrets: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
) -> None:
    """Raise SignatureInvalid unless one of the secrets signed the webhook.

    The names of headers are in lower case. With the verification `none`, everything is taken.
    """
    if verification == NONE:
        return
    failure = SignatureInvalid("the source has no secret")
    for secret in secrets:
        try:
            if verification == STANDARD:
                standard_webhook(headers, body, now, secret)
            else:
                Scheme(**(scheme or {})).verify(headers, body, now, secret)
        except SignatureInvalid as err:
            failure = err
        else:
            return
    raise failure
