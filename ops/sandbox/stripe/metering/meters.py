"""Meters, which count what customers use. https://docs.stripe.com/api/billing/meter

Stripe documents no words for an event name that is taken, or that no meter has; these are ours.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from ops.sandbox.store import Json
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import error
from ops.sandbox.wire import Call, Route


class Meters(Resource):
    """The meters; an inactive one takes no events."""

    kind, url, calls, prefix, event = (
        "billing.meter", "/v1/billing/meters", "billing/meter", "mtr", "billing.meter",
    )  # fmt: skip

    def routes(self) -> Sequence[Route]:
        """Return the endpoints, with those to deactivate and reactivate."""
        return [
            *super().routes(),
            self.action("deactivate", "deactivate", self._deactivate),
            self.action("reactivate", "reactivate", self._reactivate),
        ]

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Check the event's name, and set what is not given."""
        taken = self.desk.all(self.kind, event_name=given["event_name"], status="active")
        if taken:
            message = f"An active meter with event name {given['event_name']} already exists."
            raise error(400, message, param="event_name")
        mapping = {"event_payload_key": "stripe_customer_id", "type": "by_id"}
        body |= {"status": "active", "updated": body["created"]}
        body["customer_mapping"] = mapping | given.get("customer_mapping", {})
        body["value_settings"] = {"event_payload_key": "value"} | given.get("value_settings", {})
        body["status_transitions"] = {"deactivated_at": None}

    def change(self, call: Call, given: Json, body: Json) -> None:
        """Note the time of the change."""
        body["updated"] = self.desk.now()

    def _deactivate(self, call: Call, given: Json, body: Json) -> Json:
        return self._turn(call, body, "deactivated", self.desk.now())

    def _reactivate(self, call: Call, given: Json, body: Json) -> Json:
        return self._turn(call, body, "reactivated", None)

    def _turn(self, call: Call, body: Json, word: str, at: int | None) -> Json:
        old = copy.deepcopy(body)
        body["status"] = "active" if at is None else "inactive"
        body["status_transitions"] = {"deactivated_at": at}
        self.desk.save(call, body, f"{self.event}.{word}", old)
        return body
