"""Disputes and inquiries at the imitated Stripe: opened by test cards, answered, closed.

Invariant: a dispute that takes money books it when it opens, and books it back when it is won; an
inquiry moves no money. https://docs.stripe.com/disputes/how-disputes-work, /testing#disputes
"""

from __future__ import annotations

import copy

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.store import Json
from ops.sandbox.stripe import cards
from ops.sandbox.stripe import objects as shapes
from ops.sandbox.stripe.account import Account
from ops.sandbox.stripe.money import enhanced
from ops.sandbox.stripe.money.evidence import (
    ESCALATING,
    WINNING,
    empty_evidence,
    merged_evidence,
)
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.wire import boolean, error, merged_metadata
from ops.sandbox.wire import Call, reply

DAY = 86400
_OPEN, _DECIDE, _LAPSE = "open_disputes", "decide_dispute", "lapse_dispute"
_ANSWERABLE = ("needs_response", "warning_needs_response")


class Disputes:
    """Opens the disputes of the test cards, and decides them by the evidence that is submitted.

    As in Stripe's test mode, `uncategorized_text` decides: winning_evidence wins, and
    escalate_inquiry_evidence turns an inquiry into a chargeback; all else loses.
    """

    def __init__(self, account: Account) -> None:
        self._account, self._clock = account, account.clock
        self._settings = account.box.settings
        account.on_paid.append(self._paid)
        account.on_refund.append(self._refunded)
        account.clock.does(_OPEN, self._open_all)
        account.clock.does(_DECIDE, self._decide)
        account.clock.does(_LAPSE, self._lapse)

    def update(self, call: Call, dispute: Json, params: Json) -> Response:
        """Stage evidence, and submit it unless `submit` is false."""
        given = described.typed(params, described.PARAMETERS["dispute_update"])
        is_answer = "evidence" in params or "submit" in params
        if is_answer and dispute["status"] not in _ANSWERABLE:
            message = "This dispute is already closed or its evidence is already submitted."
            raise error(400, message, executed=True)
        before = dict(dispute)
        dispute["metadata"] = merged_metadata(dispute["metadata"], params)
        if "intended_submission_method" in params:
            dispute["intended_submission_method"] = params["intended_submission_method"]
        dispute["evidence"] = merged_evidence(dispute["evidence"], given.get("evidence") or {})
        has_evidence = any(dispute["evidence"].values())
        dispute["evidence_details"] = dispute["evidence_details"] | {"has_evidence": has_evidence}
        enhanced.assess(dispute)
        if is_answer and boolean({"submit": "true", **params}, "submit"):
            self._submit(dispute)
            self._account.note(call, "evidence", dispute)
        previous = {name: before[name] for name in before if before[name] != dispute[name]}
        self._account.save(call, dispute, "charge.dispute.updated", previous)
        return reply(dispute)

    def close(self, call: Call, dispute: Json, params: Json) -> Response:
        """Accept the loss for good."""
        if dispute["status"] not in _ANSWERABLE:
            raise error(400, "This dispute is already closed.", executed=True)
        self._end(call, dispute, is_won=False)
        self._account.note(call, "disputes_accepted", dispute)
        return reply(dispute)

    def open(
        self, call: Call | None, charge: Json, why: tuple[str, str, str], card: str = ""
    ) -> Json:
        """Open a dispute of a charge: its reason, its case type and the network's reason code.

        `card` names the test card whose disputes can be answered with enhanced evidence.
        """
        reason, case_type, code = why
        is_inquiry = case_type == "inquiry"
        now = self._clock.now()
        answer_days = self._settings.number("stripe.dispute_answer_days")
        due = -(-int(now + answer_days * DAY) // DAY) * DAY - 1
        brand = charge["payment_method_details"]["card"]["brand"]
        dispute: Json = {
            "id": f"du_1{token62(23)}",
            "object": "dispute",
            "amount": shapes.taken(charge) - charge["amount_refunded"],
            "balance_transactions": [],
            "charge": charge["id"],
            "created": now,
            "currency": charge["currency"],
            "enhanced_eligibility_types": [cards.ELIGIBLE[card]] if card in cards.ELIGIBLE else [],
            "evidence": empty_evidence(),
            "evidence_details": {
                "due_by": due,
                "enhanced_eligibility": {},
                "has_evidence": False,
                "past_due": False,
                "submission_count": 0,
                "submission_method": "not_submitted",
            },
            "intended_submission_method": None,
            "is_charge_refundable": is_inquiry,
            "livemode": False,
            "metadata": {},
            "network_reason_code": code,
            "payment_intent": charge["payment_intent"],
            "payment_method_details": {
                "card": {
                    "brand": brand,
                    "case_type": case_type,
                    "network": brand,
                    "network_reason_code": code,
                },
                "type": "card",
            },
            "reason": reason,
            "status": "warning_needs_response" if is_inquiry else "needs_response",
        }
        enhanced.assess(dispute)
        self._account.save(call, charge | {"disputed": True}, None)
        self._account.save(call, dispute, "charge.dispute.created")
        self._account.note(call, "disputes", dispute)
        self._clock.plan(_LAPSE, dispute["id"], due + 1)
        if not is_inquiry:
            self._withdraw(call, dispute)
        for act in self._account.on_dispute:
            act(call, charge)
        return dispute

    def _paid(self, call: Call | None, charge: Json, card: str) -> None:
        if card in cards.DISPUTES:
            wait = self._settings.number("stripe.dispute_seconds")
            self._clock.plan(_OPEN, charge["id"], self._clock.now() + wait)

    def _open_all(self, charge_id: str) -> None:
        charge = self._account.find("charge", charge_id)
        if charge["refunded"]:
            return
        card = self._account.card_of(charge)
        for why in cards.DISPUTES[card]:
            self.open(None, self._account.find("charge", charge_id), why, card)

    def _refunded(self, call: Call | None, charge: Json, _reason: str | None) -> None:
        about = "json_extract(body, '$.charge') = ? AND json_extract(body, '$.status') = ?"
        given = (charge["id"], "warning_needs_response")
        for row in self._account.store.query("dispute", about, given):
            if charge["refunded"]:
                self._end(call, row.body, is_won=False)

    def _submit(self, dispute: Json) -> None:
        if enhanced.submit(dispute):
            self._network_fee(dispute, -enhanced.NETWORK_FEE)
        details = dispute["evidence_details"]
        details |= {
            "submission_count": details["submission_count"] + 1,
            "submission_method": "manual",
        }
        is_inquiry = dispute["status"].startswith("warning_")
        dispute["status"] = "warning_under_review" if is_inquiry else "under_review"
        self._clock.drop(_LAPSE, dispute["id"])
        wait = self._settings.number("stripe.dispute_seconds")
        self._clock.plan(_DECIDE, dispute["id"], self._clock.now() + wait)

    def _decide(self, dispute_id: str) -> None:
        dispute = self._account.find("dispute", dispute_id)
        text = dispute["evidence"]["uncategorized_text"] or ""
        if dispute["status"] == "warning_under_review" and ESCALATING in text:
            self._escalate(dispute)
        else:
            self._end(None, dispute, is_won=WINNING in text)

    def _escalate(self, dispute: Json) -> None:
        previous = {name: dispute[name] for name in ("status", "is_charge_refundable")}
        dispute |= {"status": "needs_response", "is_charge_refundable": False}
        dispute["payment_method_details"]["card"]["case_type"] = "chargeback"
        self._account.save(None, dispute, "charge.dispute.updated", previous)
        self._clock.plan(_LAPSE, dispute["id"], dispute["evidence_details"]["due_by"] + 1)
        self._withdraw(None, dispute)

    def _lapse(self, dispute_id: str) -> None:
        dispute = self._account.find("dispute", dispute_id)
        if dispute["status"] in _ANSWERABLE:
            dispute["evidence_details"]["past_due"] = True
            self._end(None, dispute, is_won=False)

    def _withdraw(self, call: Call | None, dispute: Json) -> None:
        fee = int(self._settings.number("stripe.dispute_fee"))
        self._book(dispute, "dispute", -dispute["amount"], fee)
        self._account.save(call, dispute, "charge.dispute.funds_withdrawn")

    def _end(self, call: Call | None, dispute: Json, *, is_won: bool) -> None:
        before = copy.deepcopy(dispute)
        is_inquiry = dispute["status"].startswith("warning_")
        self._clock.drop(_LAPSE, dispute["id"])
        status = "warning_closed" if is_inquiry else "won" if is_won else "lost"
        dispute |= {"status": status, "is_charge_refundable": is_inquiry}
        if status == "won":
            self._book(dispute, "dispute_reversal", dispute["amount"], 0)
            if enhanced.is_fee_paid(dispute):
                self._network_fee(dispute, enhanced.NETWORK_FEE)
        previous = {name: before[name] for name in before if before[name] != dispute[name]}
        self._account.save(call, dispute, "charge.dispute.closed", previous)
        if status == "won":
            self._account.events.tell(call, "charge.dispute.funds_reinstated", dispute)

    def _network_fee(self, dispute: Json, amount: int) -> None:
        """Book what the network takes for its decision, in USD; it comes back if it is won."""
        self._account.ledger.book(
            dispute | {"currency": "usd"}, "adjustment", "fee", amount,
            description=f"Visa compliance network fee for {dispute['charge']}",
        )  # fmt: skip

    def _book(self, dispute: Json, category: str, amount: int, fee: int) -> None:
        booked = self._account.ledger.book(
            dispute, "adjustment", category, amount, fee=fee,
            description=f"Chargeback {'reversal' if amount > 0 else 'withdrawal'} for "
            f"{dispute['charge']}",
        )  # fmt: skip
        dispute["balance_transactions"] = [*dispute["balance_transactions"], booked]
