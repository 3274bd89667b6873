"""Agora's AccessToken2 (version "007"), which admits a user to one RTC channel for a limited time.

Format: "007" + base64(zlib(signature + content)), little endian, strings with a 16-bit length.
https://docs.agora.io/en/video-calling/token-authentication/deploy-token-server
https://github.com/AgoraIO/Tools/tree/master/DynamicKey/AgoraDynamicKey
"""

import base64
import hmac
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

VERSION = "007"
_RTC = 1
JOIN_CHANNEL = 1
PUBLISH_AUDIO = 2
PUBLISH_VIDEO = 3
PUBLISH_DATA = 4


@dataclass(frozen=True)
class Grant:
    """User `uid` may enter `channel` for `seconds` from `issued_at` (Unix seconds) on.

    A `uid` of 0 stands for every user.
    """

    app_id: str
    channel: str
    uid: int
    issued_at: int
    seconds: int
    salt: int
    privileges: tuple[int, ...] = (JOIN_CHANNEL, PUBLISH_AUDIO, PUBLISH_VIDEO, PUBLISH_DATA)


def build(grant: Grant, certificate: str) -> str:
    """The token of the grant, signed with the app's certificate (32 hex digits)."""
    content = (
        _string(grant.app_id.encode())
        + struct.pack("<III", grant.issued_at, grant.seconds, grant.salt)
        + struct.pack("<H", 1)  # one service
        + struct.pack("<H", _RTC)
        + _map(dict.fromkeys(sorted(grant.privileges), grant.seconds))
        + _string(grant.channel.encode())
        + _string(b"" if grant.uid == 0 else str(grant.uid).encode())
    )
    # In Agora's scheme the certificate is the message of the first HMAC, not its key.
    first = hmac.digest(struct.pack("<I", grant.issued_at), certificate.encode(), sha256)
    key = hmac.digest(struct.pack("<I", grant.salt), first, sha256)
    signature = hmac.digest(key, content, sha256)
    return VERSION + base64.b64encode(zlib.compress(_string(signature) + content)).decode()


def _string(value: bytes) -> bytes:
    return struct.pack("<H", len(value)) + value


def _map(values: Mapping[int, int]) -> bytes:
    pairs = b"".join(struct.pack("<HI", key, value) for key, value in values.items())
    return struct.pack("<H", len(values)) + pairs
