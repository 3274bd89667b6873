"""Checkout Sessions, and the page on which a customer pays one.

The page is Stripe's own; its two calls below `/v1/payment_pages` are those that Stripe's CLI makes
in the customer's place. https://docs.stripe.com/api/checkout/sessions
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.store import Json
from ops.sandbox.stripe.catalogue.customers import Customers
from ops.sandbox.stripe.catalogue.discounts import redeem
from ops.sandbox.stripe.catalogue.methods import PaymentMethods
from ops.sandbox.stripe.catalogue.setups import SetupIntents
from ops.sandbox.stripe.checkout.bought import Bought, as_items, recurring_of, totals
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk, listing
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.subscribing.subscriptions import Subscriptions
from ops.sandbox.stripe.wire import error, integer, page, read_params, refuse_unknown
from ops.sandbox.wire import Call, Route

DAY_SECONDS = 86400
SHORTEST_SECONDS = 30 * 60
_EXPIRE = "expire_session"


class Sessions(Resource):
    """The Checkout Sessions: open, then complete or expired."""

    kind, url, calls, prefix, event = (
        "checkout.session", "/v1/checkout/sessions", "checkout/session", "cs_test",
        "checkout.session",
    )  # fmt: skip
    set_apart = (
        "line_items", "discounts", "payment_method_types", "expires_at", "payment_method_options",
    )  # fmt: skip

    def __init__(
        self,
        desk: Desk,
        bought: Bought,
        customers: Customers,
        methods: PaymentMethods,
        setups: SetupIntents,
        subscriptions: Subscriptions,
    ) -> None:
        super().__init__(desk)
        self._bought, self._customers, self._methods = bought, customers, methods
        self._setups, self._subscriptions = setups, subscriptions
        desk.includes[self.kind, "line_items"] = lambda body: listing(
            self._stored_lines(body["id"]), f"{self.url}/{body['id']}/line_items"
        )
        desk.listeners.append(self._heard)
        desk.payments.account.clock.does(_EXPIRE, self._expire_later)

    def routes(self) -> Sequence[Route]:
        """Return the endpoints, with that to expire a session and those of the page."""
        pages = "/v1/payment_pages/<id>"
        return [
            *super().routes(),
            self.action("expire", "expire", self._expire),
            ("GET", f"{self.url}/<id>/line_items", "checkout.sessions.list_line_items",
             self._lines),
            ("GET", pages, "payment_pages.retrieve", self._page),
            ("POST", f"{pages}/confirm", "payment_pages.confirm", self._confirm),
        ]  # fmt: skip

    def create(self, call: Call, given: Json) -> Json:
        """Open a session; it has no event of its own."""
        body = described.new(self.kind, self.prefix, created=self.desk.now())
        self._set(body, given)
        mode = given.get("mode", "payment")
        body |= {"mode": mode, "status": "open", "payment_status": "unpaid"}
        self._check(given, mode)
        if body["customer"]:
            self.desk.need("customer", body["customer"], "customer")
        lines = self._bought.lines(call, given.get("line_items") or [])
        if mode == "subscription" and not recurring_of(lines):
            message = "You must provide at least one recurring price in `subscription` mode."
            raise error(400, message, param="line_items")
        if mode == "payment" and recurring_of(lines):
            message = (
                "You specified `payment` mode but passed a recurring price. Either switch to "
                "`subscription` mode or use only one-time prices."
            )
            raise error(400, message, param="line_items")
        found = [
            redeem(self.desk, call, each, "discounts", checkout_session=body["id"])
            for each in given.get("discounts") or []
        ]
        self._bought.discount(lines, found)
        body["discounts"] = [
            {"coupon": each["source"]["coupon"], "promotion_code": each["promotion_code"]}
            for each in found
        ]
        if mode != "setup":
            body |= totals(lines) | {"currency": lines[0]["currency"]}
        self._finish(given, body, lines)
        self.desk.put(body)
        self.desk.payments.account.clock.plan(_EXPIRE, body["id"], body["expires_at"])
        self.desk.note(call, "checkout.sessions", body, amount=body["amount_total"])
        return body

    def _check(self, given: Json, mode: str) -> None:
        if mode != "setup" and not given.get("line_items"):
            message = "Missing required param: line_items."
            raise error(400, message, "parameter_missing", "line_items")
        if mode == "setup" and "currency" not in given:
            types = ("payment_method_types", "allowed_payment_method_types")
            if not any(given.get(name) for name in types):
                message = (
                    "You must provide `currency` in `setup` mode when the payment method types are "
                    "not given."
                )
                raise error(400, message, "parameter_missing", "currency")
        hosted = given.get("ui_mode", "hosted_page") == "hosted_page"
        if hosted and not given.get("success_url"):
            message = "Missing required param: success_url."
            raise error(400, message, "parameter_missing", "success_url")
        if not hosted and given.get("success_url"):
            message = "`success_url` is not allowed with this `ui_mode`. Use `return_url`."
            raise error(400, message, param="success_url")

    def _finish(self, given: Json, body: Json, lines: list[Json]) -> None:
        types = given.get("payment_method_types") or given.get("allowed_payment_method_types")
        body["payment_method_types"] = types or ["card"]
        life = given.get("expires_at", body["created"] + DAY_SECONDS) - body["created"]
        if not SHORTEST_SECONDS - 60 <= life <= DAY_SECONDS:
            message = (
                "The `expires_at` timestamp must be at least 30 minutes and at most 24 hours from "
                "Checkout Session creation."
            )
            raise error(400, message, param="expires_at")
        body["expires_at"] = body["created"] + life
        body["ui_mode"] = body["ui_mode"] or "hosted_page"
        if body["ui_mode"] == "hosted_page":
            body["url"] = f"https://checkout.stripe.com/c/pay/{body['id']}"
        else:
            body["client_secret"] = f"{body['id']}_secret_{token62(40)}"
        is_payment = body["mode"] == "payment"
        body["customer_creation"] = body["customer_creation"] or (
            "if_required" if is_payment else "always"
        )
        body["payment_method_collection"] = body["payment_method_collection"] or (
            "if_required" if is_payment else "always"
        )
        body["payment_method_options"] = given.get("payment_method_options") or {}
        body["invoice_creation"] = body["invoice_creation"] or (
            {"enabled": False, "invoice_data": None} if is_payment else None
        )
        body["phone_number_collection"] = body["phone_number_collection"] or {"enabled": False}
        body["sandbox_lines"] = lines
        later = ("payment_intent_data", "setup_intent_data", "subscription_data")
        body["sandbox_data"] = {name: given[name] for name in later if name in given}

    def _expire(self, call: Call, given: Json, body: Json) -> Json:
        if body["status"] != "open":
            message = (
                f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
                f"Session has a status of `{body['status']}`."
            )
            raise error(400, message)
        self.desk.payments.account.clock.drop(_EXPIRE, body["id"])
        return self._end(call, body)

    def _expire_later(self, session: str) -> None:
        body = self.desk.own(self.kind, session)
        if body["status"] == "open":
            self._end(None, body)

    def _end(self, call: Call | None, body: Json) -> Json:
        body |= {"status": "expired", "url": None}
        self.desk.save(call, body, "checkout.session.expired")
        self.desk.note(call, "checkouts_expired", body)
        return body

    def matches(self, body: Json, name: str, value: Any) -> bool:
        """Filter by the e-mail address that the customer has typed, too."""
        if name == "customer_details":
            return bool(value.items() <= (body["customer_details"] or {}).items())
        return super().matches(body, name, value)

    def _stored_lines(self, session: str) -> list[Json]:
        found: list[Json] = self.desk.own(self.kind, session)["sandbox_lines"]
        return found

    def _lines(self, call: Call, id: str) -> Response:
        params = read_params(call.request)
        described.read(call, "checkout/session_list_line_items", params)
        found = page(self._stored_lines(id), params, f"{self.url}/{id}/line_items")
        return self.desk.answer(found, params)

    def _page(self, call: Call, id: str) -> Response:
        body = self.desk.own(self.kind, id)
        shown = {name: body[name] for name in ("currency", "mode", "status", "livemode")}
        due = {"amount_due": body["amount_total"], "subtotal": body["amount_subtotal"]}
        return self.desk.answer(
            {"id": f"ppage_{token62(24)}", "object": "checkout.session.page", "session_id": id}
            | shown | {"total_summary": due},
            {},
        )  # fmt: skip

    def _confirm(self, call: Call, id: str) -> Response:
        params = read_params(call.request)
        refuse_unknown(params, ("payment_method", "expected_amount"))
        body = self.desk.own(self.kind, id)
        if body["status"] != "open":
            message = f"You cannot confirm a session with a status of {body['status']}."
            raise error(400, message)
        if "expected_amount" in params:
            self._expect(body, integer(params, "expected_amount"))
        method = self.desk.need("payment_method", params.get("payment_method"), "payment_method")
        if method["type"] not in body["payment_method_types"]:
            message = f"The payment method type {method['type']} is not allowed in this session."
            raise error(400, message, param="payment_method")
        owner = self._owner(call, body, method)
        refused = {
            "payment": self._pay, "setup": self._set_up, "subscription": self._subscribe
        }[body["mode"]](call, body, method, owner)  # fmt: skip
        if refused is not None:
            self.desk.put(body)
            return refused
        self._complete(call, body, method)
        return self.desk.answer(body, {})

    def _expect(self, body: Json, amount: int) -> None:
        if amount != body["amount_total"]:
            message = (
                f"The amount expected ({amount}) is not that of the session "
                f"({body['amount_total']})."
            )
            raise error(400, message, "checkout_amount_mismatch", "expected_amount")

    def _owner(self, call: Call, body: Json, method: Json) -> str | None:
        if body["customer"] is None and body["customer_creation"] == "always":
            details = method["billing_details"]
            given = {name: details[name] for name in ("email", "name") if details[name]}
            body["customer"] = self._customers.create(call, given)["id"]
        owner: str | None = body["customer"]
        return owner

    def _pay(self, call: Call, body: Json, method: Json, owner: str | None) -> Response | None:
        if body["amount_total"] == 0:
            body["payment_status"] = "no_payment_required"
            return None
        data = body["sandbox_data"].get("payment_intent_data", {})
        given: Json = {
            "amount": str(body["amount_total"]),
            "currency": body["currency"],
            "payment_method": method["id"],
            "allowed_payment_method_types": body["payment_method_types"],
        }
        same = ("capture_method", "description", "metadata", "receipt_email", "shipping")
        given |= {name: data[name] for name in (*same, "setup_future_usage") if name in data}
        if owner:
            given["customer"] = owner
        intent = self.desk.body_of(self.desk.payments.create(call, given))
        body["payment_intent"] = intent["id"]
        stored = self.desk.own("payment_intent", intent["id"])
        answer = self.desk.payments.confirm(call, stored, {})
        done = self.desk.body_of(answer)
        if answer.status_code != 200:
            return answer
        paid = done["status"] in ("succeeded", "requires_capture")
        body["payment_status"] = "paid" if paid else "unpaid"
        return None

    def _set_up(self, call: Call, body: Json, method: Json, owner: str | None) -> Response | None:
        data = body["sandbox_data"].get("setup_intent_data", {})
        given: Json = {"confirm": True, "payment_method": method["id"]}
        given |= {name: data[name] for name in ("description", "metadata") if name in data}
        if owner:
            given["customer"] = owner
        made = self._setups.create(call, given)
        found = self._setups.made(call, given, made)
        body |= {"setup_intent": made["id"], "payment_status": "no_payment_required"}
        return found if isinstance(found, Response) else None

    def _subscribe(self, call: Call, body: Json, method: Json, owner: str | None) -> None:
        assert owner is not None, "a customer is made for a subscription"
        self._methods.attach_named(call, method["id"], owner)
        data = body["sandbox_data"].get("subscription_data", {})
        same = ("description", "metadata", "trial_period_days", "trial_end", "trial_settings")
        given = {name: data[name] for name in same if name in data}
        given |= {"customer": owner, "default_payment_method": method["id"]}
        given |= {"payment_behavior": "error_if_incomplete"}
        given["items"] = as_items(recurring_of(body["sandbox_lines"]))
        made = self._subscriptions.create(call, given)
        body |= {"subscription": made["id"], "invoice": made["latest_invoice"]}
        body["payment_status"] = "paid" if made["status"] == "active" else "no_payment_required"

    def _complete(self, call: Call, body: Json, method: Json) -> None:
        details = method["billing_details"]
        body |= {"status": "complete", "url": None}
        body["customer_details"] = {
            "address": details["address"], "business_name": None, "email": details["email"],
            "individual_name": None, "name": details["name"], "phone": details["phone"],
            "tax_exempt": "none", "tax_ids": [],
        }  # fmt: skip
        self.desk.save(call, body, "checkout.session.completed")
        self.desk.note(call, "checkouts", body, amount=body["amount_total"])
        # A slow method may have ended while the session was being completed.
        intent = self.desk.find("payment_intent", body["payment_intent"])
        if body["payment_status"] == "unpaid" and intent:
            self._follow(call, body, intent["status"])

    def _heard(self, call: Call | None, kind: str, subject: Json) -> None:
        ends = ("payment_intent.succeeded", "payment_intent.payment_failed")
        if kind not in ends:
            return
        for body in self.desk.where(self.kind, "$.payment_intent", subject["id"]):
            if (body["status"], body["payment_status"]) == ("complete", "unpaid"):
                self._follow(call, body, subject["status"])

    def _follow(self, call: Call | None, body: Json, status: str) -> None:
        old = copy.deepcopy(body)
        if status == "succeeded":
            body["payment_status"] = "paid"
            self.desk.put(body)
            self.desk.tell(call, "checkout.session.async_payment_succeeded", body)
        elif status == "requires_payment_method":
            self.desk.tell(call, "checkout.session.async_payment_failed", old)
