"""The events of API v2, as they are read back. https://docs.stripe.com/api/v2/core/events"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.store import Json
from ops.sandbox.stripe.destinations import v2
from ops.sandbox.stripe.destinations.thin import THIN, snapshot_id, thin_event, thin_events
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.wire import Call, Route, reply

URL = "/v2/core/events"
MOST_TYPES = 20
_TESTS: dict[str, Callable[[datetime, datetime], bool]] = {
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}


def _between(value: Any) -> str | None:
    if not isinstance(value, dict) or not set(value) <= set(_TESTS):
        return f"Expected an object with the fields {', '.join(_TESTS)}."
    try:
        is_aware = all(_time(each).tzinfo for each in value.values())
    except ValueError:
        is_aware = False
    return None if is_aware else "Expected a timestamp such as 2026-10-28T12:00:00.000Z."


_FILTERS: dict[str, v2.Check] = {
    "created": _between,
    "limit": v2.size,
    "object_id": v2.text,
    "page": v2.text,
    "types": v2.list_of("types", v2.text, MOST_TYPES),
}


class ThinLog:
    """The list of thin events, the newest first, and each thin event."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        return [
            ("GET", URL, "v2_events.list", self._list),
            ("GET", f"{URL}/<id>", "v2_events.retrieve", self._retrieve),
        ]

    def _retrieve(self, call: Call, id: str) -> Response:
        v2.query_of(call, {})
        own = self._desk.find(THIN, id)
        event = self._desk.find("event", snapshot_id(id))
        known = [own] if own else [*thin_events(event), thin_event(event)] if event else []
        for each in known:
            if each["id"] == id:
                return reply(each)
        raise v2.refusal(404, "not_found", v2.NOT_FOUND)

    def _list(self, call: Call) -> Response:
        given = v2.query_of(call, _FILTERS)
        pings = self._desk.all(THIN)
        found = [thin for event in self._desk.all("event") for thin in thin_events(event)]
        both = sorted([*pings, *found], key=lambda each: str(each["created"]), reverse=True)
        return v2.page(call, [each for each in both if _passes(each, given)], given, URL)


def _passes(event: Json, given: Json) -> bool:
    about = event.get("related_object") or {}
    created = _time(event["created"])
    bounds = given.get("created", {}).items()
    return (
        ("types" not in given or event["type"] in given["types"])
        and ("object_id" not in given or about.get("id") == given["object_id"])
        and all(_TESTS[name](created, _time(bound)) for name, bound in bounds)
    )


def _time(value: Any) -> datetime:
    return datetime.fromisoformat(str(value))
