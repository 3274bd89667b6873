"""The balance between a customer and the account: credits reduce the next invoices.

https://docs.stripe.com/api/customer_balance_transactions
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.store import Json
from ops.sandbox.stripe.currencies import MINIMUM
from ops.sandbox.stripe.params import read_currency
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import no_such, page, read_params
from ops.sandbox.wire import Call, Route


def change_balance(
    desk: Desk, call: Call, customer: Json, amount: int, type_: str, **values: Any
) -> Json:
    """Add an amount of minor units (negative: a credit) to a customer's balance."""
    old = copy.deepcopy(customer)
    customer["balance"] += amount
    body = described.new("customer_balance_transaction", "cbtxn", customer=customer["id"])
    body |= {"amount": amount, "ending_balance": customer["balance"], "type": type_, **values}
    desk.put(body)
    desk.save(call, customer, "customer.updated", old)
    return body


def apply_balance(desk: Desk, call: Call, customer: Json, invoice: Json) -> None:
    """Take a credit of the customer for an invoice, or add what the customer owes to it."""
    before, total = customer["balance"], invoice["total"]
    after = before + total if total < 0 or before < 0 else 0
    if total >= 0:
        after = min(0, after)
    if after != before:
        change_balance(
            desk, call, customer, after - before, "applied_to_invoice", invoice=invoice["id"],
            currency=invoice["currency"],
        )  # fmt: skip
    invoice |= {"starting_balance": before, "ending_balance": after}


def carry_small(desk: Desk, call: Call, customer: Json, invoice: Json) -> None:
    """Move what is due to the customer's balance if it is too little to be charged."""
    owed = invoice["amount_due"]
    if 0 < owed < MINIMUM.get(invoice["currency"], 1):
        change_balance(
            desk, call, customer, owed, "invoice_too_small", invoice=invoice["id"],
            currency=invoice["currency"],
        )  # fmt: skip
        invoice["ending_balance"] = customer["balance"]


class CustomerBalance(Resource):
    """The changes of customers' balances, below the customers' URLs."""

    kind, url, calls, prefix, event = (
        "customer_balance_transaction", "/v1/customers", "customer_balance_transaction", "cbtxn",
        "",
    )  # fmt: skip
    verbs = ()

    def routes(self) -> Sequence[Route]:
        """Return the endpoints below a customer."""
        all_of, begin = "/v1/customers/<customer>/balance_transactions", "customers.balance"
        return [
            ("POST", all_of, f"{begin}.create", self._make),
            ("GET", all_of, f"{begin}.list", self._of_customer),
            ("GET", f"{all_of}/<id>", f"{begin}.retrieve", self._one),
            ("POST", f"{all_of}/<id>", f"{begin}.update", self._change_one),
        ]

    def _make(self, call: Call, customer: str) -> Response:
        params = read_params(call.request)
        given = described.read(call, f"{self.calls}_create", params)
        given["currency"] = read_currency(given)
        amount, owner = given.pop("amount"), self.desk.own("customer", customer)
        owner["currency"] = owner["currency"] or given["currency"]
        body = change_balance(self.desk, call, owner, amount, "adjustment", **given)
        self.desk.note(call, "balance_transactions", body, amount=amount)
        return self.desk.answer(body, params)

    def _of_customer(self, call: Call, customer: str) -> Response:
        params = read_params(call.request)
        described.read(call, f"{self.calls}_list", params)
        self.desk.own("customer", customer)
        found = self.desk.all(self.kind, customer=customer)
        url = f"/v1/customers/{customer}/balance_transactions"
        return self.desk.answer(page(found, params, url), params)

    def _owned(self, customer: str, transaction: str) -> Json:
        body = self.desk.find(self.kind, transaction)
        if body is None or body["customer"] != customer:
            raise no_such(self.kind, transaction, "id")
        return body

    def _one(self, call: Call, customer: str, id: str) -> Response:
        return self.desk.answer(self._owned(customer, id), read_params(call.request))

    def _change_one(self, call: Call, customer: str, id: str) -> Response:
        params = read_params(call.request)
        given = described.read(call, f"{self.calls}_update", params)
        return self.desk.answer(self.update(call, given, self._owned(customer, id)), params)
