"""Disputes and the warnings before them: read, answered once, accepted, and refunded instead."""

import uuid
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import pytest

from app import db
from app.errors import Permanent, Unknown
from app.identity import keys
from app.keys import workflow_of
from app.platform import Found, Json
from tasks.stripe.client import api
from tests.contract.cases import Claim
from tests.contract.stage import Step
from tests.contract.stripe import selling
from tests.contract.stripe.steps import AUTHORIZE, PAYMENT, authorize, disputed
from tests.contract.stripe.steps import accept_dispute as accepting
from tests.contract.stripe.steps import submit_evidence as answering
from tests.contract.stripe.test_invoices import LINES
from tests.contract.vendors import Vendors

INQUIRY = "pm_card_createDisputeInquiry"
WARNED = "pm_card_createIssuerFraudRecord"


def read(step: Claim, dispute: str) -> Json:
    """The dispute as a step reads it."""
    return step("stripe.read_dispute", {"dispute": dispute}).run()


def warned(payment_intent: str) -> str:
    """The early fraud warning of a payment."""
    found = api().perform(
        "early_fraud_warnings.list",
        lambda v1: v1.radar.early_fraud_warnings.list({"payment_intent": payment_intent}),
        repeatable=True,
    )
    return str(found["data"][0]["id"])


def paid(step: Claim, card: str) -> tuple[Step, UUID]:
    """A step that has taken a payment by a card, and the workflow that has made the payment."""
    held = step("stripe.authorize", AUTHORIZE | {"payment_method": card})
    payment = {"payment_intent": held.run()["payment_intent"]}
    taken = step("stripe.capture", payment, forked_from=held.claim.workflow_id)
    taken.run()
    return taken, held.claim.workflow_id


def test_a_dispute_is_read_with_its_time_and_its_payment(step: Claim, vendors: Vendors) -> None:
    seen = read(step, disputed())
    assert (seen["status"], seen["reason"], seen["case_type"]) == (
        "needs_response",
        "fraudulent",
        "chargeback",
    )
    assert (seen["amount"], seen["is_charge_refundable"], seen["reference"]) == (1000, False, None)
    assert datetime.fromisoformat(seen["due_by"]).second == 59
    assert seen["payment_intent"].startswith("pi_")


def test_the_ledger_learns_the_stages_that_the_steps_see(step: Claim, vendors: Vendors) -> None:
    answered, accepted = answering(step), accepting(step)
    vendors.change(stripe__dispute_seconds=3600)
    for made in (answered, accepted):
        read(step, made.given["dispute"])
        made.run()
    found = db.rows(
        "SELECT external_ids ->> 'dispute' AS dispute, stage, workflow_id FROM ledger_entries"
        " WHERE kind = 'dispute_stage' ORDER BY id",
        (),
    )
    expected = [(answered, "needs_response"), (answered, "under_review")]
    expected += [(accepted, "needs_response"), (accepted, "lost")]
    assert [(row["dispute"], row["stage"]) for row in found] == [
        (made.given["dispute"], stage) for made, stage in expected
    ]
    lost = db.rows("SELECT amount FROM ledger_lines WHERE account = 'disputes'", ())
    assert [row["amount"] for row in lost] == [PAYMENT["amount"]]


def test_evidence_is_submitted_once_whoever_tries(step: Claim, vendors: Vendors) -> None:
    first = answering(step)
    assert first.run()["status"] == "under_review"
    again = replace(first.retried(), given=first.given | {"evidence": {"customer_name": "Ada"}})
    fork = step(first.action.name, first.given, forked_from=first.claim.workflow_id)
    for other, code in ((again, "evidence_submitted"), (fork, "evidence_submitted")):
        with pytest.raises(Permanent) as caught:
            other.run()
        assert caught.value.code == code
    with pytest.raises(Permanent) as caught:
        step(first.action.name, first.given).run()
    assert caught.value.code == "belongs_to_other"
    assert vendors.count("evidence") == 1


def test_staged_evidence_is_added_to_and_submitted_later(step: Claim, vendors: Vendors) -> None:
    staged = answering(step)
    seen = replace(staged, given=staged.given | {"submit": False}).run()
    assert (seen["status"], seen["has_evidence"], seen["submission_count"]) == (
        "needs_response",
        True,
        0,
    )
    more = {"dispute": seen["dispute"], "evidence": {"customer_name": "Ada"}}
    done = step("stripe.submit_evidence", more, forked_from=staged.claim.workflow_id).run()
    assert (done["status"], done["submission_count"]) == ("under_review", 1)
    known = api().perform(
        "disputes.retrieve", lambda v1: v1.disputes.retrieve(seen["dispute"]), repeatable=True
    )["evidence"]
    assert (known["uncategorized_text"], known["customer_name"]) == ("it was delivered", "Ada")


