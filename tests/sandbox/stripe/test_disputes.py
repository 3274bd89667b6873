"""Disputes, early fraud warnings and reviews. https://docs.stripe.com/testing#disputes"""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.running import Catcher, Sandbox, until
from tests.sandbox.stripe.test_books import assert_books_balance, card_of, pay, transactions
from tests.sandbox.stripe.test_refunds import kinds
from tests.sandbox.stripe.test_stripe import authorize

DAY = 86400


def disputed(
    client: stripe.StripeClient, card: str = "createDispute"
) -> tuple[stripe.PaymentIntent, stripe.Dispute]:
    """Pay with a card whose payments are disputed, and wait for the dispute."""
    intent = pay(client, card=card)
    listed = until(lambda: client.v1.disputes.list({"payment_intent": intent.id}).data)
    return intent, listed[0]


def test_dispute_takes_the_amount_and_a_fee(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, catcher: Catcher
) -> None:
    intent, dispute = disputed(stripe_client)
    assert (dispute.status, dispute.reason, dispute.amount) == (
        "needs_response", "fraudulent", 10_000,
    )  # fmt: skip
    assert dispute.payment_method_details is not None
    assert dispute.payment_method_details.card is not None
    assert dispute.payment_method_details.card.case_type == "chargeback"
    assert dispute.payment_method_details.card.network_reason_code == "10.4"
    (taken,) = dispute.balance_transactions
    assert (taken.amount, taken.fee, taken.type) == (-10_000, 1500, "adjustment")
    assert (taken.reporting_category, taken.source) == ("dispute", dispute.id)
    assert transactions(stripe_client, source=dispute.id)[0].id == taken.id
    charge = stripe_client.v1.charges.retrieve(card_of(intent).id)
    assert charge.disputed
    with pytest.raises(stripe.InvalidRequestError) as refused:
        stripe_client.v1.refunds.create({"payment_intent": intent.id})
    assert refused.value.code == "charge_disputed"
    until(lambda: len(kinds(catcher, "charge.dispute")) == 2)
    assert kinds(catcher, "charge.dispute") == [
        "charge.dispute.created", "charge.dispute.funds_withdrawn",
    ]  # fmt: skip
    assert_books_balance(sandbox, stripe_client)


@pytest.mark.parametrize(("text", "status", "net"), [
    ("winning_evidence", "won", -1500), ("losing_evidence", "lost", -11_500),
])  # fmt: skip
def test_submitted_evidence_decides(
    sandbox: Sandbox,
    stripe_client: stripe.StripeClient,
    catcher: Catcher,
    text: str,
    status: str,
    net: int,
) -> None:
    sandbox.settings(stripe__dispute_seconds=60)
    pay(stripe_client, card="createDisputeProductNotReceived")
    sandbox.control("POST", "/stripe/advance", {"seconds": 60})
    (dispute,) = stripe_client.v1.disputes.list().data
    staged = stripe_client.v1.disputes.update(
        dispute.id, {"evidence": {"product_description": "pictures"}, "submit": False}
    )
    assert (staged.status, staged.reason) == ("needs_response", "product_not_received")
    assert staged.evidence_details.has_evidence
    assert staged.evidence_details.submission_count == 0
    sent = stripe_client.v1.disputes.update(
        dispute.id, {"evidence": {"uncategorized_text": text}, "metadata": {"case": "9"}}
    )
    assert (sent.status, sent.evidence_details.submission_count) == ("under_review", 1)
    assert sent.evidence.product_description == "pictures"
    with pytest.raises(stripe.InvalidRequestError):
        stripe_client.v1.disputes.update(dispute.id, {"submit": True})
    sandbox.control("POST", "/stripe/advance", {"seconds": 60})
    ended = stripe_client.v1.disputes.retrieve(dispute.id)
    assert (ended.status, ended.metadata["case"]) == (status, "9")
    assert sum(each.net for each in ended.balance_transactions) == net
    until(lambda: catcher.events("/hooks/stripe", "charge.dispute.closed"))
    told = [each["type"] for each in stripe_client.v1.events.list({"limit": 100}).data]
    assert told.count("charge.dispute.funds_reinstated") == int(status == "won")
    assert_books_balance(sandbox, stripe_client)


