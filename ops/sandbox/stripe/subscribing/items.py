"""The items of subscriptions: their prices, quantities and periods, and what a change costs.

Invariant: a period stands on the item, not on the subscription.
https://docs.stripe.com/api/subscription_items, /billing/subscriptions/prorations
"""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

from ops.sandbox.store import Json
from ops.sandbox.stripe.billing.items import InvoiceItems
from ops.sandbox.stripe.billing.lines import pricing_of, rounded, subscription_line
from ops.sandbox.stripe.catalogue.discounts import redeem
from ops.sandbox.stripe.catalogue.months import period_end
from ops.sandbox.stripe.catalogue.prices import Prices, plan_of, price_amount
from ops.sandbox.stripe.metering.usage import used
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.wire import error
from ops.sandbox.wire import Call


class Items:
    """Makes the items of subscriptions, and prorates their changes."""

    def __init__(self, desk: Desk, prices: Prices, invoice_items: InvoiceItems) -> None:
        self.desk, self._prices, self._invoice_items = desk, prices, invoice_items

    def new(self, call: Call, given: Json, subscription: Json, param: str) -> Json:
        """Return a new item from the parameters of one."""
        price = self.price(call, given, param)
        item = described.new("subscription_item", "si", subscription=subscription["id"])
        item["created"] = self.desk.clock_time(subscription["test_clock"])
        named = {name: each for name, each in given.items() if name != "price_data"}
        self.apply(call, named | {"price": price["id"]}, item, param)
        return item

    def price(self, call: Call, given: Json, param: str) -> Json:
        """Return the recurring price that the parameters of an item name or describe."""
        if "price_data" in given:
            price = self._prices.create(call, given["price_data"])
            self._prices.twin(call, price)
        else:
            named = given.get("price") or given.get("plan")
            if not named:
                message = f"Missing required param: {param}[price]."
                raise error(400, message, "parameter_missing", f"{param}[price]")
            price = self.desk.need("price", named, f"{param}[price]")
        if not price["recurring"]:
            message = (
                "The price specified is set to `type=one_time` but this field only accepts prices "
                "with `type=recurring`."
            )
            raise error(400, message, param=f"{param}[price]")
        if not price["active"]:
            message = "The price specified is inactive. This field only accepts active prices."
            raise error(400, message, param=f"{param}[price]")
        return price

    def apply(self, call: Call, given: Json, item: Json, param: str) -> None:
        """Set what is given of an item: price, quantity, taxes, discounts, metadata."""
        if any(name in given for name in ("price", "plan", "price_data")):
            price = self.price(call, given, param)
            item |= {"price": price, "plan": plan_of(price)}
        metered = item["price"]["recurring"]["usage_type"] == "metered"
        if "quantity" in given and metered:
            message = "Quantity should not be specified where usage_type is `metered`."
            raise error(400, message, param=f"{param}[quantity]")
        item["quantity"] = None if metered else given.get("quantity", item["quantity"] or 1)
        if "tax_rates" in given:
            item["tax_rates"] = [
                self.desk.need("tax_rate", each, f"{param}[tax_rates]")
                for each in given["tax_rates"] or []
            ]
        item["tax_rates"] = item["tax_rates"] or []
        if "discounts" in given:
            item["discounts"] = [
                redeem(self.desk, call, each, f"{param}[discounts]")["id"]
                for each in given["discounts"] or []
            ]
        both = {**item["metadata"], **(given.get("metadata") or {})}
        item["metadata"] = {name: value for name, value in both.items() if value != ""}

    def begin(self, item: Json, start: int, anchor: int) -> None:
        """Begin a new period of an item; `anchor` gives the day of the month."""
        recurring = item["price"]["recurring"]
        if item["current_period_start"]:
            # What is metered is billed afterwards.
            item["sandbox_ended"] = [item["current_period_start"], start]
        item["current_period_start"] = start
        count = recurring["interval_count"]
        item["current_period_end"] = period_end(start, recurring["interval"], count, anchor)

    def line(self, item: Json, is_trial: bool = False) -> Json:
        """Return the invoice line of an item for its current period."""
        price = self.desk.find("price", item["price"]["id"]) or item["price"]
        if price["recurring"]["usage_type"] == "metered":
            return self._usage(item, price)
        name = self._name(price)
        amount = 0 if is_trial else price_amount(price, item["quantity"] or 0)
        words = f"{item['quantity'] or 0} × {name}"
        if is_trial:
            words = f"Trial period for {name}"
        period = (item["current_period_start"], item["current_period_end"])
        line = subscription_line(item, amount, period, words, "")
        return line | {"discounts": list(item["discounts"])}

    def _usage(self, item: Json, price: Json) -> Json:
        """Return the line of a metered item: what was used in the period that has ended."""
        period = item.get("sandbox_ended") or (item["created"], item["created"])
        owner = self.desk.find("subscription", item["subscription"]) or {}
        meter = price["recurring"]["meter"]
        count = used(self.desk, meter, owner.get("customer", ""), *period) if meter else 0
        words = f"{count} × {self._name(price)}"
        amount = price_amount(price, count)
        line = subscription_line(item, amount, (period[0], period[1]), words, "")
        return line | {"quantity": count, "quantity_decimal": str(count)}

    def unbilled(self, items: list[Json], now: int) -> list[Json]:
        """Return the lines of what was used in the present periods, up to now."""
        ended = ((each, [each["current_period_start"], now]) for each in items)
        lines = [self.line(each | {"sandbox_ended": period}) for each, period in ended
                 if each["price"]["recurring"]["usage_type"] == "metered"]  # fmt: skip
        return [line for line in lines if line["quantity"]]

    def cost(self, items: list[Json]) -> int:
        """Return what one period of the items costs."""
        return sum(
            price_amount(self.desk.find("price", each["price"]["id"]) or each["price"],
                         each["quantity"] or 0)
            for each in items
        )  # fmt: skip

    def prorate(
        self, call: Call, subscription: Json, old: list[Json], new: list[Json], at: int
    ) -> None:
        """Add the invoice items for what changes at a time: credit of the old, cost of the new."""
        after = {item["id"]: item for item in new}
        before = {item["id"]: item for item in old}
        for item in old:
            same = after.get(item["id"])
            if same is None or _cost_key(same) != _cost_key(item):
                self._part(call, subscription, item, at, "Unused time on", -1)
        for item in new:
            same = before.get(item["id"])
            if same is None or _cost_key(same) != _cost_key(item):
                self._part(call, subscription, item, at, "Remaining time on", 1)

    def _part(
        self, call: Call, subscription: Json, item: Json, at: int, words: str, sign: int
    ) -> None:
        start, end = item["current_period_start"], item["current_period_end"]
        price = self.desk.find("price", item["price"]["id"]) or item["price"]
        whole = price_amount(price, item["quantity"] or 0)
        share = Decimal(max(0, end - at)) / max(1, end - start)
        amount = sign * rounded(whole * share)
        if not amount:
            return
        self._invoice_items.prorated(
            call, subscription["customer"], subscription["id"], amount=amount,
            currency=price["currency"], quantity=item["quantity"] or 0,
            description=f"{words} {item['quantity'] or 0} × {self._name(price)}",
            period={"start": at, "end": end}, pricing=pricing_of(price, None),
            test_clock=subscription["test_clock"],
        )  # fmt: skip

    def _name(self, price: Json) -> str:
        row = self.desk.store.get("product", price["product"])
        return str(row.body["name"]) if row else str(price["product"])


