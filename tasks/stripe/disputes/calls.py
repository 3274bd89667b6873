"""The calls about disputes and early fraud warnings.

https://docs.stripe.com/api/disputes, https://docs.stripe.com/api/radar/early_fraud_warnings
"""

from typing import Any

from app.engine.call import Call
from app.platform import Json
from tasks.stripe.billing.ownership import payment_reference
from tasks.stripe.client import api
from tasks.stripe.wording import without


def read_dispute(dispute: str) -> Json:
    """One dispute with its payment."""
    return api().perform(
        "disputes.retrieve",
        lambda v1: v1.disputes.retrieve(dispute, {"expand": ["payment_intent"]}),
        repeatable=True,
    )


def update_dispute(request: Json, key: str) -> Json:
    """Stage or submit evidence, by the parameters of the request beside `dispute`."""
    params: Any = without(request, "dispute")
    return api().perform(
        "disputes.update",
        lambda v1: v1.disputes.update(request["dispute"], params, {"idempotency_key": key}),
        repeatable=False,
    )


def close_dispute(dispute: str, key: str) -> Json:
    """Accept the loss of a dispute for good."""
    return api().perform(
        "disputes.close",
        lambda v1: v1.disputes.close(dispute, {}, {"idempotency_key": key}),
        repeatable=False,
    )


def read_warning(warning: str) -> Json:
    """One early fraud warning with its payment."""
    return api().perform(
        "early_fraud_warnings.retrieve",
        lambda v1: v1.radar.early_fraud_warnings.retrieve(warning, {"expand": ["payment_intent"]}),
        repeatable=True,
    )


def read_case(case: str) -> Json:
    """The dispute or the early fraud warning of an id, with its payment."""
    return read_warning(case) if case.startswith("issfr_") else read_dispute(case)


def payment_of(call: Call, seen: Json) -> Json:
    """The payment that a dispute or a warning is about: {payment_intent, reference}.

    `reference` is the mark of the step that has made or captured the payment, or has made the
    invoice or subscription that it pays. Raises Permanent if that step belongs to another
    organisation.
    """
    payment = seen.get("payment_intent")
    if not isinstance(payment, dict):
        return {"payment_intent": payment, "reference": None}
    mark = payment_reference(call, payment, seen["id"])
    return {"payment_intent": payment["id"], "reference": mark}
