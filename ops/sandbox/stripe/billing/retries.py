"""When a failed renewal is tried again, and which declines no retry helps against.

https://docs.stripe.com/billing/revenue-recovery/smart-retries. Stripe's smart retries choose their
times by themselves; here the days of the setting `stripe.retry_days` pass between the attempts.
"""

from __future__ import annotations

from ops.sandbox.store import Json
from ops.sandbox.stripe.resources.desk import Desk

_DAY = 86400
_HARD = (
    "authentication_required", "fraudulent", "highest_risk_level", "incorrect_number", "lost_card",
    "pickup_card", "revocation_of_all_authorizations", "revocation_of_authorization",
    "stolen_card", "transaction_not_allowed",
)  # fmt: skip
"""After these Stripe charges only another payment method."""


def plan_retry(desk: Desk, invoice: Json, problem: Json) -> None:
    """Set the next attempt after one that failed with `problem`, an error; None after the last."""
    days = desk.box.settings.text("stripe.retry_days").split()
    at = int(invoice.get("sandbox_retries", 0))
    now = desk.clock_time(invoice["test_clock"])
    invoice["next_payment_attempt"] = now + int(float(days[at]) * _DAY) if at < len(days) else None
    invoice["sandbox_retries"] = at + 1
    if problem.get("decline_code", problem.get("code")) in _HARD:
        invoice["sandbox_refused"] = (problem.get("payment_method") or {}).get("id")


def is_hopeless(invoice: Json, method: str | None) -> bool:
    """Whether the payment method is the one that was refused for good."""
    return method is not None and method == invoice.get("sandbox_refused")
