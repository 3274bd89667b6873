"""Invoice items: what will stand on a customer's next invoice, or on a draft.

https://docs.stripe.com/api/invoiceitems
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ops.sandbox.store import Json
from ops.sandbox.stripe.billing.lines import item_line, pricing_of, rounded, total_up
from ops.sandbox.stripe.catalogue.discounts import redeem
from ops.sandbox.stripe.catalogue.prices import Prices, price_amount, unit_amounts
from ops.sandbox.stripe.params import read_currency
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import error
from ops.sandbox.wire import Call

_PARTS = (
    "amount", "currency", "discounts", "price", "price_data", "pricing", "quantity_decimal",
    "tax_behavior", "tax_code", "tax_rates", "unit_amount", "unit_amount_decimal",
)  # fmt: skip


class InvoiceItems(Resource):
    """The invoice items; one on a finalized invoice no longer changes."""

    kind, url, calls, prefix, event = (
        "invoiceitem", "/v1/invoiceitems", "invoice_item", "ii", "invoiceitem",
    )  # fmt: skip
    verbs = ("create", "list", "retrieve", "update", "delete")
    set_apart = _PARTS

    def __init__(self, desk: Desk, prices: Prices) -> None:
        super().__init__(desk)
        self._prices = prices

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Check the customer and the invoice, and compute the amount."""
        if not given.get("customer"):
            message = "Missing required param: customer."
            raise error(400, message, "parameter_missing", "customer")
        customer = self.desk.need("customer", given["customer"], "customer")
        now = self.desk.now(customer["id"])
        body |= {"date": now, "test_clock": customer["test_clock"]}
        body["period"] = given.get("period", {"start": now, "end": now})
        body["discountable"] = given.get("discountable", True)
        body["quantity"] = given.get("quantity", 1)
        if given.get("subscription"):
            self.desk.need("subscription", given["subscription"], "subscription")
            body["parent"] = {
                "subscription_details": {
                    "subscription": given["subscription"], "subscription_item": None,
                },
                "type": "subscription_details",
            }  # fmt: skip
        self._price(call, given, body, customer)
        if given.get("invoice"):
            self._draft(given["invoice"])
        self._apply(call, given, body)

    def made(self, call: Call, given: Json, body: Json) -> Json:
        """Put the item on its draft."""
        self._onto_draft(call, body)
        return body

    def change(self, call: Call, given: Json, body: Json) -> None:
        """Compute the amount anew, here and on the draft."""
        if body["invoice"]:
            self._draft(body["invoice"])
        if any(name in given for name in (*_PARTS, "quantity")):
            customer = self.desk.own("customer", body["customer"])
            base = {} if "amount" in given else self._priced_before(given, body)
            self._price(call, {**base, **given}, body, customer)
        self._apply(call, given, body)
        self.desk.put(body)
        self._onto_draft(call, body)

    def may_delete(self, body: Json) -> None:
        """Take the item off its draft; raises Stripe's error if the invoice is finalized."""
        if body["invoice"]:
            invoice = self._draft(body["invoice"])
            invoice["lines"]["data"] = _without(invoice, body["id"])
            total_up(self.desk, invoice)
            self.desk.put(invoice)

    def matches(self, body: Json, name: str, value: Any) -> bool:
        """Filter those that wait for an invoice too."""
        if name == "pending":
            return bool(value) == (body["invoice"] is None)
        return super().matches(body, name, value)

    def prorated(self, call: Call, customer: str, subscription: str, **values: Any) -> Json:
        """Add what a change of a subscription costs, or its credit."""
        body = described.new(self.kind, self.prefix, customer=customer, discountable=False)
        body |= {"proration": True, "discounts": [], "tax_rates": [], **values}
        body["net_amount"] = body["amount"]
        body["date"] = self.desk.now(customer)
        body["parent"] = {
            "subscription_details": {"subscription": subscription, "subscription_item": None},
            "type": "subscription_details",
        }
        self.desk.save(call, body, "invoiceitem.created")
        return body

    def _draft(self, invoice_id: str) -> Json:
        invoice = self.desk.need("invoice", invoice_id, "invoice")
        if invoice["status"] != "draft":
            message = "Invoice is no longer editable"
            raise error(400, message, "invoice_not_editable", "invoice")
        return invoice

    def _priced_before(self, given: Json, body: Json) -> Json:
        again = ("pricing", "price", "price_data", "unit_amount_decimal", "unit_amount")
        if any(name in given for name in again):
            return {}
        if body["pricing"] and body["pricing"].get("price_details"):
            return {"pricing": {"price": body["pricing"]["price_details"]["price"]}}
        unit = Decimal(body["amount"]) / (body["quantity"] or 1)
        return {"unit_amount_decimal": str(unit), "currency": body["currency"]}

    def _price(self, call: Call, given: Json, body: Json, customer: Json) -> None:
        quantity = int({"quantity": body["quantity"], **given}["quantity"])
        price: Json | None
        if "price_data" in given:
            price = self._prices.create(call, given["price_data"])
        else:
            named = given.get("price") or given.get("pricing", {}).get("price")
            price = self.desk.need("price", named, "pricing[price]") if named else None
        if price:
            if price["recurring"]:
                message = (
                    "The price specified is set to `type=recurring` but this field only accepts "
                    "prices with `type=one_time`."
                )
                raise error(400, message, param="pricing[price]")
            body |= {"amount": price_amount(price, quantity), "currency": price["currency"]}
            body |= {"pricing": pricing_of(price, None), "quantity": quantity}
            if body["description"] is None:
                body["description"] = self.desk.own("product", price["product"])["name"]
            return
        currency = given.get("currency") or body["currency"] or customer["currency"]
        body["currency"] = read_currency({"currency": currency} if currency else {})
        if "amount" in given:
            body["amount"] = given["amount"]
        elif "unit_amount_decimal" in given or "unit_amount" in given:
            unit = unit_amounts({k: given[k] for k in given if k.startswith("unit_amount")})
            body["amount"] = rounded(Decimal(unit["unit_amount_decimal"]) * quantity)
            body["quantity"] = quantity
        else:
            message = "You must provide one of `amount`, `pricing`, or `unit_amount_decimal`."
            raise error(400, message, "parameter_missing", "amount")

    def _apply(self, call: Call, given: Json, body: Json) -> None:
        body["net_amount"] = body["amount"]
        if "tax_rates" in given:
            rates = given["tax_rates"] or []
            body["tax_rates"] = [self.desk.need("tax_rate", each, "tax_rates") for each in rates]
        if "discounts" in given:
            body["discounts"] = [
                redeem(self.desk, call, each, "discounts", customer=body["customer"])["id"]
                for each in given["discounts"] or []
            ]
        body["tax_rates"] = body["tax_rates"] or []
        body["discounts"] = body["discounts"] or []

    def _onto_draft(self, call: Call, body: Json) -> None:
        if not body["invoice"]:
            return
        invoice = self._draft(body["invoice"])
        invoice["lines"]["data"] = [
            *_without(invoice, body["id"]), item_line(body, invoice["id"]),
        ]  # fmt: skip
        total_up(self.desk, invoice)
        self.desk.put(invoice)


def _without(invoice: Json, item_id: str) -> list[Json]:
    return [
        line
        for line in invoice["lines"]["data"]
        if (line["parent"]["invoice_item_details"] or {}).get("invoice_item") != item_id
    ]
