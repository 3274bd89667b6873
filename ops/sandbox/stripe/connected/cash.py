"""Customers' cash balances, which bank transfers fund; a test helper stands for the bank.

https://docs.stripe.com/payments/customer-balance
"""

from __future__ import annotations

from collections.abc import Sequence

from werkzeug.wrappers import Response

from ops.sandbox.store import Json
from ops.sandbox.stripe.params import read_currency
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import error, no_such, page, read_params
from ops.sandbox.wire import Call, Route


class CashBalances(Resource):
    """The cash balances and what has changed them."""

    kind, url, calls, prefix, event = (
        "customer_cash_balance_transaction", "/v1/customers", "customer_cash_balance_transaction",
        "ccsbtxn", "customer_cash_balance_transaction",
    )  # fmt: skip
    verbs = ()

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        desk.includes["customer", "cash_balance"] = lambda body: self._cash(body["id"])

    def routes(self) -> Sequence[Route]:
        """Return the endpoints below a customer, and the test helper."""
        one, begin = "/v1/customers/<customer>", "customers.cash_balance"
        all_of = f"{one}/cash_balance_transactions"
        fund = "/v1/test_helpers/customers/<customer>/fund_cash_balance"
        return [
            ("GET", f"{one}/cash_balance", f"{begin}.retrieve", self._balance),
            ("GET", all_of, f"{begin}_transactions.list", self._of_customer),
            ("GET", f"{all_of}/<id>", f"{begin}_transactions.retrieve", self._one),
            ("POST", fund, "test_helpers.customers.fund_cash_balance", self._fund),
        ]

    def _fund(self, call: Call, customer: str) -> Response:
        params = read_params(call.request)
        given = described.read(call, "test_helpers/customer_fund_cash_balance", params)
        self.desk.own("customer", customer)
        currency, amount = read_currency(given), given["amount"]
        if amount < 1:
            raise error(400, "Invalid positive integer", "parameter_invalid_integer", "amount")
        before = self._cash(customer)["available"] or {}
        body = described.new(self.kind, self.prefix, customer=customer, type="funded")
        body |= {"currency": currency, "net_amount": amount}
        body["ending_balance"] = before.get(currency, 0) + amount
        body["funded"] = {
            "bank_transfer": {"reference": given.get("reference"), "type": "us_bank_transfer"}
        }
        self.desk.save(call, body, f"{self.event}.created")
        self.desk.note(call, "cash_balances.funded", body, amount=amount, currency=currency)
        self.desk.tell(call, "cash_balance.funds_available", self._cash(customer))
        return self.desk.answer(body, params)

    def _cash(self, customer: str) -> Json:
        sums: dict[str, int] = {}
        for each in self.desk.all(self.kind, customer=customer):
            sums[each["currency"]] = sums.get(each["currency"], 0) + each["net_amount"]
        body = described.new("cash_balance", customer=customer, available=sums or None)
        owner = self.desk.find("customer", customer) or {}
        mode, default = owner.get("sandbox_cash_mode", "merchant_default"), "merchant_default"
        body["settings"] |= {
            "reconciliation_mode": "automatic" if mode == default else mode,
            "using_merchant_default": mode == default,
        }
        return body

    def _balance(self, call: Call, customer: str) -> Response:
        self.desk.own("customer", customer)
        return self.desk.answer(self._cash(customer), read_params(call.request))

    def _of_customer(self, call: Call, customer: str) -> Response:
        params = read_params(call.request)
        described.read(call, "customer_cash_balance_transaction_list", params)
        self.desk.own("customer", customer)
        found = self.desk.all(self.kind, customer=customer)
        url = f"/v1/customers/{customer}/cash_balance_transactions"
        return self.desk.answer(page(found, params, url), params)

    def _one(self, call: Call, customer: str, id: str) -> Response:
        body = self.desk.find(self.kind, id)
        if body is None or body["customer"] != customer:
            raise no_such(self.kind, id, "id")
        return self.desk.answer(body, read_params(call.request))
