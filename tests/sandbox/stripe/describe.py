"""`python -m tests.sandbox.stripe.describe fixtures3.json.gz`: write three descriptions.

`shapes.json` has an empty object of each kind with all fields of Stripe's fixtures, as far as the
SDK's types know them; `parameters.json` has the parameters of each call, and `thin_events.json` the
names of thin events. The fixtures are those of
https://github.com/stripe/openapi (`latest/openapi.fixtures3.json`).
"""

from __future__ import annotations

import ast
import gzip
import json
import sys
from pathlib import Path
from typing import Any

from tests.sandbox.stripe import sdk

FOLDER = Path(__file__).parents[3] / "ops" / "sandbox" / "stripe"
# Kind -> module of the SDK, where they are not the same.
MODULES = {
    "invoiceitem": "invoice_item",
    "line_item": "invoice_line_item",
    "item": "line_item",
    "checkout.session": "checkout/session",
    "test_helpers.test_clock": "test_helpers/test_clock",
    "billing.meter": "billing/meter",
    "billing.meter_event": "billing/meter_event",
    "billing.meter_event_adjustment": "billing/meter_event_adjustment",
    "billing.meter_event_summary": "billing/meter_event_summary",
    "billing_portal.configuration": "billing_portal/configuration",
    "billing_portal.session": "billing_portal/session",
    "identity.verification_session": "identity/verification_session",
    "radar.early_fraud_warning": "radar/early_fraud_warning",
    "reporting.report_run": "reporting/report_run",
    "reporting.report_type": "reporting/report_type",
    "v2.core.event_destination": "v2/core/event_destination",
}
SAME = (
    "account", "balance", "balance_transaction", "card", "cash_balance", "charge", "coupon",
    "credit_note", "credit_note_line_item", "customer", "customer_balance_transaction",
    "customer_cash_balance_transaction", "discount", "dispute", "event", "file", "invoice",
    "invoice_payment", "payment_intent", "payment_link", "payment_method", "payout", "plan",
    "price", "product", "promotion_code", "quote", "refund", "review", "setup_attempt",
    "setup_intent", "shipping_rate", "subscription", "subscription_item",
    "subscription_schedule", "tax_id", "tax_rate", "token", "topup", "transfer",
    "transfer_reversal", "webhook_endpoint",
)  # fmt: skip
KINDS = {**dict(zip(SAME, SAME, strict=True)), **MODULES}
# Fields of the fixtures that an object has only if it is of their type, or if they are asked for.
_BY_TYPE = {"payment_method": ("card",), "charge": ("refunds",)}
CALLS = (
    "account_create", "account_update", "account_list",
    "billing/meter_create", "billing/meter_deactivate", "billing/meter_list",
    "billing/meter_reactivate", "billing/meter_update",
    "billing/meter_event_create", "billing/meter_event_adjustment_create",
    "billing/meter_event_summary_list",
    "billing_portal/configuration_create", "billing_portal/configuration_update",
    "billing_portal/configuration_list", "billing_portal/session_create",
    "checkout/session_create", "checkout/session_expire", "checkout/session_list",
    "checkout/session_list_line_items", "checkout/session_update",
    "coupon_create", "coupon_list", "coupon_update",
    "credit_note_create", "credit_note_list", "credit_note_list_lines", "credit_note_preview",
    "credit_note_update", "credit_note_void_credit_note",
    "customer_balance_transaction_create", "customer_balance_transaction_list",
    "customer_balance_transaction_update",
    "customer_cash_balance_transaction_list",
    "customer_create", "customer_list", "customer_search", "customer_update",
    "customer_delete_discount", "customer_payment_method_list",
    "customer_payment_source_create", "customer_payment_source_update",
    "customer_payment_source_list",
    "customer_tax_id_create", "customer_tax_id_list",
    "identity/verification_session_create", "identity/verification_session_update",
    "identity/verification_session_list", "identity/verification_session_cancel",
    "identity/verification_session_redact",
    "invoice_add_lines",
    "invoice_create", "invoice_create_preview", "invoice_delete", "invoice_finalize_invoice",
    "invoice_list", "invoice_list_lines", "invoice_mark_uncollectible", "invoice_pay",
    "invoice_search", "invoice_send_invoice", "invoice_update", "invoice_void_invoice",
    "invoice_payment_list",
    "invoice_item_create", "invoice_item_list", "invoice_item_update",
    "balance_transaction_list", "charge_list", "charge_search", "charge_update",
    "dispute_close", "dispute_list", "dispute_update", "event_list", "file_list",
    "payment_intent_cancel", "payment_intent_capture", "payment_intent_confirm",
    "payment_intent_create", "payment_intent_list", "payment_intent_retrieve",
    "payment_intent_search",
    "payment_intent_update",
    "payment_link_create", "payment_link_update", "payment_link_list",
    "payment_link_list_line_items",
    "payment_method_attach", "payment_method_create", "payment_method_detach",
    "payment_method_list", "payment_method_update",
    "payout_cancel", "payout_create", "payout_list", "payout_update",
    "plan_create", "plan_list", "plan_update",
    "price_create", "price_list", "price_search", "price_update",
    "product_create", "product_list", "product_search", "product_update",
    "promotion_code_create", "promotion_code_list", "promotion_code_update",
    "quote_accept", "quote_cancel", "quote_create", "quote_finalize_quote", "quote_list",
    "quote_list_line_items", "quote_update",
    "radar/early_fraud_warning_list",
    "refund_cancel", "refund_create", "refund_list", "refund_update",
    "review_approve", "review_list",
    "reporting/report_run_create", "reporting/report_run_list", "reporting/report_type_list",
    "setup_attempt_list", "setup_intent_cancel", "setup_intent_confirm", "setup_intent_create",
    "setup_intent_list", "setup_intent_retrieve", "setup_intent_update",
    "shipping_rate_create", "shipping_rate_list", "shipping_rate_update",
    "subscription_cancel", "subscription_create", "subscription_delete_discount",
    "subscription_list", "subscription_migrate", "subscription_pause", "subscription_resume",
    "subscription_search", "subscription_update",
    "subscription_item_create", "subscription_item_delete", "subscription_item_list",
    "subscription_item_update",
    "subscription_schedule_cancel", "subscription_schedule_create", "subscription_schedule_list",
    "subscription_schedule_release", "subscription_schedule_update",
    "tax_rate_create", "tax_rate_list", "tax_rate_update",
    "test_helpers/test_clock_advance", "test_helpers/test_clock_create",
    "test_helpers/test_clock_list", "test_helpers/customer_fund_cash_balance",
    "token_create",
    "topup_create", "topup_update", "topup_list",
    "transfer_create", "transfer_update", "transfer_list", "transfer_reversal_create",
    "transfer_reversal_list",
    "webhook_endpoint_create", "webhook_endpoint_list", "webhook_endpoint_update",
)  # fmt: skip


