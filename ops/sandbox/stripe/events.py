"""Stripe's events: each change of an object is stored as an event, which is sent to endpoints.

Invariant: the event, its webhooks and the change are written in one transaction.
https://docs.stripe.com/api/events/object
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ops.sandbox.box import Box, token62
from ops.sandbox.store import Json
from ops.sandbox.stripe.money.clock import Clock
from ops.sandbox.stripe.wire import API_VERSION
from ops.sandbox.wire import Call


class Events:
    """Tells what has happened, as an `event` and as a webhook of every kind."""

    def __init__(self, box: Box, clock: Clock) -> None:
        self._box, self._clock = box, clock
        self.senders: list[Callable[[Json], None]] = []
        """Called with each stored event, in the transaction of its change: who else is told."""
        self.listeners: list[Callable[[Call | None, str, Json], None]] = []
        """Called with each event, in the transaction of its change: what else it changes."""

    def tell(self, call: Call | None, kind: str, subject: Json, previous: Any = None) -> None:
        """Store an event about an object, and give it to those who send it.

        `call` is None if Stripe itself made the change, and `previous` holds the old values of
        what an update changed.
        """
        data: Json = {"object": public(subject)}
        if previous is not None:
            data["previous_attributes"] = previous
        event: Json = {
            "id": f"evt_3{token62(23)}",
            "object": "event",
            "api_version": API_VERSION,
            "created": self._clock.now(),
            "data": data,
            "livemode": False,
            "pending_webhooks": 0,
            "request": {
                "id": call.notes.get("request_id") if call else None,
                "idempotency_key": call.notes.get("key") if call else None,
            },
            "type": kind,
        }
        self._box.store.put("event", event["id"], event)
        for send in self.senders:
            send(event)
        for listener in self.listeners:
            listener(call, event["type"], subject)


def public(body: Json) -> Json:
    """Return an object without the sandbox's internal data, whose names start with `sandbox_`."""
    return {name: value for name, value in body.items() if not name.startswith("sandbox_")}
