"""Payouts of the imitated Stripe account: by hand, or of all funds whenever some become available.

Invariant: a payout leaves the balance when it is made, and comes back if it fails or is cancelled.
https://docs.stripe.com/payouts
"""

from __future__ import annotations

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.store import Json
from ops.sandbox.stripe import currencies
from ops.sandbox.stripe.account import Account
from ops.sandbox.stripe.params import check_step, read_amount, read_currency
from ops.sandbox.stripe.wire import error, merged_metadata
from ops.sandbox.wire import Call, reply

DAY = 86400
_INSTANT_SECONDS = 1800
_DEPART, _ARRIVE = "send_payout", "end_payout"
_CLOSED = ("account_closed", "The bank account has been closed")
_BANK = "sandbox_bank_account"
POOR = (
    "You have insufficient funds in your Stripe account. One likely reason you have insufficient "
    "funds is that your funds are automatically being paid out; try enabling manual payouts by "
    "going to https://dashboard.stripe.com/account/payouts."
)


class Payouts:
    """Makes payouts and lets them arrive, or fail as the settings say."""

    def __init__(self, account: Account) -> None:
        self._account, self._clock, self._ledger = account, account.clock, account.ledger
        self._settings = account.box.settings
        self._clock.does(_DEPART, self._depart)
        self._clock.does(_ARRIVE, self._arrive)
        self._ledger.on_release.append(self._pay_all)

    def create(self, call: Call, params: Json) -> Response:
        """Pay out a part of the available balance."""
        amount, currency = read_amount(params), read_currency(params)
        bank = self._bank_account()
        if params.get("destination", bank) != bank:
            message = f"No such external account: '{params['destination']}'"
            raise error(400, message, "resource_missing", "destination")
        check_step(amount, currency, currencies.payout_step(currency))
        if amount > self._ledger.sums("available").get(currency, 0):
            raise error(400, POOR, "balance_insufficient", "amount")
        payout = self._new(amount, currency, params, is_automatic=False)
        payout["metadata"] = merged_metadata({}, params)
        self._start(call, payout)
        return reply(payout)

    def update(self, call: Call, payout: Json, params: Json) -> Response:
        """Change the metadata."""
        previous = {"metadata": payout["metadata"]}
        payout["metadata"] = merged_metadata(payout["metadata"], params)
        self._account.save(call, payout, "payout.updated", previous)
        return reply(payout)

    def cancel(self, call: Call, payout: Json, params: Json) -> Response:
        """Cancel a payout that is not sent yet."""
        if payout["status"] != "pending" or payout["automatic"]:
            message = (
                f"You cannot cancel this payout because it has a status of {payout['status']}. "
                "Only manual payouts with the status pending can be canceled."
            )
            raise error(400, message, executed=True)
        for task in (_DEPART, _ARRIVE):
            self._clock.drop(task, payout["id"])
        payout["status"] = "canceled"
        self._give_back(payout, "payout_cancel")
        self._account.save(call, payout, "payout.canceled")
        return reply(payout)

    def _new(self, amount: int, currency: str, params: Json, *, is_automatic: bool) -> Json:
        now = self._clock.now()
        days = self._settings.number("stripe.payout_days")
        is_instant = params.get("method") == "instant"
        arrival = now + _INSTANT_SECONDS if is_instant else -(-int(now + days * DAY) // DAY) * DAY
        return {
            "id": f"po_1{token62(23)}",
            "object": "payout",
            "amount": amount,
            "application_fee": None,
            "application_fee_amount": None,
            "arrival_date": arrival,
            "automatic": is_automatic,
            "balance_transaction": None,
            "created": now,
            "currency": currency,
            "description": params.get("description", "STRIPE PAYOUT" if is_automatic else None),
            "destination": params.get("destination") or self._bank_account(),
            "failure_balance_transaction": None,
            "failure_code": None,
            "failure_message": None,
            "livemode": False,
            "metadata": {},
            "method": params.get("method", "standard"),
            "original_payout": None,
            "payout_method": params.get("payout_method"),
            "reconciliation_status": "in_progress" if is_automatic else "not_applicable",
            "reversed_by": None,
            "source_type": params.get("source_type", "card"),
            "statement_descriptor": params.get("statement_descriptor"),
            "status": "pending",
            "trace_id": {"status": "pending", "value": None},
            "type": "bank_account",
        }

    def _start(self, call: Call | None, payout: Json) -> Json:
        """Book a payout and plan its way; return its balance transaction."""
        booked = self._ledger.book_settled(payout, "payout", "payout", -payout["amount"])
        payout["balance_transaction"] = booked["id"]
        self._account.save(call, payout, "payout.created")
        self._account.note(call, "payouts", payout)
        half = (payout["created"] + payout["arrival_date"]) / 2
        self._clock.plan(_DEPART, payout["id"], half)
        self._clock.plan(_ARRIVE, payout["id"], payout["arrival_date"])
        return booked

    def _depart(self, payout_id: str) -> None:
        payout = self._account.find("payout", payout_id)
        if payout["status"] == "pending":
            payout["status"] = "in_transit"
            self._account.save(None, payout, "payout.updated", {"status": "pending"})

    def _arrive(self, payout_id: str) -> None:
        payout = self._account.find("payout", payout_id)
        if self._settings.text("stripe.payout_status") == "failed":
            payout["status"] = "failed"
            payout["failure_code"], payout["failure_message"] = _CLOSED
            self._give_back(payout, "payout_failure")
            self._account.save(None, payout, "payout.failed")
            return
        trace = {"status": "supported", "value": token62(15).upper()}
        payout |= {"status": "paid", "trace_id": trace}
        self._account.save(None, payout, "payout.paid")
        if payout["automatic"]:
            payout["reconciliation_status"] = "completed"
            self._account.save(None, payout, "payout.reconciliation_completed")

    def _give_back(self, payout: Json, type_: str) -> None:
        booked = self._ledger.book_settled(payout, type_, "payout_reversal", payout["amount"])
        payout["failure_balance_transaction"] = booked["id"]

    def _pay_all(self) -> None:
        """Pay out, if payouts are automatic, what has become available since the last one."""
        if not self._settings.flag("stripe.automatic_payouts"):
            return
        by_currency: dict[str, list[Json]] = {}
        for each in self._ledger.all():
            if each["status"] == "available" and "sandbox_payout" not in each:
                by_currency.setdefault(each["currency"], []).append(each)
        for currency, parts in by_currency.items():
            step = currencies.payout_step(currency)
            amount = sum(each["net"] for each in parts) // step * step
            if amount <= 0:
                continue
            payout = self._new(amount, currency, {}, is_automatic=True)
            for each in [*parts, self._start(None, payout)]:
                self._account.put(each | {"sandbox_payout": payout["id"]})

    def _bank_account(self) -> str:
        row = self._account.store.get(_BANK, "default")
        if row is None:
            bank = f"ba_1{token62(23)}"
            self._account.store.put(_BANK, "default", {"id": bank})
            return bank
        return str(row.body["id"])