def test_evidence_is_refused_without_words_and_after_the_end(step: Claim, vendors: Vendors) -> None:
    accepted = accepting(step)
    assert accepted.run()["status"] == "lost"
    late = accepted.given | {"evidence": {"customer_name": "Ada"}}
    of_same = {"forked_from": accepted.claim.workflow_id}
    with pytest.raises(Permanent) as caught:
        step("stripe.submit_evidence", late, **of_same).run()
    assert (caught.value.code, vendors.count("evidence")) == ("dispute_closed", 0)
    for wrong in ({}, {"receipt": "a text"}, {"access_activity_log": "x" * 150_001}):
        with pytest.raises(ValueError, match="evidence"):
            step("stripe.submit_evidence", {**accepted.given, "evidence": wrong}).run()


@pytest.mark.parametrize("is_retried", [True, False])
def test_the_dispute_that_an_inquiry_has_become_takes_evidence_again(
    step: Claim, vendors: Vendors, is_retried: bool
) -> None:
    vendors.change(stripe__dispute_seconds=60)
    payment = paid(step, INQUIRY)[0].given["payment_intent"]
    vendors.advance(60)
    words = {"uncategorized_text": "escalate_inquiry_evidence"}
    given: Json = {"dispute": _dispute_of(payment), "evidence": words}
    asked = step("stripe.submit_evidence", given)
    assert asked.run()["status"] == "warning_under_review"
    vendors.advance(60)
    seen = read(step, given["dispute"])
    assert (seen["status"], seen["submission_count"]) == ("needs_response", 1)
    again = (
        asked.retried()
        if is_retried
        else step(asked.action.name, given, forked_from=asked.claim.workflow_id)
    )
    done = again.run()
    assert (done["status"], done["submission_count"]) == ("under_review", 2)
    with pytest.raises(Permanent) as caught:
        step(
            asked.action.name,
            given | {"evidence": {"customer_name": "Ada"}},
            forked_from=asked.claim.workflow_id,
        ).run()
    assert (caught.value.code, vendors.count("evidence")) == ("evidence_submitted", 2)


def test_an_inquiry_that_is_closed_was_not_accepted(step: Claim, vendors: Vendors) -> None:
    taken, maker = paid(step, INQUIRY)
    dispute = {"dispute": _dispute_of(taken.given["payment_intent"])}
    taken.undo()
    assert read(step, dispute["dispute"])["status"] == "warning_closed"
    with pytest.raises(Permanent) as caught:
        step("stripe.accept_dispute", dispute, forked_from=maker).run()
    assert (caught.value.code, vendors.count("disputes_accepted")) == ("dispute_closed", 0)


def test_an_inquiry_is_accepted_though_the_answer_is_lost(step: Claim, vendors: Vendors) -> None:
    accepted = step("stripe.accept_dispute", {"dispute": disputed(INQUIRY)})
    vendors.fault("stripe", "disputes.close", "lost_reply")
    with pytest.raises(Unknown):
        accepted.run()
    found = accepted.look_up()
    assert isinstance(found, Found)
    accepted.adopt(found)
    assert accepted.run()["status"] == "warning_closed"
    assert vendors.count("disputes_accepted") == 1


@pytest.mark.parametrize("action", ["stripe.accept_dispute", "stripe.submit_evidence"])
def test_the_answer_to_a_dispute_names_the_step_that_has_taken_the_payment(
    step: Claim, vendors: Vendors, action: str
) -> None:
    taken, maker = paid(step, "pm_card_createDispute")
    given: Json = {"dispute": _dispute_of(taken.given["payment_intent"])}
    if action == "stripe.submit_evidence":
        given["evidence"] = {"uncategorized_text": "it was delivered"}
    done = step(action, given, forked_from=maker).run()
    assert done["reference"] == read(step, given["dispute"])["reference"] is not None


def test_a_dispute_under_review_is_not_accepted(step: Claim, vendors: Vendors) -> None:
    answered = answering(step)
    vendors.change(stripe__dispute_seconds=3600)
    assert answered.run()["status"] == "under_review"
    given = {"dispute": answered.given["dispute"]}
    with pytest.raises(Permanent) as caught:
        step("stripe.accept_dispute", given, forked_from=answered.claim.workflow_id).run()
    assert (caught.value.code, vendors.count("disputes_accepted")) == ("dispute_closed", 0)


