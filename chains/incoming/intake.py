"""Stores events, and then matches them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from uuid_utils.compat import uuid7

from app import db
from app.card_numbers import without_card_numbers
from app.payload import dumps_or_none, text_of
from app.telemetry import EVENTS_IN
from chains.incoming.events import Incoming
from chains.incoming.matching import PATIENCE_SECONDS, match_at_once
from chains.language.event_filters import keys_of

_TYPES = (
    "uuid, integer, uuid[], text[], text[], text[], text[], timestamptz[], text[], text[], text[],"
    " double precision"
)


@dataclass(frozen=True)
class Accepted:
    """The row of an event. `is_new` is false if the event was stored before."""

    id: UUID
    is_new: bool


def accept(user_id: UUID, events: Sequence[Incoming], *, depth: int = 0) -> list[Accepted]:
    """Commit events, each once by its source and its id there, then match the new ones.

    Raises Unavailable if they cannot be stored. What cannot be matched now is matched later.
    """
    stored = store(user_id, events, depth=depth)
    match_at_once([each.id for each in stored if each.is_new])
    return stored


def store(user_id: UUID, events: Sequence[Incoming], *, depth: int = 0) -> list[Accepted]:
    """Commit events, in the order given. The reconciler matches them unless the caller does."""
    if not events:
        return []
    events = [_without_card_numbers(each) for each in events]
    given = (
        *(user_id, depth),
        [uuid7() for _ in events],
        [each.source for each in events],
        [each.source_id for each in events],
        [each.type for each in events],
        [each.subject for each in events],
        [each.occurred_at for each in events],
        [text_of(each.data) for each in events],
        [dumps_or_none(each.attributes or None) for each in events],
        [_keys(each) for each in events],
        PATIENCE_SECONDS,
    )
    rows = db.hot("accept_incoming_v1", _TYPES, given)
    for row in rows:
        EVENTS_IN.labels("accepted" if row["is_new"] else "duplicate").inc()
    return [Accepted(row["event_id"], row["is_new"]) for row in rows]


def _without_card_numbers(event: Incoming) -> Incoming:
    """The event as it is stored; those of users were searched before (web/bodies.py)."""
    data, attributes = without_card_numbers([event.data, event.attributes], "event")
    return replace(event, data=data, attributes=attributes)


def _keys(event: Incoming) -> str | None:
    """The keys by which waits for the event are found, as PostgreSQL writes an array."""
    keys = keys_of({"data": event.data, "subject": event.subject})
    return None if keys is None else f"{{{','.join(map(str, keys))}}}"
