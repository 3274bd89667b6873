"""The imitated Stripe account: what all operations on payments share.

Invariant: each function runs in the caller's transaction, in which it writes the object, the event,
the webhook and the journal entry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ops.sandbox.box import Box
from ops.sandbox.store import Json
from ops.sandbox.stripe.events import Events
from ops.sandbox.stripe.money.clock import Clock
from ops.sandbox.stripe.money.ledger import Ledger
from ops.sandbox.stripe.wire import error, no_such
from ops.sandbox.wire import Call

OnPaid = Callable[[Call | None, Json, str], None]
OnRefund = Callable[[Call | None, Json, str | None], None]
OnDispute = Callable[[Call | None, Json], None]


SPENT = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer "
    "attachment, shared with a connected account without Customer attachment, or was detached "
    "from a Customer. It may not be used again. To use a PaymentMethod multiple times, you must "
    "attach it to a Customer first."
)


class Account:
    """The stored objects, the events, the clock and the books of the account."""

    def __init__(self, box: Box) -> None:
        self.box, self.store = box, box.store
        self.clock = Clock(box)
        self.events = Events(box, self.clock)
        self.ledger = Ledger(box, self.events, self.clock)
        self.on_charge: list[Callable[[], None]] = []
        """Called before a payment method is charged; raises Stripe's error if none may be."""
        self.on_accepted: list[OnPaid] = []
        """Called with each charge that was accepted, held or paid, and its test card's name."""
        self.on_release: list[OnRefund] = []
        """Called with each charge whose hold was released, and the reason of the cancellation."""
        self.on_paid: list[OnPaid] = []
        """Called with each charge whose money has come, and the name of its test card."""
        self.on_refund: list[OnRefund] = []
        """Called with each charge of which a part was refunded, and the reason of the refund."""
        self.on_dispute: list[OnDispute] = []
        """Called with each charge that is disputed."""

    def find(self, kind: str, object_id: str, param: str = "id") -> Json:
        """Return a stored object or raise Stripe's 404."""
        row = self.store.get(kind, object_id)
        if row is None:
            raise no_such(kind, object_id, param)
        return row.body

    def method(self, method_id: str) -> Json:
        """Return a stored payment method or raise Stripe's 400."""
        row = self.store.get("payment_method", method_id)
        if row is None:
            message = f"No such PaymentMethod: '{method_id}'"
            raise error(400, message, "resource_missing", "payment_method")
        return row.body

    def refuse_spent(self, method: Json) -> None:
        """Raise Stripe's error for a payment method that has served its one payment."""
        if method.get("sandbox_spent"):
            raise error(400, SPENT)

    def card_of(self, charge: Json) -> str:
        """Return the name of the test card that was charged, or an empty text."""
        row = self.store.get("payment_method", charge["payment_method"] or "")
        return str(row.body.get("sandbox_test_card", "")) if row else ""

    def charge_of(self, intent: Json) -> Json:
        """Return the latest charge of a PaymentIntent that has one."""
        row = self.store.get("charge", intent["latest_charge"])
        assert row is not None, "an intent's latest charge is stored with it"
        return row.body

    def put(self, body: Json) -> None:
        """Store an object under its kind and id."""
        self.store.put(body["object"], body["id"], body)

    def save(self, call: Call | None, body: Json, event: str | None, previous: Any = None) -> None:
        """Store an object, and tell the event if there is one."""
        self.put(body)
        if event:
            self.events.tell(call, event, body, previous)

    def note(self, call: Call | None, effect: str, body: Json, **more: Any) -> None:
        """Write the journal entry of an effect on an object that has an amount.

        The metadata of its PaymentIntent count as its own.
        """
        details: Json = {
            "metadata": body.get("metadata", {}),
            "payment_intent": body.get("payment_intent") or body["id"],
            "amount": body["amount"],
            "currency": body["currency"],
        }
        intent = self.store.get("payment_intent", details["payment_intent"])
        if intent:
            details["metadata"] = {**intent.body["metadata"], **details["metadata"]}
        operation, key = (call.operation, call.notes.get("key")) if call else ("clock", None)
        self.store.journal("stripe", operation, effect, body["id"], key, details | more)

    def paid(self, call: Call | None, charge: Json) -> None:
        """Tell those who act on charges that the money of a charge has come."""
        card = self.card_of(charge)
        for act in self.on_paid:
            act(call, charge, card)
