"""Invoices while they are drafts, and how they are read. `collection` has what comes after.

https://docs.stripe.com/api/invoices
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.store import Json
from ops.sandbox.stripe.billing.collection import Collection
from ops.sandbox.stripe.billing.items import InvoiceItems
from ops.sandbox.stripe.billing.lines import item_line, pricing_of, total_up
from ops.sandbox.stripe.catalogue.discounts import redeem
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk, listing
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import error, page, read_params
from ops.sandbox.wire import Call, Route

_LATER = ("auto_advance", "metadata", "payment_settings", "default_payment_method", "number")
AUTOMATIC_SECONDS = 3600
"""After this time a draft with `auto_advance` is finalized."""


class Invoices(Resource):
    """The invoices."""

    kind, url, calls, prefix, event = "invoice", "/v1/invoices", "invoice", "in", "invoice"
    verbs = ("create", "list", "search", "retrieve", "update", "delete")
    set_apart = ("discounts", "default_tax_rates", "days_until_due", "subscription")

    def __init__(self, desk: Desk, collection: Collection, items: InvoiceItems) -> None:
        super().__init__(desk)
        self.collection, self._items = collection, items
        desk.includes[self.kind, "payments"] = lambda body: listing(
            desk.all("invoice_payment", invoice=body["id"]), "/v1/invoice_payments"
        )
        desk.includes[self.kind, "confirmation_secret"] = collection.secret

    def routes(self) -> Sequence[Route]:
        """Return the endpoints, with those of an invoice's later life."""
        then = self.collection
        return [
            *super().routes(),
            self.action("finalize", "finalize_invoice", then.finalize_by_hand),
            self.action("pay", "pay", then.pay),
            self.action("void", "void_invoice", then.void),
            self.action("mark_uncollectible", "mark_uncollectible", then.give_up),
            self.action("send", "send_invoice", then.send),
            self.action("add_lines", "add_lines", self._add_lines),
            ("GET", f"{self.url}/<id>/lines", "invoices.lines.list", self._lines),
        ]

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Make a draft for a customer, with the items that wait for it if they are wanted."""
        if not given.get("customer"):
            message = "Missing required param: customer."
            raise error(400, message, "parameter_missing", "customer")
        customer = self.desk.need("customer", given["customer"], "customer")
        wanted = given.get("pending_invoice_items_behavior") == "include"
        items = self._waiting(given, customer) if wanted else []
        first = items[0]["currency"] if items else customer["currency"]
        begin(self.desk, body, customer, given.get("currency") or first or "usd")
        body["billing_reason"] = "manual"
        self._due_date(given, body)
        self._redeem(call, given, body, customer)
        for item in items:
            if item["currency"] == body["currency"]:
                self.take(body, item)
        total_up(self.desk, body)

    def change(self, call: Call, given: Json, body: Json) -> None:
        """Change a draft; of a later invoice only some fields change."""
        late = [name for name in given if name not in _LATER]
        if body["status"] != "draft" and late:
            message = "Finalized invoices can't be updated in this way"
            raise error(400, message, "invoice_not_editable", late[0])
        self._due_date(given, body)
        customer = self.desk.own("customer", body["customer"])
        if "discounts" in given:
            self._redeem(call, given, body, customer)
        if "default_tax_rates" in given:
            body["default_tax_rates"] = [
                self.desk.need("tax_rate", each, "default_tax_rates")
                for each in given["default_tax_rates"] or []
            ]
        total_up(self.desk, body) if body["status"] == "draft" else None

    def may_delete(self, body: Json) -> None:
        """Let the items wait again; raises Stripe's error if it is no draft."""
        if body["status"] != "draft":
            message = "You can only delete draft invoices"
            raise error(400, message, "invoice_not_editable")
        for item in self.desk.all("invoiceitem", invoice=body["id"]):
            self.desk.put(item | {"invoice": None})

    def matches(self, body: Json, name: str, value: Any) -> bool:
        """Filter by subscription too."""
        if name == "subscription":
            return bool(subscription_of(body) == value)
        return super().matches(body, name, value)

    def take(self, body: Json, item: Json) -> None:
        """Put a waiting item on a draft."""
        self.desk.put(item | {"invoice": body["id"]})
        body["lines"]["data"].append(item_line(item, body["id"]))

    def draft(
        self, call: Call, customer: Json, subscription: Json, reason: str, lines: list[Json]
    ) -> Json:
        """Make the draft of a subscription, with these lines and the items that wait for it."""
        body = described.new(self.kind, self.prefix)
        begin(self.desk, body, customer, subscription["currency"])
        body |= {"billing_reason": reason, "auto_advance": True}
        body["collection_method"] = subscription["collection_method"]
        body["default_payment_method"] = subscription["default_payment_method"]
        body["default_tax_rates"] = subscription["default_tax_rates"] or []
        body["discounts"] = list(subscription["discounts"]) or self._inherited(customer)
        body["parent"] = {
            "quote_details": None,
            "subscription_details": {
                "metadata": dict(subscription["metadata"]), "subscription": subscription["id"],
            },
            "type": "subscription_details",
        }  # fmt: skip
        self._due_date({"days_until_due": subscription["days_until_due"]}, body)
        body["lines"]["data"] = [line | {"invoice": body["id"]} for line in lines]
        for item in self.desk.all("invoiceitem", customer=customer["id"], invoice=None):
            parent = item["parent"]
            owner = parent["subscription_details"]["subscription"] if parent else None
            if owner in (None, subscription["id"]) and item["currency"] == body["currency"]:
                self.take(body, item)
        total_up(self.desk, body)
        self.desk.save(call, body, "invoice.created")
        self.desk.note(call, "invoices", body)
        return body

    def of_lines(
        self, call: Call, customer_id: str, bought: list[Json], discounts: list[str]
    ) -> Json:
        """Return the draft of what was bought once, such as by a quote."""
        customer = self.desk.own("customer", customer_id)
        body = described.new(self.kind, self.prefix)
        begin(self.desk, body, customer, bought[0]["currency"])
        body |= {"billing_reason": "manual", "discounts": discounts}
        for each in bought:
            line = described.new("line_item", "il", invoice=body["id"], discountable=True)
            line |= {name: each[name] for name in ("currency", "description", "quantity")}
            line |= {"amount": each["amount_subtotal"], "pricing": pricing_of(each["price"], None)}
            line["period"] = {"start": body["created"], "end": body["created"]}
            line["quantity_decimal"] = str(each["quantity"])
            body["lines"]["data"].append(line)
        total_up(self.desk, body)
        self.desk.save(call, body, "invoice.created")
        self.desk.note(call, "invoices", body)
        return body

    def _waiting(self, given: Json, customer: Json) -> list[Json]:
        found = self.desk.all("invoiceitem", customer=customer["id"], invoice=None)
        return list(reversed(found))

    def _inherited(self, customer: Json) -> list[str]:
        return [customer["discount"]["id"]] if customer["discount"] else []

    def _redeem(self, call: Call, given: Json, body: Json, customer: Json) -> None:
        if "discounts" not in given:
            body["discounts"] = self._inherited(customer)
            return
        body["discounts"] = [
            redeem(
                self.desk, call, each, "discounts", customer=customer["id"], invoice=body["id"]
            )["id"]
            for each in given["discounts"] or []
        ]  # fmt: skip

    def _due_date(self, given: Json, body: Json) -> None:
        if given.get("days_until_due") is not None:
            body["due_date"] = body["created"] + 86400 * given["days_until_due"]
        if body["collection_method"] == "send_invoice" and body["due_date"] is None:
            message = (
                "If invoice `collection_method` is `send_invoice`, you must pass `due_date` or "
                "`days_until_due`."
            )
            raise error(400, message, "parameter_missing", "days_until_due")
        if body["auto_advance"] and body["status"] == "draft":
            body["automatically_finalizes_at"] = body["created"] + AUTOMATIC_SECONDS

    def _add_lines(self, call: Call, given: Json, invoice: Json) -> Json:
        """Add lines to a draft, each by an invoice item of its own."""
        if invoice["status"] != "draft":
            raise error(400, "Invoice is no longer editable", "invoice_not_editable")
        for line in given["lines"]:
            if "invoice_item" in line:
                item = self.desk.need("invoiceitem", line["invoice_item"], "lines[0][invoice_item]")
                self.take(invoice, item)
                continue
            own = {"customer": invoice["customer"], "currency": invoice["currency"]}
            item = self._items.create(call, own | {"invoice": invoice["id"]} | line)
            invoice["lines"]["data"].append(item_line(item, invoice["id"]))
        total_up(self.desk, invoice)
        self.desk.save(call, invoice, "invoice.updated")
        return invoice

    def _lines(self, call: Call, id: str) -> Response:
        params = read_params(call.request)
        described.read(call, "invoice_list_lines", params)
        data = copy.deepcopy(self.desk.own(self.kind, id)["lines"]["data"])
        return self.desk.answer(page(data, params, f"{self.url}/{id}/lines"), params)


def begin(desk: Desk, body: Json, customer: Json, currency: str) -> None:
    """Set what a new draft takes from its customer, and what follows from the time."""
    now = desk.clock_time(customer["test_clock"])
    body |= {
        "status": "draft",
        "created": now,
        "currency": currency,
        "account_country": "US",
        "account_name": "Sandbox",
        "auto_advance": bool(body["auto_advance"]),
        "customer": customer["id"],
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [
            {"type": each["type"], "value": each["value"]}
            for each in desk.all("tax_id", customer=customer["id"])
        ],
        "test_clock": customer["test_clock"],
        "period_start": now,
        "period_end": now,
        "starting_balance": customer["balance"],
    }
    body["lines"]["url"] = f"/v1/invoices/{body['id']}/lines"
    if customer["currency"] is None:
        customer["currency"] = currency
        desk.put(customer)


def subscription_of(invoice: Json) -> str | None:
    """Return the id of the subscription that an invoice is for, or None."""
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    found: str | None = details.get("subscription")
    return found
