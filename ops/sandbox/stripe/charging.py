"""Charging a card at the imitated Stripe: accepted, declined, or to be authenticated first.

https://docs.stripe.com/payments/3d-secure/authentication-flow,
/payments/payment-intents/asynchronous-capture
"""

from __future__ import annotations

from collections.abc import Callable

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.store import Json
from ops.sandbox.stripe import cards
from ops.sandbox.stripe import objects as shapes
from ops.sandbox.stripe.account import Account
from ops.sandbox.stripe.events import public
from ops.sandbox.stripe.wire import boolean, error
from ops.sandbox.wire import Call, reply

Attempt = Callable[[Call, Json, Json], Response]
Finish = Callable[[Call | None, Json, bool], Response]
CHALLENGE = "sandbox_challenge"
"""The kind of a started authentication; its id is the secret part of its page's address."""
_CAPTURE = "capture_charge"
EXPIRE = "expire_hold"
"""The clock's task that ends a hold which was not captured."""
_FAILED = (
    "The provided PaymentMethod has failed authentication. You can provide payment_method_data or "
    "a new PaymentMethod to attempt to fulfill this PaymentIntent again."
)
_WOULD_WAIT = (
    "This payment required an authentication action to complete, but `error_on_requires_action` "
    "was set. When you're ready, you can upgrade your integration to handle actions at "
    "https://stripe.com/docs/payments/payment-intents/upgrade-to-handle-actions."
)


def is_off_session(params: Json) -> bool:
    """Return whether the customer is absent: `off_session` is true, one_off or recurring."""
    return str(params.get("off_session", "false")) not in ("false", "")


