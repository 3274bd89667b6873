"""Coupons, promotion codes, and the discounts that are made of them.

https://docs.stripe.com/api/coupons, /api/promotion_codes, /api/discounts
"""

from __future__ import annotations

import time
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from ops.sandbox.box import token62
from ops.sandbox.store import Json
from ops.sandbox.stripe.catalogue.months import add_months
from ops.sandbox.stripe.params import read_currency
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import error
from ops.sandbox.wire import Call


class Coupons(Resource):
    """The coupons; what one takes off never changes."""

    kind, url, calls, prefix, event = "coupon", "/v1/coupons", "coupon", "", "coupon"
    verbs = ("create", "list", "retrieve", "update", "delete")
    on_request = ("applies_to", "currency_options")

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Check what it takes off and for how long."""
        if ("percent_off" in given) == ("amount_off" in given):
            message = "You must pass either `percent_off` or `amount_off` to create a coupon."
            raise error(400, message, "parameter_missing")
        if not 0 < given.get("percent_off", 1) <= 100:
            message = "Percent off must be between 0 and 100."
            raise error(400, message, "parameter_invalid", "percent_off")
        if "amount_off" in given:
            body["currency"] = read_currency(given)
        body["duration"] = given.get("duration", "once")
        if body["duration"] == "repeating" and not given.get("duration_in_months"):
            message = "Missing required param: duration_in_months."
            raise error(400, message, "parameter_missing", "duration_in_months")
        for product in (given.get("applies_to") or {}).get("products", []):
            self.desk.need("product", product, "applies_to[products]")
        body["id"] = given.get("id") or token62(8)
        if self.desk.find("coupon", body["id"]):
            message = "Coupon already exists."
            raise error(400, message, "resource_already_exists", "id")
        body["valid"] = True


class PromotionCodes(Resource):
    """The promotion codes: what customers type to get a coupon's discount."""

    kind, url, calls, prefix, event = (
        "promotion_code", "/v1/promotion_codes", "promotion_code", "promo", "promotion_code",
    )  # fmt: skip
    set_apart = ("code", "coupon")

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Check the coupon and the code, of which only one may be active."""
        coupon = given.get("coupon") or given["promotion"].get("coupon")
        body["promotion"] = {
            "coupon": self.desk.need("coupon", coupon, "promotion[coupon]")["id"],
            "type": "coupon",
        }
        if given.get("customer"):
            self.desk.need("customer", given["customer"], "customer")
        body |= {"code": given.get("code") or token62(8).upper()}
        body["active"] = given.get("active", True)
        same = self.desk.all(self.kind, code=body["code"], active=True)
        if same and body["active"]:
            message = f"An active promotion code with `code: {body['code']}` already exists."
            raise error(400, message, "resource_already_exists", "code")

    def matches(self, body: Json, name: str, value: Any) -> bool:
        """Filter by coupon too."""
        if name == "coupon":
            return bool(body["promotion"]["coupon"] == value)
        return super().matches(body, name, value)


def redeem(desk: Desk, call: Call, given: Json, param: str, **owner: Any) -> Json:
    """Return a new discount from `coupon`, `promotion_code` or an existing `discount`.

    `owner` has its customer, subscription, invoice ...; the discount is stored without an event.
    """
    if given.get("discount"):
        return desk.need("discount", given["discount"], f"{param}[discount]")
    code = None
    coupon_id = given.get("coupon")
    if given.get("promotion_code"):
        code = desk.need("promotion_code", given["promotion_code"], f"{param}[promotion_code]")
        coupon_id = code["promotion"]["coupon"]
    if not coupon_id:
        message = "You must provide one of `coupon`, `discount` or `promotion_code`."
        raise error(400, message, "parameter_missing", param)
    coupon = desk.need("coupon", coupon_id, "coupon")
    _check(coupon, code)
    _count(desk, call, coupon, "coupon")
    if code:
        _count(desk, call, code, "promotion_code")
    start = desk.now(owner.get("customer"))
    discount = described.new("discount", "di", start=start, **owner)
    discount["source"] = {"coupon": coupon["id"], "type": "coupon"}
    discount["promotion_code"] = code["id"] if code else None
    if coupon["duration"] == "repeating":
        discount["end"] = add_months(start, coupon["duration_in_months"])
    desk.put(discount)
    return discount


def _check(coupon: Json, code: Json | None) -> None:
    if code and not code["active"]:
        raise error(400, "This promotion code is not active.", "promotion_code_invalid")
    late = coupon["redeem_by"] and coupon["redeem_by"] < time.time()
    if late or not coupon["valid"]:
        raise error(400, f"Coupon expired: {coupon['id']}", "coupon_expired", "coupon")


def _count(desk: Desk, call: Call, body: Json, event: str) -> None:
    old = dict(body)
    body["times_redeemed"] += 1
    used_up = body["max_redemptions"] and body["times_redeemed"] >= body["max_redemptions"]
    if used_up:
        body["valid" if event == "coupon" else "active"] = False
    desk.save(call, body, f"{event}.updated", old)


def amount_off(desk: Desk, discount: Json, amount: int) -> int:
    """Return how much a discount takes off an amount of minor units."""
    row = desk.store.get("coupon", discount["source"]["coupon"])
    if row is None or amount <= 0:
        return 0
    if row.body["percent_off"] is not None:
        share = Decimal(str(row.body["percent_off"])) / 100 * amount
        return int(share.quantize(Decimal(1), ROUND_HALF_UP))
    return min(int(row.body["amount_off"]), amount)
