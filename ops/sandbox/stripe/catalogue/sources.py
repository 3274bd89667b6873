"""Tokens, and the older cards that customers keep as sources.

https://docs.stripe.com/api/tokens, /api/cards
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from werkzeug.wrappers import Response

from ops.sandbox.store import Json
from ops.sandbox.stripe import objects
from ops.sandbox.stripe.catalogue import numbers
from ops.sandbox.stripe.catalogue.methods import card_of_token, test_card
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import filled
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import error, no_such, page, read_params
from ops.sandbox.wire import Call, Route


class Sources(Resource):
    """The cards of customers, below the customers' URLs."""

    kind, url, calls, prefix, event = (
        "card", "/v1/customers", "customer_payment_source", "card", "customer.source",
    )  # fmt: skip
    verbs = ()

    def routes(self) -> Sequence[Route]:
        """Return the endpoints below a customer."""
        all_of, begin = "/v1/customers/<customer>/sources", "customers.sources"
        return [
            ("POST", all_of, f"{begin}.create", self._make),
            ("GET", all_of, f"{begin}.list", self._of_customer),
            ("GET", f"{all_of}/<id>", f"{begin}.retrieve", self._one),
            ("POST", f"{all_of}/<id>", f"{begin}.update", self._change_one),
            ("DELETE", f"{all_of}/<id>", f"{begin}.delete", self._remove),
        ]

    def add(self, call: Call, customer: Json, token: str) -> Json:
        """Add the card of a token to a customer; the first one becomes the default."""
        stored = self.desk.find("token", token)
        card = stored["sandbox_test_card"] if stored else card_of_token(token)
        body = old_card(card)
        body["customer"] = customer["id"]
        if customer["default_source"] is None:
            customer["default_source"] = body["id"]
            self.desk.put(customer)
        # A card serves as a payment method, under the same id.
        self.desk.put(test_card(card) | {"id": body["id"], "customer": customer["id"]})
        self.desk.save(call, body, "customer.source.created")
        return body

    def _make(self, call: Call, customer: str) -> Response:
        params = read_params(call.request)
        given = described.read(call, f"{self.calls}_create", params)
        body = self.add(call, self.desk.own("customer", customer), given["source"])
        return self.desk.answer(body, params)

    def _of_customer(self, call: Call, customer: str) -> Response:
        params = read_params(call.request)
        described.read(call, f"{self.calls}_list", params)
        self.desk.own("customer", customer)
        found = self.desk.all(self.kind, customer=customer)
        return self.desk.answer(page(found, params, f"/v1/customers/{customer}/sources"), params)

    def _owned(self, customer: str, card_id: str) -> Json:
        body = self.desk.find(self.kind, card_id)
        if body is None or body["customer"] != customer:
            raise no_such("source", card_id, "id")
        return body

    def _one(self, call: Call, customer: str, id: str) -> Response:
        return self.desk.answer(self._owned(customer, id), read_params(call.request))

    def _change_one(self, call: Call, customer: str, id: str) -> Response:
        params = read_params(call.request)
        given = described.read(call, f"{self.calls}_update", params)
        return self.desk.answer(self.update(call, given, self._owned(customer, id)), params)

    def _remove(self, call: Call, customer: str, id: str) -> Response:
        self._owned(customer, id)
        owner = self.desk.own("customer", customer)
        if owner["default_source"] == id:
            before = copy.deepcopy(owner)
            others = [each["id"] for each in self.desk.all(self.kind, customer=customer)]
            owner["default_source"] = next((each for each in others if each != id), None)
            self.desk.save(call, owner, "customer.updated", before)
        return self._delete(call, id)


class Tokens(Resource):
    """The tokens of cards, each of which serves once."""

    kind, url, calls, prefix, event = "token", "/v1/tokens", "token", "tok", ""
    verbs = ("create", "retrieve")
    set_apart = ("card",)

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Make the card; raises Stripe's error for what is no test card."""
        details = given.get("card")
        if not isinstance(details, dict):
            message = "You must supply either a card, customer, PII data, or bank account."
            raise error(400, message, "parameter_missing", "card")
        name = numbers.card_of(details, self.desk.now())
        body |= {"type": "card", "card": old_card(name), "sandbox_test_card": name}


def old_card(name: str) -> Json:
    """Return the older kind of card for the name of a test card."""
    card = objects.new_payment_method(name)["card"]
    body = filled(described.new("card", "card"), card)
    checks = card["checks"]
    body |= {"cvc_check": checks["cvc_check"], "brand": card["brand"].title()}
    return body | {"sandbox_test_card": name}
