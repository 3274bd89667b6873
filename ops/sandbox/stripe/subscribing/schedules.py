"""Subscription schedules: phases, each of which has items of its own.

https://docs.stripe.com/api/subscription_schedules
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from ops.sandbox.store import Json
from ops.sandbox.stripe.catalogue.months import period_end
from ops.sandbox.stripe.catalogue.prices import plan_of
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.subscribing.cycles import ENDED
from ops.sandbox.stripe.subscribing.subscriptions import Subscriptions
from ops.sandbox.stripe.wire import error
from ops.sandbox.wire import Call, Route

EXPIRING_SECONDS = 7 * 86400
"""So long before its end a schedule is told to expire."""
_PHASE: Json = {
    "add_invoice_items": [], "application_fee_percent": None, "billing_cycle_anchor": None,
    "billing_thresholds": None, "collection_method": None, "currency": None,
    "default_payment_method": None, "default_tax_rates": [], "description": None, "discounts": [],
    "end_date": 0, "invoice_settings": None, "items": [], "metadata": {}, "on_behalf_of": None,
    "proration_behavior": "create_prorations", "start_date": 0, "transfer_data": None,
    "trial_end": None,
}  # fmt: skip


class Schedules(Resource):
    """The schedules; a started one owns a subscription."""

    kind, url, calls, prefix, event = (
        "subscription_schedule", "/v1/subscription_schedules", "subscription_schedule",
        "sub_sched", "subscription_schedule",
    )  # fmt: skip
    set_apart = ("phases", "start_date", "from_subscription", "customer")

    def __init__(self, desk: Desk, subscriptions: Subscriptions) -> None:
        super().__init__(desk)
        self._subscriptions = subscriptions

    def routes(self) -> Sequence[Route]:
        """Return the endpoints, with those to cancel and release."""
        return [
            *super().routes(),
            self.action("cancel", "cancel", self._cancel),
            self.action("release", "release", self._release),
        ]

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Plan the phases."""
        named = given.get("from_subscription")
        source = self.desk.need("subscription", named, "from_subscription") if named else None
        owner = source["customer"] if source else given.get("customer")
        if not owner:
            message = "Missing required param: customer."
            raise error(400, message, "parameter_missing", "customer")
        customer = self.desk.need("customer", owner, "customer")
        now = self.desk.clock_time(customer["test_clock"])
        body |= {"customer": customer["id"], "test_clock": customer["test_clock"], "created": now}
        body["end_behavior"] = given.get("end_behavior", "release")
        body["billing_mode"] = {
            "flexible": {"proration_discounts": "included"}, "type": "flexible",
            **given.get("billing_mode", {}),
        }  # fmt: skip
        if source:
            self._adopt(body, source)
            return
        if not given.get("phases"):
            message = "Missing required param: phases."
            raise error(400, message, "parameter_missing", "phases")
        start = given.get("start_date", "now")
        self._plan(body, given["phases"], now if start == "now" else start)

    def made(self, call: Call, given: Json, body: Json) -> Json:
        """Start at once what begins now."""
        now = self.desk.clock_time(body["test_clock"])
        if body["status"] == "not_started" and body["phases"][0]["start_date"] <= now:
            self._start(call, body)
        return body

    def change(self, call: Call, given: Json, body: Json) -> None:
        """Plan the phases anew; past ones must be repeated, with their start."""
        if body["status"] not in ("not_started", "active"):
            message = f"You cannot update a subscription schedule that is {body['status']}."
            raise error(400, message)
        if "phases" in given:
            start = given["phases"][0].get("start_date", body["phases"][0]["start_date"])
            now = self.desk.clock_time(body["test_clock"])
            self._plan(body, given["phases"], now if start == "now" else start)

    def next_time(self, body: Json) -> int | None:
        """Return when a schedule moves next by itself (Unix seconds), or None."""
        if body["status"] == "not_started":
            return int(body["phases"][0]["start_date"])
        if body["status"] != "active":
            return None
        times = [body["current_phase"]["end_date"]]
        if not body.get("sandbox_warned"):
            times.append(body["phases"][-1]["end_date"] - EXPIRING_SECONDS)
        return int(min(times))

    def move(self, call: Call, body: Json) -> None:
        """Do what is due of a schedule at the time of its clock."""
        now = self.desk.clock_time(body["test_clock"])
        if body["status"] == "not_started":
            self._start(call, body)
        elif body["current_phase"]["end_date"] > now:
            body["sandbox_warned"] = True
            self.desk.put(body)
            self.desk.tell(call, f"{self.event}.expiring", body)
        elif body["current_phase"]["end_date"] == body["phases"][-1]["end_date"]:
            self._complete(call, body)
        else:
            self._next_phase(call, body, now)

    def _plan(self, body: Json, given: list[Json], start: int) -> None:
        phases = []
        for at, each in enumerate(given):
            items = [
                self._item(item, f"phases[{at}][items][{n}]")
                for n, item in enumerate(each["items"])
            ]
            known = {name: value for name, value in each.items() if name in _PHASE}
            phase = copy.deepcopy(_PHASE) | known | {"items": items, "start_date": start}
            price = self.desk.own("price", items[0]["price"])
            phase["currency"] = price["currency"]
            phase["end_date"] = self._end(each, price["recurring"], start)
            start = phase["end_date"]
            phases.append(phase)
        body["phases"] = phases

    def _end(self, given: Json, recurring: Json, start: int) -> int:
        if "end_date" in given:
            if given["end_date"] <= start:
                message = "The end of a phase must be after its start."
                raise error(400, message, param="phases")
            return int(given["end_date"])
        if "duration" in given:
            length = given["duration"]
            return period_end(start, length["interval"], length.get("interval_count", 1))
        count = recurring["interval_count"] * given.get("iterations", 1)
        return period_end(start, recurring["interval"], count)

    def _item(self, given: Json, param: str) -> Json:
        named = given.get("price") or given.get("plan")
        if not named:
            message = f"Missing required param: {param}[price]."
            raise error(400, message, "parameter_missing", f"{param}[price]")
        price = self.desk.need("price", named, f"{param}[price]")
        if not price["recurring"]:
            message = "The price specified must be a recurring one."
            raise error(400, message, param=f"{param}[price]")
        return {
            "billing_thresholds": None, "discounts": [], "metadata": given.get("metadata") or {},
            "plan": plan_of(price)["id"], "price": price["id"],
            "quantity": given.get("quantity", 1), "tax_rates": given.get("tax_rates") or [],
        }  # fmt: skip

    def _adopt(self, body: Json, source: Json) -> None:
        if source["schedule"]:
            message = "The subscription already has a schedule."
            raise error(400, message, param="from_subscription")
        phase = copy.deepcopy(_PHASE) | {"currency": source["currency"]}
        first = source["items"]["data"][0]
        phase |= {
            "start_date": first["current_period_start"], "end_date": first["current_period_end"],
        }  # fmt: skip
        phase["items"] = [
            self._item({"price": item["price"]["id"], "quantity": item["quantity"]}, "phases")
            for item in source["items"]["data"]
        ]
        body |= {"phases": [phase], "status": "active", "subscription": source["id"]}
        body["current_phase"] = {"start_date": phase["start_date"], "end_date": phase["end_date"]}
        self.desk.put(source | {"schedule": body["id"]})

    def _start(self, call: Call, body: Json) -> None:
        old, phase = copy.deepcopy(body), body["phases"][0]
        given: Json = {
            "customer": body["customer"], "items": _wanted(phase), "metadata": phase["metadata"],
        }  # fmt: skip
        if phase["trial_end"]:
            given["trial_end"] = phase["trial_end"]
        made = self._subscriptions.create(call, given, is_scheduled=True)
        self.desk.put(made | {"schedule": body["id"]})
        body |= {"status": "active", "subscription": made["id"]}
        body["current_phase"] = {"start_date": phase["start_date"], "end_date": phase["end_date"]}
        self.desk.save(call, body, f"{self.event}.updated", old)

    def _next_phase(self, call: Call, body: Json, now: int) -> None:
        old = copy.deepcopy(body)
        phase = next(each for each in body["phases"] if each["start_date"] >= now)
        body["current_phase"] = {"start_date": phase["start_date"], "end_date": phase["end_date"]}
        subscription = self.desk.find("subscription", body["subscription"])
        if subscription and subscription["status"] not in ENDED:
            gone = [{"id": each["id"], "deleted": True} for each in subscription["items"]["data"]]
            given: Json = {"items": [*_wanted(phase), *gone]}
            given["proration_behavior"] = phase["proration_behavior"]
            self._subscriptions.update(call, given, subscription)
        self.desk.save(call, body, f"{self.event}.updated", old)

    def _complete(self, call: Call, body: Json) -> None:
        now = self.desk.clock_time(body["test_clock"])
        subscription = self.desk.find("subscription", body["subscription"])
        body |= {"status": "completed", "completed_at": now, "current_phase": None}
        if subscription and subscription["status"] not in ENDED:
            if body["end_behavior"] == "cancel":
                self._subscriptions.cycles.end(call, subscription, "cancellation_requested")
            else:
                self.desk.put(subscription | {"schedule": None})
                body["released_subscription"] = subscription["id"]
                body["subscription"] = None
        self.desk.save(call, body, f"{self.event}.completed")

    def _cancel(self, call: Call, given: Json, body: Json) -> Json:
        self._need_open(body, "canceled")
        was_started = body["status"] == "active"
        now = self.desk.clock_time(body["test_clock"])
        subscription = self.desk.find("subscription", body["subscription"])
        body |= {"status": "canceled", "canceled_at": now, "current_phase": None}
        self.desk.put(body)
        if subscription and subscription["status"] not in ENDED:
            wanted = {name: given.get(name, True) for name in ("invoice_now", "prorate")}
            self._subscriptions.cancel(call, wanted, subscription)
        self.desk.save(call, body, f"{self.event}.canceled")
        if not was_started:
            # Stripe's CLI triggers this event by canceling a schedule before its start.
            self.desk.tell(call, f"{self.event}.aborted", body)
        return body

    def _release(self, call: Call, given: Json, body: Json) -> Json:
        self._need_open(body, "released")
        now = self.desk.clock_time(body["test_clock"])
        subscription = self.desk.find("subscription", body["subscription"])
        if subscription:
            self.desk.put(subscription | {"schedule": None})
        body |= {"status": "released", "released_at": now, "current_phase": None}
        body |= {"released_subscription": body["subscription"], "subscription": None}
        self.desk.save(call, body, f"{self.event}.released")
        return body

    def _need_open(self, body: Json, participle: str) -> None:
        if body["status"] not in ("not_started", "active"):
            message = (
                f"This subscription schedule cannot be {participle} because it has a status of "
                f"{body['status']}."
            )
            raise error(400, message)

    def matches(self, body: Json, name: str, value: Any) -> bool:
        """Filter by times, and those that have not begun, too."""
        if name == "scheduled":
            return bool(value is (body["status"] == "not_started"))
        return super().matches(body, name, value)


def _wanted(phase: Json) -> list[Json]:
    return [
        {"price": item["price"], "quantity": item["quantity"], "metadata": item["metadata"]}
        for item in phase["items"]
    ]
