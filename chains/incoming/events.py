"""Incoming events as values: what their senders may say, and how expressions see them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from app import cards
from app.errors import InvalidInput
from app.payload import text_of
from app.platform import Json
from chains.language.event_patterns import TYPE_PATTERN
from chains.language.functions.dates import written

MOST_EVENTS = 500
"""The most events of one request."""
MOST_DATA_BYTES = 500_000
LONGEST_SOURCE = 500
LONGEST_ID = 1000
LONGEST_SUBJECT = 500
WORKFLOWS = "/v1/workflows/"
"""The beginning of the sources of events that workflows emit."""
HOOKS = "/hooks/"
"""The beginning of the sources of events that are webhooks."""

_TYPE = re.compile(TYPE_PATTERN, re.ASCII)
_OWN = ("/v1/", HOOKS)
_FIRST_YEAR, _LAST_YEAR = 1900, 9000
_FIELDS = frozenset({"source", "id", "type", "time", "subject", "data"})


@dataclass(frozen=True)
class Incoming:
    """An event that was checked. `attributes` are those of CloudEvents that have no field here."""

    source: str
    source_id: str
    type: str
    data: Any = None
    subject: str | None = None
    occurred_at: datetime | None = None
    attributes: Mapping[str, Any] | None = None


def read_event(given: Any) -> Incoming:
    """Check an event that a user sends; raise InvalidInput, with the pointer to the fault."""
    if not isinstance(given, dict):
        raise InvalidInput("an event is a JSON object", field="")
    unknown = sorted(given.keys() - _FIELDS)
    if unknown:
        raise InvalidInput("is not a known field of an event", field=f"/{unknown[0]}")
    return checked(given)


def checked(given: Json, attributes: Json | None = None, *, is_own: bool = False) -> Incoming:
    """Check the fields of an event; raise InvalidInput, with the pointer to the fault.

    `is_own`: Playalter itself is the source, so that the event may have one of its sources.
    """
    source = _text(given, "source", LONGEST_SOURCE)
    if source.startswith(_OWN) and not is_own:
        raise InvalidInput(
            f"sources that begin with {' or '.join(_OWN)} are for events of workflows and webhooks",
            field="/source",
        )
    type = _text(given, "type", LONGEST_SOURCE)
    if not _TYPE.fullmatch(type):
        raise InvalidInput(
            "must be letters, digits and . _ : / - (at most 200, not first)", field="/type"
        )
    subject = _text(given, "subject", LONGEST_SUBJECT) if given.get("subject") else None
    data = given.get("data")
    if len(text_of([data, attributes]).encode()) > MOST_DATA_BYTES:
        raise InvalidInput(f"is larger than {MOST_DATA_BYTES} bytes", field="/data")
    source_id = _text(given, "id", LONGEST_ID)
    return Incoming(source, source_id, type, data, subject, _time(given.get("time")), attributes)


def _text(given: Json, name: str, most: int) -> str:
    value = given.get(name)
    if value is None or value == "":
        raise InvalidInput("is required", field=f"/{name}")
    if not isinstance(value, str):
        raise InvalidInput("must be a text", field=f"/{name}")
    if len(value.encode("utf-8", "surrogatepass")) > most:
        raise InvalidInput(f"is longer than {most} bytes", field=f"/{name}")
    if cards.is_certain(value):
        raise InvalidInput(
            "holds the number of a payment card", field=f"/{name}", code="card_number"
        )
    return value


def _time(given: Any) -> datetime | None:
    if given is None:
        return None
    try:
        at = datetime.fromisoformat(given)
    except (TypeError, ValueError) as err:
        raise InvalidInput(
            "must be a time with its offset, such as 2027-01-31T09:00:00Z", field="/time"
        ) from err
    if at.tzinfo is None:
        raise InvalidInput("must have an offset from UTC, such as Z or +01:00", field="/time")
    if not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        raise InvalidInput(
            f"must be between the years {_FIRST_YEAR} and {_LAST_YEAR}", field="/time"
        )
    return at.astimezone(UTC)


@dataclass(frozen=True)
class Stored:
    """A row of an event, as it is matched."""

    id: UUID
    user_id: UUID
    source: str
    source_id: str
    type: str
    subject: str | None
    occurred_at: datetime | None
    received_at: datetime
    data: Any
    attributes: Any
    depth: int

    @property
    def scope(self) -> Json:
        """What expressions read: the name `event`."""
        return {
            "event": {
                "id": self.source_id,
                "source": self.source,
                "type": self.type,
                "subject": self.subject,
                "time": None if self.occurred_at is None else written(self.occurred_at),
                "received_at": written(self.received_at),
                "data": self.data,
                "attributes": self.attributes or {},
            }
        }


FIELDS = tuple(Stored.__dataclass_fields__)
"""The columns of a `Stored`."""
