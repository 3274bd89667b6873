"""Deliveries of events: to the endpoint of the settings, and to those that the API has registered.

Invariant: a delivery is stored in the transaction of its event, under the id of the event. Each
registered endpoint has a secret of its own, which signs.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase

from ops.sandbox.store import Json
from ops.sandbox.stripe.destinations.endpoints import rendered
from ops.sandbox.stripe.destinations.thin import notice, thin_event, thin_events
from ops.sandbox.stripe.events import public
from ops.sandbox.stripe.resources.desk import Desk

ENDPOINT, DESTINATION = "webhook_endpoint", "v2.core.event_destination"


class Sending:
    """Sends each event to those who have asked for it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        desk.payments.account.events.senders.append(self.send)

    def send(self, event: Json) -> None:
        """Enqueue the deliveries of a stored event."""
        settings = self._desk.box.settings
        if hook := settings.text("hook_base"):
            is_thin = settings.text("stripe.event_payload") == "thin"
            body = notice(thin_event(event)) if is_thin else event
            about = event["data"]["object"].get("id", "")
            self._post(event["id"], body, f"{hook}/hooks/stripe", about, "stripe")
        for each in self._enabled(ENDPOINT):
            if _is_wanted(event["type"], each["enabled_events"]):
                self._registered(each, each["url"], event["id"], _in_version(event, each))
        for each in self._enabled(DESTINATION):
            for body in _asked_for(each, event):
                self.send_to(each, event["id"], body)

    def send_to(self, destination: Json, event_id: str, body: Json) -> None:
        """Enqueue one delivery to an event destination."""
        self._registered(destination, destination["sandbox_url"], event_id, body)

    def _enabled(self, kind: str) -> list[Json]:
        return self._desk.all(kind, status="enabled")

    def _registered(self, to: Json, url: str, event_id: str, body: Json) -> None:
        self._post(event_id, body, url, to["id"], f"stripe:{to['sandbox_secret']}")

    def _post(self, event_id: str, body: Json, url: str, object_id: str, scheme: str) -> None:
        box, raw = self._desk.box, json.dumps(public(body), indent=2).encode()
        wait = box.settings.number("stripe.webhook_delay_seconds")
        box.outbox.post("stripe", body["type"], url, event_id, object_id, raw, scheme, wait)


def _asked_for(destination: Json, event: Json) -> list[Json]:
    """Return what an event destination gets of an event."""
    enabled = destination["enabled_events"]
    if destination["event_payload"] == "snapshot":
        return [_in_version(event, destination)] if _is_wanted(event["type"], enabled) else []
    return [notice(each) for each in thin_events(event) if _is_wanted(each["type"], enabled)]


def _in_version(event: Json, to: Json) -> Json:
    """Return an event that names the version of its endpoint; its object has the newest form."""
    version = to.get("api_version") or to.get("snapshot_api_version")
    return event | {"api_version": rendered(version)}


def _is_wanted(kind: str, enabled: list[str]) -> bool:
    return any(fnmatchcase(kind, each) for each in enabled)
