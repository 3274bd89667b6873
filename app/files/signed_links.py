"""Signed links: a caller with such a link needs no API key for an artifact until it expires."""

import hashlib
import hmac
from uuid import UUID

from app import clock
from app.settings import current


def link_signature(artifact_id: UUID, expires: int) -> str:
    """The signature of a link to `/files/{artifact_id}`; `expires` is in Unix seconds."""
    secret = current().link_secret.get_secret_value().encode()
    return hmac.new(secret, f"{artifact_id}:{expires}".encode(), hashlib.sha256).hexdigest()


def is_link_valid(artifact_id: UUID, expires: int, signature: str) -> bool:
    """Whether the signature is genuine and the link has not expired."""
    expected = link_signature(artifact_id, expires)
    is_genuine = hmac.compare_digest(expected.encode(), signature.encode())
    return is_genuine and clock.timestamp() < expires
