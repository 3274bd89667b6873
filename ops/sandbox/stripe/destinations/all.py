"""All endpoints of this package, and the sending of events."""

from __future__ import annotations

from collections.abc import Sequence

from ops.sandbox.stripe.destinations.endpoints import WebhookEndpoints
from ops.sandbox.stripe.destinations.log import Log
from ops.sandbox.stripe.destinations.registry import EventDestinations
from ops.sandbox.stripe.destinations.sending import Sending
from ops.sandbox.stripe.destinations.thin_log import ThinLog
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.wire import Route


def destinations(desk: Desk) -> Sequence[Route]:
    """Return the endpoints; from now on events are sent to whom they are registered for."""
    parts = (
        Log(desk), ThinLog(desk), WebhookEndpoints(desk), EventDestinations(desk, Sending(desk)),
    )  # fmt: skip
    return [route for part in parts for route in part.routes()]