class Charging:
    """Attempts to charge the payment method of a PaymentIntent."""

    def __init__(self, account: Account) -> None:
        self._account, self._settings = account, account.box.settings
        self.others: dict[str, Attempt] = {}
        """How payment methods that are no cards are charged, by their type."""
        self.challenged: dict[str, Finish] = {"payment_intent": self.finish}
        """What follows an authentication that has ended, by the kind of its object."""
        account.clock.does(_CAPTURE, self._capture_later)

    def attempt(self, call: Call, intent: Json, params: Json) -> Response:
        """Charge the card, or start its authentication; a decline is recorded and gives a 402."""
        for check in self._account.on_charge:
            check()
        method = self._account.method(intent["payment_method"])
        if method["type"] != "card":
            return self._charge_other(call, intent, method)
        card = method.get("sandbox_test_card", "")
        asks = intent["payment_method_options"].get("card", {}).get("request_three_d_secure")
        is_absent = is_off_session(params)
        if is_absent and cards.is_unpaid_off_session(method):
            return self._charge(call, intent, method, cards.NEEDS_AUTHENTICATION)
        if not is_absent and cards.is_challenged(card, asks in ("any", "challenge")):
            if boolean(params, "error_on_requires_action"):
                body = error(402, _WOULD_WAIT, "authentication_required", type_="card_error").body
                return self._refused(call, intent, method, body["error"])
            return self._challenge(call, intent, params)
        return self._charge(call, intent, method, cards.DECLINES.get(card))

    def _charge_other(self, call: Call, intent: Json, method: Json) -> Response:
        if method["type"] not in self.others:
            message = f"The payment method type {method['type']} is not activated for your account."
            raise error(400, message, "payment_intent_invalid_parameter", "payment_method")
        return self.others[method["type"]](call, intent, method)

    def finish(self, call: Call | None, intent: Json, is_authenticated: bool) -> Response:
        """Go on with a payment whose authentication has ended."""
        method = self._account.method(intent["payment_method"])
        intent["next_action"] = None
        if not is_authenticated:
            code = "payment_intent_authentication_failure"
            return self._refused(call, intent, method, error(402, _FAILED, code).body["error"])
        decline = cards.DECLINED_WHEN_AUTHENTICATED.get(method.get("sandbox_test_card", ""))
        return self._charge(call, intent, method, decline, is_authenticated=True)

    def _challenge(self, call: Call, intent: Json, params: Json) -> Response:
        back = params.get("return_url")
        by_script = boolean(params, "use_stripe_sdk")
        intent["status"] = "requires_action"
        intent["next_action"] = self.challenge(intent, back, by_script=by_script)
        self._account.save(call, intent, "payment_intent.requires_action")
        self._account.note(call, "challenges", intent)
        return reply(intent)

    def challenge(self, intent: Json, back: str | None, *, by_script: bool = False) -> Json:
        """Return the `next_action` of an object whose customer must open the bank's page."""
        secret = token62(32)
        about = {"kind": intent["object"], "id": intent["id"], "return_url": back}
        self._account.store.put(CHALLENGE, secret, about)
        url = f"{self._account.box.urls['stripe']}/authenticate/{secret}"
        if back and not by_script:
            redirect = {"return_url": back, "url": url}
            return {"type": "redirect_to_url", "redirect_to_url": redirect}
        source = f"src_1{token62(23)}"
        script = {"type": "three_d_secure_redirect", "source": source, "stripe_js": url}
        return {"type": "use_stripe_sdk", "use_stripe_sdk": script}

    def _charge(
        self,
        call: Call | None,
        intent: Json,
        method: Json,
        decline: cards.Decline | None,
        is_authenticated: bool = False,
    ) -> Response:
        if method["customer"] is None and not intent["setup_future_usage"]:
            self._account.put(method | {"sandbox_spent": True})
        now = self._account.clock.now()
        charge = shapes.new_charge(intent, method, decline, now, is_authenticated)
        self._account.put(charge)
        intent["latest_charge"] = charge["id"]
        if decline:
            self._account.events.tell(call, "charge.failed", charge)
            code, _, message = decline
            body: Json = error(402, message, code, type_="card_error").body["error"]
            body["charge"] = charge["id"]
            body |= cards.decline_details(decline, method.get("sandbox_test_card", ""))
            return self._refused(call, intent, method, body)
        return self._accepted(call, intent, charge)

    def _refused(self, call: Call | None, intent: Json, method: Json, body: Json) -> Response:
        body["payment_method"] = public(method)
        intent |= {"status": "requires_payment_method", "payment_method": None}
        intent["last_payment_error"] = dict(body)
        self._account.save(call, intent, "payment_intent.payment_failed")
        self._account.note(call, "declines", intent)
        return reply({"error": {**body, "payment_intent": intent}}, 402)

    def _accepted(self, call: Call | None, intent: Json, charge: Json) -> Response:
        account, is_manual = self._account, intent["capture_method"] == "manual"
        intent |= {
            "status": "requires_capture" if is_manual else "succeeded",
            "amount_capturable": intent["amount"] if is_manual else 0,
            "amount_received": 0 if is_manual else intent["amount"],
            "last_payment_error": None,
        }
        if is_manual:
            before = charge["payment_method_details"]["card"]["capture_before"]
            account.clock.plan(EXPIRE, intent["id"], before)
        elif intent["capture_method"] == "automatic":
            self.book(charge, charge["amount"])
        else:
            wait = self._settings.number("stripe.async_capture_seconds")
            account.clock.plan(_CAPTURE, charge["id"], account.clock.now() + wait)
        account.save(call, charge, "charge.succeeded")
        kind = "amount_capturable_updated" if is_manual else "succeeded"
        account.save(call, intent, f"payment_intent.{kind}")
        account.note(call, "authorizations" if is_manual else "payments", intent)
        if charge["balance_transaction"]:
            account.paid(call, charge)
        for act in account.on_accepted:
            act(call, charge, account.card_of(charge))
        return reply(account.find("payment_intent", intent["id"]))

    def book(self, charge: Json, amount: int) -> None:
        """Write the balance transaction of money that was taken, and name it in the charge."""
        is_at_once = self._account.card_of(charge) in cards.BYPASS_PENDING
        booked = self._account.ledger.charge(charge, amount, is_at_once)
        charge["balance_transaction"] = charge["balance_transaction"] or booked["id"]

    def complete(self, charge_id: str) -> None:
        """Capture now what `automatic_async` would capture in a moment."""
        self._account.clock.do_now(_CAPTURE, charge_id)

    def _capture_later(self, charge_id: str) -> None:
        charge = self._account.find("charge", charge_id)
        self.book(charge, charge["amount"])
        self._account.save(None, charge, "charge.updated", {"balance_transaction": None})
        self._account.paid(None, charge)
