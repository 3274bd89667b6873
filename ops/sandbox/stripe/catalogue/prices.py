"""Prices, and the older plans, each of which is the twin of a recurring price.

https://docs.stripe.com/api/prices, /api/plans
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from ops.sandbox.store import Json
from ops.sandbox.stripe.params import read_currency
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import error
from ops.sandbox.wire import Call

_TOO_MUCH = 10**18
_AMOUNTS = ("unit_amount", "unit_amount_decimal", "custom_unit_amount", "tiers")


class Prices(Resource):
    """The prices; what a price costs never changes."""

    kind, url, calls, prefix, event = "price", "/v1/prices", "price", "price", "price"
    verbs = ("create", "list", "search", "retrieve", "update")
    set_apart = ("product_data", "transfer_lookup_key", "recurring", "lookup_key")
    on_request = ("tiers", "currency_options")

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Check what is sold and for how much, and set what follows from it."""
        body |= {"active": given.get("active", True), "currency": read_currency(given)}
        body["tax_behavior"] = given.get("tax_behavior", "unspecified")
        body["product"] = self._product(call, given)
        if not any(name in given for name in _AMOUNTS):
            message = (
                "Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set."
            )
            raise error(400, message, "parameter_missing", "unit_amount")
        body |= unit_amounts(given)
        if (given.get("transform_quantity") or {}).get("divide_by", 1) < 1:
            message = "This value must be greater than or equal to 1."
            raise error(400, message, param="transform_quantity[divide_by]")
        recurring = given.get("recurring")
        body["type"] = "recurring" if recurring else "one_time"
        if recurring:
            body["recurring"] = {
                "interval_count": 1, "meter": None, "trial_period_days": None,
                "usage_type": "licensed", **recurring,
            }  # fmt: skip
            self._check_meter(body["recurring"])
        self._name(given, body)

    def made(self, call: Call, given: Json, body: Json) -> Json:
        """Make the plan that is the twin of a recurring price."""
        self.twin(call, body)
        return body

    def twin(self, call: Call, body: Json) -> None:
        """Store the plan of a recurring price, with its event."""
        if body["recurring"]:
            self.desk.save(call, plan_of(body), "plan.created")

    def change(self, call: Call, given: Json, body: Json) -> None:
        """Give the price the lookup key."""
        self._name(given, body)

    def matches(self, body: Json, name: str, value: Any) -> bool:
        """Filter by lookup keys and by parts of `recurring` too."""
        if name == "lookup_keys":
            return body["lookup_key"] in value
        if name == "recurring":
            return bool(body["recurring"]) and value.items() <= body["recurring"].items()
        return super().matches(body, name, value)

    def _check_meter(self, recurring: Json) -> None:
        if recurring["meter"] is not None:
            self.desk.need("billing.meter", recurring["meter"], "recurring[meter]")
        if (recurring["meter"] is not None) != (recurring["usage_type"] == "metered"):
            message = "A price is metered if, and only if, it has a meter."
            raise error(400, message, param="recurring[meter]")

    def _product(self, call: Call, given: Json) -> str:
        if "product" in given:
            return str(self.desk.need("product", given["product"], "product")["id"])
        if "product_data" not in given:
            message = "Missing required param: product."
            raise error(400, message, "parameter_missing", "product")
        body = described.new("product", "prod", active=True, type="service")
        body |= {name: each for name, each in given["product_data"].items() if name in body}
        body["updated"] = body["created"]
        self.desk.save(call, body, "product.created")
        return str(body["id"])

    def _name(self, given: Json, body: Json) -> None:
        key = given.get("lookup_key")
        if not key:
            if "lookup_key" in given:
                body["lookup_key"] = None
            return
        for other in self.desk.all("price", lookup_key=key):
            if other["id"] == body["id"]:
                continue
            if not given.get("transfer_lookup_key"):
                message = (
                    f"A price (`{other['id']}`) already uses that lookup key. You must pass "
                    "`transfer_lookup_key=true` to transfer the lookup key to this price."
                )
                raise error(400, message, "resource_already_exists", "lookup_key")
            self.desk.put(other | {"lookup_key": None})
        body["lookup_key"] = key


