"""Thin events: they name their object, and do not show it.

https://docs.stripe.com/event-destinations#thin-events
"""

from app.platform import Json
from tasks import signatures

THIN = "v2.core.event"


def is_thin(event: Json) -> bool:
    """Whether an event names its object only."""
    return event.get("object") == THIN


def related(event: Json) -> str | None:
    """The id of the object that a thin event names."""
    return signatures.text_at(event, "related_object", "id")