@pytest.mark.parametrize("card", [WARNED, INQUIRY])
def test_another_workflow_refunds_a_payment_because_of_its_case(
    step: Claim, vendors: Vendors, card: str
) -> None:
    taken, maker = paid(step, card)
    payment = taken.given["payment_intent"]
    case = warned(payment) if card == WARNED else _dispute_of(payment)
    given = {"payment_intent": payment, "reason": "fraudulent"}
    with pytest.raises(Permanent) as caught:
        step("stripe.refund", given).run()
    assert caught.value.code == "belongs_to_other"
    back = step("stripe.refund", given | {"case": case})
    vendors.fault("stripe", "refunds.create", "lost_reply")
    with pytest.raises(Unknown):
        back.run()
    found = back.look_up()
    assert isinstance(found, Found)
    back.adopt(found)
    assert back.run()["amount"] == AUTHORIZE["amount"]
    if card == WARNED:
        seen = step("stripe.read_fraud_warning", {"warning": case}).run()
        assert (seen["actionable"], workflow_of(seen["reference"])) == (False, maker)
    # The capture's own compensation finds nothing left to refund.
    assert taken.undo()["result"] == "already"
    assert vendors.count("refunds") == 1


def test_a_case_of_another_payment_is_no_reason(step: Claim, vendors: Vendors) -> None:
    case = disputed(INQUIRY)
    held = authorize(step)
    given = {"payment_intent": held.run()["payment_intent"], "case": case}
    with pytest.raises(Permanent) as caught:
        step("stripe.refund", given).run()
    assert (caught.value.code, vendors.count("refunds")) == ("other_payment", 0)


def test_another_organisation_neither_reads_nor_answers_a_dispute(
    step: Claim, vendors: Vendors
) -> None:
    dispute = _dispute_of(paid(step, INQUIRY)[0].given["payment_intent"])
    stranger, _ = keys.create_key("eve@example.org")
    words = {"evidence": {"customer_name": "Eve"}}
    for action, more in (("read_dispute", {}), ("submit_evidence", words), ("accept_dispute", {})):
        with pytest.raises(Permanent) as caught:
            step(f"stripe.{action}", {"dispute": dispute, **more}, user=stranger).run()
        assert caught.value.code == "belongs_to_other"
    assert (vendors.count("evidence"), vendors.count("disputes_accepted")) == (0, 0)


@pytest.mark.parametrize("kind", ["invoice", "subscription"])
def test_another_organisation_leaves_the_payment_of_our_bill_alone(
    step: Claim, vendors: Vendors, kind: str
) -> None:
    action, given = ("stripe.invoice", {"currency": "eur", "lines": LINES})
    if kind == "subscription":
        items = [{"price": selling.price(), "quantity": 1}]
        action, given = ("stripe.subscribe", {"items": items})
    made = step(action, {"customer": selling.customer(INQUIRY), **given})
    known = made.run()
    payment = selling.payment_of(known.get("invoice") or known["latest_invoice"])
    dispute = _dispute_of(payment)
    stranger, _ = keys.create_key("eve@example.org")
    for name, more in (
        ("stripe.read_dispute", {"dispute": dispute}),
        ("stripe.accept_dispute", {"dispute": dispute}),
        ("stripe.refund", {"payment_intent": payment}),
        ("stripe.refund", {"payment_intent": payment, "case": dispute}),
    ):
        with pytest.raises(Permanent) as caught:
            step(name, more, user=stranger).run()
        assert caught.value.code == "belongs_to_other"
    assert read(step, dispute)["reference"] == made.call().reference
    assert (vendors.count("refunds"), vendors.count("disputes_accepted")) == (0, 0)


def _dispute_of(payment_intent: str) -> str:
    found = api().perform(
        "disputes.list",
        lambda v1: v1.disputes.list({"payment_intent": payment_intent}),
        repeatable=True,
    )
    return str(found["data"][0]["id"])


def test_the_payment_of_a_shop_is_nobodys(step: Claim, vendors: Vendors) -> None:
    payment = api().create_payment_intent(
        PAYMENT | {"capture_method": "automatic", "payment_method": WARNED}, uuid.uuid4().hex
    )["id"]
    case = warned(payment)
    seen = step("stripe.read_fraud_warning", {"warning": case}).run()
    assert (seen["actionable"], seen["reference"], seen["fraud_type"]) == (True, None, "misc")
    step("stripe.refund", {"payment_intent": payment, "case": case}).run()
    assert not step("stripe.read_fraud_warning", {"warning": case}).run()["actionable"]
