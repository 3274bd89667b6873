"""The version of Stripe's API that our calls name, and the events that have its shapes.

An event is rendered once, when it is made, in the version of its endpoint. Reading it again at
Stripe gives the same shape. https://docs.stripe.com/webhooks/versioning
"""

from app.platform import Json

VERSION = "2026-10-28.endive"
"""The version of Stripe's API, which is that of the SDK."""


def is_ours(event: Json) -> bool:
    """Whether the object in an event has the shape that our code reads. Neither an older version,
    nor one that is not known here, nor an event without a version has it."""
    return event.get("api_version") == VERSION
