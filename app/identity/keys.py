"""API keys. Invariant: no key is stored; a row holds only its prefix and its digest.

A key is `pa_<prefix>_<secret>`. The prefix finds the row, and the digest, an HMAC-SHA256 of the
whole key, proves that the key is genuine. The secret of the HMAC is the pepper. Two peppers may be
in use: new keys are made with the newer one, and keys made with the older one stay valid.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, insert, literal, select, update

from app import db
from app.db import begin
from app.db.models import ApiKey, User
from app.errors import InvalidInput, NotFound, Unauthorized
from app.settings import current

LEAST_WEIGHT, MOST_WEIGHT = 0.001, 1000

INVALID = "the API key is not valid"
_PATIENCE_SECONDS = 0.1
"""Enough for one retry, if the pooled connection was broken by a restart of PostgreSQL."""
_MOST_RECOGNIZED = 1000
_KEY = re.compile(r"pa_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,189}")


@dataclass(frozen=True)
class KeyFacts:
    """The facts of a key that may be shown. The key itself is not among them."""

    prefix: str
    email: str
    created_at: datetime
    revoked_at: datetime | None
    is_admin: bool


@dataclass(frozen=True)
class Identity:
    """The user of an API key. Only an admin may change the definitions that can be started."""

    user_id: UUID
    is_admin: bool
    key_prefix: str


def create_key(email: str, *, is_admin: bool = False) -> tuple[UUID, str]:
    """Create a key for the user with this e-mail address, and the user if there is none.

    Addresses that differ only in case belong to one user. Returns the user's id and the key. The
    key cannot be shown again.
    """
    if not _EMAIL.fullmatch(email):
        raise InvalidInput("this is not an e-mail address", field="/email", code="email_invalid")
    key = f"pa_{secrets.token_hex(6)}_{secrets.token_urlsafe(32)}"
    with begin() as connection:
        user_id: UUID = connection.execute(select(func.create_user_v1(email))).scalar_one()
        connection.execute(
            insert(ApiKey).values(
                user_id=user_id,
                prefix=key.split("_")[1],
                digest=_digests(key)[0],
                is_admin=is_admin,
            )
        )
    return user_id, key


def authenticate(key: str) -> Identity:
    """The identity behind a key. Raises Unauthorized if the key is unknown, wrong or revoked.

    The database is asked each time, so that every process refuses a revoked key at once. (For a
    start, it is asked by the statement that writes the workflow; see `recognize`.)
    """
    match = _KEY.fullmatch(key)
    if match is None:
        raise Unauthorized(INVALID)
    rows = db.hot("find_key_v1", "text", (match[1],), seconds=_PATIENCE_SECONDS)
    if not rows or not _is_of(key, bytes(rows[0]["digest"])):
        raise Unauthorized(INVALID)
    found = Identity(rows[0]["user_id"], rows[0]["is_admin"], match[1])
    if len(_recognized) >= _MOST_RECOGNIZED:
        _recognized.clear()
    _recognized[_fingerprint(key)] = found
    return found


def recognize(key: str) -> Identity | None:
    """The identity behind a key that this process has authenticated before; None if it has not.

    The key may have been revoked since. Whoever goes on with this identity must prove it in the
    transaction that writes (`submit_workflow_v1`), or call `authenticate` before it answers.
    """
    return _recognized.get(_fingerprint(key))


def require_valid(prefix: str) -> None:
    """Raise Unauthorized unless the key with this prefix is still valid."""
    if not db.hot("find_key_v1", "text", (prefix,), seconds=_PATIENCE_SECONDS):
        raise Unauthorized(INVALID)


_recognized: dict[bytes, Identity] = {}
"""By the hashes of keys: no key is kept."""


def _fingerprint(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def revoke_key(prefix: str) -> None:
    """Revoke the key with this prefix. Raises NotFound if no such key is valid."""
    statement = (
        update(ApiKey)
        .where(ApiKey.prefix == prefix, ApiKey.revoked_at.is_(None))
        .values(revoked_at=func.clock_timestamp())
        .returning(ApiKey.id)
    )
    with begin() as connection:
        if connection.execute(statement).one_or_none() is None:
            raise NotFound("no valid key has this prefix")


def set_weight(email: str, weight: float | None) -> None:
    """Set a user's share of the workers' time beside other users whose steps wait; None: 1.

    Raises NotFound if there is no such user, and InvalidInput if it is not from 0.001 to 1000.
    """
    if weight is not None and not LEAST_WEIGHT <= weight <= MOST_WEIGHT:
        raise InvalidInput(f"the weight must be from {LEAST_WEIGHT} to {MOST_WEIGHT}")
    row = db.row("SELECT set_user_weight_v1(%s, %s) AS is_known", (email.casefold(), weight))
    if row is None or not row["is_known"]:
        raise NotFound("there is no user with this address")


def list_keys(email: str | None = None) -> list[KeyFacts]:
    """All keys or those of the user with this e-mail address, in any case, oldest first."""
    statement = (
        select(ApiKey.prefix, User.email, ApiKey.created_at, ApiKey.revoked_at, ApiKey.is_admin)
        .join(User, User.id == ApiKey.user_id)
        .order_by(ApiKey.id)
    )
    if email is not None:
        folded = func.casefold(literal(email).collate("pg_unicode_fast"))
        statement = statement.where(User.email == folded)
    with begin() as connection:
        return [KeyFacts(*row) for row in connection.execute(statement)]


def _is_of(key: str, digest: bytes) -> bool:
    """Whether the digest is that of the key, with either pepper."""
    return any(hmac.compare_digest(digest, each) for each in _digests(key))


def _digests(key: str) -> list[bytes]:
    """The digest of a key with each pepper that is in use, the newer first."""
    peppers = (current().key_pepper, current().key_pepper_old)
    return [
        hmac.new(each.get_secret_value().encode(), key.encode(), hashlib.sha256).digest()
        for each in peppers
        if each is not None
    ]
