"""Previews of invoices: what would be billed is made as if it were real, and rolled back.

So a preview cannot differ from the invoice that follows it.
https://docs.stripe.com/api/invoices/create_preview
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.store import Json
from ops.sandbox.stripe.billing.items import InvoiceItems
from ops.sandbox.stripe.billing.lines import total_up
from ops.sandbox.stripe.catalogue.discounts import redeem
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.subscribing.subscriptions import Subscriptions
from ops.sandbox.stripe.wire import error, read_params
from ops.sandbox.wire import Call, Refusal, Route

_OF_UPDATE = (
    "billing_cycle_anchor", "cancel_at", "cancel_at_period_end", "items", "metadata",
    "proration_behavior", "proration_date", "trial_end", "default_tax_rates",
)  # fmt: skip
_PAGE = 10
"""So many lines an invoice shows; the others are in its list."""


class Previews(Resource):
    """The endpoint of previews; it leaves nothing behind, no object, event or journal entry."""

    kind, url, calls, prefix, event = "invoice", "/v1/invoices", "invoice", "in", ""
    verbs = ()

    def __init__(self, desk: Desk, subscriptions: Subscriptions, items: InvoiceItems) -> None:
        super().__init__(desk)
        self._subscriptions, self._items = subscriptions, items
        self._cycles = subscriptions.cycles

    def routes(self) -> Sequence[Route]:
        """Return the endpoint."""
        path = f"{self.url}/create_preview"
        return [("POST", path, "invoices.create_preview", self._preview)]

    def _preview(self, call: Call) -> Response:
        params = read_params(call.request)
        given = described.read(call, "invoice_create_preview", params)
        body = self._made(call, given)
        body["id"] = f"upcoming_in_{token62(24)}"
        body |= {"status": "draft", "auto_advance": False, "number": None}
        lines = body["lines"]["data"]
        body["lines"] |= {"data": lines[:_PAGE], "has_more": len(lines) > _PAGE}
        body["lines"]["url"] = f"{self.url}/upcoming/lines"
        shown = self.desk.answer(body, params)
        # A refusal rolls back what the transaction has done.
        raise Refusal(200, self.desk.body_of(shown))

    def _made(self, call: Call, given: Json) -> Json:
        subscription = None
        if given.get("subscription"):
            named = given["subscription"]
            subscription = self.desk.need("subscription", named, "subscription")
        customer = self._customer(call, given, subscription)
        for each in given.get("invoice_items") or []:
            line = {name: value for name, value in each.items() if name != "invoiceitem"}
            if "price" in line:
                line["pricing"] = {"price": line.pop("price")}
            self._items.create(call, {"customer": customer["id"], **line})
        if subscription:
            body = self._of_subscription(call, given, subscription)
        elif given.get("subscription_details", {}).get("items"):
            body = self._of_new(call, given, customer)
        else:
            wanted = {"customer": customer["id"], "pending_invoice_items_behavior": "include"}
            body = self._cycles.invoices.create(call, wanted)
        if "discounts" in given:
            body["discounts"] = [
                redeem(self.desk, call, each, "discounts", customer=customer["id"])["id"]
                for each in given["discounts"] or []
            ]
            total_up(self.desk, body)
        return body

    def _customer(self, call: Call, given: Json, subscription: Json | None) -> Json:
        if given.get("customer"):
            return self.desk.need("customer", given["customer"], "customer")
        if subscription:
            return self.desk.own("customer", subscription["customer"])
        if "customer_details" not in given:
            message = "You must provide one of `customer`, `customer_details` or `subscription`."
            raise error(400, message, "invoice_upcoming_none")
        body = described.new("customer", "cus", balance=0, next_invoice_sequence=1)
        body |= {"invoice_settings": {}, "invoice_prefix": token62(8).upper()}
        body["tax_exempt"] = "none"
        self.desk.put(body)
        return body

    def _of_subscription(self, call: Call, given: Json, subscription: Json) -> Json:
        details = given.get("subscription_details") or {}
        changes = {name: details[name] for name in _OF_UPDATE if name in details}
        before = subscription["latest_invoice"]
        if details.get("cancel_now"):
            return self._at_end(call, subscription)
        if changes:
            subscription = self._subscriptions.update(call, changes, subscription)
        if subscription["latest_invoice"] != before:
            return self.desk.own("invoice", subscription["latest_invoice"])
        if subscription["cancel_at"] or subscription["status"] == "canceled":
            raise error(404, f"No upcoming invoices for customer: {subscription['customer']}",
                        "invoice_upcoming_none")  # fmt: skip
        items = copy.deepcopy(subscription["items"]["data"])
        first = min(item["current_period_end"] for item in items)
        due = [item for item in items if item["current_period_end"] == first]
        for item in due:
            self._cycles.items.begin(item, first, subscription["billing_cycle_anchor"])
        lines = [self._cycles.items.line(item) for item in due]
        body = self._draft(call, subscription, lines)
        return body | {"created": first, "period_end": first}

    def _at_end(self, call: Call, subscription: Json) -> Json:
        now = self.desk.clock_time(subscription["test_clock"])
        data = subscription["items"]["data"]
        self._cycles.items.prorate(call, subscription, data, [], now)
        return self._draft(call, subscription, [])

    def _draft(self, call: Call, subscription: Json, lines: list[Json]) -> Json:
        customer = self.desk.own("customer", subscription["customer"])
        invoices = self._cycles.invoices
        return invoices.draft(call, customer, subscription, "upcoming", lines)

    def _of_new(self, call: Call, given: Json, customer: Json) -> Json:
        details = given["subscription_details"]
        same = ("items", "trial_end", "metadata")
        wanted = {name: details[name] for name in same if name in details}
        wanted["customer"] = customer["id"]
        made = self._subscriptions.create(call, wanted, is_scheduled=True)
        return self.desk.own("invoice", made["latest_invoice"])
