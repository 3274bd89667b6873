"""Payment methods: made of test tokens and numbers, attached to customers and detached.

https://docs.stripe.com/api/payment_methods, https://docs.stripe.com/testing
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from ops.sandbox.box import token62
from ops.sandbox.store import Json
from ops.sandbox.stripe import objects
from ops.sandbox.stripe.cards import CARDS, DECLINES, decline_details
from ops.sandbox.stripe.catalogue import numbers
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import filled
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import error, no_such
from ops.sandbox.wire import Call, Route

# Cards that can be attached, and are declined only when they are charged.
_ATTACHES = ("pm_card_chargeCustomerFail",)
_ALREADY = "The payment method you provided has already been attached to a customer."
_SPENT = (
    "This PaymentMethod was previously used without being attached to a Customer or was detached "
    "from a Customer, and may not be used again."
)
_NOT_ATTACHED = (
    "The payment method you provided is not attached to a customer so detachment is impossible."
)


class PaymentMethods(Resource):
    """The payment methods; an id such as `pm_card_visa` stands for a new test card."""

    kind, url, calls, prefix, event = (
        "payment_method", "/v1/payment_methods", "payment_method", "pm", "payment_method",
    )  # fmt: skip
    set_apart = ("card", "payment_method", "customer", "type", "sepa_debit", "us_bank_account")

    def routes(self) -> Sequence[Route]:
        """Return the endpoints, with those to attach and detach."""
        attach = self.action("attach", "attach", self._attach)
        return [
            *super().routes(),
            ("POST", f"{self.url}/<id>/attach", attach[2], self._attach_any(attach[3])),
            self.action("detach", "detach", self._detach),
        ]

    def create(self, call: Call, given: Json) -> Json:
        """Create a payment method that is attached to no customer."""
        body = self.create_of(given)
        self.desk.note(call, "payment_methods", body)
        return body

    def create_of(self, given: Json) -> Json:
        """Store a payment method from its data; raises Stripe's errors for a wrong card."""
        type_ = given.get("type", "card")
        body = self._card(given) if type_ == "card" else self._other(type_, given)
        self._set(body, given)
        body["billing_details"]["address"] = addressed(body["billing_details"]["address"], True)
        self.desk.put(body)
        return body

    def change(self, call: Call, given: Json, body: Json) -> None:
        """Change the expiry of a card; raises Stripe's error if no customer has it."""
        if body["customer"] is None:
            message = "You must save this PaymentMethod to a customer before you can update it."
            raise error(400, message)
        parts = ("exp_month", "exp_year")
        if body["type"] == "card":
            wanted = given.get("card", {})
            body["card"] |= {name: wanted[name] for name in parts if name in wanted}
        body["billing_details"]["address"] = addressed(body["billing_details"]["address"], True)

    def attach_named(self, call: Call | None, name: str, customer: str) -> Json:
        """Attach a stored method, or a new test card, to a customer; return the method."""
        body = test_card(name) if name in CARDS else self.desk.need(self.kind, name, self.kind)
        if body["customer"] and body["customer"] != customer:
            raise error(400, _ALREADY)
        if body["customer"] == customer:
            return body
        if body.get("sandbox_spent"):
            raise error(400, _SPENT)
        card = body.get("sandbox_test_card")
        if card in DECLINES and card not in _ATTACHES:
            code, _, message = DECLINES[card]
            more = decline_details(DECLINES[card], card)
            raise error(402, message, code, type_="card_error", **more)
        body["customer"] = customer
        self.desk.save(call, body, "payment_method.attached")
        self.desk.note(call, "payment_methods.attached", body)
        return body

    def _attach_any(self, attach_stored: Any) -> Any:
        def handler(call: Call, id: str) -> Any:
            if id in CARDS and self.desk.find(self.kind, id) is None:
                # A test card's name makes a new object at each use.
                body = test_card(id)
                self.desk.put(body)
                id = body["id"]
            return attach_stored(call, id)

        return handler

    def _attach(self, call: Call, given: Json, body: Json) -> Json:
        if not given.get("customer"):
            message = "Missing required param: customer."
            raise error(400, message, "parameter_missing", "customer")
        customer = self.desk.need("customer", given["customer"], "customer")
        if body["customer"]:
            raise error(400, _ALREADY)
        return self.attach_named(call, body["id"], customer["id"])

    def _detach(self, call: Call, given: Json, body: Json) -> Json:
        if body["customer"] is None:
            raise error(400, _NOT_ATTACHED)
        old = copy.deepcopy(body)
        customer = self.desk.find("customer", body["customer"])
        if customer and customer["invoice_settings"]["default_payment_method"] == body["id"]:
            before = copy.deepcopy(customer)
            customer["invoice_settings"]["default_payment_method"] = None
            self.desk.save(call, customer, "customer.updated", before)
        body |= {"customer": None, "sandbox_spent": True}
        self.desk.save(call, body, "payment_method.detached", old)
        self.desk.note(call, "payment_methods.detached", body)
        return body

    def _card(self, given: Json) -> Json:
        details = given.get("card")
        if not details:
            raise error(400, "Missing required param: card.", "parameter_missing", "card")
        if "token" in details:
            return self._of_token(details["token"])
        body = test_card(numbers.card_of(details, self.desk.now()))
        body["card"] |= {name: details[name] for name in ("exp_month", "exp_year")}
        return body

    def _of_token(self, token_id: str) -> Json:
        token = self.desk.find("token", token_id)
        if token:
            if token["used"]:
                message = f"You cannot use a Stripe token more than once: {token_id}."
                raise error(400, message, "token_already_used", "card[token]")
            self.desk.put(token | {"used": True})
            return test_card(token["sandbox_test_card"])
        return test_card(card_of_token(token_id))

    def _other(self, type_: str, given: Json) -> Json:
        body = described.new(self.kind, self.prefix, type=type_, allow_redisplay="unspecified")
        body[type_] = {}
        if type_ == "sepa_debit":
            body[type_] = _sepa(given)
            body["sandbox_iban"] = str(given["sepa_debit"]["iban"]).replace(" ", "")
        return body


def _sepa(given: Json) -> Json:
    iban = str(given.get("sepa_debit", {}).get("iban", "")).replace(" ", "")
    if not (15 <= len(iban) <= 34 and iban[:2].isalpha() and iban[2:4].isdigit()):
        message = "The IBAN you provided is invalid."
        raise error(400, message, "invalid_bank_account_iban", "sepa_debit[iban]")
    return {
        "bank_code": iban[4:9], "branch_code": "", "country": iban[:2], "fingerprint": token62(16),
        "generated_from": {"charge": None, "setup_attempt": None}, "last4": iban[-4:],
    }  # fmt: skip


def test_card(name: str) -> Json:
    """Return a new payment method for the name of a test card."""
    body = described.new("payment_method", "pm", card=None)
    return filled(body, objects.new_payment_method(name)) | {"sandbox_test_card": name}


def card_of_token(token_id: str) -> str:
    """Return the test card of a token such as `tok_visa`; raises Stripe's error for another."""
    name = f"pm_card_{token_id.removeprefix('tok_')}"
    if not token_id.startswith("tok_") or name not in CARDS:
        raise no_such("token", token_id, "card[token]")
    return name


def addressed(given: Json | None, always: bool = False) -> Json | None:
    """Return an address with all its fields, or None if there is none (unless `always`)."""
    if not given and not always:
        return None
    parts = ("city", "country", "line1", "line2", "postal_code", "state")
    return dict.fromkeys(parts) | (given or {})
