"""Sources of webhooks: creates, changes and finds them, and takes their webhooks.

Invariant: a secret leaves this module only when it was just made or given.
"""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg2
import structlog
from standardwebhooks import Webhook

from app import db
from app.errors import Conflict, InvalidInput, NotFound, SignatureInvalid, Unauthorized
from app.payload import dumps_or_none
from app.platform import Json
from app.telemetry import EVENTS_IN
from chains.incoming.hooked import SCOPE, Places, event_of
from chains.incoming.intake import accept
from chains.incoming.rules import expression_check
from chains.incoming.verification import (
    HMAC,
    LEAST_SECRET,
    LONGEST_SECRET,
    NONE,
    STANDARD,
    Scheme,
    key_of,
    verify,
)

log = structlog.get_logger()

MOST_SOURCES = 200
"""The most sources of a user."""
FORMER_HOURS = 24.0
_SECRET_BYTES = 32
_WHSEC = "whsec_"

_SHOWN = (
    "id, name, path, verification, scheme AS hmac, id_header, id_expression, type_header,"
    " type_expression, type_prefix, created_at, changed_at,"
    " CASE WHEN former_until > clock_timestamp() THEN former_until END AS former_secret_until"
)


@dataclass(frozen=True)
class Wanted:
    """What a source is to be. `places.name` is its name."""

    verification: str
    places: Places
    scheme: Scheme | None = None

    def check(self) -> None:
        """Raise InvalidInput, with the pointer to the fault, if such a source cannot work."""
        if (self.verification == HMAC) != (self.scheme is not None):
            raise InvalidInput(
                f"is needed with the verification {HMAC}, and with no other", field="/hmac"
            )
        if self.scheme is not None:
            self.scheme.check()
        for name in ("id_expression", "type_expression"):
            expression_check(f"/{name}", getattr(self.places, name), SCOPE)

    def with_standard_places(self) -> "Wanted":
        """Standard Webhooks say themselves where the id and, usually, the type stand."""
        if self.verification != STANDARD:
            return self
        places = self.places
        if places.id_header is None and places.id_expression is None:
            places = replace(places, id_header="webhook-id")
        if places.type_header is None and places.type_expression is None:
            places = replace(places, type_expression="body.type")
        return replace(self, places=places)

    @property
    def columns(self) -> Json:
        """The values of its columns."""
        scheme = None if self.scheme is None else dumps_or_none(asdict(self.scheme))
        return {"verification": self.verification, "scheme": scheme, **asdict(self.places)}


def create(user_id: UUID, wanted: Wanted, secret: str | None = None) -> Json:
    """Create a source and return it with its secret, which is made if none is given.

    Raise InvalidInput if it is wrong or the user has too many, Conflict if the name is taken.
    """
    wanted = wanted.with_standard_places()
    wanted.check()
    secret = _checked(secret, wanted.verification, wanted.scheme)
    values = {
        **wanted.columns,
        "user": user_id,
        "secret": secret,
        "path": f"{wanted.places.name}-{secrets.token_hex(8)}",
        "most": MOST_SOURCES,
    }
    if _ask(_INSERT, values) is None:
        raise InvalidInput(
            f"you have {MOST_SOURCES} sources, which is the most; delete one that is not needed",
            code="too_many_sources",
        )
    return show(user_id, wanted.places.name) | {"secret": secret}


_INSERT = (
    "INSERT INTO event_sources (organisation_id, project_id, user_id, name, path, verification,"
    " scheme, secret, id_header, id_expression, type_header, type_expression, type_prefix)"
    " SELECT organisation_id, project_id, id, %(name)s, %(path)s, %(verification)s,"
    " %(scheme)s::jsonb, %(secret)s, %(id_header)s, %(id_expression)s, %(type_header)s,"
    " %(type_expression)s, %(type_prefix)s FROM users WHERE id = %(user)s"
    " AND (SELECT count(*) FROM event_sources WHERE user_id = %(user)s) < %(most)s RETURNING id"
)


def change(user_id: UUID, wanted: Wanted) -> Json:
    """Replace everything of a source but its name, its address and its secret, and return it.

    Raise InvalidInput if it is wrong, NotFound if there is none, and Conflict if it is verified
    in another way.
    """
    wanted = wanted.with_standard_places()
    wanted.check()
    known = show(user_id, wanted.places.name)
    if known["verification"] != wanted.verification:
        raise Conflict(
            "the verification of a source cannot be changed; create another source",
            code="verification_fixed",
        )
    _ask(_CHANGE, {**wanted.columns, "user": user_id})
    return show(user_id, wanted.places.name)


_CHANGE = (
    "UPDATE event_sources SET scheme = %(scheme)s::jsonb, id_header = %(id_header)s,"
    " id_expression = %(id_expression)s, type_header = %(type_header)s,"
    " type_expression = %(type_expression)s, type_prefix = %(type_prefix)s,"
    " changed_at = clock_timestamp() WHERE user_id = %(user)s AND name = %(name)s RETURNING id"
)


