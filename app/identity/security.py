"""API keys and signed links; neither a key nor a secret is ever stored or compared in the clear.

A key is `pa_<prefix>_<secret>`; the prefix finds its row, an HMAC-SHA256 of the whole proves it.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, insert, select, update

from app import clock, db
from app.db import begin
from app.db.models import ApiKey, User
from app.errors import InvalidInput, NotFound, Unauthorized
from app.settings import current

_PATIENCE_SECONDS = 0.1
"""Enough for a second try where a connection was left from before PostgreSQL's restart."""
_KEY = re.compile(r"pa_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,189}")


@dataclass(frozen=True)
class KeyFacts:
    """What may be shown of a key: everything but the key."""

    prefix: str
    email: str
    created_at: datetime
    revoked_at: datetime | None
    is_admin: bool


@dataclass(frozen=True)
class Identity:
    """Whom a key stands for, and whether it may change what can be started."""

    user_id: UUID
    is_admin: bool


def create_key(email: str, *, is_admin: bool = False) -> tuple[UUID, str]:
    """Make a key for the user of `email`, who is created when new; the key is shown only here."""
    if not _EMAIL.fullmatch(email):
        raise InvalidInput("this is not an e-mail address", field="/email", code="email_invalid")
    key = f"pa_{secrets.token_hex(6)}_{secrets.token_urlsafe(32)}"
    with begin() as connection:
        user_id: UUID = connection.execute(select(func.create_user_v1(email))).scalar_one()
        connection.execute(
            insert(ApiKey).values(
                user_id=user_id,
                prefix=key.split("_")[1],
                digest=_digest(key),
                is_admin=is_admin,
            )
        )
    return user_id, key


def authenticate(key: str) -> Identity:
    """Whom `key` stands for; Unauthorized when it is unknown, wrong or revoked: asked each
    time, so that every process refuses a revoked key at once."""
    match = _KEY.fullmatch(key)
    if match is None:
        raise Unauthorized("the API key is not valid")
    row = db.call(
        "SELECT user_id, digest, is_admin FROM api_keys WHERE prefix = %s AND revoked_at IS NULL",
        (match[1],),
        seconds=_PATIENCE_SECONDS,
    )
    if row is None or not hmac.compare_digest(bytes(row["digest"]), _digest(key)):
        raise Unauthorized("the API key is not valid")
    return Identity(row["user_id"], row["is_admin"])


def revoke_key(prefix: str) -> None:
    """Make the key of this prefix worthless; NotFound when there is none that is in use."""
    statement = (
        update(ApiKey)
        .where(ApiKey.prefix == prefix, ApiKey.revoked_at.is_(None))
        .values(revoked_at=func.clock_timestamp())
        .returning(ApiKey.id)
    )
    with begin() as connection:
        if connection.execute(statement).one_or_none() is None:
            raise NotFound("no key in use has this prefix")


def list_keys(email: str | None = None) -> list[KeyFacts]:
    """All keys, or one user's, oldest first."""
    statement = (
        select(ApiKey.prefix, User.email, ApiKey.created_at, ApiKey.revoked_at, ApiKey.is_admin)
        .join(User, User.id == ApiKey.user_id)
        .order_by(ApiKey.id)
    )
    if email is not None:
        statement = statement.where(User.email == email)
    with begin() as connection:
        return [KeyFacts(*row) for row in connection.execute(statement)]


def link_signature(artifact_id: UUID, expires: int) -> str:
    """The signature under which `/files/{artifact_id}` is served until `expires` (epoch)."""
    secret = current().link_secret.get_secret_value().encode()
    return hmac.new(secret, f"{artifact_id}:{expires}".encode(), hashlib.sha256).hexdigest()


def is_link_valid(artifact_id: UUID, expires: int, signature: str) -> bool:
    """Whether the signature is ours and its time has not passed."""
    expected = link_signature(artifact_id, expires)
    is_ours = hmac.compare_digest(expected.encode(), signature.encode())
    return is_ours and clock.timestamp() < expires


def _digest(key: str) -> bytes:
    pepper = current().key_pepper.get_secret_value().encode()
    return hmac.new(pepper, key.encode(), hashlib.sha256).digest()
