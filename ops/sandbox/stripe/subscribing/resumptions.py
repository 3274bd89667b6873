"""Resumptions of paused subscriptions: at once, or when the invoice that they make is paid.

Invariant: until then the subscription stays paused, and names its resumption. If the invoice is
voided, it stays paused for good. https://docs.stripe.com/billing/subscriptions/pause
"""

from __future__ import annotations

import copy

from ops.sandbox.store import Json
from ops.sandbox.stripe.billing.collection import NO_METHOD
from ops.sandbox.stripe.billing.invoices import subscription_of
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.subscribing.cycles import INCOMPLETE_SECONDS, RESUMPTION, Cycles
from ops.sandbox.stripe.subscribing.items import Items
from ops.sandbox.stripe.wire import error
from ops.sandbox.wire import Call

_ON_SUCCESS = "resume_on_payment_success"
_YEAR_SECONDS = 365 * 86400
_PAID = ("invoice.paid", "invoice.marked_uncollectible")


class Resumptions:
    """Resumes subscriptions."""

    def __init__(self, desk: Desk, cycles: Cycles, items: Items) -> None:
        self._desk, self._cycles, self._items = desk, cycles, items
        desk.listeners.append(self._heard)

    def resume(self, call: Call, given: Json, body: Json) -> Json:
        """Resume a subscription; one whose resumption makes an invoice stays paused until that is
        paid. Without `resume_on_payment_success` the request does not attempt that."""
        if body["status"] != "paused" or body.get(RESUMPTION):
            raise error(400, "You can only resume a subscription that is paused.")
        now = self._desk.clock_time(body["test_clock"])
        is_reset = given.get("billing_cycle_anchor", {"type": "now"})["type"] == "now"
        behavior = given.get("proration_behavior", "create_prorations")
        tries = given.get("payment_behavior") == _ON_SUCCESS
        if tries and self._cycles.method_of(body) is None:
            raise error(400, NO_METHOD, "resource_missing")
        lines: list[Json] = []
        if is_reset:
            begun = copy.deepcopy(body)
            self._cycles.begin_all(begun, now)
            lines = [self._items.line(item) for item in begun["items"]["data"]]
        elif behavior != "none":
            self._items.prorate(call, body, [], body["items"]["data"], now)
        body[RESUMPTION] = {
            "anchor": now if is_reset else None,
            "tries": tries,
            "expires_at": now + (_YEAR_SECONDS if tries else INCOMPLETE_SECONDS),
        }
        if is_reset or self._is_billed(behavior):
            self._cycles.bill(call, body, lines, "subscription_update", tries)
            return self._desk.own("subscription", body["id"])
        return self._go_on(call, body)

    def _is_billed(self, behavior: str) -> bool:
        """Whether the prorations of a resumption are billed at once. Stripe also bills those of
        `create_prorations` so under conditions that it does not name."""
        is_asked = self._desk.box.settings.flag("stripe.resumption_invoices")
        return behavior == "always_invoice" or (behavior != "none" and is_asked)

    def _go_on(self, call: Call | None, body: Json) -> Json:
        old, anchor = copy.deepcopy(body), body[RESUMPTION]["anchor"]
        if anchor is not None:
            self._cycles.begin_all(body, anchor)
        body |= {"status": "active", "status_details": None, RESUMPTION: None}
        self._desk.save(call, body, "customer.subscription.updated", old)
        self._desk.tell(call, "customer.subscription.resumed", body)
        self._desk.note(call, "subscriptions.resumed", body)
        return body

    def _heard(self, call: Call | None, kind: str, subject: Json) -> None:
        """Follow the invoice of a resumption."""
        if not kind.startswith("invoice."):
            return
        body = self._desk.find("subscription", subscription_of(subject))
        if not body or not body.get(RESUMPTION) or body["latest_invoice"] != subject["id"]:
            return
        if kind in _PAID:
            self._go_on(call, body)
        elif kind == "invoice.voided":
            self._desk.put(body | {RESUMPTION: None})
        elif kind == "invoice.payment_failed" and not body[RESUMPTION]["tries"]:
            old = copy.deepcopy(body)
            body |= {"status": "past_due", "status_details": None, RESUMPTION: None}
            self._desk.save(call, body, "customer.subscription.updated", old)
