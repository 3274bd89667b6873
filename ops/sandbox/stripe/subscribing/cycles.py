"""The course of a subscription in time: its invoices, the end of its trial, renewal and end.

https://docs.stripe.com/billing/subscriptions/overview
"""

from __future__ import annotations

import copy

from ops.sandbox.store import Json
from ops.sandbox.stripe.billing.collection import NO_METHOD, Collection
from ops.sandbox.stripe.billing.invoices import Invoices, subscription_of
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.subscribing.items import Items
from ops.sandbox.stripe.wire import error
from ops.sandbox.wire import Call, Refusal

ENDED = ("canceled", "incomplete_expired")
WARNING_SECONDS = 3 * 86400
"""So long before the end of a trial the event `trial_will_end` comes."""
INCOMPLETE_SECONDS = 23 * 3600
"""So long an incomplete subscription waits for its first payment."""
RESUMPTION = "sandbox_resumption"
"""The name of the resumption of a paused subscription that waits for its invoice to be paid:
{anchor, tries, expires_at}."""


class Cycles:
    """Moves subscriptions on; each function leaves the subscription stored."""

    def __init__(self, desk: Desk, invoices: Invoices, items: Items) -> None:
        self.desk, self.invoices, self.items = desk, invoices, items
        self.collection: Collection = invoices.collection
        self.collection.when_settled.append(self._paid)

    def bill(
        self, call: Call, subscription: Json, lines: list[Json], reason: str, attempts: bool = True
    ) -> Refusal | None:
        """Make, finalize and collect an invoice; return the refusal of a failed payment."""
        customer = self.desk.own("customer", subscription["customer"])
        invoice = self.invoices.draft(call, customer, subscription, reason, lines)
        subscription["latest_invoice"] = invoice["id"]
        self.desk.put(subscription)
        if (subscription["pause_collection"] or {}).get("behavior") == "keep_as_draft":
            return None
        if subscription["status"] == "unpaid":
            # Nobody collects them until the customer pays again.
            self.desk.put(invoice | {"auto_advance": False, "automatically_finalizes_at": None})
            return None
        self.collection.finalize(call, invoice)
        refused = None
        by_hand = subscription["collection_method"] == "send_invoice" or not attempts
        if invoice["status"] == "open" and not by_hand:
            refused = self.collect(call, invoice, self.collection.method_of(invoice))
        subscription |= self.desk.own("subscription", subscription["id"])
        return refused

    def collect(self, call: Call, invoice: Json, method: str | None) -> Refusal | None:
        """Charge an invoice; return the refusal of a failure. Only renewals are tried again."""
        retries = invoice["billing_reason"] == "subscription_cycle"
        if method is None:
            if retries:
                self.collection.fail_without_method(call, invoice)
            return error(400, NO_METHOD, "resource_missing")
        answer = self.collection.attempt(call, invoice, method, retries=retries)
        if answer is None:
            return None
        return Refusal(answer.status_code, self.desk.body_of(answer))

    def begin_all(self, subscription: Json, start: int) -> None:
        """Begin the periods of all items now; the billing cycle is anchored here."""
        subscription["billing_cycle_anchor"] = start
        for item in subscription["items"]["data"]:
            self.items.begin(item, start, start)

    def end_trial(self, call: Call, subscription: Json) -> str:
        """End a trial now: pay, pause or cancel; return the event that tells of it, if any."""
        now = self.desk.clock_time(subscription["test_clock"])
        subscription["trial_end"] = now
        ending = (subscription["trial_settings"] or {}).get("end_behavior", {})
        missing = ending.get("missing_payment_method", "create_invoice")
        if missing != "create_invoice" and self.method_of(subscription) is None:
            if missing == "pause":
                subscription["status"] = "paused"
                self.desk.put(subscription)
                return "customer.subscription.paused"
            self.end(call, subscription, "payment_failed")
            return ""
        self.begin_all(subscription, now)
        for item in subscription["items"]["data"]:
            # What is used in a trial is free.
            item["sandbox_ended"] = None
        subscription["status"] = "active"
        lines = [self.items.line(item) for item in subscription["items"]["data"]]
        if self.bill(call, subscription, lines, "subscription_cycle"):
            subscription["status"] = "past_due"
        self.desk.put(subscription)
        return ""

    def renew(self, call: Call, subscription: Json) -> None:
        """Begin the next period of the items whose period has ended, and bill it."""
        now = self.desk.clock_time(subscription["test_clock"])
        old = copy.deepcopy(subscription)
        due = [item for item in subscription["items"]["data"] if item["current_period_end"] <= now]
        for item in due:
            anchor = subscription["billing_cycle_anchor"]
            self.items.begin(item, item["current_period_end"], anchor)
        self.desk.put(subscription)
        lines = [self.items.line(item) for item in due]
        refused = self.bill(call, subscription, lines, "subscription_cycle")
        if refused and subscription["status"] == "active":
            subscription["status"] = "past_due"
        self.desk.save(call, subscription, "customer.subscription.updated", old)

    def end(self, call: Call, subscription: Json, reason: str) -> None:
        """Cancel a subscription now, with its event."""
        now = self.desk.clock_time(subscription["test_clock"])
        subscription |= {"status": "canceled", "ended_at": now}
        subscription["canceled_at"] = subscription["canceled_at"] or now
        details = subscription["cancellation_details"] or {}
        subscription["cancellation_details"] = {
            "comment": None, "feedback": None, **details,
            "reason": details.get("reason") or reason,
        }  # fmt: skip
        self.desk.save(call, subscription, "customer.subscription.deleted")
        for invoice in self.desk.all("invoice", customer=subscription["customer"], status="open"):
            if subscription_of(invoice) == subscription["id"]:
                # What is open stays so, but Stripe collects it no more.
                unpaid = invoice | {"auto_advance": False, "next_payment_attempt": None}
                self.desk.save(call, unpaid, "invoice.updated", invoice)
        self.desk.note(call, "subscriptions.canceled", subscription)

    def expire(self, call: Call, subscription: Json) -> None:
        """End a subscription whose first invoice was not paid in time."""
        old = copy.deepcopy(subscription)
        now = self.desk.clock_time(subscription["test_clock"])
        subscription |= {"status": "incomplete_expired", "ended_at": now}
        self.desk.save(call, subscription, "customer.subscription.updated", old)
        invoice = self.desk.find("invoice", subscription["latest_invoice"])
        if invoice and invoice["status"] == "open":
            self.collection.void(call, {}, invoice)

    def next_time(self, subscription: Json) -> int | None:
        """Return when a subscription moves next by itself (Unix seconds), or None."""
        status = subscription["status"]
        if status in (*ENDED, "paused"):
            waits = subscription.get(RESUMPTION)
            return int(waits["expires_at"]) if waits else None
        if status == "incomplete":
            return int(subscription["created"]) + INCOMPLETE_SECONDS
        ends = [item["current_period_end"] for item in subscription["items"]["data"]]
        times = [subscription["trial_end"]] if status == "trialing" else ends
        if status == "trialing" and not subscription.get("sandbox_warned"):
            times.append(subscription["trial_end"] - WARNING_SECONDS)
        if subscription["cancel_at"]:
            times.append(subscription["cancel_at"])
        if subscription["pending_update"]:
            times.append(subscription["pending_update"]["expires_at"])
        return int(min(times))

    def move(self, call: Call, subscription: Json) -> None:
        """Do what is due of a subscription at the time of its clock."""
        now = self.desk.clock_time(subscription["test_clock"])
        if subscription["status"] == "incomplete":
            self.expire(call, subscription)
        elif subscription["status"] == "paused":
            # Nobody has paid for the resumption in time.
            invoice = self.desk.own("invoice", subscription["latest_invoice"])
            self.collection.void(call, {}, invoice)
        elif _is_due(subscription["pending_update"], now):
            # Stripe voids the invoice of a change that was not paid in time.
            invoice = self.desk.own("invoice", subscription["sandbox_pending_invoice"])
            self.collection.void(call, {}, invoice)
        elif subscription["cancel_at"] and subscription["cancel_at"] <= now:
            lines = self.items.unbilled(subscription["items"]["data"], subscription["cancel_at"])
            if lines and subscription["status"] != "trialing":
                self.bill(call, subscription, lines, "subscription_cycle")
            self.end(call, subscription, "cancellation_requested")
        elif subscription["status"] != "trialing":
            self.renew(call, subscription)
        elif subscription["trial_end"] > now:
            self.warn(call, subscription)
        else:
            old = copy.deepcopy(subscription)
            event = self.end_trial(call, subscription)
            if subscription["status"] not in ENDED:
                self.desk.save(call, subscription, "customer.subscription.updated", old)
            if event:
                self.desk.tell(call, event, subscription)

    def warn(self, call: Call, subscription: Json) -> None:
        """Tell that a trial will end soon."""
        subscription["sandbox_warned"] = True
        self.desk.put(subscription)
        self.desk.tell(call, "customer.subscription.trial_will_end", subscription)

    def method_of(self, subscription: Json) -> str | None:
        """Return what the invoices of a subscription would be paid with, or None."""
        return self.collection.method_of({"default_source": None, **subscription})

    def _paid(self, call: Call | None, invoice: Json) -> None:
        subscription = self.desk.find("subscription", subscription_of(invoice))
        waits = ("incomplete", "past_due", "unpaid")
        if subscription is None or subscription["status"] not in waits:
            return
        old = copy.deepcopy(subscription)
        subscription["status"] = "active"
        if subscription.get("sandbox_told"):
            self.desk.save(call, subscription, "customer.subscription.updated", old)
        else:
            self.desk.put(subscription)


def _is_due(pending: Json | None, now: int) -> bool:
    return pending is not None and int(pending["expires_at"]) <= now