def rotate(
    user_id: UUID, name: str, secret: str | None = None, former_hours: float = FORMER_HOURS
) -> Json:
    """Give a source another secret, and return the source with it.

    The present one stays valid for so many hours. Raise InvalidInput if the secret is wrong,
    Conflict if the source verifies nothing, and NotFound if there is none.
    """
    known = show(user_id, name)
    if known["verification"] == NONE:
        raise Conflict("this source verifies nothing, so it has no secret", code="no_secret")
    scheme = None if known["hmac"] is None else Scheme(**known["hmac"])
    secret = _checked(secret, known["verification"], scheme)
    values = {"user": user_id, "name": name, "secret": secret, "hours": former_hours}
    _ask(_ROTATE, values)
    return show(user_id, name) | {"secret": secret}


_ROTATE = (
    "UPDATE event_sources SET former_secret = secret, secret = %(secret)s,"
    " former_until = clock_timestamp() + seconds(%(hours)s * 3600), changed_at = clock_timestamp()"
    " WHERE user_id = %(user)s AND name = %(name)s RETURNING id"
)


def delete(user_id: UUID, name: str) -> None:
    """Delete a source; its address is unknown from then on. Raise NotFound if there is none."""
    deleted = "DELETE FROM event_sources WHERE user_id = %(user)s AND name = %(name)s RETURNING id"
    if _ask(deleted, {"user": user_id, "name": name}) is None:
        raise _absent(name)


def show(user_id: UUID, name: str) -> Json:
    """A source without its secrets. Raise NotFound if there is none."""
    found = _ask(
        f"SELECT {_SHOWN} FROM event_sources WHERE user_id = %(user)s AND name = %(name)s",
        {"user": user_id, "name": name},
    )
    if found is None:
        raise _absent(name)
    return found


def listing(user_id: UUID) -> list[Json]:
    """All sources of the user, by name, without their secrets."""
    sql = f"SELECT {_SHOWN} FROM event_sources WHERE user_id = %s ORDER BY name"
    return db.patiently(lambda: db.rows(sql, (user_id,)))


def take_webhook(path: str, headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Verify a webhook, commit its event and match it. Return False if the event is known.

    The names of headers are in lower case. Raise NotFound if no source has the path, Unauthorized
    if the signature is wrong, and InvalidInput if the webhook cannot become an event.
    """
    row = db.patiently(lambda: db.row(_FIND, {"path": path}))
    if row is None:
        raise NotFound("no source of webhooks has this address")
    scheme = row["scheme"]
    try:
        known = list(filter(None, (row["secret"], row["former_secret"])))
        verify(row["verification"], scheme, known, headers, body, now)
    except SignatureInvalid as err:
        # What is wrong helps whoever forges webhooks, so only the log says it.
        log.info("incoming.webhook_refused", source=str(row["id"]), reason=err.message)
        EVENTS_IN.labels("unsigned").inc()
        raise Unauthorized("the webhook is not signed rightly", code="signature_invalid") from err
    places = Places(**{name: row[name] for name in Places.__dataclass_fields__})
    event = event_of(places, headers, body, (scheme or {}).get("header", ""))
    return accept(row["user_id"], [event])[0].is_new


_FIND = (
    "SELECT id, user_id, name, verification, scheme, secret, id_header, id_expression,"
    " type_header, type_expression, type_prefix,"
    " CASE WHEN former_until > clock_timestamp() THEN former_secret END AS former_secret"
    " FROM event_sources WHERE path = %(path)s"
)


def _checked(secret: str | None, verification: str, scheme: Scheme | None) -> str | None:
    """The secret to store, made if none is given. Raise InvalidInput if it cannot be used."""
    if verification == NONE:
        if secret is not None:
            raise InvalidInput("a source that verifies nothing has no secret", field="/secret")
        return None
    encoding = "base64" if scheme is None else scheme.key_encoding
    if secret is None:
        return _made(encoding, is_standard=scheme is None)
    if not LEAST_SECRET <= len(secret) <= LONGEST_SECRET:
        raise InvalidInput(
            f"must have {LEAST_SECRET} to {LONGEST_SECRET} characters", field="/secret"
        )
    key_of(secret.removeprefix(_WHSEC) if scheme is None else secret, encoding)
    if scheme is None:
        Webhook(secret)
    return secret


def _made(encoding: str, *, is_standard: bool) -> str:
    if encoding == "hex":
        return secrets.token_hex(_SECRET_BYTES)
    if encoding == "text":
        return secrets.token_urlsafe(_SECRET_BYTES)
    made = base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    return _WHSEC + made if is_standard else made


def _ask(statement: str, values: Mapping[str, Any]) -> Json | None:
    try:
        return db.row(statement, values)
    except psycopg2.errors.UniqueViolation as err:
        raise Conflict("you have a source of this name already", code="source_exists") from err


def _absent(name: str) -> NotFound:
    return NotFound(f"you have no source {name!r}")
