"""The retries of unpaid renewals, and what becomes of a subscription after the last one.

https://docs.stripe.com/billing/subscriptions/overview#settings
"""

from __future__ import annotations

import copy

from ops.sandbox.store import Json
from ops.sandbox.stripe.billing.invoices import subscription_of
from ops.sandbox.stripe.billing.retries import is_hopeless, plan_retry
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.subscribing.cycles import ENDED, Cycles
from ops.sandbox.wire import Call


class Retries:
    """Tries open invoices again at their `next_payment_attempt`."""

    def __init__(self, desk: Desk, cycles: Cycles) -> None:
        self._desk, self._cycles = desk, cycles

    def next_time(self, invoice: Json) -> int | None:
        """Return when an invoice is tried again (Unix seconds), or None."""
        at: int | None = invoice["next_payment_attempt"]
        return at if invoice["status"] == "open" else None

    def move(self, call: Call, invoice: Json) -> None:
        """Try to collect an invoice again; after the last failure its subscription ends as the
        setting `stripe.retries_end` says."""
        owner = self._desk.find("subscription", subscription_of(invoice)) or {}
        method = owner.get("default_payment_method") or self._cycles.collection.method_of(invoice)
        if is_hopeless(invoice, method):
            old = copy.deepcopy(invoice)
            plan_retry(self._desk, invoice, {})
            self._desk.save(call, invoice, "invoice.updated", old)
        else:
            self._cycles.collect(call, invoice, method)
        invoice = self._desk.own("invoice", invoice["id"])
        if invoice["status"] == "open" and invoice["next_payment_attempt"] is None:
            self._give_up(call, self._desk.find("subscription", subscription_of(invoice)))

    def _give_up(self, call: Call, subscription: Json | None) -> None:
        if subscription is None or subscription["status"] in ENDED:
            return
        end = self._desk.box.settings.text("stripe.retries_end")
        if end == "cancel":
            self._cycles.end(call, subscription, "payment_failed")
        elif end == "unpaid":
            old = copy.deepcopy(subscription)
            subscription["status"] = "unpaid"
            self._desk.save(call, subscription, "customer.subscription.updated", old)
