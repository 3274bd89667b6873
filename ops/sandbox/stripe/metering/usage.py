"""Events of meters, their cancellation and their sums. They count at once, and not minutes later.

Invariant: an identifier counts once; Stripe refuses it while it knows it.
https://docs.stripe.com/api/billing/meter-event, /meter-event-adjustment, /meter-event-summary
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.store import Json
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import error, page, read_params
from ops.sandbox.wire import Call, Route

_KIND = "billing.meter_event"
_CANCEL_SECONDS = 24 * 3600
_OLDEST_SECONDS, _EARLIEST_SECONDS = 35 * 86400, 5 * 60


class MeterEvents(Resource):
    """The events, which have no id and are never read again."""

    kind, url, calls, prefix, event = _KIND, "/v1/billing/meter_events", "", "", ""
    verbs = ()

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        sums = "/v1/billing/meters/<id>/event_summaries"
        cancel = "billing.meter_event_adjustments"
        return [
            ("POST", self.url, "billing.meter_events.create", self._report),
            ("POST", "/v1/billing/meter_event_adjustments", f"{cancel}.create", self._cancel),
            ("GET", sums, "billing.meters.event_summaries.list", self._sums),
        ]

    def _report(self, call: Call) -> Response:
        params = read_params(call.request)
        given = described.read(call, "billing/meter_event_create", params)
        now = self.desk.now()
        body = described.new(_KIND, created=now, **given)
        body["identifier"] = given.get("identifier") or str(uuid.uuid4())
        body["timestamp"] = at = given.get("timestamp", now)
        if not now - _OLDEST_SECONDS <= at <= now + _EARLIEST_SECONDS:
            message = (
                "The timestamp must be within the past 35 calendar days or up to 5 minutes in the "
                "future."
            )
            raise error(400, message, param="timestamp")
        if self.desk.store.get(_KIND, body["identifier"]):
            message = f"An event already exists with identifier {body['identifier']}."
            raise error(400, message)
        meter = self._meter(given["event_name"])
        body |= {"sandbox_meter": meter["id"], "sandbox_canceled": False}
        body["sandbox_customer"] = self._customer(meter, given["payload"])
        body["sandbox_value"] = _value(meter, given["payload"])
        self.desk.store.put(_KIND, body["identifier"], body)
        self._note(call, "usage", body)
        return self.desk.answer(body, params)

    def _meter(self, name: str) -> Json:
        found = self.desk.all("billing.meter", event_name=name, status="active")
        if not found:
            message = f"No active meter found for event name {name}."
            raise error(400, message, "resource_missing", "event_name")
        return found[0]

    def _customer(self, meter: Json, payload: Json) -> str:
        key = meter["customer_mapping"]["event_payload_key"]
        return str(self.desk.need("customer", payload.get(key), f"payload[{key}]")["id"])

    def _cancel(self, call: Call) -> Response:
        params = read_params(call.request)
        given = described.read(call, "billing/meter_event_adjustment_create", params)
        identifier = (given.get("cancel") or {}).get("identifier")
        row = self.desk.store.get(_KIND, str(identifier))
        if row is None or row.body["event_name"] != given["event_name"]:
            message = f"No such meter event: '{identifier}'"
            raise error(400, message, "resource_missing", "cancel[identifier]")
        body = row.body
        is_late = self.desk.now() - body["created"] > _CANCEL_SECONDS
        if is_late or body["sandbox_canceled"]:
            word = "is canceled already" if not is_late else "was received more than 24 hours ago"
            raise error(400, f"The meter event {word}.", param="cancel[identifier]")
        self.desk.store.put(_KIND, body["identifier"], body | {"sandbox_canceled": True})
        self._note(call, "usage_canceled", body)
        made = described.new("billing.meter_event_adjustment", status="pending", **given)
        return self.desk.answer(made, params)

    def _sums(self, call: Call, id: str) -> Response:
        params = read_params(call.request)
        given = described.read(call, "billing/meter_event_summary_list", params)
        meter = self.desk.own("billing.meter", id)
        start, end = given["start_time"], given["end_time"]
        amount = used(self.desk, meter["id"], given["customer"], start, end)
        made = described.new("billing.meter_event_summary", "mtrusg", meter=id)
        made |= {"aggregated_value": float(amount), "start_time": start, "end_time": end}
        path = f"/v1/billing/meters/{id}/event_summaries"
        return self.desk.answer(page([made] if amount else [], params, path), params)

    def _note(self, call: Call, effect: str, body: Json) -> None:
        details: dict[str, Any] = {"identifier": body["identifier"], "value": body["sandbox_value"]}
        key = call.notes.get("key")
        self.desk.store.journal("stripe", call.operation, effect, body["identifier"], key, details)


def _value(meter: Json, payload: Json) -> str:
    if meter["default_aggregation"]["formula"] == "count":
        return "1"
    key = meter["value_settings"]["event_payload_key"]
    try:
        value = Decimal(payload[key])
    except (KeyError, InvalidOperation):
        message = f"The payload has no valid value under {key}."
        raise error(400, message, param=f"payload[{key}]") from None
    return str(value)


def used(desk: Desk, meter_id: str, customer: str, start: int, end: int) -> int:
    """Return what a customer has used from a start to an end (Unix seconds), rounded down."""
    meter = desk.find("billing.meter", meter_id)
    if meter is None:
        return 0
    rows = desk.store.query(_KIND, "json_extract(body, '$.sandbox_customer') = ?", (customer,))
    events = [
        row.body
        for row in rows
        if row.body["sandbox_meter"] == meter_id
        and not row.body["sandbox_canceled"]
        and start <= row.body["timestamp"] < end
    ]
    values = [Decimal(each["sandbox_value"]) for each in events]
    if meter["default_aggregation"]["formula"] == "last":
        newest = max(events, key=lambda each: each["timestamp"], default=None)
        return int(Decimal(newest["sandbox_value"])) if newest else 0
    return int(sum(values, Decimal(0)))