def shapes(fixtures: dict[str, Any]) -> dict[str, Any]:
    """Return the kinds' empty objects under `fields`, and what may be added under `included`."""
    fields: dict[str, Any] = {}
    included: dict[str, list[str]] = {}
    for kind, module in sorted(KINDS.items()):
        known = sdk.object_fields(module)
        example = fixtures["resources"].get(kind, {})
        shown = {name: each for name, each in example.items() if name not in _BY_TYPE.get(kind, ())}
        fields[kind] = _empty(known, shown)
        included[kind] = sorted({*known} - {*fields[kind]} - {"deleted"})
    return {"fields": fields, "included": included}


def _empty(known: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, kind in known.items():
        if kind is None:
            if name in example:
                found[name] = {} if name == "metadata" else None
        elif isinstance(kind, dict):
            inner = example.get(name)
            found[name] = _empty(kind, inner if isinstance(inner, dict) else {})
        else:
            found[name] = _value(kind, example.get(name))
    return found


def _value(kind: str, example: Any) -> Any:
    if kind in ("int", "float", "bool", "str"):
        return {"int": 0, "float": 0.0, "bool": False, "str": ""}[kind]
    if kind.startswith("ListObject"):
        return {"object": "list", "data": [], "has_more": False, "url": ""}
    if kind.startswith("List"):
        return []
    if kind.startswith(("Dict", "UntypedStripeObject")):
        return {}
    if "Literal" in kind:
        tree = ast.parse(kind, mode="eval").body
        values = [each.value for each in ast.walk(tree) if isinstance(each, ast.Constant)]
        return example if example in values else values[0]
    return None


def parameters() -> dict[str, Any]:
    """Return the schema of each call's parameters (`tests.sandbox.stripe.sdk`)."""
    return {call: sdk.parameters(call) for call in CALLS}


def thin_events() -> dict[str, str]:
    """Return what each thin event of the SDK names: an object, a singleton or nothing."""
    return dict(sorted(sdk.thin_events()))


def main() -> None:
    """Write the three files."""
    with gzip.open(sys.argv[1]) as packed:
        fixtures = json.load(packed)
    described = {
        "shapes": shapes(fixtures), "parameters": parameters(), "thin_events": thin_events(),
    }  # fmt: skip
    for name, found in described.items():
        lines = [f"{json.dumps(key)}: {_lines(value)}" for key, value in found.items()]
        (FOLDER / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _lines(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")).replace('},"', '},\n"')


if __name__ == "__main__":
    main()
