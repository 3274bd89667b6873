"""Updates of subscriptions that take effect only when their invoice is paid.

https://docs.stripe.com/billing/subscriptions/pending-updates
"""

from __future__ import annotations

import copy

from ops.sandbox.store import Json
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.subscribing.cycles import INCOMPLETE_SECONDS, Cycles
from ops.sandbox.stripe.wire import merged_metadata
from ops.sandbox.wire import Call


class PendingUpdates:
    """Keeps the update of a subscription until its invoice is paid, or voided."""

    def __init__(self, desk: Desk, cycles: Cycles) -> None:
        self._desk = desk
        cycles.collection.when_settled.append(self._paid)
        cycles.collection.when_voided.append(self._voided)

    def put_off(self, body: Json, old: list[Json], anchor: int, given: Json, before: Json) -> None:
        """Give a subscription its old items and metadata, and keep the new ones for later."""
        now = self._desk.clock_time(body["test_clock"])
        is_reset = anchor != body["billing_cycle_anchor"]
        body["pending_update"] = {
            "billing_cycle_anchor": body["billing_cycle_anchor"] if is_reset else None,
            "expires_at": now + INCOMPLETE_SECONDS,
            "metadata": given.get("metadata"),
            "subscription_items": body["items"]["data"],
            "trial_end": None,
            "trial_from_plan": None,
        }
        body["sandbox_pending_invoice"] = body["latest_invoice"]
        body |= {"billing_cycle_anchor": anchor, "metadata": before}
        body["items"]["data"] = old

    def _paid(self, call: Call | None, invoice: Json) -> None:
        body = self._waiting(invoice)
        if body is None:
            return
        old, pending = copy.deepcopy(body), body["pending_update"]
        body["items"]["data"] = pending["subscription_items"]
        kept = {"metadata": pending["metadata"] or {}}
        body["metadata"] = merged_metadata(body["metadata"], kept)
        if pending["billing_cycle_anchor"] is not None:
            body["billing_cycle_anchor"] = pending["billing_cycle_anchor"]
        self._end(call, body, old, "applied")

    def _voided(self, call: Call | None, invoice: Json) -> None:
        body = self._waiting(invoice)
        if body is not None:
            self._end(call, body, copy.deepcopy(body), "expired")

    def _end(self, call: Call | None, body: Json, old: Json, word: str) -> None:
        body |= {"pending_update": None, "sandbox_pending_invoice": None}
        self._desk.save(call, body, "customer.subscription.updated", old)
        self._desk.tell(call, f"customer.subscription.pending_update_{word}", body)

    def _waiting(self, invoice: Json) -> Json | None:
        """The subscription with an update that waits for the invoice."""
        found = self._desk.where("subscription", "$.sandbox_pending_invoice", invoice["id"])
        return found[0] if found else None
