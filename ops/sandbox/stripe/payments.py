"""Payments at the imitated Stripe: PaymentIntents, their charges and refunds.

Invariant: each function runs in the caller's transaction, in which it writes the object, the event,
the webhook and the journal entry. https://docs.stripe.com/payments/paymentintents/lifecycle
"""

from __future__ import annotations

import time
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.box import Box, token62
from ops.sandbox.store import Json
from ops.sandbox.stripe import cards, currencies
from ops.sandbox.stripe import objects as shapes
from ops.sandbox.stripe.events import Events, public
from ops.sandbox.stripe.params import (
    CAPTURE_PARAMS,
    INTENT_PARAMS,
    NEEDS_RETURN_URL,
    REFUND_PARAMS,
    UPDATABLE,
    check_size,
    read_amount,
    read_currency,
)
from ops.sandbox.stripe.wire import (
    boolean,
    error,
    integer,
    merged_metadata,
    no_such,
    refuse_unknown,
)
from ops.sandbox.wire import Call, reply

CANCELABLE = (
    "requires_payment_method", "requires_capture", "requires_confirmation", "requires_action",
    "processing",
)  # fmt: skip
CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")


class Payments:
    """The operations on payments. Most return a response with the changed Stripe object."""

    def __init__(self, box: Box) -> None:
        self.box, self.store, self.events = box, box.store, Events(box)

    def intent(self, intent_id: str, param: str = "intent") -> Json:
        """Return a stored PaymentIntent or raise Stripe's 404."""
        row = self.store.get("payment_intent", intent_id)
        if row is None:
            raise no_such("payment_intent", intent_id, param)
        return row.body

    def create(self, call: Call, params: Json) -> Response:
        """Create a PaymentIntent, and confirm it if the parameters say so."""
        refuse_unknown(params, INTENT_PARAMS)
        amount, currency = read_amount(params), read_currency(params)
        check_size(amount, currency)
        intent = shapes.new_payment_intent(amount, currency, params)
        intent["metadata"] = merged_metadata({}, params)
        if "customer" in params and self.store.get("customer", params["customer"]) is None:
            raise error(
                400, f"No such customer: '{params['customer']}'", "resource_missing", "customer"
            )
        if "payment_method" in params:
            self._attach(intent, params["payment_method"])
        self._save(call, intent, "payment_intent.created")
        self._note(call, "payment_intents", intent)
        if boolean(params, "confirm"):
            return self.confirm(call, intent, params)
        return reply(intent)

    def update(self, call: Call, intent: Json, params: Json) -> Response:
        """Change those parameters of a PaymentIntent that may still be changed."""
        refuse_unknown(params, INTENT_PARAMS)
        if "amount" in params or "currency" in params:
            if intent["status"] not in CONFIRMABLE:
                raise self._unexpected(intent, "could not be updated", "updated", CONFIRMABLE)
            intent["amount"] = read_amount({"amount": intent["amount"], **params})
            intent["currency"] = read_currency({"currency": intent["currency"], **params})
            check_size(intent["amount"], intent["currency"])
        intent["metadata"] = merged_metadata(intent["metadata"], params)
        intent.update({name: params[name] or None for name in UPDATABLE if name in params})
        if "payment_method" in params:
            self._attach(intent, params["payment_method"])
        self._save(call, intent, None)
        return reply(intent)

    def confirm(self, call: Call, intent: Json, params: Json) -> Response:
        """Authorize (manual capture) or charge; a declined card is recorded and gives a 402."""
        refuse_unknown(params, INTENT_PARAMS)
        if intent["status"] not in CONFIRMABLE:
            raise self._unconfirmable(intent)
        if "payment_method" in params and params["payment_method"] != intent["payment_method"]:
            self._attach(intent, params["payment_method"])
        if intent["payment_method"] is None:
            message = (
                "You cannot confirm this PaymentIntent because it's missing a payment method. You "
                "can either update the PaymentIntent with a payment method and then confirm it "
                "again, or confirm it again directly with a payment method or ConfirmationToken."
            )
            raise error(400, message, "payment_intent_unexpected_state", payment_intent=intent)
        self._check_redirects(intent, params)
        method = self._method(intent["payment_method"])
        decline = cards.DECLINES.get(method["sandbox_test_card"])
        charge = shapes.new_charge(intent, method, decline)
        self.store.put("charge", charge["id"], charge)
        intent["latest_charge"] = charge["id"]
        if decline:
            return self._declined(call, intent, charge, method, decline)
        return self._accepted(call, intent, charge)

    def capture(self, call: Call, intent: Json, params: Json) -> Response:
        """Capture the authorized amount or a part of it; the rest is released."""
        refuse_unknown(params, CAPTURE_PARAMS)
        if intent["status"] != "requires_capture":
            raise self._unexpected(
                intent, "could not be captured", "captured", ["requires_capture"]
            )
        amount = integer(params, "amount_to_capture", intent["amount_capturable"])
        if amount > intent["amount_capturable"]:
            message = (
                f"Amount to capture ({amount}) must not be greater than the amount capturable "
                f"({intent['amount_capturable']})."
            )
            raise error(400, message, "amount_too_large", "amount_to_capture")
        if amount < 1:
            message = "This value must be greater than or equal to 1."
            raise error(400, message, "parameter_invalid_integer", "amount_to_capture")
        charge = self._charge_of(intent)
        charge |= {
            "captured": True,
            "amount_captured": amount,
            "amount_refunded": charge["amount"] - amount,
            "balance_transaction": f"txn_3{token62(23)}",
        }
        intent["metadata"] = merged_metadata(intent["metadata"], params)
        intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
        self.store.put("charge", charge["id"], charge)
        self.tell(call, "charge.captured", charge)
        self._save(call, intent, "payment_intent.succeeded")
        self._note(call, "captures", intent, amount=amount)
        return reply(intent)

    def cancel(self, call: Call, intent: Json, params: Json) -> Response:
        """Cancel a payment and release its authorization."""
        refuse_unknown(params, ("cancellation_reason",))
        if intent["status"] not in CANCELABLE:
            reasons = ", ".join(CANCELABLE)
            message = (
                f"You cannot cancel this PaymentIntent because it has a status of "
                f"{intent['status']}. Only a PaymentIntent with one of the following statuses may "
                f"be canceled: {reasons}."
            )
            raise self._state_error(message, intent)
        if intent["latest_charge"] and intent["status"] == "requires_capture":
            charge = self._charge_of(intent)
            charge |= {"refunded": True, "amount_refunded": charge["amount"]}
            self.store.put("charge", charge["id"], charge)
            self.tell(call, "charge.refunded", charge)
        intent |= {
            "status": "canceled",
            "canceled_at": int(time.time()),
            "cancellation_reason": params.get("cancellation_reason"),
            "amount_capturable": 0,
        }
        self._save(call, intent, "payment_intent.canceled")
        self._note(call, "cancellations", intent)
        return reply(intent)

    def refund(self, call: Call, params: Json) -> Response:
        """Refund a captured amount or a part of it."""
        refuse_unknown(params, REFUND_PARAMS)
        charge = self._charge_to_refund(params)
        if charge["refunded"]:
            message = f"Charge {charge['id']} has already been refunded."
            raise error(400, message, "charge_already_refunded", executed=True)
        left = charge["amount"] - charge["amount_refunded"]
        amount = integer(params, "amount", left)
        currency = charge["currency"]
        if amount < 1:
            raise error(400, "Invalid positive integer", "parameter_invalid_integer", "amount")
        if amount > left:
            message = (
                f"Refund amount ({currencies.money(amount, currency)}) is greater than unrefunded "
                f"amount on charge ({currencies.money(left, currency)})"
            )
            raise error(400, message, param="amount", executed=True)
        refund = shapes.new_refund(charge, amount, params)
        refund["status"] = self.box.settings.text("stripe.refund_status")
        refund["metadata"] = merged_metadata({}, params)
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] >= charge["amount"]
        self.store.put("refund", refund["id"], refund)
        self.store.put("charge", charge["id"], charge)
        self.tell(call, "refund.created", refund)
        self.tell(call, "charge.refunded", charge)
        row = self.store.get("payment_intent", charge["payment_intent"])
        inherited = row.body["metadata"] if row else {}
        self.store.journal(
            "stripe", call.operation, "refunds", refund["id"], call.notes.get("key"),
            {
                "metadata": {**inherited, **refund["metadata"]},
                "payment_intent": charge["payment_intent"],
                "amount": amount,
                "currency": currency,
            },
        )  # fmt: skip
        return reply(refund)

    def _charge_to_refund(self, params: Json) -> Json:
        if "payment_intent" in params:
            intent = self.intent(params["payment_intent"], "payment_intent")
            charge = self._charge_of(intent) if intent["latest_charge"] else None
            if charge is None or not charge["captured"]:
                message = (
                    f"This PaymentIntent ({intent['id']}) does not have a successful charge to "
                    "refund."
                )
                raise error(400, message, executed=True)
            return charge
        if "charge" not in params:
            message = "One of the following params should be provided for this request: "
            raise error(400, message + "payment_intent or charge.", "parameter_missing")
        row = self.store.get("charge", params["charge"])
        if row is None:
            raise no_such("charge", params["charge"], "charge")
        return row.body

    def _accepted(self, call: Call, intent: Json, charge: Json) -> Response:
        is_manual = intent["capture_method"] == "manual"
        intent |= {
            "status": "requires_capture" if is_manual else "succeeded",
            "amount_capturable": intent["amount"] if is_manual else 0,
            "amount_received": 0 if is_manual else intent["amount"],
            "last_payment_error": None,
        }
        self.tell(call, "charge.succeeded", charge)
        kind = "amount_capturable_updated" if is_manual else "succeeded"
        self._save(call, intent, f"payment_intent.{kind}")
        self._note(call, "authorizations" if is_manual else "payments", intent)
        return reply(intent)

    def _declined(
        self,
        call: Call,
        intent: Json,
        charge: Json,
        method: Json,
        decline: tuple[str, str | None, str],
    ) -> Response:
        code, decline_code, message = decline
        refusal = error(402, message, code, type_="card_error")
        body: Json = refusal.body["error"]
        body |= {"charge": charge["id"], "payment_method": public(method)}
        if decline_code:
            body["decline_code"] = decline_code
        intent |= {"status": "requires_payment_method", "payment_method": None}
        intent["last_payment_error"] = dict(body)
        self.tell(call, "charge.failed", charge)
        self._save(call, intent, "payment_intent.payment_failed")
        self._note(call, "declines", intent)
        return reply({"error": {**body, "payment_intent": intent}}, 402)

    def _attach(self, intent: Json, name: str) -> None:
        if name in cards.CARDS:
            method = shapes.new_payment_method(name)
            self.store.put("payment_method", method["id"], method)
        else:
            method = self._method(name)
        intent["payment_method"] = method["id"]
        if intent["status"] == "requires_payment_method":
            intent["status"] = "requires_confirmation"

    def _method(self, method_id: str) -> Json:
        row = self.store.get("payment_method", method_id)
        if row is None:
            message = f"No such PaymentMethod: '{method_id}'"
            raise error(400, message, "resource_missing", "payment_method")
        return row.body

    def _charge_of(self, intent: Json) -> Json:
        row = self.store.get("charge", intent["latest_charge"])
        assert row is not None, "an intent's latest charge is stored with it"
        return row.body

    def _check_redirects(self, intent: Json, params: Json) -> None:
        automatic = intent["automatic_payment_methods"]
        may_redirect = automatic is not None and automatic["allow_redirects"] == "always"
        is_strict = self.box.settings.flag("stripe.require_return_url")
        has_way_back = "return_url" in params or boolean(params, "off_session")
        if is_strict and may_redirect and not has_way_back:
            raise error(400, NEEDS_RETURN_URL)

    def _unexpected(self, intent: Json, what: str, participle: str, wanted: Any) -> Exception:
        message = (
            f"This PaymentIntent {what} because it has a status of {intent['status']}. Only a "
            f"PaymentIntent with one of the following statuses may be {participle}: "
            f"{', '.join(wanted)}."
        )
        return self._state_error(message, intent)

    def _unconfirmable(self, intent: Json) -> Exception:
        if intent["status"] == "canceled":
            message = (
                "You cannot confirm this PaymentIntent because it has a status of canceled. Only "
                "a PaymentIntent with one of the following statuses may be confirmed: "
                f"{', '.join(CONFIRMABLE)}."
            )
        else:
            message = (
                "You cannot confirm this PaymentIntent because it has already succeeded after "
                "being previously confirmed."
            )
        return self._state_error(message, intent)

    def _state_error(self, message: str, intent: Json) -> Exception:
        return error(
            400, message, "payment_intent_unexpected_state", executed=True, payment_intent=intent
        )

    def _note(self, call: Call, effect: str, intent: Json, **more: Any) -> None:
        details = {
            "metadata": intent["metadata"],
            "payment_intent": intent["id"],
            "amount": intent["amount"],
            "currency": intent["currency"],
        }
        key = call.notes.get("key")
        store = self.store
        store.journal("stripe", call.operation, effect, intent["id"], key, details | more)

    def _save(self, call: Call, intent: Json, event: str | None) -> None:
        self.store.put("payment_intent", intent["id"], intent)
        if event:
            self.tell(call, event, intent)

    def tell(self, call: Call | None, kind: str, subject: Json, previous: Any = None) -> None:
        """Store an event about an object, and send it to the webhook endpoint."""
        self.events.tell(call, kind, subject, previous)
