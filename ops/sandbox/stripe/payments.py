"""Payments at the imitated Stripe: PaymentIntents, from their creation to capture or cancellation.

Invariant: each function runs in the caller's transaction, in which it writes the object, the event,
the webhook and the journal entry. https://docs.stripe.com/payments/paymentintents/lifecycle
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.box import Box
from ops.sandbox.store import Json
from ops.sandbox.stripe import cards, states
from ops.sandbox.stripe import objects as shapes
from ops.sandbox.stripe.account import Account
from ops.sandbox.stripe.charging import EXPIRE, Charging, is_off_session
from ops.sandbox.stripe.params import (
    CAPTURE_PARAMS,
    INTENT_PARAMS,
    NEEDS_RETURN_URL,
    UPDATABLE,
    check_size,
    read_amount,
    read_currency,
)
from ops.sandbox.stripe.wire import (
    boolean,
    check_email,
    error,
    merged_metadata,
    refuse_unknown,
)
from ops.sandbox.wire import Call, reply

_METHOD = ("payment_method", "payment_method_data")
"""The parameters that give a payment its payment method."""
NO_MULTICAPTURE = (
    "This PaymentIntent can only be captured once, because multicapture is not available for it: "
    "`final_capture` must be `true`."
)


class Payments:
    """The operations on payments. Most return a response with the changed PaymentIntent."""

    def __init__(self, box: Box) -> None:
        self.box, self.store = box, box.store
        self.account = Account(box)
        self.charging = Charging(self.account)
        self.account.clock.does(EXPIRE, self._expire)
        self.method_of: Callable[[Json], Json] | None = None
        """Makes a payment method of `payment_method_data`."""

    def intent(self, intent_id: str, param: str = "intent") -> Json:
        """Return a stored PaymentIntent or raise Stripe's 404."""
        return self.account.find("payment_intent", intent_id, param)

    def tell(self, call: Call | None, kind: str, subject: Json, previous: Any = None) -> None:
        """Store an event about an object, and send it to the webhook endpoint."""
        self.account.events.tell(call, kind, subject, previous)

    def create(self, call: Call, params: Json) -> Response:
        """Create a PaymentIntent, and confirm it if the parameters say so."""
        refuse_unknown(params, INTENT_PARAMS)
        amount, currency = read_amount(params), read_currency(params)
        check_size(amount, currency)
        intent = shapes.new_payment_intent(amount, currency, params, self.account.clock.now())
        intent["metadata"] = merged_metadata({}, params)
        check_email(params.get("receipt_email"), "receipt_email")
        self._check_customer(params)
        self._take(intent, params)
        self.account.save(call, intent, "payment_intent.created")
        self.account.note(call, "payment_intents", intent)
        if boolean(params, "confirm"):
            rest = {name: value for name, value in params.items() if name not in _METHOD}
            return self.confirm(call, intent, rest)
        for name in ("off_session", "error_on_requires_action"):
            if name in params:
                message = f"You cannot provide `{name}` without also passing `confirm=true`."
                raise error(400, message, "parameter_invalid", name)
        return reply(intent)

    def update(self, call: Call, intent: Json, params: Json) -> Response:
        """Change those parameters of a PaymentIntent that may still be changed."""
        refuse_unknown(params, INTENT_PARAMS)
        if "amount" in params or "currency" in params:
            if intent["status"] not in states.CONFIRMABLE:
                raise states.unexpected(
                    intent, "could not be updated", "updated", states.CONFIRMABLE
                )
            intent["amount"] = read_amount({"amount": intent["amount"], **params})
            intent["currency"] = read_currency({"currency": intent["currency"], **params})
            check_size(intent["amount"], intent["currency"])
        check_email(params.get("receipt_email"), "receipt_email")
        self._check_customer(params)
        intent["metadata"] = merged_metadata(intent["metadata"], params)
        intent.update({name: params[name] or None for name in UPDATABLE if name in params})
        shapes.describe(intent, params)
        if params.get("allowed_payment_method_types"):
            intent["payment_method_types"] = params["allowed_payment_method_types"]
            intent["automatic_payment_methods"] = None
        intent["payment_method_options"] = shapes.with_options(
            intent["payment_method_options"], params
        )
        self._take(intent, params)
        intent["last_payment_error"] = None
        self.account.put(intent)
        return reply(intent)

    def confirm(self, call: Call, intent: Json, params: Json) -> Response:
        """Authorize (manual capture) or charge; a declined card is recorded and gives a 402."""
        refuse_unknown(params, INTENT_PARAMS)
        if intent["status"] not in states.CONFIRMABLE:
            raise states.unconfirmable(intent)
        self._take(intent, params)
        if intent["payment_method"] is None:
            raise states.without_method(intent)
        self._check_redirects(intent, params)
        intent["next_action"] = None
        intent["payment_method_options"] = shapes.with_options(
            intent["payment_method_options"], params
        )
        return self.charging.attempt(call, intent, params)

    def capture(self, call: Call, intent: Json, params: Json) -> Response:
        """Capture the authorized amount or a part of it; the rest is released.

        With `final_capture=false` the rest stays held, where multicapture was granted. Then a last
        capture of 0 releases the rest. Where overcapture was granted, the only capture may take
        more than is held.
        """
        refuse_unknown(params, CAPTURE_PARAMS)
        if intent["status"] != "requires_capture":
            raise states.unexpected(
                intent, "could not be captured", "captured", ["requires_capture"]
            )
        left = intent["amount_capturable"]
        is_final = boolean({"final_capture": "true", **params}, "final_capture")
        releases = is_final and params.get("amount_to_capture") == "0" and intent["amount_received"]
        given = {"amount_to_capture": left, **params}
        amount = 0 if releases else read_amount(given, "amount_to_capture")
        charge = self.account.charge_of(intent)
        card = charge["payment_method_details"]["card"]
        multicapture, over = card["multicapture"]["status"], card["overcapture"]
        is_whole = is_final and not intent["amount_received"]
        most = over["maximum_amount_capturable"] if is_whole else left
        if amount > max(left, most):
            message = (
                f"Amount to capture ({amount}) must not be greater than the amount capturable "
                f"({max(left, most)})."
            )
            raise error(400, message, "amount_too_large", "amount_to_capture")
        if not is_final and multicapture != "available":
            raise error(400, NO_MULTICAPTURE, "parameter_invalid", "final_capture")
        is_final = is_final or amount == left
        before = charge["amount_captured"]
        charge["amount_captured"] += amount
        if amount:
            self.charging.book(charge, amount)
        intent["metadata"] = merged_metadata(intent["metadata"], params)
        shapes.describe(intent, params)
        charge |= {name: intent[name] for name in shapes.DESCRIPTORS}
        intent["amount_received"] += amount
        intent["amount_capturable"] = 0 if is_final else left - amount
        event = "payment_intent.amount_capturable_updated"
        if is_final:
            self._captured(call, charge, {"amount_captured": before})
            intent["status"], event = "succeeded", "payment_intent.succeeded"
            self.account.clock.drop(EXPIRE, intent["id"])
        else:
            self.account.save(call, charge, "charge.updated", {"amount_captured": before})
        self.account.save(call, intent, event)
        self.account.note(call, "captures", intent, amount=amount)
        if is_final:
            self.account.paid(call, charge)
        return reply(intent)

    def cancel(self, call: Call, intent: Json, params: Json) -> Response:
        """Cancel a payment and release its authorization."""
        refuse_unknown(params, ("cancellation_reason",))
        if intent["status"] not in states.CANCELABLE:
            raise states.uncancelable(intent)
        self._end(call, intent, params.get("cancellation_reason"))
        return reply(intent)

    def _end(self, call: Call | None, intent: Json, reason: str | None) -> None:
        """Release the hold. The charge of a hold that is canceled says nothing of it, since
        2025-03-31.basil; that of one that expires has an event."""
        account = self.account
        if intent["status"] == "requires_capture":
            account.clock.drop(EXPIRE, intent["id"])
            charge = account.charge_of(intent)
            if charge["amount_captured"]:
                # What was captured before stays taken.
                self._captured(call, charge)
                intent |= {"status": "succeeded", "amount_capturable": 0}
                account.save(call, intent, "payment_intent.succeeded")
                return
            if reason == "expired":
                account.save(call, charge, "charge.expired")
        intent |= {
            "status": "canceled",
            "canceled_at": account.clock.now(),
            "cancellation_reason": reason,
            "amount_capturable": 0,
            "next_action": None,
        }
        account.save(call, intent, "payment_intent.canceled")
        account.note(call, "cancellations", intent)
        if intent["latest_charge"]:
            for act in account.on_release:
                act(call, account.charge_of(intent), reason)

    def _captured(self, call: Call | None, charge: Json, previous: Json | None = None) -> None:
        """No more is captured of a charge. Until then it is neither captured nor refunded."""
        previous = {**(previous or {}), "captured": False}
        charge["captured"] = True
        charge["refunded"] = charge["amount_refunded"] >= charge["amount_captured"]
        self.account.save(call, charge, "charge.captured", previous)

    def _expire(self, intent_id: str) -> None:
        intent = self.intent(intent_id)
        if intent["status"] == "requires_capture":
            self._end(None, intent, "expired")

    def _take(self, intent: Json, params: Json) -> None:
        """Give the payment the payment method that a request names or describes."""
        if "payment_method" in params and params["payment_method"] != intent["payment_method"]:
            self._attach(intent, params["payment_method"])
        elif "payment_method_data" in params and self.method_of:
            self._attach(intent, self.method_of(params["payment_method_data"])["id"])

    def _check_customer(self, params: Json) -> None:
        if not params.get("customer"):
            return
        row = self.store.get("customer", params["customer"])
        if row is None or row.body.get("deleted"):
            message = f"No such customer: '{params['customer']}'"
            raise error(400, message, "resource_missing", "customer")

    def _attach(self, intent: Json, name: str) -> None:
        if name in cards.CARDS:
            method = shapes.new_payment_method(name)
            self.store.put("payment_method", method["id"], method)
        else:
            method = self.account.method(name)
            self.account.refuse_spent(method)
        self._check_owner(intent, method)
        states.refuse_type(intent, method["type"])
        intent["payment_method"] = method["id"]
        if intent["status"] == "requires_payment_method":
            intent["status"] = "requires_confirmation"

    def _check_owner(self, intent: Json, method: Json) -> None:
        owner = method["customer"]
        if owner is None or owner == intent["customer"]:
            return
        if intent["customer"] is None:
            message = (
                f"The `payment_method` parameter supplied {method['id']} belongs to the Customer "
                f"{owner}. Please include the Customer in the `customer` parameter on the "
                "PaymentIntent."
            )
            raise error(400, message, param="payment_method")
        message = (
            f"The customer does not have a payment method with the ID {method['id']}. The payment "
            "method must be attached to the customer."
        )
        raise error(400, message, "resource_missing", "payment_method")

    def _check_redirects(self, intent: Json, params: Json) -> None:
        automatic = intent["automatic_payment_methods"]
        may_redirect = automatic is not None and automatic["allow_redirects"] == "always"
        is_strict = self.box.settings.flag("stripe.require_return_url")
        has_way_back = "return_url" in params or is_off_session(params)
        if is_strict and may_redirect and not has_way_back:
            raise error(400, NEEDS_RETURN_URL)