class Plans(Resource):
    """The plans; a new one makes the price whose twin it is."""

    kind, url, calls, prefix, event = "plan", "/v1/plans", "plan", "plan", "plan"
    verbs = ("create", "list", "retrieve", "update", "delete")
    set_apart = ("product", "id")
    on_request = ("tiers",)

    def __init__(self, desk: Desk, prices: Prices) -> None:
        super().__init__(desk)
        self._prices = prices

    def create(self, call: Call, given: Json) -> Json:
        """Create the price and its plan; the product may be described or named."""
        sold = given.get("product")
        key = "product_data" if isinstance(sold, dict) else "product"
        renamed = {"amount": "unit_amount", "amount_decimal": "unit_amount_decimal"}
        kept = (
            "active", "billing_scheme", "currency", "metadata", "nickname", "tiers", "tiers_mode",
        )  # fmt: skip
        price = {name: given[name] for name in kept if name in given}
        price |= {new: given[old] for old, new in renamed.items() if old in given}
        if sold:
            price[key] = sold
        parts = ("interval", "interval_count", "meter", "trial_period_days", "usage_type")
        price["recurring"] = {name: given[name] for name in parts if name in given}
        made = self._prices.create(call, price)
        if given.get("id"):
            self.desk.store.delete("price", made["id"])
            made["id"] = given["id"]
            self.desk.put(made)
        self._prices.twin(call, made)
        self.desk.note(call, "plans", made)
        return plan_of(made)

    def change(self, call: Call, given: Json, body: Json) -> None:
        """Change the price too."""
        price = self.desk.find("price", body["id"])
        if price:
            same = ("active", "metadata", "nickname")
            self.desk.put(price | {name: body[name] for name in same})


def plan_of(price: Json) -> Json:
    """Return the plan that is the twin of a recurring price."""
    recurring = price["recurring"]
    same = (
        "id", "active", "billing_scheme", "created", "currency", "livemode", "metadata",
        "nickname", "product", "tiers_mode",
    )  # fmt: skip
    parts = ("interval", "interval_count", "meter", "trial_period_days", "usage_type")
    body = described.new("plan", **{name: price[name] for name in same})
    body |= {name: recurring[name] for name in parts}
    body |= {"amount": price["unit_amount"], "amount_decimal": price["unit_amount_decimal"]}
    body["transform_usage"] = price["transform_quantity"]
    return body


def unit_amounts(given: Json) -> Json:
    """Return `unit_amount` and `unit_amount_decimal`, each from the other one."""
    if "unit_amount_decimal" in given and "unit_amount" in given:
        message = "You may only specify one of these parameters: unit_amount, unit_amount_decimal."
        raise error(400, message, "parameter_invalid", "unit_amount_decimal")
    if "unit_amount_decimal" in given:
        exact = Decimal(given["unit_amount_decimal"])
        whole = int(exact) if exact == exact.to_integral_value() else None
        return {"unit_amount": whole, "unit_amount_decimal": given["unit_amount_decimal"]}
    amount = given.get("unit_amount")
    if amount is not None and amount < 0:
        raise error(400, "Invalid non-negative integer", "parameter_invalid_integer", "unit_amount")
    return {
        "unit_amount": amount,
        "unit_amount_decimal": None if amount is None else str(amount),
    }


def price_amount(price: Json, quantity: int) -> int:
    """Return what a quantity costs, in minor units, rounded half up."""
    tiers = price.get("sandbox_tiers")
    if tiers:
        return _rounded(_tiered(tiers, price["tiers_mode"], quantity))
    transform = price["transform_quantity"]
    if transform:
        whole, rest = divmod(quantity, transform["divide_by"])
        quantity = whole + (1 if rest and transform["round"] == "up" else 0)
    return _rounded(Decimal(price["unit_amount_decimal"] or 0) * quantity)


def _tiered(tiers: list[Json], mode: str, quantity: int) -> Decimal:
    total, below = Decimal(0), 0
    for tier in tiers:
        limit = None if tier["up_to"] == "inf" else int(tier["up_to"])
        last = limit is None or quantity <= limit
        if mode == "graduated":
            units = quantity - below if last or limit is None else limit - below
            total += _tier(tier, units)
        elif last:
            return _tier(tier, quantity)
        if last:
            break
        below = limit or below
    return total


def _tier(tier: Json, units: int) -> Decimal:
    unit = Decimal(tier.get("unit_amount_decimal") or tier.get("unit_amount") or 0)
    return unit * units + Decimal(tier.get("flat_amount_decimal") or tier.get("flat_amount") or 0)


def _rounded(amount: Decimal) -> int:
    if abs(amount) >= _TOO_MUCH:
        raise error(400, "This amount is too large.", "amount_too_large")
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))
