"""What becomes of refunds after they were made: pending ones end, and done ones may fail later.

https://docs.stripe.com/refunds#failed-refunds
"""

from __future__ import annotations

from ops.sandbox.store import Json
from ops.sandbox.stripe.payments import Payments
from ops.sandbox.wire import Call

UPDATED = ("refund.updated", "charge.refund.updated")
"""The events of a changed refund; the second one is the older."""


class Refunds:
    """The later course of the refunds that `Payments` has made."""

    def __init__(self, payments: Payments) -> None:
        self._payments, self._store = payments, payments.store

    def settle(self, call: Call) -> None:
        """Give pending refunds the status of the settings; the money of a failed one returns."""
        status = self._payments.box.settings.text("stripe.refund_status")
        if status == "pending":
            return
        with self._store.transaction():
            for row in self._store.query("refund", "json_extract(body, '$.status') = 'pending'"):
                if status == "failed":
                    self._fail(call, row.body)
                else:
                    settled = row.body | {"status": status}
                    self._store.put("refund", row.id, settled)
                    for kind in UPDATED:
                        self._payments.tell(call, kind, settled, {"status": "pending"})

    def fail_all(self, call: Call) -> int:
        """Let the refunds that have succeeded fail, as a bank does days later; return how many."""
        with self._store.transaction():
            rows = self._store.query("refund", "json_extract(body, '$.status') = 'succeeded'")
            for row in rows:
                self._fail(call, row.body)
        return len(rows)

    def _fail(self, call: Call, refund: Json) -> None:
        previous = {"status": refund["status"], "failure_reason": None}
        refund |= {"status": "failed", "failure_reason": "lost_or_stolen_card"}
        self._store.put("refund", refund["id"], refund)
        found = self._store.get("charge", refund["charge"])
        assert found is not None, "a refund's charge is stored before it"
        left = found.body["amount_refunded"] - refund["amount"]
        changes = {"amount_refunded": left, "refunded": False}
        self._store.put("charge", found.id, found.body | changes)
        for kind in UPDATED:
            self._payments.tell(call, kind, refund, previous)
        self._payments.tell(call, "refund.failed", refund)
        self._store.journal(
            "stripe", call.operation, "refunds_failed", refund["id"], None,
            {"metadata": refund["metadata"], "payment_intent": refund["payment_intent"]},
        )  # fmt: skip
