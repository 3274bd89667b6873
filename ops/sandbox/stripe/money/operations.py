"""The endpoints of what follows a payment: charges, refunds and the balance."""

from __future__ import annotations

from collections.abc import Sequence

from werkzeug.wrappers import Response

from ops.sandbox.store import Json
from ops.sandbox.stripe import cards
from ops.sandbox.stripe.money.authentication import Authentication
from ops.sandbox.stripe.money.disputes import Disputes
from ops.sandbox.stripe.money.endpoints import Endpoints
from ops.sandbox.stripe.money.payouts import Payouts
from ops.sandbox.stripe.money.risk import REVIEW, WARNING, Risk
from ops.sandbox.stripe.money.standing import Standing
from ops.sandbox.stripe.payments import Payments
from ops.sandbox.stripe.refunds import Refunds
from ops.sandbox.stripe.wire import Fetch, error, merged_metadata
from ops.sandbox.wire import Call, Route, json_object, reply

MONEY_PREFIXES = {
    "txn": "balance_transaction", "po": "payout", "du": "dispute", "issfr": WARNING, "prv": REVIEW,
}  # fmt: skip
"""What the id of an object begins with, and its kind."""
MANUAL_PAYOUT = (
    "Balance transaction history can only be filtered on automatic transfers, not manual."
)
_MOST_SECONDS = 10 * 366 * 86400


