"""Stripe's events: each change of an object is stored as an event, and sent as a signed webhook.

Invariant: the event, its webhook and the change are written in one transaction.
https://docs.stripe.com/api/events/object
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
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
        self.listeners: list[Callable[[Call | None, str, Json], None]] = []
        """Called with each event, in the transaction of its change: what else it changes."""

    def tell(self, call: Call | None, kind: str, subject: Json, previous: Any = None) -> None:
        """Store an event about an object, and send it to the webhook endpoint.

        `call` is None if Stripe itself made the change, and `previous` holds the old values of
        what an update changed.
        """
        hook = self._box.settings.text("hook_base")
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
            "pending_webhooks": int(bool(hook)),
            "request": {
                "id": call.notes.get("request_id") if call else None,
                "idempotency_key": call.notes.get("key") if call else None,
            },
            "type": kind,
        }
        self._box.store.put("event", event["id"], event)
        sent = event
        if self._box.settings.text("stripe.event_payload") == "thin":
            sent, kind = thin(event), f"v1.{kind}"
        if hook:
            self._box.outbox.post(
                "stripe", kind, f"{hook}/hooks/stripe", event["id"], subject.get("id", ""),
                json.dumps(sent, indent=2).encode(), "stripe",
                self._box.settings.number("stripe.webhook_delay_seconds"),
            )  # fmt: skip
        for listener in self.listeners:
            listener(call, event["type"], subject)


def thin(event: Json) -> Json:
    """Return the event as an endpoint with the `event_payload` thin gets it: it names its object.

    https://docs.stripe.com/api/v2/core/events/object
    """
    about, asked = event["data"]["object"], event["request"]
    path = about["object"].replace(".", "/")
    created = datetime.fromtimestamp(event["created"], UTC).isoformat(timespec="milliseconds")
    return {
        "id": event["id"],
        "object": "v2.core.event",
        "type": f"v1.{event['type']}",
        "created": created.replace("+00:00", "Z"),
        "context": None,
        "livemode": False,
        "reason": {"type": "request", "request": asked} if asked["id"] else None,
        "related_object": {
            "id": about.get("id"),
            "type": about["object"],
            "url": f"/v1/{path}s/{about.get('id')}",
        },
    }


def public(body: Json) -> Json:
    """Return an object without the sandbox's internal data, whose names start with `sandbox_`."""
    return {name: value for name, value in body.items() if not name.startswith("sandbox_")}
