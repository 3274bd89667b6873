"""Webhook endpoints: who is sent what, and what became of it.

Invariant: a secret leaves this module only when it was just made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app import db, settings
from app.errors import Conflict, NotFound
from app.platform import Json
from chains.webhooks import addresses, signing
from chains.webhooks.attempt import Attempt, Sending

MOST_ENDPOINTS = 100
"""Of one user."""
KEPT = timedelta(days=30)
"""How long messages and attempts are kept."""
FAILING_SECONDS = 5 * 86_400.0
"""An endpoint that has only failed for so long is disabled."""
MOST_REPLAYED = 10_000
"""The most messages that one request lets be sent again."""
_BATCH = 1000
_MOST_FORGOTTEN = 200
"""The most batches that one run of the clean-up deletes. The rest waits for the next run."""
_FRESH = ", failures = 0, failing_since = NULL, rest_until = NULL, rests = 0, pace = NULL"
_CHANGED = ("url", "description", "event_types", "with_children")
_ALWAYS = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Wanted:
    """What an endpoint is: its address, and which messages it gets (None: all types)."""

    url: str
    description: str = ""
    event_types: tuple[str, ...] | None = None
    with_children: bool = False


@dataclass(frozen=True)
class Replayed:
    """How many messages are sent again. `has_more`: further ones were left, ask again."""

    count: int
    has_more: bool


def create(user_id: UUID, wanted: Wanted) -> tuple[UUID, str]:
    """Create an endpoint of the user, and return its id and its secret.

    Raises InvalidInput for an address to which nothing may be sent, and Conflict if the user has
    MOST_ENDPOINTS.
    """
    addresses.check(wanted.url)
    secret = signing.new_secret()
    types = None if wanted.event_types is None else list(wanted.event_types)
    given = (user_id, wanted.url, wanted.description, types, wanted.with_children, secret)
    row = db.call(
        "SELECT create_webhook_endpoint_v1(%s, %s, %s, %s::text[], %s, %s, %s) AS id",
        (*given, MOST_ENDPOINTS),
    )
    assert row is not None
    if row["id"] is None:
        raise Conflict(
            f"you have {MOST_ENDPOINTS} endpoints, which is the most; delete one of them",
            code="too_many_endpoints",
        )
    return row["id"], secret


def change(user_id: UUID, endpoint_id: UUID, changes: Mapping[str, Any]) -> None:
    """Change what `Wanted` has, by its names. A new address starts without failures.

    Raises NotFound if the user has no such endpoint, and InvalidInput for its address.
    """
    given = {name: changes[name] for name in _CHANGED if name in changes}
    if "url" in given:
        addresses.check(given["url"])
    columns = "".join(f", {name} = %s" for name in given)
    if "url" in given:
        columns += _FRESH
    row = db.call(
        f"UPDATE webhook_endpoints SET id = id{columns} WHERE id = %s AND user_id = %s"
        " RETURNING id",
        (*given.values(), endpoint_id, user_id),
    )
    if row is None:
        raise _absent()


def delete(user_id: UUID, endpoint_id: UUID) -> None:
    """Delete an endpoint. Nothing more is sent to it. Raises NotFound."""
    row = db.call(
        "DELETE FROM webhook_endpoints WHERE id = %s AND user_id = %s RETURNING id",
        (endpoint_id, user_id),
    )
    if row is None:
        raise _absent()
    miss(endpoint_id)


def rotate(user_id: UUID, endpoint_id: UUID, former_hours: float) -> str:
    """Give an endpoint a new secret, and return it. The present one signs for so many hours more.

    Raises NotFound if the user has no such endpoint.
    """
    secret = signing.new_secret()
    row = db.call(
        "UPDATE webhook_endpoints SET former_secret = secret, secret = %s,"
        " former_until = playalter_now() + seconds(%s) WHERE id = %s AND user_id = %s RETURNING id",
        (secret, former_hours * 3600.0, endpoint_id, user_id),
    )
    if row is None:
        raise _absent()
    return secret


def disable(user_id: UUID, endpoint_id: UUID, *, is_operator: bool = False) -> bool:
    """Send nothing more to an endpoint; return whether it was enabled. An operator may disable any.

    Raises NotFound if there is no such endpoint of the user.
    """
    _known(user_id, endpoint_id, is_operator=is_operator)
    row = db.call("SELECT disable_webhook_endpoint_v1(%s, 'asked') AS is_done", (endpoint_id,))
    miss(endpoint_id)
    return bool(row and row["is_done"])


def enable(user_id: UUID, endpoint_id: UUID) -> bool:
    """Send to a disabled endpoint again; return whether it was disabled.

    What it has missed is sent only by a `replay`. Raises NotFound if the user has no such endpoint.
    """
    _known(user_id, endpoint_id)
    miss(endpoint_id)
    row = db.call("SELECT enable_webhook_endpoint_v1(%s) AS is_done", (endpoint_id,))
    return bool(row and row["is_done"])


def ping(user_id: UUID, endpoint_id: UUID) -> UUID:
    """Let a test message be sent to an endpoint at once, whatever its state; return its id.

    Raises NotFound if the user has no such endpoint.
    """
    _known(user_id, endpoint_id)
    row = db.call("SELECT ping_webhook_endpoint_v1(%s) AS id", (endpoint_id,))
    if row is None or row["id"] is None:
        raise _absent()
    made: UUID = row["id"]
    return made


def replay_one(user_id: UUID, endpoint_id: UUID, message_id: UUID) -> None:
    """Send a message to an endpoint again, with the same id.

    Raises NotFound if it was not made for the endpoint, or is not kept any more, and Conflict if it
    waits to be sent anyhow.
    """
    _refuse_disabled(user_id, endpoint_id)
    row = db.call("SELECT replay_webhook_message_v1(%s, %s) AS verdict", (endpoint_id, message_id))
    if row is None or row["verdict"] == "absent":
        raise NotFound("the endpoint has no such message, or it is not kept any more")
    if row["verdict"] == "waiting":
        raise Conflict("the message waits to be sent already", code="not_ended")


def replay(
    user_id: UUID,
    endpoint_id: UUID,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    with_delivered: bool = False,
) -> Replayed:
    """Send again what has failed or was missed, of messages made from `since` to `until`.

    `with_delivered`: also what was delivered. Raises NotFound if the user has no such endpoint, and
    Conflict if it is disabled.
    """
    _refuse_disabled(user_id, endpoint_id)
    span = (since or _ALWAYS[0], until or _ALWAYS[1])
    count = 0
    for is_delivered in (False, True) if with_delivered else (False,):
        while found := _replay(endpoint_id, is_delivered, span):
            count += found
            if count >= MOST_REPLAYED:
                return Replayed(count, True)
            if found < _BATCH:
                break
    return Replayed(count, False)


def record(sending: Sending, attempt: Attempt) -> str:
    """Record an attempt; returns what record_webhook_attempt_v1 returns."""
    verdict = attempt.verdict
    given = (sending.endpoint_id, sending.message_id, sending.fence)
    shown = (attempt.status, attempt.error, attempt.milliseconds, attempt.reply)
    row = db.hot(
        "record_webhook_attempt_v1",
        "uuid, uuid, uuid, text, float8, float8, integer, text, integer, text, float8",
        (*given, verdict.word, verdict.wait, verdict.rest, *shown, FAILING_SECONDS),
        # Until its lease ends, nobody else sends it.
        seconds=settings.current().lease_seconds,
    )[0]
    result: str = row["record_webhook_attempt_v1"]
    return result


def miss(endpoint_id: UUID) -> None:
    """End all that waits for an endpoint that is disabled or deleted."""
    while _number("miss_webhook_sendings_v1(%s, %s)", (endpoint_id, _BATCH)) >= _BATCH:
        pass


def forget() -> Json:
    """Delete messages and attempts that are older than KEPT. Returns how many rows."""
    deleted = 0
    for _ in range(_MOST_FORGOTTEN):
        found = _number("forget_webhooks_v1(%s, %s)", (KEPT.total_seconds(), _BATCH))
        deleted += found
        if not found:
            break
    return {"deleted": deleted}


def _replay(endpoint_id: UUID, is_delivered: bool, span: tuple[datetime, datetime]) -> int:
    return _number(
        "replay_webhook_sendings_v1(%s, %s, %s, %s, %s)",
        (endpoint_id, is_delivered, *span, _BATCH),
    )


def _number(call: str, given: tuple[Any, ...]) -> int:
    row = db.call(f"SELECT {call} AS number", given)
    assert row is not None
    return int(row["number"])


def _known(user_id: UUID, endpoint_id: UUID, *, is_operator: bool = False) -> Json:
    row = db.call(
        "SELECT disabled_at IS NOT NULL AS is_disabled FROM webhook_endpoints"
        " WHERE id = %s AND (user_id = %s OR %s)",
        (endpoint_id, user_id, is_operator),
    )
    if row is None:
        raise _absent()
    return row


def _refuse_disabled(user_id: UUID, endpoint_id: UUID) -> None:
    if _known(user_id, endpoint_id)["is_disabled"]:
        raise Conflict("the endpoint is disabled; enable it first", code="endpoint_disabled")


def _absent() -> NotFound:
    return NotFound("there is no such webhook endpoint")