def test_inquiry_moves_no_money_until_it_is_escalated(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    intent, inquiry = disputed(stripe_client, "createDisputeInquiry")
    assert (inquiry.status, inquiry.is_charge_refundable) == ("warning_needs_response", True)
    assert inquiry.balance_transactions == []
    stripe_client.v1.refunds.create({"payment_intent": intent.id, "amount": 100})
    sandbox.settings(stripe__dispute_seconds=60)
    asked = stripe_client.v1.disputes.update(
        inquiry.id, {"evidence": {"uncategorized_text": "escalate_inquiry_evidence"}}
    )
    assert asked.status == "warning_under_review"
    sandbox.control("POST", "/stripe/advance", {"seconds": 60})
    escalated = stripe_client.v1.disputes.retrieve(inquiry.id)
    assert (escalated.status, len(escalated.balance_transactions)) == ("needs_response", 1)
    assert_books_balance(sandbox, stripe_client)


def test_full_refund_closes_an_inquiry(stripe_client: stripe.StripeClient) -> None:
    intent, inquiry = disputed(stripe_client, "createDisputeInquiry")
    stripe_client.v1.refunds.create({"payment_intent": intent.id})
    assert stripe_client.v1.disputes.retrieve(inquiry.id).status == "warning_closed"


def test_unanswered_dispute_is_lost_on_its_day_and_a_closed_one_at_once(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    _, late = disputed(stripe_client)
    _, given_up = disputed(stripe_client)
    assert stripe_client.v1.disputes.close(given_up.id).status == "lost"
    with pytest.raises(stripe.InvalidRequestError):
        stripe_client.v1.disputes.close(given_up.id)
    assert late.evidence_details.due_by is not None
    sandbox.control("POST", "/stripe/advance", {"seconds": 22 * DAY})
    lost = stripe_client.v1.disputes.retrieve(late.id)
    assert (lost.status, lost.evidence_details.past_due) == ("lost", True)


def test_control_api_disputes_any_charge(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    charge = card_of(pay(stripe_client))
    wish = {"charge": charge.id, "kind": "createMultipleDisputes"}
    made = sandbox.control("POST", "/stripe/dispute", wish)["disputes"]
    listed = stripe_client.v1.disputes.list({"charge": charge.id}).data
    assert [each.id for each in listed] == made[::-1]
    assert sandbox.books()["disputes"] == 2


def test_early_fraud_warning_is_actionable_until_the_refund(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, catcher: Catcher
) -> None:
    intent = pay(stripe_client, card="createIssuerFraudRecord")
    warnings = stripe_client.v1.radar.early_fraud_warnings
    (warning,) = until(lambda: warnings.list({"charge": card_of(intent).id}).data)
    assert (warning.actionable, warning.fraud_type) == (True, "misc")
    stripe_client.v1.refunds.create({"payment_intent": intent.id, "reason": "fraudulent"})
    assert not warnings.retrieve(warning.id).actionable
    (told,) = until(lambda: catcher.events("/hooks/stripe", "radar.early_fraud_warning.updated"))
    assert told["data"]["previous_attributes"] == {"actionable": True}
    assert len(catcher.events("/hooks/stripe", "radar.early_fraud_warning.created")) == 1


def test_risky_payment_is_reviewed(stripe_client: stripe.StripeClient) -> None:
    approved, refunded = (pay(stripe_client, card="riskLevelElevated") for _ in range(2))
    charge = stripe_client.v1.charges.retrieve(card_of(approved).id)
    assert charge.outcome is not None
    assert (charge.outcome.type, charge.outcome.risk_level) == ("manual_review", "elevated")
    review = stripe_client.v1.reviews.retrieve(str(approved.review))
    assert (review.open, review.charge, review.reason) == (True, charge.id, "rule")
    done = stripe_client.v1.reviews.approve(review.id)
    assert (done.open, done.closed_reason) == (False, "approved")
    with pytest.raises(stripe.InvalidRequestError):
        stripe_client.v1.reviews.approve(review.id)
    stripe_client.v1.refunds.create({"payment_intent": refunded.id})
    closed = {each.charge: each.closed_reason for each in stripe_client.v1.reviews.list().data}
    assert closed == {charge.id: "approved", card_of(refunded).id: "refunded"}


def test_a_risky_hold_is_reviewed_before_it_is_captured_until_it_is_released(
    stripe_client: stripe.StripeClient, catcher: Catcher
) -> None:
    risky: Any = {"payment_method": "pm_card_riskLevelElevated", "expand": ["latest_charge"]}
    released, suspected = (authorize(stripe_client, **risky) for _ in range(2))
    stripe_client.v1.payment_intents.cancel(released.id)
    stripe_client.v1.payment_intents.cancel(suspected.id, {"cancellation_reason": "fraudulent"})
    reasons = {each.payment_intent: each.closed_reason for each in stripe_client.v1.reviews.list()}
    assert reasons == {released.id: "canceled", suspected.id: "refunded_as_fraud"}
    until(lambda: len(catcher.events("/hooks/stripe", "review.closed")) == 2)
    assert len(catcher.events("/hooks/stripe", "review.opened")) == 2
    cards = {fingerprint(each) for each in (released, suspected)}
    usual = authorize(stripe_client, expand=["latest_charge"])
    assert len(cards) == 1
    assert fingerprint(usual) not in cards


def fingerprint(intent: stripe.PaymentIntent) -> str:
    """The fingerprint of the card that was charged."""
    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert charge.payment_method_details is not None
    assert charge.payment_method_details.card is not None
    return str(charge.payment_method_details.card.fingerprint)


def test_compelling_evidence_qualifies_a_dispute(stripe_client: stripe.StripeClient) -> None:
    _, dispute = disputed(stripe_client, "createCe3EligibleDispute")
    assert dispute.enhanced_eligibility_types == ["visa_compelling_evidence_3"]
    eligibility = dispute.evidence_details.enhanced_eligibility.visa_compelling_evidence_3
    assert eligibility is not None
    assert (eligibility.status, len(eligibility.required_actions)) == ("requires_action", 5)
    same = {"customer_purchase_ip": "203.0.113.7", "customer_email_address": "ada@example.com"}
    before = [
        {**same, "charge": card_of(pay(stripe_client)).id, "product_description": "a lamp"}
        for _ in range(2)
    ]
    transaction = {
        **same,
        "product_description": "a chair",
        "merchandise_or_services": "merchandise",
    }
    evidence: Any = {
        "enhanced_evidence": {
            "visa_compelling_evidence_3": {
                "disputed_transaction": transaction, "prior_undisputed_transactions": before[:1],
            }
        }
    }  # fmt: skip

    def staged() -> Any:
        given: Any = {"evidence": evidence, "submit": False}
        details = stripe_client.v1.disputes.update(dispute.id, given).evidence_details
        return details.enhanced_eligibility.visa_compelling_evidence_3

    assert staged().required_actions == ["missing_prior_undisputed_transactions"]
    evidence["enhanced_evidence"]["visa_compelling_evidence_3"]["prior_undisputed_transactions"] = (
        before
    )
    assert staged().status == "qualified"


@pytest.mark.parametrize(
    ("text", "net"), [("winning_evidence", -1500), ("losing_evidence", -61_500)]
)
def test_a_compliance_dispute_costs_the_fee_of_the_network(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, text: str, net: int
) -> None:
    _, dispute = disputed(stripe_client, "createComplianceDispute")
    assert (dispute.reason, dispute.enhanced_eligibility_types) == (
        "noncompliant", ["visa_compliance"],
    )  # fmt: skip
    answer: Any = {"evidence": {"uncategorized_text": text}}
    with pytest.raises(stripe.InvalidRequestError, match="acknowledge the network fee"):
        stripe_client.v1.disputes.update(dispute.id, answer)
    agreed = {"visa_compliance": {"fee_acknowledged": True}}
    answer["evidence"]["enhanced_evidence"] = agreed
    told = stripe_client.v1.disputes.update(dispute.id, answer)
    eligibility = told.evidence_details.enhanced_eligibility.visa_compliance
    assert eligibility is not None
    assert eligibility.status == "fee_acknowledged"
    assert told.evidence.enhanced_evidence.to_dict() == agreed
    until(lambda: stripe_client.v1.disputes.retrieve(dispute.id).status in ("won", "lost"))
    booked = transactions(stripe_client, source=dispute.id)
    assert sum(each.net for each in booked) == net
    assert_books_balance(sandbox, stripe_client)


def test_the_end_of_a_dispute_says_what_it_was(
    stripe_client: stripe.StripeClient, catcher: Catcher
) -> None:
    _, dispute = disputed(stripe_client)
    stripe_client.v1.disputes.close(dispute.id)
    (event,) = until(lambda: catcher.events("/hooks/stripe", "charge.dispute.closed"))
    assert event["data"]["previous_attributes"]["status"] == "needs_response"
