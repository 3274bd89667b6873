"""Transfers to connected accounts with their reversals, and top-ups of the balance.

https://docs.stripe.com/api/transfers, /api/transfer_reversals, /api/topups
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.store import Json
from ops.sandbox.stripe.params import read_currency
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import error, no_such, page, read_params
from ops.sandbox.wire import Call, Route

NOT_ENOUGH = (
    "You have insufficient available funds in your Stripe account. Try adding funds directly to "
    "your available balance by creating Charges using the 4000000000000077 test card. See: "
    "https://stripe.com/docs/testing#available-balance"
)


class Transfers(Resource):
    """The transfers; one takes what is available, and a reversal gives it back."""

    kind, url, calls, prefix, event = "transfer", "/v1/transfers", "transfer", "tr", "transfer"

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        desk.prefixes["trr"] = "transfer_reversal"

    def routes(self) -> Sequence[Route]:
        """Return the endpoints, with those of the reversals."""
        all_of, begin = f"{self.url}/<transfer>/reversals", "transfers.reversals"
        return [
            *super().routes(),
            ("POST", all_of, f"{begin}.create", self._reverse),
            ("GET", all_of, f"{begin}.list", self._reversals),
            ("GET", f"{all_of}/<id>", f"{begin}.retrieve", self._reversal),
        ]

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Take the money from what is available; raises Stripe's error if it is not enough."""
        self.desk.need("account", given["destination"], "destination")
        body["currency"] = read_currency(given)
        amount = given.get("amount")
        if amount is None or amount < 1:
            raise error(400, "Invalid positive integer", "parameter_invalid_integer", "amount")
        ledger = self.desk.payments.account.ledger
        if ledger.sums("available").get(body["currency"], 0) < amount:
            raise error(400, NOT_ENOUGH, "balance_insufficient", executed=True)
        body["balance_transaction"] = ledger.book(body, "transfer", "transfer", -amount)["id"]
        body |= {"source_type": "card", "destination_payment": f"py_{token62(24)}"}
        body["reversals"]["url"] = f"{self.url}/{body['id']}/reversals"

    def _reverse(self, call: Call, transfer: str) -> Response:
        params = read_params(call.request)
        given = described.read(call, "transfer_reversal_create", params)
        found = self.desk.own(self.kind, transfer)
        left = found["amount"] - found["amount_reversed"]
        amount = given.get("amount", left)
        if not 0 < amount <= left:
            message = f"Reversal amount ({amount}) is greater than unreversed amount ({left})."
            raise error(400, message, "amount_too_large", "amount")
        body = described.new("transfer_reversal", "trr", transfer=transfer, amount=amount)
        body["currency"] = found["currency"]
        self._set(body, {name: given[name] for name in ("metadata",) if given.get(name)})
        ledger = self.desk.payments.account.ledger
        booked = ledger.book(body, "transfer_refund", "transfer_reversal", amount)
        body["balance_transaction"] = booked["id"]
        self.desk.put(body)
        old = copy.deepcopy(found)
        found["amount_reversed"] += amount
        found["reversed"] = found["amount_reversed"] == found["amount"]
        found["reversals"]["data"].insert(0, body)
        self.desk.save(call, found, "transfer.updated", old)
        self.desk.tell(call, "transfer.reversed", found)
        self.desk.note(call, "transfers.reversed", body, amount=amount)
        return self.desk.answer(body, params)

    def _reversals(self, call: Call, transfer: str) -> Response:
        params = read_params(call.request)
        described.read(call, "transfer_reversal_list", params)
        data = self.desk.own(self.kind, transfer)["reversals"]["data"]
        return self.desk.answer(page(data, params, f"{self.url}/{transfer}/reversals"), params)

    def _reversal(self, call: Call, transfer: str, id: str) -> Response:
        body = self.desk.find("transfer_reversal", id)
        if body is None or body["transfer"] != transfer:
            raise no_such("transfer_reversal", id, "id")
        return self.desk.answer(body, read_params(call.request))


class Topups(Resource):
    """The top-ups: in test mode one succeeds as soon as its creation is told."""

    kind, url, calls, prefix, event = "topup", "/v1/topups", "topup", "tu", "topup"

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Check the amount, and describe the bank account that it comes from."""
        body["currency"] = read_currency(given)
        if given["amount"] < 1:
            raise error(400, "Invalid positive integer", "parameter_invalid_integer", "amount")
        body |= {"status": "pending", "expected_availability_date": body["created"]}

    def made(self, call: Call, given: Json, body: Json) -> Json:
        """Book the money."""
        ledger = self.desk.payments.account.ledger
        booked = ledger.book(body, "topup", "topup", body["amount"])
        body |= {"balance_transaction": booked["id"], "status": "succeeded"}
        self.desk.save(call, body, "topup.succeeded")
        return body
