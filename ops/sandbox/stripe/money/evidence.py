"""The evidence of a dispute: its fields, and the words that decide in Stripe's test mode.

https://docs.stripe.com/testing#evidence
"""

from __future__ import annotations

from typing import Any

from ops.sandbox.store import Json
from ops.sandbox.stripe.wire import error

WINNING, ESCALATING = "winning_evidence", "escalate_inquiry_evidence"
_FIELDS = (
    "access_activity_log", "billing_address", "cancellation_policy",
    "cancellation_policy_disclosure", "cancellation_rebuttal", "customer_communication",
    "customer_email_address", "customer_name", "customer_purchase_ip", "customer_signature",
    "duplicate_charge_documentation", "duplicate_charge_explanation", "duplicate_charge_id",
    "product_description", "receipt", "refund_policy", "refund_policy_disclosure",
    "refund_refusal_explanation", "service_date", "service_documentation", "shipping_address",
    "shipping_carrier", "shipping_date", "shipping_documentation", "shipping_tracking_number",
    "uncategorized_file", "uncategorized_text",
)  # fmt: skip
MOST_CHARACTERS = 150_000


def empty_evidence() -> Json:
    """Return the evidence of a new dispute."""
    return {**dict.fromkeys(_FIELDS), "enhanced_evidence": {}}


def merged_evidence(known: Json, given: Any) -> Json:
    """Return evidence with the given fields; an empty text removes a field.

    Raises Refusal for an unknown field, and for more than 150,000 characters in all.
    """
    if not isinstance(given, dict):
        raise error(400, "Invalid object", "parameter_invalid", "evidence")
    for name in given:
        if name not in known:
            message = f"Received unknown parameter: evidence[{name}]"
            raise error(400, message, "parameter_unknown", f"evidence[{name}]")
    merged = {**known, **{name: value or None for name, value in given.items()}}
    merged["enhanced_evidence"] = merged["enhanced_evidence"] or {}
    if sum(len(str(value)) for value in merged.values() if value) > MOST_CHARACTERS:
        message = f"The evidence has more than {MOST_CHARACTERS} characters."
        raise error(400, message, "parameter_invalid", "evidence")
    return merged
