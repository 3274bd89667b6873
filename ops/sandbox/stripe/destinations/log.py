"""The events of the account, as they are read back. https://docs.stripe.com/api/events"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from werkzeug.wrappers import Response

from ops.sandbox.store import Json
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.wire import created_between, error, page, read_params
from ops.sandbox.wire import Call, Route

URL = "/v1/events"
MOST_TYPES = 20


class Log:
    """The list of events and each event, with the number of its deliveries that are still due."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        return [
            ("GET", URL, "events.list", self._list),
            ("GET", f"{URL}/<id>", "events.retrieve", self._retrieve),
        ]

    def _retrieve(self, call: Call, id: str) -> Response:
        body = self._desk.own("event", id)
        undelivered = self._undelivered(id).get(id, 0)
        return self._desk.answer(
            body | {"pending_webhooks": undelivered}, read_params(call.request)
        )

    def _list(self, call: Call) -> Response:
        params = read_params(call.request)
        given = described.read(call, "event_list", params)
        patterns = _patterns(given)
        undelivered = self._undelivered()
        found = [
            each | {"pending_webhooks": undelivered.get(each["id"], 0)}
            for each in self._desk.all("event")
            if any(fnmatchcase(each["type"], pattern) for pattern in patterns)
        ]
        if "delivery_success" in given:
            is_wanted = given["delivery_success"]
            found = [each for each in found if (each["pending_webhooks"] == 0) is is_wanted]
        return self._desk.answer(page(created_between(found, params), params, URL), params)

    def _undelivered(self, event_id: str | None = None) -> dict[str, int]:
        """Return how many deliveries of each event, or of one, have not succeeded."""
        one, values = ("AND message_id = ?", (event_id,)) if event_id else ("", ())
        rows = self._desk.store.read(
            "SELECT message_id, count(*) AS n FROM outbox WHERE vendor = 'stripe' "
            f"AND state <> 'sent' {one} GROUP BY message_id",
            values,
        )
        return {row["message_id"]: int(row["n"]) for row in rows}


def _patterns(given: Json) -> list[str]:
    """Return the names of the wanted events; only `type` may be a group, such as `charge.*`."""
    if "type" in given and "types" in given:
        message = "You may only specify one of these parameters: type, types."
        raise error(400, message, "parameters_exclusive")
    types: list[str] = given.get("types", [])
    if len(types) > MOST_TYPES:
        raise error(400, f"You may specify up to {MOST_TYPES} types.", param="types")
    if any("*" in each for each in types):
        raise error(400, "The names of `types` may not contain a wildcard.", param="types")
    return types or [given.get("type") or "*"]
