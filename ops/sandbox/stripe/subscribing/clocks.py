"""Test clocks: time that moves on request, with all that is due on the way.

Invariant: what is due is done in the order of time, and each at its own time.
https://docs.stripe.com/billing/testing/test-clocks
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence

from ops.sandbox.store import Json
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.subscribing.cycles import Cycles
from ops.sandbox.stripe.subscribing.retries import Retries
from ops.sandbox.stripe.subscribing.schedules import Schedules
from ops.sandbox.stripe.wire import error
from ops.sandbox.wire import Call, Route

LIFE_SECONDS = 30 * 86400
MOST_STEPS = 2000
Due = tuple[int, int, Callable[[Call], None]]


class TestClocks(Resource):
    """The test clocks; the objects of a clock's customers live in its time."""

    kind, url, calls, prefix, event = (
        "test_helpers.test_clock", "/v1/test_helpers/test_clocks", "test_helpers/test_clock",
        "clock", "test_helpers.test_clock",
    )  # fmt: skip
    verbs = ("create", "list", "retrieve", "delete")

    def __init__(self, desk: Desk, cycles: Cycles, schedules: Schedules, retries: Retries) -> None:
        super().__init__(desk)
        self._cycles, self._schedules, self._retries = cycles, schedules, retries

    def routes(self) -> Sequence[Route]:
        """Return the endpoints, with that to advance a clock."""
        return [*super().routes(), self.action("advance", "advance", self._advance)]

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Set the end of its life."""
        body |= {"status": "ready", "deletes_after": body["created"] + LIFE_SECONDS}

    def may_delete(self, body: Json) -> None:
        """Delete the customers of the clock with it."""
        for customer in self.desk.all("customer", test_clock=body["id"]):
            self.desk.put({"id": customer["id"], "object": "customer", "deleted": True})

    def _advance(self, call: Call, given: Json, body: Json) -> Json:
        target = given["frozen_time"]
        if target <= body["frozen_time"]:
            message = "The `frozen_time` must be after the current time of the test clock."
            raise error(400, message, param="frozen_time")
        begun = body | {"status": "advancing"}
        begun["status_details"] = {"advancing": {"target_frozen_time": target}}
        self.desk.put(begun)
        self.desk.tell(call, f"{self.event}.advancing", begun)
        for _ in range(MOST_STEPS):
            due = min(self._due(body["id"], target), key=lambda each: each[:2], default=None)
            if due is None:
                break
            begun["frozen_time"] = max(due[0], begun["frozen_time"])
            self.desk.put(begun)
            due[2](call)
        else:
            raise error(400, "You cannot advance a test clock so far at once.", param="frozen_time")
        ready = body | {"frozen_time": target, "status": "ready", "status_details": {}}
        self.desk.put(ready)
        self.desk.tell(call, f"{self.event}.ready", ready)
        return copy.deepcopy(begun) | {"frozen_time": body["frozen_time"]}

    def _due(self, clock: str, target: int) -> Iterator[Due]:
        """Return what is due until the target; of one time, schedules come first."""
        for schedule in self.desk.all("subscription_schedule", test_clock=clock):
            at = self._schedules.next_time(schedule)
            if at is not None and at <= target:
                yield at, 0, self._bound(self._schedules.move, schedule)
        for subscription in self.desk.all("subscription", test_clock=clock):
            at = self._cycles.next_time(subscription)
            if at is not None and at <= target:
                yield at, 1, self._bound(self._cycles.move, subscription)
        for invoice in self.desk.all("invoice", test_clock=clock, status="draft"):
            at = invoice["automatically_finalizes_at"]
            if at is not None and at <= target:
                yield at, 2, self._bound(self._finalize, invoice)
        for invoice in self.desk.all("invoice", test_clock=clock, status="open"):
            at = self._retries.next_time(invoice)
            if at is not None and at <= target:
                yield at, 3, self._bound(self._retries.move, invoice)

    def _bound(self, move: Callable[[Call, Json], None], body: Json) -> Callable[[Call], None]:
        return lambda call: move(call, body)

    def _finalize(self, call: Call, invoice: Json) -> None:
        self._cycles.collection.finalize_by_hand(call, {}, invoice)
