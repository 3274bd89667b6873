"""The SetupIntent of a subscription of which nothing is due yet: its customer saves a card with it,
or authenticates the saved one. https://docs.stripe.com/billing/subscriptions/deferred-payment
"""

from __future__ import annotations

import copy

from ops.sandbox.store import Json
from ops.sandbox.stripe.catalogue.methods import PaymentMethods
from ops.sandbox.stripe.catalogue.setups import SetupIntents, asks
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.subscribing.cycles import Cycles
from ops.sandbox.wire import Call


class PendingSetups:
    """Makes the SetupIntents, and gives the subscription the card of one that has succeeded."""

    def __init__(self, desk: Desk, cycles: Cycles) -> None:
        self._desk, self._cycles = desk, cycles
        self._setups = SetupIntents(desk, PaymentMethods(desk))
        desk.listeners.append(self._heard)

    def begin(self, call: Call, body: Json) -> None:
        """Give a new subscription its SetupIntent, if one is needed."""
        invoice = self._desk.find("invoice", body["latest_invoice"])
        is_free = invoice is not None and not invoice["amount_due"]
        by_itself = body["collection_method"] == "charge_automatically"
        if not (is_free and by_itself and body["status"] in ("trialing", "active")):
            return
        method = self._cycles.method_of(body)
        found = self._desk.find("payment_method", method) if method else None
        if method and (found is None or not asks(found)):
            return
        setup = described.new("setup_intent", "seti", customer=body["customer"])
        setup["created"] = self._desk.now()
        self._setups.build(call, {"payment_method": method} if method else {}, setup)
        self._desk.save(call, setup, "setup_intent.created")
        if method:
            self._setups.made(call, {"confirm": True}, setup)
        body["pending_setup_intent"] = setup["id"]

    def _heard(self, call: Call | None, kind: str, subject: Json) -> None:
        if kind != "setup_intent.succeeded":
            return
        for body in self._desk.where("subscription", "$.pending_setup_intent", subject["id"]):
            old = copy.deepcopy(body)
            body |= {"pending_setup_intent": None}
            body["default_payment_method"] = subject["payment_method"]
            self._desk.save(call, body, "customer.subscription.updated", old)
