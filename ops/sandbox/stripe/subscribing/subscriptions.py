"""Subscriptions. https://docs.stripe.com/api/subscriptions

What changes with time is in `cycles`; the periods and prices of the items are in `items`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from ops.sandbox.store import Json
from ops.sandbox.stripe.catalogue.discounts import redeem
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.subscribing.cycles import ENDED, WARNING_SECONDS, Cycles
from ops.sandbox.stripe.subscribing.items import Items, changed_items, same_intervals
from ops.sandbox.stripe.subscribing.pending import PendingUpdates
from ops.sandbox.stripe.subscribing.resumptions import Resumptions
from ops.sandbox.stripe.subscribing.setups import PendingSetups
from ops.sandbox.stripe.wire import error, no_such
from ops.sandbox.wire import Call, Refusal, Route

_OWN = (
    "items", "coupon", "promotion_code", "discounts", "trial_end", "trial_period_days",
    "payment_behavior", "proration_behavior", "proration_date", "off_session", "cancel_at",
    "cancel_at_period_end", "default_tax_rates", "billing_cycle_anchor", "add_invoice_items",
)  # fmt: skip


class Subscriptions(Resource):
    """The subscriptions."""

    kind, url, calls, prefix, event = (
        "subscription", "/v1/subscriptions", "subscription", "sub", "customer.subscription",
    )  # fmt: skip
    verbs = ("create", "list", "search", "retrieve", "update")
    set_apart = _OWN

    def __init__(self, desk: Desk, cycles: Cycles, items: Items) -> None:
        super().__init__(desk)
        self.cycles, self.items = cycles, items
        self.pending = PendingUpdates(desk, cycles)
        self._setups = PendingSetups(desk, cycles)
        self._resumptions = Resumptions(desk, cycles, items)

    def routes(self) -> Sequence[Route]:
        """Return the endpoints, with those to cancel, pause, resume and take a discount away."""
        return [
            *super().routes(),
            self.action("", "cancel", self.cancel, "DELETE"),
            self.action("pause", "pause", self._pause),
            self.action("resume", "resume", self._resumptions.resume),
            self.action("migrate", "migrate", self._migrate),
            self.action("discount", "delete_discount", self._undiscount, "DELETE"),
        ]

    def create(self, call: Call, given: Json, is_scheduled: bool = False) -> Json:
        """Create a subscription with its first invoice.

        A failed payment leaves it incomplete, or is Stripe's error, as `payment_behavior` says. One
        that a schedule begins is active all the same.
        """
        if not given.get("customer"):
            message = "Missing required param: customer."
            raise error(400, message, "parameter_missing", "customer")
        customer = self.desk.need("customer", given["customer"], "customer")
        now = self.desk.clock_time(customer["test_clock"])
        body = described.new(self.kind, self.prefix, created=now, start_date=now)
        body["test_clock"] = customer["test_clock"]
        self._set(body, given)
        self._complete(call, given, body, customer)
        trial_end = self._trial_end(given, now)
        self.cycles.begin_all(body, now)
        body["status"] = "incomplete"
        if trial_end:
            body |= {"status": "trialing", "trial_start": now, "trial_end": trial_end}
            self._set_ends(body, trial_end)
        self._cancel_later(given, body, now)
        refused = self._first_invoice(call, given, body)
        behavior = given.get("payment_behavior", "allow_incomplete")
        is_error = behavior == "error_if_incomplete" or (refused and refused.status == 400)
        if refused and is_error and not is_scheduled:
            raise refused
        if is_scheduled or body["collection_method"] == "send_invoice":
            body["status"] = "active" if body["status"] == "incomplete" else body["status"]
        if not is_scheduled:
            self._setups.begin(call, body)
        body["sandbox_told"] = True
        self.desk.save(call, body, f"{self.event}.created")
        self.desk.note(call, "subscriptions", body)
        if trial_end and trial_end - now <= WARNING_SECONDS:
            self.cycles.warn(call, body)
        return body

    def _complete(self, call: Call, given: Json, body: Json, customer: Json) -> None:
        listed = given.get("items") or []
        if not listed:
            message = "Missing required param: items."
            raise error(400, message, "parameter_missing", "items")
        data = [self.items.new(call, each, body, f"items[{n}]") for n, each in enumerate(listed)]
        currencies = {item["price"]["currency"] for item in data}
        if len(currencies) > 1:
            message = "All prices on a subscription must have the same currency."
            raise error(400, message, param="items")
        body["currency"] = currencies.pop()
        body["items"] |= {"data": data}
        body["items"]["url"] = f"/v1/subscription_items?subscription={body['id']}"
        kind = given.get("billing_mode", {}).get("type", "flexible")
        flexible = given.get("billing_mode", {}).get(
            "flexible", {"proration_discounts": "included"}
        )
        body["billing_mode"] = {"flexible": flexible if kind == "flexible" else None, "type": kind}
        body["payment_settings"] = {
            "payment_method_options": None, "payment_method_types": None,
            "save_default_payment_method": "off", **(body["payment_settings"] or {}),
        }  # fmt: skip
        body["trial_settings"] = body["trial_settings"] or {
            "end_behavior": {"missing_payment_method": "create_invoice"}
        }
        body["cancellation_details"] = dict.fromkeys(("comment", "feedback", "reason"))
        if body["collection_method"] == "send_invoice" and body["days_until_due"] is None:
            message = "If `collection_method` is `send_invoice`, you must pass `days_until_due`."
            raise error(400, message, "parameter_missing", "days_until_due")
        self._check_method(body)
        self._set_taxes(given, body)
        self._redeem(call, given, body)

    def _first_invoice(self, call: Call, given: Json, body: Json) -> Refusal | None:
        self.desk.put(body)
        is_trial = body["status"] == "trialing"
        lines = [self.items.line(item, is_trial) for item in body["items"]["data"]]
        attempts = given.get("payment_behavior") != "default_incomplete"
        return self.cycles.bill(call, body, lines, "subscription_create", attempts)

    def change(self, call: Call, given: Json, body: Json) -> None:
        """Change the items, with prorations, and what else is given."""
        if body["status"] in ENDED:
            raise no_such(self.kind, body["id"], "id")
        now = self.desk.clock_time(body["test_clock"])
        self._check_method(body)
        self._set_taxes(given, body)
        if any(name in given for name in ("discounts", "coupon", "promotion_code")):
            self._redeem(call, given, body)
        if "pause_collection" in given and given["pause_collection"] == "":
            body["pause_collection"] = None
        self._cancel_later(given, body, now)
        reset = given.get("billing_cycle_anchor", {}).get("type") == "now"
        if "items" in given or reset:
            self._change_items(call, given, body, reset)
        ends = given.get("trial_end")
        if ends == "now" and body["status"] == "trialing":
            call.notes["trial_event"] = self.cycles.end_trial(call, body)
        elif isinstance(ends, int):
            body |= {"status": "trialing", "trial_end": ends}
            body["trial_start"] = body["trial_start"] or now
            self._set_ends(body, ends)

    def update(self, call: Call, given: Json, body: Json) -> Json:
        """Change a subscription; a trial that ends so may pause it, with an event of its own."""
        before = self.items.cost(body["items"]["data"])
        call.notes["metadata_before"] = body["metadata"] or {}
        found = super().update(call, given, body)
        after = self.items.cost(body["items"]["data"])
        if before != after:
            word = "raised" if after > before else "lowered"
            self.desk.note(call, f"subscriptions.{word}", body)
        if "cancel_at_period_end" in given:
            word = "ending" if given["cancel_at_period_end"] else "going_on"
            self.desk.note(call, f"subscriptions.{word}", body)
        event = call.notes.pop("trial_event", "")
        if event:
            self.desk.tell(call, event, found)
        return found

    def _change_items(self, call: Call, given: Json, body: Json, reset: bool) -> None:
        old, anchor = body["items"]["data"], body["billing_cycle_anchor"]
        new = changed_items(self.items, call, given.get("items") or [], body)
        now = self.desk.clock_time(body["test_clock"])
        at = given.get("proration_date", now)
        behavior = given.get("proration_behavior", "create_prorations")
        resets = reset or not same_intervals(old, new)
        prorates = behavior != "none" and body["status"] != "trialing"
        body["items"]["data"] = new
        if prorates and resets:
            self.items.prorate(call, body, old, [], at)
        elif prorates:
            self.items.prorate(call, body, old, new, at)
        if resets and body["status"] != "trialing":
            self.cycles.begin_all(body, now)
            lines = [self.items.line(item) for item in new]
            waits = self._bill_now(call, given, body, lines)
        else:
            bills = prorates and behavior == "always_invoice"
            waits = bills and self._bill_now(call, given, body, [])
        if waits:
            self.pending.put_off(body, old, anchor, given, call.notes["metadata_before"])

    def _bill_now(self, call: Call, given: Json, body: Json, lines: list[Json]) -> bool:
        """Bill a change; return whether it takes effect only when the invoice is paid."""
        self.desk.put(body)
        refused = self.cycles.bill(call, body, lines, "subscription_update")
        behavior = given.get("payment_behavior")
        if refused and behavior == "error_if_incomplete":
            raise refused
        if refused and behavior != "pending_if_incomplete":
            body["status"] = "past_due"
        return refused is not None and behavior == "pending_if_incomplete"

    def cancel(self, call: Call, given: Json, body: Json) -> Json:
        """Cancel now; unused time is credited and billed only on request."""
        if body["status"] in ENDED:
            raise no_such(self.kind, body["id"], "id")
        now = self.desk.clock_time(body["test_clock"])
        if given.get("prorate") and body["status"] != "trialing":
            self.items.prorate(call, body, body["items"]["data"], [], now)
        if given.get("invoice_now"):
            lines = self.items.unbilled(body["items"]["data"], now)
            self.cycles.bill(call, body, lines, "subscription_update")
        details = given.get("cancellation_details") or {}
        body["cancellation_details"] = {**(body["cancellation_details"] or {}), **details}
        self.cycles.end(call, body, "cancellation_requested")
        return body

    def matches(self, body: Json, name: str, value: Any) -> bool:
        """List all that have not ended, unless a status is wanted; filter by price too."""
        if name == "status":
            if value == "all":
                return True
            return body["status"] in ENDED if value == "ended" else bool(body["status"] == value)
        if name in ("price", "plan"):
            return any(item["price"]["id"] == value for item in body["items"]["data"])
        return super().matches(body, name, value)

    def listed(self, given: Json) -> list[Json]:
        """Return the subscriptions; without a status, those that are not canceled."""
        found = super().listed(given)
        return found if "status" in given else [x for x in found if x["status"] != "canceled"]

    def _pause(self, call: Call, given: Json, body: Json) -> Json:
        if body["status"] not in ("active", "past_due", "trialing"):
            message = f"You cannot pause a subscription with a status of {body['status']}."
            raise error(400, message)
        old = copy.deepcopy(body)
        bill_for = given.get("bill_for", {}).get("unused_time_from", {}).get("type", "none")
        if bill_for == "now":
            now = self.desk.clock_time(body["test_clock"])
            self.items.prorate(call, body, body["items"]["data"], [], now)
        now = self.desk.clock_time(body["test_clock"])
        reason = {"transitioned_at": now, "type": "subscription"}
        reason["subscription"] = {"type": "pause_requested"}
        body |= {"status": "paused", "status_details": {"paused": reason}}
        self.desk.save(call, body, "customer.subscription.updated", old)
        self.desk.tell(call, "customer.subscription.paused", body)
        self.desk.note(call, "subscriptions.paused", body)
        return body

    def _migrate(self, call: Call, given: Json, body: Json) -> Json:
        old = copy.deepcopy(body)
        wanted = given["billing_mode"]
        if body["billing_mode"]["type"] == "flexible":
            message = "The subscription already has the billing mode `flexible`."
            raise error(400, message, param="billing_mode")
        flexible = wanted.get("flexible", {"proration_discounts": "included"})
        body["billing_mode"] = {"flexible": flexible, "type": "flexible"}
        self.desk.save(call, body, "customer.subscription.updated", old)
        return body

    def _undiscount(self, call: Call, given: Json, body: Json) -> Json:
        if not body["discounts"]:
            message = f"No active discount for subscription: {body['id']}"
            raise error(404, message, "resource_missing")
        old = copy.deepcopy(body)
        discount = self.desk.own("discount", body["discounts"].pop())
        self.desk.put(discount | {"deleted": True})
        self.desk.tell(call, "customer.discount.deleted", discount)
        self.desk.save(call, body, "customer.subscription.updated", old)
        return discount | {"deleted": True}

    def _redeem(self, call: Call, given: Json, body: Json) -> None:
        wanted = list(given.get("discounts") or [])
        older = ("coupon", "promotion_code")
        wanted += [{name: given[name]} for name in older if given.get(name)]
        owner = {"customer": body["customer"], "subscription": body["id"]}
        found = [redeem(self.desk, call, each, "discounts", **owner) for each in wanted]
        body["discounts"] = [each["id"] for each in found]
        for each in found:
            self.desk.tell(call, "customer.discount.created", each)

    def _set_taxes(self, given: Json, body: Json) -> None:
        if "default_tax_rates" in given:
            body["default_tax_rates"] = [
                self.desk.need("tax_rate", each, "default_tax_rates")
                for each in given["default_tax_rates"] or []
            ]
        body["default_tax_rates"] = body["default_tax_rates"] or []

    def _check_method(self, body: Json) -> None:
        named = body["default_payment_method"]
        found = self.desk.find("payment_method", named) if named else None
        if named and (found is None or found["customer"] != body["customer"]):
            message = (
                f"The customer does not have a payment method with the ID {named}. The payment "
                "method must be attached to the customer."
            )
            raise error(400, message, "resource_missing", "default_payment_method")

    def _trial_end(self, given: Json, now: int) -> int | None:
        if given.get("trial_period_days"):
            return int(now + given["trial_period_days"] * 86400)
        ends = given.get("trial_end")
        if not isinstance(ends, int):
            return None
        if ends <= now:
            raise error(400, "Invalid timestamp: must be in the future", param="trial_end")
        return ends

    def _set_ends(self, body: Json, ends: int) -> None:
        body["billing_cycle_anchor"] = ends
        for item in body["items"]["data"]:
            item["current_period_end"] = ends

    def _cancel_later(self, given: Json, body: Json, now: int) -> None:
        ends = [item["current_period_end"] for item in body["items"]["data"]]
        at_end = given.get("cancel_at_period_end")
        named = {"max_period_end": max(ends), "min_period_end": min(ends)}
        if at_end is not None:
            body["cancel_at_period_end"] = at_end
            body["cancel_at"] = max(ends) if at_end else None
        elif "cancel_at" in given:
            wanted = given["cancel_at"]
            body |= {"cancel_at": named.get(wanted, wanted) or None, "cancel_at_period_end": False}
        else:
            return
        body["canceled_at"] = now if body["cancel_at"] else None
        reason = "cancellation_requested" if body["cancel_at"] else None
        details = body["cancellation_details"] or {}
        body["cancellation_details"] = {**details, "reason": reason}
