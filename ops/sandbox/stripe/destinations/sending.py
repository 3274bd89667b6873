"""Deliveries of events: to the endpoint of the settings, and to those that the API has registered.

Invariant: a delivery is stored in the transaction of its event, under the id of the event. Each
registered endpoint has a secret of its own, which signs. An endpoint that is disabled or deleted
gets nothing, and what was due to it meanwhile has failed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from ops.sandbox.store import Json
from ops.sandbox.stripe.destinations.thin import notice, thin_event, thin_events
from ops.sandbox.stripe.destinations.versions import rendered
from ops.sandbox.stripe.events import public
from ops.sandbox.stripe.resources.desk import Desk

ENDPOINT, DESTINATION = "webhook_endpoint", "v2.core.event_destination"
_REGISTERED = {"we": ENDPOINT, "ed": DESTINATION}
"""What the id of a registered endpoint begins with, and its kind."""


@dataclass(frozen=True)
class _Delivery:
    """Where a body goes to, the id of what it is sent for, and what signs it."""

    url: str
    object_id: str
    scheme: str
    body: Json


class Sending:
    """Sends each event to those who have asked for it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        desk.payments.account.events.senders.append(self.send)
        desk.box.outbox.recipients["stripe"] = self._is_listening

    def send(self, event: Json) -> None:
        """Enqueue the deliveries of a stored event; a snapshot says how many there are."""
        deliveries = [
            *self._of_settings(event),
            *(
                _registered(each, each["url"], rendered(self._desk, event, each["api_version"]))
                for each in self._enabled(ENDPOINT)
                if _is_wanted(event["type"], each["enabled_events"])
            ),
            *(
                _registered(each, each["sandbox_url"], body)
                for each in self._enabled(DESTINATION)
                for body in self._asked_for(each, event)
            ),
        ]
        for each in deliveries:
            is_snapshot = "pending_webhooks" in each.body
            count = {"pending_webhooks": len(deliveries)} if is_snapshot else {}
            self._post(event["id"], replace(each, body=each.body | count))

    def send_to(self, destination: Json, event_id: str, body: Json) -> None:
        """Enqueue one delivery to an event destination."""
        self._post(event_id, _registered(destination, destination["sandbox_url"], body))

    def _asked_for(self, destination: Json, event: Json) -> list[Json]:
        """Return what an event destination gets of an event."""
        enabled = destination["enabled_events"]
        if destination["event_payload"] == "snapshot":
            version = destination["snapshot_api_version"]
            is_wanted = _is_wanted(event["type"], enabled)
            return [rendered(self._desk, event, version)] if is_wanted else []
        return [notice(each) for each in thin_events(event) if _is_wanted(each["type"], enabled)]

    def _of_settings(self, event: Json) -> Iterator[_Delivery]:
        settings = self._desk.box.settings
        if hook := settings.text("hook_base"):
            is_thin = settings.text("stripe.event_payload") == "thin"
            body = notice(thin_event(event)) if is_thin else event
            about = event["data"]["object"].get("id", "")
            yield _Delivery(f"{hook}/hooks/stripe", about, "stripe", body)

    def _enabled(self, kind: str) -> list[Json]:
        return self._desk.all(kind, status="enabled")

    def _is_listening(self, object_id: str) -> bool:
        """Whether the endpoint that an id names, if it names one, is still there and enabled."""
        kind = _REGISTERED.get(object_id.partition("_")[0])
        found = self._desk.find(kind, object_id) if kind else None
        return kind is None or (found is not None and found["status"] == "enabled")

    def _post(self, event_id: str, to: _Delivery) -> None:
        box, raw = self._desk.box, json.dumps(public(to.body), indent=2).encode()
        wait = box.settings.number("stripe.webhook_delay_seconds")
        kind = to.body["type"]
        box.outbox.post("stripe", kind, to.url, event_id, to.object_id, raw, to.scheme, wait)


def _registered(to: Json, url: str, body: Json) -> _Delivery:
    return _Delivery(url, to["id"], f"stripe:{to['sandbox_secret']}", body)


def _is_wanted(kind: str, enabled: list[str]) -> bool:
    return any(fnmatchcase(kind, each) for each in enabled)
