"""Signed links: an artifact is served without a key until the link's time has passed."""

import hashlib
import hmac
from uuid import UUID

from app import clock
from app.settings import current


def link_signature(artifact_id: UUID, expires: int) -> str:
    """The signature under which `/files/{artifact_id}` is served until `expires` (epoch)."""
    secret = current().link_secret.get_secret_value().encode()
    return hmac.new(secret, f"{artifact_id}:{expires}".encode(), hashlib.sha256).hexdigest()


def is_link_valid(artifact_id: UUID, expires: int, signature: str) -> bool:
    """Whether the signature is ours and its time has not passed."""
    expected = link_signature(artifact_id, expires)
    is_ours = hmac.compare_digest(expected.encode(), signature.encode())
    return is_ours and clock.timestamp() < expires
