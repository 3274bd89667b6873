"""Tax rates, customers' tax ids and shipping rates.

https://docs.stripe.com/api/tax_rates, /api/customer_tax_ids, /api/shipping_rates
"""

from __future__ import annotations

from collections.abc import Sequence

from werkzeug.wrappers import Response

from ops.sandbox.store import Json
from ops.sandbox.stripe.params import read_currency
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import error, no_such, page, read_params
from ops.sandbox.wire import Call, Route


class TaxRates(Resource):
    """The tax rates; a rate is archived, never deleted."""

    kind, url, calls, prefix, event = "tax_rate", "/v1/tax_rates", "tax_rate", "txr", "tax_rate"

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Check the percentage, and set what is not given."""
        if not 0 <= given["percentage"] <= 100:
            raise error(400, "Percentage must be between 0 and 100.", param="percentage")
        body |= {"active": given.get("active", True), "rate_type": "percentage"}


class TaxIds(Resource):
    """The tax ids of customers, below the customers' URLs."""

    kind, url, calls, prefix, event = "tax_id", "/v1/tax_ids", "tax_id", "txi", "customer.tax_id"
    verbs = ()

    def routes(self) -> Sequence[Route]:
        """Return the endpoints below a customer."""
        all_of = "/v1/customers/<customer>/tax_ids"
        begin = "customers.tax_ids"
        return [
            ("POST", all_of, f"{begin}.create", self._make),
            ("GET", all_of, f"{begin}.list", self._of_customer),
            ("GET", f"{all_of}/<id>", f"{begin}.retrieve", self._one),
            ("DELETE", f"{all_of}/<id>", f"{begin}.delete", self._remove),
        ]

    def _make(self, call: Call, customer: str) -> Response:
        params = read_params(call.request)
        given = described.read(call, "customer_tax_id_create", params)
        self.desk.own("customer", customer)
        body = described.new(self.kind, self.prefix, customer=customer, **given)
        body["owner"] = {"type": "customer", "customer": customer}
        body["country"] = given["value"][:2].upper() if given["type"] == "eu_vat" else None
        body["verification"] = {
            "status": "pending", "verified_address": None, "verified_name": None,
        }  # fmt: skip
        self.desk.save(call, body, f"{self.event}.created")
        self.desk.note(call, "tax_ids", body)
        return self.desk.answer(body, params)

    def _of_customer(self, call: Call, customer: str) -> Response:
        params = read_params(call.request)
        described.read(call, "customer_tax_id_list", params)
        self.desk.own("customer", customer)
        found = self.desk.all(self.kind, customer=customer)
        url = f"/v1/customers/{customer}/tax_ids"
        return self.desk.answer(page(found, params, url), params)

    def _owned(self, customer: str, tax_id: str) -> Json:
        body = self.desk.find(self.kind, tax_id)
        if body is None or body["customer"] != customer:
            raise no_such(self.kind, tax_id, "id")
        return body

    def _one(self, call: Call, customer: str, id: str) -> Response:
        return self.desk.answer(self._owned(customer, id), read_params(call.request))

    def _remove(self, call: Call, customer: str, id: str) -> Response:
        self._owned(customer, id)
        return self._delete(call, id)


class ShippingRates(Resource):
    """The shipping rates; they have no events."""

    kind, url, calls, prefix, event = (
        "shipping_rate", "/v1/shipping_rates", "shipping_rate", "shr", "",
    )  # fmt: skip

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Check the amount, and set what is not given."""
        if "fixed_amount" not in given:
            message = "Missing required param: fixed_amount."
            raise error(400, message, "parameter_missing", "fixed_amount")
        read_currency(given["fixed_amount"])
        body |= {"active": True, "tax_behavior": given.get("tax_behavior", "unspecified")}
