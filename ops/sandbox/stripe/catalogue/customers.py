"""Customers. https://docs.stripe.com/api/customers"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.store import Json
from ops.sandbox.stripe.catalogue.discounts import redeem
from ops.sandbox.stripe.catalogue.methods import PaymentMethods, addressed
from ops.sandbox.stripe.catalogue.sources import Sources
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk, listing
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import check_email, error, no_such, page, read_params
from ops.sandbox.wire import Call, Route

_OWN = ("coupon", "promotion_code", "payment_method", "source", "discount", "default_source")


class Customers(Resource):
    """The customers; a deleted one can still be read, as deleted."""

    kind, url, calls, prefix, event = "customer", "/v1/customers", "customer", "cus", "customer"
    verbs = ("create", "list", "search", "retrieve", "update", "delete")
    set_apart = _OWN
    on_request = ("tax",)
    keeps_deleted = True

    def __init__(self, desk: Desk, methods: PaymentMethods, sources: Sources) -> None:
        super().__init__(desk)
        self._methods, self._sources = methods, sources
        desk.includes[self.kind, "subscriptions"] = self._below("subscriptions", "subscription")
        desk.includes[self.kind, "tax_ids"] = self._below("tax_ids", "tax_id")
        desk.includes[self.kind, "sources"] = self._below("sources", "card")
        desk.includes[self.kind, "invoice_credit_balance"] = _credit

    def routes(self) -> Sequence[Route]:
        """Return the endpoints, with those of a customer's discount and payment methods."""
        one = "/v1/customers/<id>"
        return [
            *super().routes(),
            self.action("discount", "delete_discount", self._undiscount, "DELETE"),
            ("GET", f"{one}/payment_methods", "customers.payment_methods.list", self._all_methods),
            ("GET", f"{one}/payment_methods/<method>", "customers.payment_methods.retrieve",
             self._one_method),
        ]  # fmt: skip

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Set what is not given, and check what is named."""
        check_email(given.get("email"))
        body["balance"] = body["balance"] or 0
        body["delinquent"] = False
        body["invoice_prefix"] = body["invoice_prefix"] or token62(8).upper()
        body["next_invoice_sequence"] = body["next_invoice_sequence"] or 1
        body["preferred_locales"] = body["preferred_locales"] or []
        body["tax_exempt"] = body["tax_exempt"] or "none"
        if body["test_clock"]:
            self.desk.need("test_helpers.test_clock", body["test_clock"], "test_clock")
            body["created"] = self.desk.clock_time(body["test_clock"])
        _reconcile(given, body)
        self.desk.put(body)
        named = given.get("invoice_settings", {}).get("default_payment_method")
        method = self._first_method(call, given, body)
        self._complete(body, method["id"] if method and named == given["payment_method"] else named)
        if given.get("source"):
            body["default_source"] = self._sources.add(call, body, given["source"])["id"]

    def made(self, call: Call, given: Json, body: Json) -> Json:
        """Give the customer the discount of an older version's parameters."""
        self._discount(call, given, body)
        return body

    def change(self, call: Call, given: Json, body: Json) -> None:
        """Check what is named."""
        _reconcile(given, body)
        check_email(given.get("email"))
        named = given.get("invoice_settings", {}).get("default_payment_method")
        current = (body["invoice_settings"] or {}).get("default_payment_method")
        self._complete(body, named or current)
        if given.get("source"):
            body["default_source"] = self._sources.add(call, body, given["source"])["id"]
        if given.get("default_source"):
            card = self.desk.need("card", given["default_source"], "default_source")
            body["default_source"] = card["id"]
        self._discount(call, given, body)

    def _discount(self, call: Call, given: Json, body: Json) -> None:
        names = ("coupon", "promotion_code")
        named: Json = {name: given[name] for name in names if name in given}
        if not named:
            return
        old = body["discount"]
        if all(value == "" for value in named.values()):
            if old:
                self._undiscount(call, {}, body)
            return
        body["discount"] = redeem(self.desk, call, named, "", customer=body["id"])
        self.desk.put(body)
        if old:
            self.desk.save(call, body["discount"], "customer.discount.updated", old)
        else:
            self.desk.save(call, body["discount"], "customer.discount.created")

    def _undiscount(self, call: Call, given: Json, body: Json) -> Response:
        found = body["discount"]
        if found is None:
            raise error(404, "No active discount for customer: " + body["id"], "resource_missing")
        body["discount"] = None
        self.desk.put(body)
        self.desk.put(found | {"deleted": True})
        self.desk.tell(call, "customer.discount.deleted", found)
        return self.desk.answer(found | {"deleted": True}, {})

    def _first_method(self, call: Call, given: Json, body: Json) -> Json | None:
        if not given.get("payment_method"):
            return None
        return self._methods.attach_named(call, given["payment_method"], body["id"])

    def _complete(self, body: Json, default: str | None) -> None:
        settings = body["invoice_settings"] or {}
        body["invoice_settings"] = {
            "custom_fields": None, "default_payment_method": None, "footer": None,
            "rendering_options": None, **settings,
        }  # fmt: skip
        body["address"] = addressed(body["address"])
        if body["shipping"]:
            body["shipping"] = {
                "phone": None, **body["shipping"],
                "address": addressed(body["shipping"].get("address")),
            }  # fmt: skip
        if default:
            method = self.desk.find("payment_method", default)
            if method is None or method["customer"] != body["id"]:
                message = (
                    f"The customer does not have a payment method with the ID {default}. The "
                    "payment method must be attached to the customer."
                )
                raise error(
                    400, message, "resource_missing", "invoice_settings[default_payment_method]"
                )
            body["invoice_settings"]["default_payment_method"] = default

    def _delete(self, call: Call, id: str) -> Response:
        for subscription in self.desk.all("subscription", customer=id):
            if subscription["status"] not in ("canceled", "incomplete_expired"):
                now = self.desk.clock_time(subscription["test_clock"])
                subscription |= {"status": "canceled", "canceled_at": now, "ended_at": now}
                self.desk.save(call, subscription, "customer.subscription.deleted")
        for method in self.desk.all("payment_method", customer=id):
            self.desk.put(method | {"customer": None, "sandbox_spent": True})
        return super()._delete(call, id)

    def _below(self, path: str, kind: str) -> Any:
        return lambda body: listing(
            self.desk.all(kind, customer=body["id"]), f"/v1/customers/{body['id']}/{path}"
        )

    def _all_methods(self, call: Call, id: str) -> Response:
        params = read_params(call.request)
        given = described.read(call, "customer_payment_method_list", params)
        self.desk.own("customer", id)
        wanted = {"type": given["type"]} if "type" in given else {}
        found = self.desk.all("payment_method", customer=id, **wanted)
        return self.desk.answer(page(found, params, f"/v1/customers/{id}/payment_methods"), params)

    def _one_method(self, call: Call, id: str, method: str) -> Response:
        found = self.desk.find("payment_method", method)
        if found is None or found["customer"] != id:
            raise no_such("payment_method", method, "payment_method")
        return self.desk.answer(found, read_params(call.request))


def _reconcile(given: Json, body: Json) -> None:
    """Keep how the customer's cash is reconciled, which the cash balance shows."""
    settings = (given.get("cash_balance") or {}).get("settings") or {}
    if "reconciliation_mode" in settings:
        body["sandbox_cash_mode"] = settings["reconciliation_mode"]


def _credit(body: Json) -> Json:
    """Return what a customer has to the good by currency, which is a debt in `balance`."""
    is_some = body["balance"] and body["currency"]
    return {body["currency"]: -body["balance"]} if is_some else {}
