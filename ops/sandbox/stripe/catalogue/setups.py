"""SetupIntents: to save a payment method for later. https://docs.stripe.com/api/setup_intents"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.store import Json
from ops.sandbox.stripe.access import refuse_secret
from ops.sandbox.stripe.cards import CARDS, DECLINES, Decline, decline_details
from ops.sandbox.stripe.catalogue.methods import PaymentMethods, test_card
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk, shown
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import error
from ops.sandbox.wire import Call, Route, reply

_OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
_ASKS = ("authenticationRequired", "threeDSecure")
_FAILED: Decline = (
    "setup_intent_authentication_failure",
    None,
    "The latest attempt to set up the payment method has failed because authentication failed.",
)


def asks(method: Json) -> bool:
    """Whether the bank of a test card wants the customer's authentication."""
    return any(word in str(method.get("sandbox_test_card")) for word in _ASKS)


class SetupIntents(Resource):
    """The SetupIntents; a confirmed one attaches its method to its customer."""

    kind, url, calls, prefix, event = (
        "setup_intent", "/v1/setup_intents", "setup_intent", "seti", "setup_intent",
    )  # fmt: skip
    set_apart = ("payment_method", "payment_method_data", "confirm", "automatic_payment_methods")
    on_request = ("attach_to_self",)

    def __init__(self, desk: Desk, methods: PaymentMethods) -> None:
        super().__init__(desk)
        self._methods = methods
        desk.payments.charging.challenged[self.kind] = self.finish

    def may_retrieve(self, given: Json, body: Json) -> None:
        """Refuse a wrong `client_secret`."""
        refuse_secret(body, given)

    def routes(self) -> Sequence[Route]:
        """Return the endpoints, with those to confirm and cancel."""
        return [
            *super().routes(),
            self.action("confirm", "confirm", self._confirm),
            self.action("cancel", "cancel", self._cancel),
        ]

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Set what is not given, and take the payment method."""
        if body["customer"]:
            self.desk.need("customer", body["customer"], "customer")
        body["usage"] = given.get("usage", "off_session")
        body["client_secret"] = f"{body['id']}_secret_{token62(31)}"
        types = given.get("payment_method_types") or given.get("allowed_payment_method_types")
        automatic = given.get("automatic_payment_methods", {"enabled": not types})
        if automatic["enabled"]:
            redirects = automatic.get("allow_redirects", "always")
            body["automatic_payment_methods"] = {"allow_redirects": redirects, "enabled": True}
        body["payment_method_types"] = types or ["card"]
        body["payment_method_options"] = {
            "card": dict.fromkeys(("mandate_options", "network"))
            | {"request_three_d_secure": "automatic"}
        }
        self._take(given, body)

    def made(self, call: Call, given: Json, body: Json) -> Json | Response:
        """Confirm at once if the parameters say so."""
        return self._confirm(call, given, body) if given.get("confirm") else body

    def change(self, call: Call, given: Json, body: Json) -> None:
        """Take another payment method."""
        if body["status"] not in _OPEN:
            raise self._unexpected(body, "updated")
        self._take(given, body)

    def _take(self, given: Json, body: Json) -> None:
        if "payment_method_data" in given:
            method = self._methods.create_of(given["payment_method_data"])
        elif given.get("payment_method") in CARDS:
            method = test_card(given["payment_method"])
            self.desk.put(method)
        elif given.get("payment_method"):
            method = self.desk.need("payment_method", given["payment_method"], "payment_method")
            self.desk.payments.account.refuse_spent(method)
        else:
            return
        if method["customer"] and body["customer"] and method["customer"] != body["customer"]:
            message = "The payment method you provided belongs to another customer."
            raise error(400, message, "payment_method_customer_mismatch", "payment_method")
        body["payment_method"] = method["id"]
        if body["status"] == "requires_payment_method":
            body["status"] = "requires_confirmation"

    def _confirm(self, call: Call, given: Json, body: Json) -> Json | Response:
        if body["status"] not in _OPEN:
            raise self._unexpected(body, "confirmed")
        old = copy.deepcopy(body)
        self._take(given, body)
        if body["payment_method"] is None:
            message = (
                "You cannot confirm this SetupIntent because it's missing a payment method. Update "
                "the SetupIntent with a payment method and then confirm it again."
            )
            raise error(400, message, "setup_intent_unexpected_state", setup_intent=body)
        method = self.desk.need("payment_method", body["payment_method"], "payment_method")
        card = str(method.get("sandbox_test_card"))
        decline = DECLINES.get(card) if card != "pm_card_chargeCustomerFail" else None
        attempt = self._attempt(body, method)
        body["latest_attempt"] = attempt["id"]
        if decline:
            return self._declined(call, body, method, attempt, decline)
        if asks(method) and old["status"] != "requires_action":
            return self._asked(call, given, body, attempt)
        return self._succeeded(call, body, method, attempt)

    def _attempt(self, body: Json, method: Json) -> Json:
        attempt = described.new("setup_attempt", "setatt", setup_intent=body["id"])
        attempt |= {name: body[name] for name in ("customer", "usage", "payment_method")}
        attempt["payment_method_details"] = {"card": None, "type": method["type"]}
        attempt["status"] = "succeeded"
        return attempt

    def _asked(self, call: Call, given: Json, body: Json, attempt: Json) -> Json:
        body["status"] = "requires_action"
        charging = self.desk.payments.charging
        body["next_action"] = charging.challenge(body, given.get("return_url"))
        self.desk.put(attempt | {"status": "requires_action"})
        self.desk.save(call, body, "setup_intent.requires_action")
        return body

    def finish(self, call: Call | None, body: Json, is_authenticated: bool) -> Response:
        """Go on with a card whose authentication has ended."""
        method = self.desk.need("payment_method", body["payment_method"], "payment_method")
        attempt = self.desk.own("setup_attempt", body["latest_attempt"])
        if is_authenticated:
            attempt["status"] = "succeeded"
            return reply(shown(self._succeeded(call, body, method, attempt)))
        body["next_action"] = None
        return self._declined(call, body, method, attempt, _FAILED)

    def _succeeded(self, call: Call | None, body: Json, method: Json, attempt: Json) -> Json:
        if body["customer"] and not method["customer"]:
            self._methods.attach_named(call, method["id"], body["customer"])
        body |= {"status": "succeeded", "next_action": None, "last_setup_error": None}
        self.desk.put(attempt)
        self.desk.save(call, body, "setup_intent.succeeded")
        self.desk.note(call, "setups", body)
        return body

    def _declined(
        self, call: Call | None, body: Json, method: Json, attempt: Json, decline: Decline
    ) -> Response:
        code, _, message = decline
        refused: Json = error(402, message, code, type_="card_error").body["error"]
        refused["payment_method"] = shown(method)
        refused |= decline_details(decline, str(method.get("sandbox_test_card")))
        body |= {"status": "requires_payment_method", "payment_method": None}
        body["last_setup_error"] = dict(refused)
        self.desk.put(attempt | {"status": "failed", "setup_error": dict(refused)})
        self.desk.save(call, body, "setup_intent.setup_failed")
        return reply({"error": {**refused, "setup_intent": shown(body)}}, 402)

    def _cancel(self, call: Call, given: Json, body: Json) -> Json:
        if body["status"] not in _OPEN:
            raise self._unexpected(body, "canceled")
        body |= {"status": "canceled", "next_action": None}
        body["cancellation_reason"] = given.get("cancellation_reason")
        self.desk.save(call, body, "setup_intent.canceled")
        return body

    def _unexpected(self, body: Json, participle: str) -> Exception:
        message = (
            f"This SetupIntent cannot be {participle} because it has a status of {body['status']}. "
            f"Only a SetupIntent with one of the following statuses may be {participle}: "
            f"{', '.join(_OPEN)}."
        )
        return error(400, message, "setup_intent_unexpected_state", setup_intent=shown(body))


class SetupAttempts(Resource):
    """The attempts to confirm SetupIntents."""

    kind, url, calls, prefix, event = (
        "setup_attempt", "/v1/setup_attempts", "setup_attempt", "setatt", "",
    )  # fmt: skip
    verbs = ("list",)
