"""Refunds: made, updated, cancelled, ended when they were pending, and failed after they were made.

Invariant: what a refund takes from the balance is booked when it is made, and booked back when it
fails or is cancelled. https://docs.stripe.com/refunds#failed-refunds
"""

from __future__ import annotations

from werkzeug.wrappers import Response

from ops.sandbox.store import Json
from ops.sandbox.stripe import cards, currencies
from ops.sandbox.stripe import objects as shapes
from ops.sandbox.stripe.params import check_step
from ops.sandbox.stripe.payments import Payments
from ops.sandbox.stripe.wire import boolean, error, integer, merged_metadata
from ops.sandbox.wire import Call, reply

UPDATED = ("refund.updated", "charge.refund.updated")
"""The events of a changed refund; the second one is the older."""
_TURN = "turn_refund"
_LINK_DAYS = 45
ACTION_STATUS = "requires_action"


class Refunds:
    """The operations on refunds, and their later course."""

    def __init__(self, payments: Payments) -> None:
        self._payments, self._account = payments, payments.account
        self._store, self._settings = payments.store, payments.box.settings
        self._account.clock.does(_TURN, self._turn)

    def create(self, call: Call, params: Json) -> Response:
        """Refund a captured amount or a part of it."""
        charge = self._charge_to_refund(params)
        amount = self._amount(charge, params)
        _refuse_connected(charge, params)
        refund = shapes.new_refund(charge, amount, params, self._account.clock.now())
        refund["metadata"] = merged_metadata({}, params)
        refund["status"] = self._first_status(charge, refund)
        refund |= self._waiting(refund, params)
        booked = self._account.ledger.book(refund, "refund", "refund", -amount)
        refund["balance_transaction"] = booked["id"]
        previous = {"amount_refunded": charge["amount_refunded"]}
        charge["amount_refunded"] += amount
        # Of a charge of which more may be captured, no refund is the last.
        is_whole = charge["amount_refunded"] >= shapes.taken(charge)
        charge["refunded"] = charge["captured"] and is_whole
        if charge["refunded"]:
            previous["refunded"] = False
        self._account.save(call, refund, "refund.created")
        self._account.save(call, charge, "charge.refunded", previous)
        self._account.note(call, "refunds", refund)
        for act in self._account.on_refund:
            act(call, charge, refund["reason"])
        if refund["status"] == "failed":
            self._give_back(call, refund, "failed")
        return reply(refund)

    def update(self, call: Call, refund: Json, params: Json) -> Response:
        """Change the metadata."""
        previous = {"metadata": refund["metadata"]}
        refund["metadata"] = merged_metadata(refund["metadata"], params)
        self._updated(call, refund, previous)
        return reply(refund)

    def cancel(self, call: Call, refund: Json, params: Json) -> Response:
        """Cancel a refund that waits for the customer; its money returns to the balance."""
        if refund["status"] != ACTION_STATUS:
            message = (
                f"You cannot cancel this refund because it has a status of {refund['status']}. "
                f"Only a refund with the status {ACTION_STATUS} can be canceled."
            )
            raise error(400, message, executed=True)
        self._give_back(call, refund, "canceled")
        self._account.note(call, "refunds_canceled", refund)
        return reply(refund)

    def settle(self, call: Call) -> None:
        """Give pending refunds the status of the settings; the money of a failed one returns.

        Refunds whose test card ends them by itself are left to it.
        """
        status = self._settings.text("stripe.refund_status")
        if status in ("pending", ACTION_STATUS):
            return
        with self._store.transaction():
            for row in self._store.query("refund", "json_extract(body, '$.status') = 'pending'"):
                if not self._account.clock.is_planned(_TURN, row.id):
                    self._end(call, row.body, status)

    def fail_all(self, call: Call) -> int:
        """Let the refunds that have succeeded fail, as a bank does days later; return how many."""
        with self._store.transaction():
            rows = self._store.query("refund", "json_extract(body, '$.status') = 'succeeded'")
            for row in rows:
                self._give_back(call, row.body, "failed")
        return len(rows)

    def _amount(self, charge: Json, params: Json) -> int:
        currency = charge["currency"]
        if charge["refunded"]:
            message = f"Charge {charge['id']} has already been refunded."
            raise error(400, message, "charge_already_refunded", executed=True)
        if charge["disputed"] and not self._is_refundable(charge):
            message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
            raise error(400, message, "charge_disputed", executed=True)
        left = shapes.taken(charge) - charge["amount_refunded"]
        amount = integer(params, "amount", left)
        if amount < 1:
            raise error(400, "Invalid positive integer", "parameter_invalid_integer", "amount")
        if amount > left:
            message = (
                f"Refund amount ({currencies.money(amount, currency)}) is greater than unrefunded "
                f"amount on charge ({currencies.money(left, currency)})"
            )
            raise error(400, message, param="amount", executed=True)
        check_step(amount, currency, currencies.step(currency))
        return amount

    def _is_refundable(self, charge: Json) -> bool:
        about = "json_extract(body, '$.charge') = ?"
        disputes = self._store.query("dispute", about, (charge["id"],))
        return all(row.body["is_charge_refundable"] for row in disputes)

    def _first_status(self, charge: Json, refund: Json) -> str:
        course = cards.REFUNDS.get(self._account.card_of(charge))
        if course is None:
            return self._settings.text("stripe.refund_status")
        wait = self._settings.number("stripe.refund_turn_seconds")
        self._account.clock.plan(_TURN, refund["id"], self._account.clock.now() + wait)
        return course[0]

    def _waiting(self, refund: Json, params: Json) -> Json:
        """Return the fields that only a refund has which is not made yet."""
        if refund["status"] == "pending":
            return {"pending_reason": "processing"}
        if refund["status"] != ACTION_STATUS:
            return {}
        address = params.get("instructions_email")
        if not address:
            message = "This refund needs an `instructions_email` for the customer's bank details."
            raise error(400, message, "parameter_missing", "instructions_email")
        now = self._account.clock.now()
        details = {
            "email_sent": {"email_sent_at": now, "email_sent_to": address},
            "expires_at": now + _LINK_DAYS * shapes.DAY,
        }
        return {
            "instructions_email": address,
            "next_action": {"type": "display_details", "display_details": details},
        }

    def _charge_to_refund(self, params: Json) -> Json:
        account = self._account
        if "payment_intent" in params:
            intent = self._payments.intent(params["payment_intent"], "payment_intent")
            charge = account.charge_of(intent) if intent["latest_charge"] else None
            intent_id = intent["id"]
        elif "charge" in params:
            charge = account.find("charge", params["charge"], "charge")
            intent_id = charge["payment_intent"]
        else:
            message = "One of the following params should be provided for this request: "
            raise error(400, message + "payment_intent or charge.", "parameter_missing")
        if charge is None or not (charge["captured"] or charge["amount_captured"]):
            message = (
                f"This PaymentIntent ({intent_id}) does not have a successful charge to refund."
            )
            raise error(400, message, executed=True)
        self._payments.charging.complete(charge["id"])
        return account.find("charge", charge["id"])

    def _turn(self, refund_id: str) -> None:
        refund = self._account.find("refund", refund_id)
        charge = self._account.find("charge", refund["charge"])
        first, last = cards.REFUNDS[self._account.card_of(charge)]
        if refund["status"] == first:
            self._end(None, refund, last)

    def _end(self, call: Call | None, refund: Json, status: str) -> None:
        if status == "failed":
            self._give_back(call, refund, status)
            return
        previous = {
            "status": refund["status"],
            "pending_reason": refund.pop("pending_reason", None),
        }
        refund["status"] = status
        self._updated(call, refund, previous)

    def _give_back(self, call: Call | None, refund: Json, status: str) -> None:
        """Book the money of a failed or cancelled refund back, and tell it."""
        previous = {"status": refund["status"], "failure_balance_transaction": None}
        kind = "refund_failure"
        booked = self._account.ledger.book(refund, kind, kind, refund["amount"])
        refund |= {"status": status, "failure_balance_transaction": booked["id"]}
        for name in ("pending_reason", "next_action"):
            refund.pop(name, None)
        if status == "failed":
            previous["failure_reason"] = None
            refund["failure_reason"] = "lost_or_stolen_card"
        charge = self._account.find("charge", refund["charge"])
        left = charge["amount_refunded"] - refund["amount"]
        self._account.put(charge | {"amount_refunded": left, "refunded": False})
        self._updated(call, refund, previous)
        if status == "failed":
            self._account.events.tell(call, "refund.failed", refund)
            self._account.note(call, "refunds_failed", refund)

    def _updated(self, call: Call | None, refund: Json, previous: Json) -> None:
        self._account.put(refund)
        for kind in UPDATED:
            self._account.events.tell(call, kind, refund, previous)


def _refuse_connected(charge: Json, params: Json) -> None:
    """Raise Stripe's error for what a charge without a connected account does not have."""
    if boolean(params, "reverse_transfer"):
        message = f"Cannot reverse transfer on charge {charge['id']}, which has no transfer."
        raise error(400, message, param="reverse_transfer", executed=True)
    if boolean(params, "refund_application_fee"):
        message = (
            f"Attempting to refund_application_fee on charge {charge['id']}, but it has no "
            "application fee."
        )
        raise error(400, message, param="refund_application_fee", executed=True)
    if params.get("origin"):
        message = "Only a refund of a customer's cash balance has an `origin`."
        raise error(400, message, param="origin", executed=True)
