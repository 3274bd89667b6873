"""Products: what prices are prices of. https://docs.stripe.com/api/products"""

from __future__ import annotations

import time

from ops.sandbox.store import Json
from ops.sandbox.stripe.catalogue.prices import Prices
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import error
from ops.sandbox.wire import Call


class Products(Resource):
    """The products; one with prices can be archived, but not deleted."""

    kind, url, calls, prefix, event = "product", "/v1/products", "product", "prod", "product"
    verbs = ("create", "list", "search", "retrieve", "update", "delete")
    set_apart = ("default_price_data", "id")
    on_request = ("tax_details",)

    def __init__(self, desk: Desk, prices: Prices) -> None:
        super().__init__(desk)
        self._prices = prices

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Set what is not given; a product may have an id of the caller's own."""
        if given.get("id"):
            if self.desk.find(self.kind, given["id"]):
                message = f"Product already exists with id: {given['id']}"
                raise error(400, message, "resource_already_exists", "id")
            body["id"] = given["id"]
        body["active"] = given.get("active", True)
        body["type"] = given.get("type", "service")
        body["updated"] = body["created"]

    def made(self, call: Call, given: Json, body: Json) -> Json:
        """Make the default price that the parameters describe."""
        if "default_price_data" not in given:
            return body
        price = self._prices.create(call, given["default_price_data"] | {"product": body["id"]})
        body["default_price"] = price["id"]
        self.desk.put(body)
        return body

    def change(self, call: Call, given: Json, body: Json) -> None:
        """Check the default price, and note the time."""
        if body["default_price"]:
            self.desk.need("price", body["default_price"], "default_price")
        body["updated"] = int(time.time())

    def matches(self, body: Json, name: str, value: object) -> bool:
        """Filter by ids too."""
        if name == "ids":
            return isinstance(value, list) and body["id"] in value
        return super().matches(body, name, value)

    def may_delete(self, body: Json) -> None:
        """Raise Stripe's error if the product has prices."""
        if self.desk.all("price", product=body["id"]):
            message = (
                "This product cannot be deleted because it has one or more user-created prices."
            )
            raise error(400, message)
