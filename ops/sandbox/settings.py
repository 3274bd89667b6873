"""Settings for the behaviour of the imitated vendors, which PUT /settings (control port) changes.

Every setting has a default and a type. An unknown name or a wrong type is refused.
"""

from __future__ import annotations

import json
import re
import threading
from typing import Any

from ops.sandbox.store import Store

DEFAULTS: dict[str, str | float | bool] = {
    "hook_base": "",
    "webhook.tries": 6.0,
    "webhook.retry_seconds": 0.0,
    "webhook.timeout_seconds": 10.0,
    "stripe.requests_per_second": 0.0,
    "stripe.search_lag_seconds": 0.0,
    "stripe.idempotency_seconds": 86400.0,
    "stripe.webhook_delay_seconds": 0.0,
    "stripe.webhook_schedule": "sandbox",
    "stripe.event_payload": "snapshot",
    "stripe.refund_status": "succeeded",
    "stripe.refund_turn_seconds": 0.5,
    "stripe.require_return_url": False,
    "stripe.async_capture_seconds": 0.0,
    "stripe.settlement_currency": "usd",
    "stripe.exchange_rates": "",
    "stripe.fee_percent": 2.9,
    "stripe.fee_fixed": 30.0,
    "stripe.available_days": 2.0,
    "stripe.dispute_seconds": 0.0,
    "stripe.dispute_answer_days": 20.0,
    "stripe.dispute_fee": 1500.0,
    "stripe.retry_days": "3 5 7",
    "stripe.retries_end": "past_due",
    "stripe.resumption_invoices": False,
    "stripe.payout_days": 1.0,
    "stripe.payout_status": "paid",
    "stripe.automatic_payouts": False,
    "openai.requests_per_minute": 10000.0,
    "openai.tokens_per_minute": 180_000_000.0,
    "openai.billing": "paid",
    "openai.overloaded_models": "",
    "openai.reasoning_tokens": 0.0,
    "openai.models_on": "",
    "openai.transcribed": "",
    "openai.enqueued_tokens": 0.0,
    "openai.files_lag_seconds": 0.0,
    "openai.batch_validating_seconds": 60.0,
    "openai.batch_hours": 2.0,
    "openai.batch_finalizing_seconds": 60.0,
    "openai.batch_cancelling_seconds": 60.0,
    "openai.service_tier": "default",
    "openai.flex_is_full": False,
    "openai.written": "",
    "openai.refuses": False,
    "openai.calls": "",
    "openai.context_tokens": 0.0,
    "openai.queue_seconds": 0.05,
    "openai.background_seconds": 0.3,
    "openai.hold": False,
    "replicate.start_seconds": 0.2,
    "replicate.duration_seconds": 1.5,
    "replicate.hold": False,
    "replicate.output_shape": "url",
    "replicate.training_seconds": 3.0,
    "replicate.deletion_seconds": 0.2,
    "replicate.unused_seconds": 900.0,
    "replicate.source": "api",
    "replicate.credit": "ample",
    "replicate.creations_per_window": 10000.0,
    "replicate.requests_per_window": 100000.0,
    "replicate.window_seconds": 60.0,
    "replicate.list_lag_seconds": 0.0,
    "replicate.log_bytes": 0.0,
    "replicate.output_expiry_seconds": 3600.0,
    "replicate.file_expiry_seconds": 86400.0,
    "vercel.build_seconds": 1.0,
    "vercel.list_lag_seconds": 0.0,
    "vercel.alias_seconds": 0.0,
    "vercel.protection": "off",
    "vercel.protection_bypass": "",
    "vercel.webhook_delay_seconds": 0.0,
    "agora.rule_delay_seconds": 0.0,
    "n8n.outcome": "success",
    "n8n.delay_seconds": 0.3,
    "n8n.answer_bytes": 0.0,
    "http.job_seconds": 1.0,
    "http.note": "",
}
CHOICES = {
    "stripe.event_payload": ("snapshot", "thin"),
    "stripe.webhook_schedule": ("sandbox", "live"),
    "stripe.refund_status": ("succeeded", "pending", "failed", "requires_action"),
    "stripe.payout_status": ("paid", "failed"),
    "stripe.retries_end": ("cancel", "unpaid", "past_due"),
    "vercel.protection": ("off", "unauthorized", "login"),
    "openai.billing": (
        "paid",
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
    ),
    "openai.service_tier": ("default", "flex", "scale", "priority", "ultrafast"),
    "n8n.outcome": ("success", "error", "silent", "throws"),
    "replicate.output_shape": ("url", "list", "dict", "data", "empty", "nothing"),
    "replicate.source": ("api", "web"),
    "replicate.credit": ("ample", "low", "no_payment_method", "none"),
}
PATTERNS = {
    "openai.models_on": r"(20\d{2}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8]))?",
    "openai.overloaded_models": r"[\w.:-]*( [\w.:-]+)*",
    "stripe.retry_days": r"\d+(\.\d+)?( \d+(\.\d+)?)*",
    "stripe.settlement_currency": "[a-z]{3}",
    "stripe.exchange_rates": r"([a-z]{3}=\d+(\.\d+)?( |$))*",
}


class Settings:
    """The current values; changes survive a restart."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._values = dict(DEFAULTS)
        self.reload()

    def reload(self) -> None:
        """Read the stored changes again."""
        values = dict(DEFAULTS)
        for row in self._store.read("SELECT name, value FROM settings"):
            values[row["name"]] = json.loads(row["value"])
        with self._lock:
            self._values = values

    def change(self, changes: dict[str, Any]) -> None:
        """Set several values at once; raises ValueError for an unknown name or a wrong type."""
        checked = {name: _checked(name, value) for name, value in changes.items()}
        with self._store.transaction():
            for name, value in checked.items():
                self._store.execute(
                    "INSERT INTO settings VALUES (?,?) "
                    "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    (name, json.dumps(value)),
                )
        self.reload()

    def all(self) -> dict[str, str | float | bool]:
        """Return every value."""
        with self._lock:
            return dict(self._values)

    def number(self, name: str) -> float:
        """Return a numeric setting."""
        return float(self.all()[name])

    def flag(self, name: str) -> bool:
        """Return a boolean setting."""
        return bool(self.all()[name])

    def text(self, name: str) -> str:
        """Return a setting that is text."""
        return str(self.all()[name])


def _checked(name: str, value: Any) -> str | float | bool:
    if name not in DEFAULTS:
        raise ValueError(f"unknown setting {name!r}; known: {', '.join(DEFAULTS)}")
    default = DEFAULTS[name]
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be true or false")
        return value
    if isinstance(default, float):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            raise ValueError(f"{name} must be a number of at least 0")
        return float(value)
    if not isinstance(value, str) or value not in CHOICES.get(name, (value,)):
        raise ValueError(f"{name} must be text, one of {CHOICES.get(name, 'any')}")
    if name in PATTERNS and not re.fullmatch(PATTERNS[name], value):
        raise ValueError(f"{name} must match {PATTERNS[name]}")
    return value
