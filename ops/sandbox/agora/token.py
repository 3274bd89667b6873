"""Parses and verifies Agora's AccessToken2 ("007"), as Agora's edge does when a user joins.

Layout: "007" + base64(zlib(signature + signed part)), little-endian, as in Agora's published
builders (https://github.com/AgoraIO/Tools, DynamicKey/AgoraDynamicKey).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
import zlib
from dataclasses import dataclass

RTC = 1
JOIN_CHANNEL = 1
PRIVILEGES = {1: "join_channel", 2: "publish_audio", 3: "publish_video", 4: "publish_data_stream"}
_STRINGS_AFTER = {1: 2, 2: 1, 3: 2, 4: 0, 5: 1, 6: 2}
LONGEST_SECONDS = 86400


class TokenRefused(Exception):
    """Raised if a token does not admit the user; `reason` is a code for machines."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class RtcGrant:
    """What a token allows in the RTC service.

    `privileges` maps the number of a privilege to its expiry; 0 means that it never expires.
    """

    channel: str
    uid: str
    privileges: dict[int, int]


@dataclass(frozen=True)
class Token:
    """A parsed token; `issued` is in Unix seconds, `expire` is a duration in seconds."""

    app_id: str
    issued: int
    expire: int
    salt: int
    grants: tuple[RtcGrant, ...]
    signature: bytes
    signed: bytes


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def number(self, form: str) -> int:
        size = struct.calcsize(form)
        (value,) = struct.unpack(form, self.data[:size])
        self.data = self.data[size:]
        return int(value)

    def text(self) -> bytes:
        length = self.number("<H")
        if len(self.data) < length:
            raise ValueError("a string is cut short")
        value, self.data = self.data[:length], self.data[length:]
        return value


def parse(token: str) -> Token:
    """Parse a token; raises TokenRefused (`unsupported_version`, `malformed`)."""
    if not token.startswith("007"):
        raise TokenRefused("unsupported_version", "the token does not start with 007")
    try:
        reader = _Reader(zlib.decompress(base64.b64decode(token[3:], validate=True)))
        signature, signed = reader.text(), reader.data
        app_id = reader.text().decode()
        issued, expire, salt = (reader.number("<I") for _ in range(3))
        grants = _grants(reader)
    except (ValueError, binascii.Error, zlib.error, struct.error) as error:
        raise TokenRefused("malformed", f"the token cannot be read: {error}") from error
    return Token(app_id, issued, expire, salt, grants, signature, signed)


def _grants(reader: _Reader) -> tuple[RtcGrant, ...]:
    grants = []
    for _ in range(reader.number("<H")):
        kind = reader.number("<H")
        pairs = [(reader.number("<H"), reader.number("<I")) for _ in range(reader.number("<H"))]
        if kind not in _STRINGS_AFTER:
            break
        texts = [reader.text().decode() for _ in range(_STRINGS_AFTER[kind])]
        if kind == RTC:
            grants.append(RtcGrant(texts[0], texts[1], dict(pairs)))
    return tuple(grants)


def verify(
    token: str, app_id: str, certificate: str, channel: str, uid: str, now: float
) -> RtcGrant:
    """Return the grant that admits `uid` to `channel` at `now`, or raise TokenRefused."""
    found = parse(token)
    if found.app_id != app_id:
        raise TokenRefused("invalid_app_id", "the token was made for another app")
    key = hmac.new(struct.pack("<I", found.issued), certificate.encode(), hashlib.sha256).digest()
    key = hmac.new(struct.pack("<I", found.salt), key, hashlib.sha256).digest()
    expected = hmac.new(key, found.signed, hashlib.sha256).digest()
    if not hmac.compare_digest(expected, found.signature):
        raise TokenRefused("invalid_signature", "the signature was not made with the certificate")
    if now >= found.issued + min(found.expire, LONGEST_SECONDS):
        raise TokenRefused("token_expired", "the token has expired")
    if not found.grants:
        raise TokenRefused("no_rtc_service", "the token grants no RTC service")
    return _fitting(found, channel, uid, now)


def _fitting(token: Token, channel: str, uid: str, now: float) -> RtcGrant:
    of_channel = [grant for grant in token.grants if grant.channel in (channel, "")]
    if not of_channel:
        raise TokenRefused("channel_mismatch", "the token is for another channel")
    of_user = [grant for grant in of_channel if grant.uid in (uid, "")]
    if not of_user:
        raise TokenRefused("uid_mismatch", "the token is for another user")
    grant = of_user[0]
    if JOIN_CHANNEL not in grant.privileges:
        raise TokenRefused("no_privilege", "the token does not grant join_channel")
    if not _is_current(token, grant.privileges[JOIN_CHANNEL], now):
        raise TokenRefused("privilege_expired", "the privilege join_channel has expired")
    return grant


def _is_current(token: Token, expiry: int, now: float) -> bool:
    # Agora's builders write a duration since the issue; older callers write a Unix time.
    if expiry == 0:
        return True
    until = expiry if expiry > 1_000_000_000 else token.issued + expiry
    return now < until


def current_privileges(token: str, grant: RtcGrant, now: float) -> list[str]:
    """Return the names of the privileges that a grant gives and that have not expired at `now`."""
    parsed = parse(token)
    held = [
        number for number, expiry in grant.privileges.items() if _is_current(parsed, expiry, now)
    ]
    return [PRIVILEGES[number] for number in sorted(held) if number in PRIVILEGES]