def _cost_key(item: Json) -> tuple[Any, ...]:
    return item["price"]["id"], item["quantity"]


def changed_items(items: Items, call: Call, given: list[Json], subscription: Json) -> list[Json]:
    """Return the items of a subscription after an update's `items`, with the old ones' periods."""
    kept: list[Json] = copy.deepcopy(subscription["items"]["data"])
    for at, change in enumerate(given):
        param = f"items[{at}]"
        if "id" not in change:
            item = items.new(call, change, subscription, param)
            first = kept[0] if kept else None
            if first and _interval(first) == _interval(item):
                period = ("current_period_start", "current_period_end")
                item |= {name: first[name] for name in period}
            else:
                now = self_time(items.desk, subscription)
                items.begin(item, now, subscription["billing_cycle_anchor"])
            kept.append(item)
            continue
        found = [item for item in kept if item["id"] == change["id"]]
        if not found:
            message = f"No such subscription_item: '{change['id']}'"
            raise error(400, message, "resource_missing", f"{param}[id]")
        if change.get("deleted"):
            kept.remove(found[0])
        else:
            items.apply(call, change, found[0], param)
    if not kept:
        message = "A subscription must have at least one active plan."
        raise error(400, message, "parameter_invalid", "items")
    return kept


def self_time(desk: Desk, subscription: Json) -> int:
    """Return the time of a subscription: that of its test clock, or the real one."""
    return desk.clock_time(subscription["test_clock"])


def _interval(item: Json) -> tuple[str, int]:
    recurring = item["price"]["recurring"]
    return recurring["interval"], recurring["interval_count"]


def same_intervals(old: list[Json], new: list[Json]) -> bool:
    """Whether the items that stay keep the intervals of their prices."""
    before = {item["id"]: _interval(item) for item in old}
    return all(before.get(item["id"], _interval(item)) == _interval(item) for item in new)
