"""The lines of a checkout, a payment link or a quote, and what they cost together.

https://docs.stripe.com/api/checkout/sessions/line_items
"""

from __future__ import annotations

from typing import Any

from ops.sandbox.store import Json
from ops.sandbox.stripe.catalogue.discounts import amount_off
from ops.sandbox.stripe.catalogue.prices import Prices, price_amount
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.wire import error
from ops.sandbox.wire import Call


class Bought:
    """Makes lines of parameters, and sums them up."""

    def __init__(self, desk: Desk, prices: Prices) -> None:
        self.desk, self._prices = desk, prices

    def lines(self, call: Call, given: list[Json]) -> list[Json]:
        """Return the lines; raises Stripe's errors for a wrong price or mixed currencies."""
        found = [self._line(call, each, f"line_items[{at}]") for at, each in enumerate(given)]
        if len({line["currency"] for line in found}) > 1:
            message = "All line items must have the same currency."
            raise error(400, message, param="line_items")
        return found

    def _line(self, call: Call, given: Json, param: str) -> Json:
        if "price_data" in given:
            price = self._prices.create(call, given["price_data"])
            self._prices.twin(call, price)
        elif given.get("price"):
            price = self.desk.need("price", given["price"], f"{param}[price]")
        else:
            message = f"Missing required param: {param}[price]."
            raise error(400, message, "parameter_missing", f"{param}[price]")
        if not price["active"]:
            message = "The price specified is inactive. This field only accepts active prices."
            raise error(400, message, param=f"{param}[price]")
        metered = (price["recurring"] or {}).get("usage_type") == "metered"
        if metered and "quantity" in given:
            message = "Quantity should not be specified where usage_type is `metered`."
            raise error(400, message, param=f"{param}[quantity]")
        quantity = None if metered else given.get("quantity", 1)
        amount = price_amount(price, quantity or 0)
        product = self.desk.own("product", price["product"])
        line = described.new("item", "li", price=price, quantity=quantity)
        line |= {"currency": price["currency"], "description": product["name"]}
        line |= {"amount_subtotal": amount, "amount_total": amount}
        return line

    def discount(self, lines: list[Json], discounts: list[Json]) -> int:
        """Take discounts off the lines, in proportion; return how much that is."""
        taken = 0
        for discount in discounts:
            left = sum(line["amount_total"] for line in lines)
            off = amount_off(self.desk, discount, left)
            rest = off
            for line in lines:
                share = rest if line is lines[-1] else off * line["amount_total"] // max(1, left)
                line["amount_discount"] += share
                line["amount_total"] -= share
                rest -= share
            taken += off
        return taken


def totals(lines: list[Json]) -> Json:
    """Return the amounts of a checkout or quote from its lines."""
    off = sum(line["amount_discount"] for line in lines)
    return {
        "amount_subtotal": sum(line["amount_subtotal"] for line in lines),
        "amount_total": sum(line["amount_total"] for line in lines),
        "total_details": {"amount_discount": off, "amount_shipping": 0, "amount_tax": 0},
    }


def recurring_of(lines: list[Json]) -> list[Json]:
    """Return the lines whose price is a recurring one."""
    return [line for line in lines if line["price"]["recurring"]]


def as_items(lines: list[Json]) -> list[Any]:
    """Return the parameters of the items of a subscription for these lines."""
    named = [{"price": line["price"]["id"], "quantity": line["quantity"]} for line in lines]
    return [{name: value for name, value in each.items() if value is not None} for each in named]
