"""The bank's page on which a customer authenticates a payment, or a card that is saved (3-D
Secure), and its control API.

https://docs.stripe.com/payments/3d-secure/authentication-flow#test-the-3ds-flow
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import urlencode, urlsplit

from werkzeug.wrappers import Response

from ops.sandbox.store import Json
from ops.sandbox.stripe import currencies
from ops.sandbox.stripe.charging import CHALLENGE
from ops.sandbox.stripe.payments import Payments
from ops.sandbox.wire import Call, Refusal, Route, json_object, reply

PAGE_OPERATIONS = ("authentication.page", "authentication.end")
"""The operations of the customer's browser, which has no key but the secret in the address."""
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<h1>{title}</h1><p>{text}</p>{form}</html>
"""
_FORM = """<form method="post"><button name="outcome" value="complete">Complete</button>
<button name="outcome" value="fail">Fail</button></form>"""
_WAITING = "requires_action"


class Authentication:
    """Ends authentications, from the page or from the control API."""

    def __init__(self, payments: Payments) -> None:
        self._payments, self._store = payments, payments.store

    def routes(self) -> Sequence[Route]:
        """Return the page's endpoints."""
        page, end = PAGE_OPERATIONS
        return [
            ("GET", "/authenticate/<secret>", page, self._page),
            ("POST", "/authenticate/<secret>", end, self._end),
        ]

    def control(self) -> Sequence[Route]:
        """Return the control API's endpoint: {"payment_intent" or "setup_intent": its id,
        "outcome": complete or fail}."""
        return [("POST", "/stripe/authenticate", "stripe.authenticate", self._authenticate)]

    def _page(self, call: Call, secret: str) -> Response:
        intent, _ = self._challenge(secret)
        if intent["status"] != _WAITING:
            return _html("Nothing to authenticate", f"The {_word(intent)} is {intent['status']}.")
        text = f"A card that is to be saved waits for you: {intent['id']}."
        if intent["object"] == "payment_intent":
            amount = currencies.money(intent["amount"], intent["currency"])
            currency = intent["currency"].upper()
            text = f"A payment of {amount} {currency} waits for you: {intent['id']}."
        return _html("3D Secure 2 test page", text, _FORM)

    def _end(self, call: Call, secret: str) -> Response:
        intent, back = self._challenge(secret)
        outcome = call.request.form.get("outcome")
        if outcome not in ("complete", "fail"):
            return _html("Wrong outcome", "The outcome is complete or fail.", status=400)
        if intent["status"] == _WAITING:
            self._finish(intent, outcome)
        if not back:
            return _html("Done", "You can close this page.")
        has_succeeded = intent["status"] in ("succeeded", "requires_capture")
        query = {
            intent["object"]: intent["id"],
            f"{intent['object']}_client_secret": intent["client_secret"],
            "redirect_status": "succeeded" if has_succeeded else "failed",
        }
        joint = "&" if urlsplit(back).query else "?"
        return Response("", 303, {"Location": f"{back}{joint}{urlencode(query)}"})

    def _challenge(self, secret: str) -> tuple[Json, str | None]:
        row = self._store.get(CHALLENGE, secret)
        if row is None:
            raise Refusal(404, {"error": "there is no such authentication"})
        about = row.body
        return self._payments.account.find(about["kind"], about["id"]), about["return_url"]

    def _finish(self, intent: Json, outcome: str | None) -> None:
        finish = self._payments.charging.challenged[intent["object"]]
        finish(None, intent, outcome == "complete")

    def _authenticate(self, call: Call) -> Response:
        given = json_object(call.request) or {}
        kind = "setup_intent" if "setup_intent" in given else "payment_intent"
        intent_id, outcome = given.get(kind, ""), given.get("outcome", "complete")
        if outcome not in ("complete", "fail"):
            raise Refusal(400, {"error": "outcome is complete or fail"})
        with self._store.transaction():
            intent = self._payments.account.find(kind, str(intent_id))
            if intent["status"] != _WAITING:
                raise Refusal(409, {"error": f"the {_word(intent)} is {intent['status']}"})
            self._finish(intent, outcome)
        return reply({kind: intent["id"], "status": intent["status"]})


def _word(intent: Json) -> str:
    return "payment" if intent["object"] == "payment_intent" else "setup"


def _html(title: str, text: str, form: str = "", status: int = 200) -> Response:
    page = _PAGE.format(title=escape(title), text=escape(text), form=form)
    return Response(page, status, content_type="text/html; charset=utf-8")
