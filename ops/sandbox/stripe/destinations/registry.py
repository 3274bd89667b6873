"""Event destinations of API v2: who gets which events, with their object or thin.

https://docs.stripe.com/api/v2/core/event-destinations
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.store import Json
from ops.sandbox.stripe.destinations import v2
from ops.sandbox.stripe.destinations.endpoints import check_url, new_secret
from ops.sandbox.stripe.destinations.sending import DESTINATION, Sending
from ops.sandbox.stripe.destinations.thin import NAMES, THIN, notice, stamp
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.wire import API_VERSION
from ops.sandbox.wire import Call, Refusal, Route, reply

URL = "/v2/core/event_destinations"
SERVED = "webhook_endpoint"
_OWN_SCOPES = ("@self", "@accounts")
_SECRET, _ADDRESS = "webhook_endpoint.signing_secret", "webhook_endpoint.url"
_SNAPSHOTS = frozenset(described.PARAMETERS["webhook_endpoint_create"]["enabled_events!"]["*"])
_PING = "v2.core.event_destination.ping"


def _metadata(value: Any) -> str | None:
    is_map = isinstance(value, dict)
    fits = is_map and all(isinstance(each, str | None) for each in value.values())
    return None if fits else "Expected a map of strings."


def _endpoint(value: Any) -> str | None:
    if not isinstance(value, dict) or set(value) != {"url"}:
        return "Expected an object with the field url."
    try:
        check_url(str(value["url"]))
    except Refusal:
        return "url must be a valid URL and start with https:// or, in sandboxes, http://."
    return None


def _includes(*values: str) -> v2.Check:
    return v2.list_of("include", v2.one_of(*values))


_CHANGEABLE: dict[str, v2.Check] = {
    "description": v2.text,
    "enabled_events": v2.list_of("enabled_events", v2.text),
    "metadata": _metadata,
    "name": v2.text,
    "webhook_endpoint": _endpoint,
}
_UPDATE = {**_CHANGEABLE, "include": _includes(_ADDRESS)}
_CREATE: dict[str, v2.Check] = {
    **_CHANGEABLE,
    "event_payload": v2.one_of("snapshot", "thin"),
    "events_from": v2.list_of("events_from", v2.one_of(*_OWN_SCOPES)),
    "include": _includes(_SECRET, _ADDRESS),
    "snapshot_api_version": v2.one_of(*described.VERSIONS),
    "type": v2.one_of(SERVED),
}
_NEEDED = ("enabled_events", "event_payload", "name", "type", "webhook_endpoint")
_READ: dict[str, v2.Check] = {"include": _includes(_ADDRESS)}


class EventDestinations:
    """The destinations. The signing secret is shown by the creation only, and only if asked for."""

    def __init__(self, desk: Desk, sending: Sending) -> None:
        self._desk, self._sending = desk, sending

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        one = f"{URL}/<id>"
        return [
            ("POST", URL, "event_destinations.create", self._create),
            ("GET", URL, "event_destinations.list", self._list),
            ("GET", one, "event_destinations.retrieve", self._retrieve),
            ("POST", one, "event_destinations.update", self._update),
            ("DELETE", one, "event_destinations.delete", self._delete),
            ("POST", f"{one}/disable", "event_destinations.disable", self._sets("disabled")),
            ("POST", f"{one}/enable", "event_destinations.enable", self._sets("enabled")),
            ("POST", f"{one}/ping", "event_destinations.ping", self._ping),
        ]

    def _own(self, destination_id: str) -> Json:
        found = self._desk.find(DESTINATION, destination_id)
        if found is None:
            raise v2.refusal(404, "not_found", v2.NOT_FOUND)
        return found

    def _create(self, call: Call) -> Response:
        given = v2.body_of(call, _CREATE, _NEEDED)
        is_thin = given["event_payload"] == "thin"
        if is_thin and "snapshot_api_version" in given:
            raise v2.invalid("snapshot_api_version: Thin events have no version.")
        _check_events(given["enabled_events"], is_thin=is_thin)
        now = stamp(time.time())
        body = {
            "id": f"ed_test_61{token62(46)}",
            "object": DESTINATION,
            "amazon_eventbridge": None,
            "azure_event_grid": None,
            "created": now,
            "description": given.get("description", ""),
            "enabled_events": given["enabled_events"],
            "event_payload": given["event_payload"],
            "events_from": given.get("events_from", ["@self"]),
            "livemode": False,
            "metadata": {k: v for k, v in given.get("metadata", {}).items() if v is not None},
            "name": given["name"],
            "snapshot_api_version": None
            if is_thin
            else given.get("snapshot_api_version", API_VERSION),
            "status": "enabled",
            "status_details": None,
            "type": given["type"],
            "updated": now,
            "sandbox_url": given["webhook_endpoint"]["url"],
            "sandbox_secret": new_secret(),
        }
        self._desk.put(body)
        self._desk.note(call, "event_destinations", body)
        return reply(_shown(body, given.get("include", [])))

    def _list(self, call: Call) -> Response:
        given = v2.query_of(call, {**_READ, "limit": v2.size, "page": v2.text})
        found = [_shown(each, given.get("include", [])) for each in self._desk.all(DESTINATION)]
        return v2.page(call, found, given, URL)

    def _retrieve(self, call: Call, id: str) -> Response:
        given = v2.query_of(call, _READ)
        return reply(_shown(self._own(id), given.get("include", [])))

    def _update(self, call: Call, id: str) -> Response:
        body, given = self._own(id), v2.body_of(call, _UPDATE)
        if "enabled_events" in given:
            _check_events(given["enabled_events"], is_thin=body["event_payload"] == "thin")
        body |= {name: given[name] for name in ("description", "enabled_events", "name")
                 if name in given}  # fmt: skip
        both = {**body["metadata"], **given.get("metadata", {})}
        body["metadata"] = {k: v for k, v in both.items() if v is not None}
        if "webhook_endpoint" in given:
            body["sandbox_url"] = given["webhook_endpoint"]["url"]
        return reply(_shown(self._touched(body), given.get("include", [])))

    def _delete(self, call: Call, id: str) -> Response:
        body = self._own(id)
        self._desk.put(body | {"deleted": True})
        self._desk.note(call, "event_destinations.deleted", body)
        return reply({"id": id, "object": DESTINATION})

    def _sets(self, status: str) -> Callable[..., Response]:
        def handler(call: Call, id: str) -> Response:
            body = self._own(id)
            v2.body_of(call, {})
            is_off = status == "disabled"
            body["status"] = status
            body["status_details"] = {"disabled": {"reason": "user"}} if is_off else None
            return reply(_shown(self._touched(body), []))

        return handler

    def _touched(self, body: Json) -> Json:
        body["updated"] = stamp(time.time())
        self._desk.put(body)
        return body

    def _ping(self, call: Call, id: str) -> Response:
        """Send a test event, whatever the destination has asked for, unless it is disabled."""
        to = self._own(id)
        v2.body_of(call, {})
        event: Json = {
            "id": f"evt_test_65{token62(28)}",
            "object": THIN,
            "type": _PING,
            "created": stamp(time.time()),
            "context": None,
            "livemode": False,
            "reason": None,
            "changes": None,
            "data": None,
            "snapshot_event": None,
            "related_object": {"id": id, "type": DESTINATION, "url": f"{URL}/{id}"},
        }
        self._desk.put(event)
        if to["status"] == "enabled":
            self._sending.send_to(to, event["id"], notice(event))
        return reply(event)


def _check_events(names: list[str], *, is_thin: bool) -> None:
    """Raise the error of a name that is no event of the payload."""
    known = NAMES if is_thin else _SNAPSHOTS
    wrong = [
        f"enabled_events[{at}]: '{name}' is no event with a {'thin' if is_thin else 'snapshot'} "
        "payload."
        for at, name in enumerate(names)
        if name != "*" and name not in known
    ]
    if wrong or not names:
        raise v2.invalid(*(wrong or ["enabled_events: Expected at least one event."]))


def _shown(body: Json, include: list[str]) -> Json:
    """Return a destination with those of the hidden fields that are asked for."""
    found = {name: value for name, value in body.items() if not name.startswith("sandbox_")}
    return found | {
        "webhook_endpoint": {
            "signing_secret": body["sandbox_secret"] if _SECRET in include else None,
            "url": body["sandbox_url"] if _ADDRESS in include else None,
        }
    }
