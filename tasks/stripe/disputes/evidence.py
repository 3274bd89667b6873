"""Answer a dispute by evidence: stage it for a person, or submit it to the bank.

Invariant: evidence is submitted once, since banks take one answer. An inquiry that has become a
dispute takes another: the bank has had its answer and asks anew. The metadata of a dispute name the
step that has given its evidence.
https://docs.stripe.com/disputes/responding
"""

import hashlib
import json
from typing import Any

from pydantic import Field, model_validator

from app.engine.call import Call
from app.errors import Permanent
from app.platform import ActionInput, Effect, Found, Intent, Json, LookupAnswer, Never, action
from tasks.stripe.disputes import calls
from tasks.stripe.disputes.reading import DISPUTE_PATTERN, Dispute, answered, recorded
from tasks.stripe.marks import KEY_LIFE, metadata_of

MOST_CHARACTERS = 150_000
"""Stripe takes no more in all texts of one dispute together."""
ANSWERABLE = ("needs_response", "warning_needs_response", "appeal_needs_response")
_BY, _DIGEST = "evidence_by", "evidence"
_FILE = r"^file_\w+$"


class Evidence(ActionInput):
    """What speaks for the merchant, by Stripe's names. Files are ids of files at Stripe."""

    access_activity_log: str | None = None
    billing_address: str | None = None
    cancellation_policy: str | None = Field(default=None, pattern=_FILE)
    cancellation_policy_disclosure: str | None = None
    cancellation_rebuttal: str | None = None
    customer_communication: str | None = Field(default=None, pattern=_FILE)
    customer_email_address: str | None = None
    customer_name: str | None = None
    customer_purchase_ip: str | None = None
    customer_signature: str | None = Field(default=None, pattern=_FILE)
    duplicate_charge_documentation: str | None = Field(default=None, pattern=_FILE)
    duplicate_charge_explanation: str | None = None
    duplicate_charge_id: str | None = None
    enhanced_evidence: dict[str, Any] | None = None
    product_description: str | None = None
    receipt: str | None = Field(default=None, pattern=_FILE)
    refund_policy: str | None = Field(default=None, pattern=_FILE)
    refund_policy_disclosure: str | None = None
    refund_refusal_explanation: str | None = None
    service_date: str | None = None
    service_documentation: str | None = Field(default=None, pattern=_FILE)
    shipping_address: str | None = None
    shipping_carrier: str | None = None
    shipping_date: str | None = None
    shipping_documentation: str | None = Field(default=None, pattern=_FILE)
    shipping_tracking_number: str | None = None
    uncategorized_file: str | None = Field(default=None, pattern=_FILE)
    uncategorized_text: str | None = None

    @model_validator(mode="after")
    def _is_evidence(self) -> "Evidence":
        found = self.model_dump(exclude_none=True)
        if not found:
            raise ValueError("there is no evidence in it")
        if sum(len(each) for each in found.values() if isinstance(each, str)) > MOST_CHARACTERS:
            raise ValueError(f"the texts have more than {MOST_CHARACTERS} characters together")
        return self


class SubmitEvidenceInput(ActionInput):
    """The dispute and its evidence. With `submit` false the evidence is only staged: a person, or a
    later step, may add to it and submit it."""

    dispute: str = Field(pattern=DISPUTE_PATTERN, max_length=255)
    evidence: Evidence
    submit: bool = True


@action(
    "stripe.submit_evidence", input=SubmitEvidenceInput, effect=Effect.LOOKUP, key_life=KEY_LIFE
)
def submit_evidence(call: Call, given: SubmitEvidenceInput) -> Json:
    """Submit or stage the evidence of a dispute, and return the dispute.

    It has no compensation: what the bank has cannot be taken back, and staged evidence is sent to
    nobody. Raises Permanent if evidence was submitted already, if the time is over, if the bank
    takes no answer, or if the payment belongs to another organisation.
    """
    evidence = given.evidence.model_dump(exclude_none=True)
    request: Json = {
        "dispute": given.dispute,
        "evidence": evidence,
        "submit": given.submit,
        "metadata": {_BY: call.reference, _DIGEST: _digest(evidence, is_submitted=given.submit)},
    }
    return call.once(
        "disputes.update", request, lambda request, key: _submit(call, request, key), is_last=True
    )


submit_evidence.describe(
    output=Dispute,
    example={
        "dispute": "du_1OqXyz",
        "evidence": {
            "customer_email_address": "ada@example.com",
            "shipping_carrier": "DHL",
            "shipping_tracking_number": "JD014600006281230704",
            "uncategorized_text": "The parcel was handed over on 12 November.",
        },
    },
)


@submit_evidence.looked_up
def find_evidence(call: Call, intent: Intent) -> LookupAnswer:
    """Read who has given the dispute's evidence; Stripe's reads by id are strongly consistent."""
    seen = calls.read_dispute(intent.request["dispute"])
    if not _has(seen, intent.request):
        return Never()
    return Found(recorded(call, seen))


def _submit(call: Call, request: Json, key: str) -> Json:
    seen = calls.read_dispute(request["dispute"])
    payment = calls.payment_of(call, seen)
    call.claim_object(seen["id"], metadata_of(seen).get(_BY))
    if _has(seen, request):
        # An earlier sending has done it, and Stripe may have forgotten the key of that call.
        return recorded(call, seen)
    _require_open(seen)
    return answered(calls.update_dispute(request, key), payment)


def _has(seen: Json, request: Json) -> bool:
    """Whether a dispute has just this evidence of this step, and the bank needs no other answer.

    If it needs one again, the evidence answered the inquiry that the dispute was before.
    """
    if request["submit"] and seen["status"] in ANSWERABLE:
        return False
    wanted = request["metadata"]
    return all(metadata_of(seen).get(name) == value for name, value in wanted.items())


def _require_open(seen: Json) -> None:
    """Raise Permanent, with what is the matter, if the dispute takes no evidence."""
    details, status = seen["evidence_details"], seen["status"]
    told = {"dispute": seen["id"], "status": status}
    if details["submission_count"] and status not in ANSWERABLE:
        by = metadata_of(seen).get(_BY) or "somebody else"
        message = f"evidence was submitted already, by {by}; a bank takes it once"
        raise Permanent(message, code="evidence_submitted", detail=told)
    if status not in ANSWERABLE:
        message = f"the dispute takes no evidence: its status is {status}"
        raise Permanent(message, code="dispute_closed", detail=told)
    if not details["due_by"]:
        raise Permanent("the bank takes no answer", code="no_answer_possible", detail=told)
    if details["past_due"]:
        raise Permanent("the time for evidence is over", code="evidence_too_late", detail=told)


def _digest(evidence: Json, *, is_submitted: bool) -> str:
    text = json.dumps([evidence, is_submitted], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
