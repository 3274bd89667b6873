"""SEPA direct debits: payments that are `processing` until the bank has paid or refused.

https://docs.stripe.com/payments/sepa-debit/accept-a-payment#test-integration
"""

from __future__ import annotations

from werkzeug.wrappers import Response

from ops.sandbox.store import Json
from ops.sandbox.stripe import objects
from ops.sandbox.stripe.resources.desk import Desk, shown
from ops.sandbox.stripe.wire import error
from ops.sandbox.wire import Call, reply

_TASK = "settle_debit"
_SLOW_SECONDS = 180
_SLOW = ("AT321904300235473204", "AT051904300235473205")
_REFUSED = ("AT861904300235473202", "AT051904300235473205", "IT60X0542811101000000123456")
_WORDS = "The customer's account has insufficient funds to cover this payment."


class Debits:
    """Attempts to pay by direct debit; the account's clock settles them."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._account = desk, desk.payments.account
        desk.payments.charging.others["sepa_debit"] = self.attempt
        self._account.clock.does(_TASK, self._settle)

    def attempt(self, call: Call, intent: Json, method: Json) -> Response:
        """Begin a debit; its end comes at once or after minutes, as the test IBAN says."""
        if intent["currency"] != "eur":
            message = "The currency provided is invalid for payment method type sepa_debit: eur."
            raise error(400, message, "parameter_invalid", "currency")
        now = self._account.clock.now()
        like = objects.new_payment_method("pm_card_visa")
        charge = objects.new_charge(intent, like | {"id": method["id"]}, None, now)
        details = {
            name: each for name, each in method["sepa_debit"].items() if name != "generated_from"
        }
        charge["payment_method_details"] = {
            "sepa_debit": {**details, "expected_debit_date": None, "mandate": None},
            "type": "sepa_debit",
        }
        charge |= {"billing_details": method["billing_details"], "captured": True}
        charge |= {"amount_captured": 0, "paid": False, "status": "pending"}
        intent |= {"status": "processing", "latest_charge": charge["id"]}
        wait = _SLOW_SECONDS if method["sandbox_iban"] in _SLOW else 0
        self._account.clock.plan(_TASK, charge["id"], now + wait)
        self._account.save(call, charge, "charge.pending")
        self._account.save(call, intent, "payment_intent.processing")
        self._account.note(call, "debits", intent)
        return reply(intent)

    def _settle(self, charge_id: str) -> None:
        charge = self._account.find("charge", charge_id)
        intent = self._account.find("payment_intent", charge["payment_intent"])
        method = self._account.method(charge["payment_method"])
        if method["sandbox_iban"] in _REFUSED:
            self._refuse(charge, intent, method)
            return
        charge |= {"status": "succeeded", "paid": True, "amount_captured": charge["amount"]}
        self._desk.payments.charging.book(charge, charge["amount"])
        self._account.save(None, charge, "charge.succeeded")
        intent |= {"status": "succeeded", "amount_received": intent["amount"]}
        self._account.save(None, intent, "payment_intent.succeeded")
        self._account.note(None, "payments", intent)
        self._account.paid(None, charge)

    def _refuse(self, charge: Json, intent: Json, method: Json) -> None:
        problem: Json = {
            "code": "insufficient_funds", "message": _WORDS, "payment_method": shown(method),
            "type": "invalid_request_error", "charge": charge["id"],
        }  # fmt: skip
        charge |= {"status": "failed", "captured": False, "failure_message": _WORDS}
        charge |= {"failure_code": "insufficient_funds"}
        self._account.save(None, charge, "charge.failed")
        intent |= {"status": "requires_payment_method", "payment_method": None}
        intent["last_payment_error"] = problem
        self._account.save(None, intent, "payment_intent.payment_failed")
        self._account.note(None, "declines", intent)
