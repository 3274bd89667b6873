"""What moves by itself in Stripe's own time: subscriptions, schedules and drafts.

Those of a test clock move with that clock instead. Invariant: an object that moves by itself has
one planned task, at its next time.
"""

from __future__ import annotations

from collections.abc import Callable

from werkzeug.test import EnvironBuilder

from ops.sandbox.store import Json
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.subscribing.cycles import Cycles
from ops.sandbox.stripe.subscribing.retries import Retries
from ops.sandbox.stripe.subscribing.schedules import Schedules
from ops.sandbox.wire import Call

NextTime = Callable[[Json], int | None]
Move = Callable[[Call, Json], None]


class Course:
    """Plans the next move of each object as it is stored, and makes it when its time has come."""

    def __init__(self, desk: Desk, cycles: Cycles, schedules: Schedules, retries: Retries) -> None:
        self._desk, self._cycles, self._retries = desk, cycles, retries
        self._follow("subscription", cycles.next_time, cycles.move)
        self._follow("subscription_schedule", schedules.next_time, schedules.move)
        self._follow("invoice", self._invoice_at, self._move_invoice)

    def _follow(self, kind: str, next_time: NextTime, move: Move) -> None:
        clock, name = self._desk.payments.account.clock, f"move_{kind}"

        def plan(body: Json) -> None:
            at = None if body["test_clock"] else next_time(body)
            if at is None:
                clock.drop(name, body["id"])
            else:
                clock.plan(name, body["id"], at)

        def come(object_id: str) -> None:
            body = self._desk.find(kind, object_id)
            at = next_time(body) if body else None
            if body and at is not None and at <= clock.now():
                move(_call_of_clock(), body)

        clock.does(name, come)
        self._desk.followers[kind] = plan

    def _invoice_at(self, invoice: Json) -> int | None:
        if invoice["status"] == "open":
            return self._retries.next_time(invoice)
        at: int | None = invoice["automatically_finalizes_at"]
        is_waiting = invoice["status"] == "draft" and self._desk.find(
            "customer", invoice["customer"]
        )
        return at if is_waiting else None

    def _move_invoice(self, call: Call, invoice: Json) -> None:
        if invoice["status"] == "open":
            self._retries.move(call, invoice)
            return
        self._cycles.collection.finalize_by_hand(call, {}, invoice)


def _call_of_clock() -> Call:
    """Return the call in whose name Stripe itself acts: it has no request id and no key."""
    builder = EnvironBuilder()
    try:
        return Call("clock", builder.get_request(), "")
    finally:
        builder.close()