class Money:
    """The money of the account."""

    def __init__(self, payments: Payments, refunds: Refunds, fetch: Fetch) -> None:
        self._account, self.refunds = payments.account, refunds
        self._endpoints = Endpoints(payments.store, fetch, payments.account.clock)
        self._authentication = Authentication(payments)
        self._payouts = Payouts(payments.account)
        self._disputes, self._risk = Disputes(payments.account), Risk(payments.account)
        self._standing = Standing(payments.account)

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        make, refunds = self._endpoints, self.refunds
        books, kind = "/v1/balance_transactions", "balance_transaction"
        return [
            ("POST", "/v1/charges/<id>", "charges.update",
             make.changes("charge", "charge_update", self._update_charge)),
            ("POST", "/v1/refunds", "refunds.create",
             make.creates("refund_create", refunds.create)),
            ("GET", "/v1/refunds", "refunds.list",
             make.lists("refund", "/v1/refunds", "refund_list", refunds.settle)),
            ("GET", "/v1/refunds/<id>", "refunds.retrieve",
             make.retrieves("refund", refunds.settle)),
            ("POST", "/v1/refunds/<id>", "refunds.update",
             make.changes("refund", "refund_update", refunds.update)),
            ("POST", "/v1/refunds/<id>/cancel", "refunds.cancel",
             make.changes("refund", "refund_cancel", refunds.cancel)),
            ("GET", books, "balance_transactions.list",
             make.lists(kind, books, f"{kind}_list", self._refuse_manual,
                        {"payout": "sandbox_payout"})),
            ("GET", f"{books}/<id>", "balance_transactions.retrieve", make.retrieves(kind)),
            ("GET", "/v1/balance", "balance.retrieve",
             lambda call: reply(self._account.ledger.balance())),
            *self._authentication.routes(),
            *self._standing.routes(),
            *self._troubles(),
            *self._payout_routes(),
        ]  # fmt: skip

    def own_account(self) -> str:
        """Return the id of the account itself."""
        return self._standing.own_id()

    def _payout_routes(self) -> Sequence[Route]:
        make, payouts, own = self._endpoints, "/v1/payouts", self._payouts
        return [
            ("POST", payouts, "payouts.create", make.creates("payout_create", own.create)),
            ("GET", payouts, "payouts.list", make.lists("payout", payouts, "payout_list")),
            ("GET", f"{payouts}/<id>", "payouts.retrieve", make.retrieves("payout")),
            ("POST", f"{payouts}/<id>", "payouts.update",
             make.changes("payout", "payout_update", own.update)),
            ("POST", f"{payouts}/<id>/cancel", "payouts.cancel",
             make.changes("payout", "payout_cancel", own.cancel)),
        ]  # fmt: skip

    def _troubles(self) -> Sequence[Route]:
        make, disputes, reviews = self._endpoints, "/v1/disputes", "/v1/reviews"
        warnings = "/v1/radar/early_fraud_warnings"
        return [
            ("GET", disputes, "disputes.list", make.lists("dispute", disputes, "dispute_list")),
            ("GET", f"{disputes}/<id>", "disputes.retrieve", make.retrieves("dispute")),
            ("POST", f"{disputes}/<id>", "disputes.update",
             make.changes("dispute", "dispute_update", self._disputes.update)),
            ("POST", f"{disputes}/<id>/close", "disputes.close",
             make.changes("dispute", "dispute_close", self._disputes.close)),
            ("GET", warnings, "early_fraud_warnings.list",
             make.lists(WARNING, warnings, "radar/early_fraud_warning_list")),
            ("GET", f"{warnings}/<id>", "early_fraud_warnings.retrieve", make.retrieves(WARNING)),
            ("GET", reviews, "reviews.list", make.lists(REVIEW, reviews, "review_list")),
            ("GET", f"{reviews}/<id>", "reviews.retrieve", make.retrieves(REVIEW)),
            ("POST", f"{reviews}/<id>/approve", "reviews.approve",
             make.changes(REVIEW, "review_approve", self._risk.approve)),
        ]  # fmt: skip

    def control(self) -> Sequence[Route]:
        """Return the endpoints of the control API."""
        return [
            ("GET", "/stripe/books", "stripe.books", self._books),
            ("POST", "/stripe/fail_refunds", "stripe.fail_refunds",
             lambda call: reply({"failed": self.refunds.fail_all(call)})),
            ("GET", "/stripe/clock", "stripe.clock", lambda call: reply(self._clock())),
            ("POST", "/stripe/advance", "stripe.advance", self._advance),
            ("POST", "/stripe/dispute", "stripe.dispute", self._dispute),
            ("POST", "/stripe/falsify", "stripe.falsify", self._falsify),
            *self._authentication.control(),
            *self._standing.control(),
        ]  # fmt: skip

    def _refuse_manual(self, call: Call) -> None:
        """Raise Stripe's error for a list by a payout that is unknown, or was made by hand."""
        name = call.request.args.get("payout")
        if name is None:
            return
        found = self._account.store.get("payout", name)
        if found is None:
            raise error(400, f"No such payout: '{name}'", "resource_missing", "payout")
        if not found.body["automatic"]:
            raise error(400, MANUAL_PAYOUT, param="payout")

    def _books(self, call: Call) -> Response:
        balance = self._account.ledger.balance()
        sums = {each: balance[each] for each in ("available", "pending")}
        return reply({"currencies": self._account.ledger.books(), **sums})

    def _advance(self, call: Call) -> Response:
        given, clock = json_object(call.request) or {}, self._account.clock
        moves = {"seconds": clock.advance, "ahead_seconds": clock.advance_to}
        name, value = next(iter(given.items()), ("", -1))
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if len(given) != 1 or name not in moves or not is_number or not 0 <= value <= _MOST_SECONDS:
            message = f"give seconds or ahead_seconds, a number from 0 to {_MOST_SECONDS}"
            return reply({"error": message}, 400)
        return reply({"done": moves[name](value), **self._clock()})

    def _clock(self) -> Json:
        clock = self._account.clock
        return {"now": clock.now(), "ahead_seconds": clock.ahead(), "next_at": clock.next_at()}

    def _falsify(self, call: Call) -> Response:
        """Change the amount of a balance transaction, or delete it, as no bank should."""
        given = json_object(call.request) or {}
        amount, name = given.get("amount"), str(given.get("transaction", ""))
        if set(given) != {"transaction", "amount"} or not isinstance(amount, int | None):
            return reply({"error": "give a transaction, and an amount or null to delete it"}, 400)
        with self._account.store.transaction():
            found = self._account.find("balance_transaction", name)
            if amount is None:
                self._account.store.delete("balance_transaction", name)
            else:
                self._account.put(found | {"amount": amount, "net": amount - found["fee"]})
        return reply({"was": found["amount"], "is": amount})

    def _dispute(self, call: Call) -> Response:
        given = json_object(call.request) or {}
        kind = given.get("kind", "createDispute")
        opened = cards.DISPUTES.get(f"pm_card_{kind}")
        if opened is None:
            known = ", ".join(each.removeprefix("pm_card_") for each in cards.DISPUTES)
            return reply({"error": f"kind is one of {known}"}, 400)
        with self._account.store.transaction():
            charge = self._account.find("charge", str(given.get("charge", "")))
            if not charge["captured"] or charge["refunded"]:
                return reply({"error": "the charge is not captured, or refunded already"}, 409)
            card = f"pm_card_{kind}"
            made = [self._disputes.open(None, charge, why, card) for why in opened]
        return reply({"disputes": [each["id"] for each in made]})

    def _update_charge(self, call: Call, charge: Json, params: Json) -> Response:
        given = {name: value or None for name, value in params.items() if name != "metadata"}
        given["metadata"] = merged_metadata(charge["metadata"], params)
        previous = {name: charge[name] for name in given if charge[name] != given[name]}
        self._account.save(call, charge | given, "charge.updated", previous)
        return reply(charge | given)
