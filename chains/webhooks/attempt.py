"""One attempt to deliver a message over HTTP.

Invariant: the bytes that are signed are the bytes that are sent, and only to an address that was
checked for this attempt. What the endpoint answers is bounded in size and in time.
"""

import random
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app import settings
from app.cards import masked
from app.errors import Outcome, Permanent
from app.outbound import http
from app.outbound.hiding import Hidden
from chains.webhooks import addresses, messages, signing, verdicts
from chains.webhooks.verdicts import Verdict

MOST_SECONDS = 15.0
"""The longest that an attempt takes in all: name, connection, request and answer."""
_READ_BYTES = 65_536
_KEPT_CHARACTERS = 1024


@dataclass(frozen=True)
class Sending:
    """A claimed sending, as claim_webhook_sendings_v1 returns it.

    `fence` is the id of the claim, `at` its time, `attempts` the number of attempts before it.
    """

    endpoint_id: UUID
    message_id: UUID
    fence: UUID
    is_slow: bool
    is_ping: bool
    attempts: int
    url: str
    secret: str
    former_secret: str | None
    type: str
    data: dict[str, Any]
    created_at: datetime
    at: datetime

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets that sign it: the present one first."""
        return tuple(filter(None, (self.secret, self.former_secret)))


@dataclass(frozen=True)
class Attempt:
    """What came of an attempt. `error` says why there was no answer; `reply` is a part of one."""

    verdict: Verdict
    status: int | None
    error: str | None
    milliseconds: int
    reply: str | None = None


def seconds_of_attempt() -> float:
    """The longest that an attempt takes in this process: far less than its lease."""
    return min(MOST_SECONDS, settings.current().lease_seconds / 2)


def deliver(sending: Sending, claimed_at: float) -> Attempt | None:
    """Send a message once. `claimed_at` is the time.monotonic() of the claim.

    Returns None if it is too late to send anything: then the lease ends, and it is claimed again.
    """
    began = time.monotonic()
    ends = claimed_at + seconds_of_attempt()
    if ends - began < http.MARGIN_SECONDS:
        return None
    try:
        with (
            http.exchange_scope(ends, []),
            http.operation(
                "the endpoint",
                "the webhook",
                repeatable=True,
                read_seconds=MOST_SECONDS,
                max_bytes=_READ_BYTES,
                is_cut=True,
            ),
        ):
            reply = _send(sending, began - claimed_at)
    except Outcome as err:
        again = verdicts.of_failure(sending.attempts, random.random())
        return Attempt(again, None, err.message, _milliseconds(began))
    verdict = verdicts.of_answer(reply.status, reply.headers, sending.attempts, random.random())
    text = _kept(reply.body, sending.secrets)
    return Attempt(verdict, reply.status, None, _milliseconds(began), text)


def _send(sending: Sending, waited: float) -> http.HttpReply:
    found = addresses.fault(sending.url)
    if found is not None:
        raise Permanent(f"nothing is sent: the address {found}", code="url_refused")
    base_url = settings.current().public_base_url
    body = messages.body(
        sending.message_id, sending.type, sending.created_at, sending.data, base_url
    )
    # The time is the database's: the clock of this machine may be wrong.
    timestamp = int(sending.at.timestamp() + waited)
    shown_id = messages.shown_id(sending.message_id)
    signed = signing.headers(shown_id, timestamp, body, sending.secrets)
    # Most endpoints get a message now and then, so their connections are not kept.
    more = {"Content-Type": "application/json", "Connection": "close"}
    return http.send("POST", sending.url, headers=signed | more, body=body, is_guarded=True)


def _milliseconds(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _kept(body: bytes, secrets: tuple[str, ...]) -> str:
    """The first part of an answer as text, without the secrets of the endpoint and card numbers."""
    text = body[: 4 * _KEPT_CHARACTERS].decode(errors="replace")
    plain = "".join(each if each.isprintable() or each in "\n\t" else "\ufffd" for each in text)
    bare = tuple(secret.removeprefix(signing.PREFIX) for secret in secrets)
    return masked(Hidden((*secrets, *bare)).text(plain))[:_KEPT_CHARACTERS]
