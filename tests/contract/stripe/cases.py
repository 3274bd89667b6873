"""The cases of Stripe."""

import hashlib
import hmac
from datetime import datetime

from tasks.stripe.client import api
from tests.contract.cases import Call, Cases, Effect, Headers, Hook
from tests.contract.stripe import held, steps


def sign(body: bytes, at: datetime, secret: str) -> Headers:
    """Sign as https://docs.stripe.com/webhooks says, beside the signature by another secret."""
    stamp = str(int(at.timestamp()))
    mac = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={stamp},v1={'0' * 64},v1={mac},v0=old"}


CASES = Cases(
    "stripe",
    Call(
        "payment_intents.create",
        lambda: api().create_payment_intent(steps.PAYMENT, "key-1"),
        "STRIPE_BASE_URL",
        "STRIPE_API_KEY",
    ),
    Hook(
        sign,
        lambda at: {
            "id": "evt_1",
            "type": "charge.refunded",
            "data": {"object": {"id": "ch_1", "payment_intent": "pi_1"}},
        },
        ("evt_1", "pi_1", "charge.refunded"),
    ),
    (
        Effect(
            "stripe.authorize",
            steps.authorize,
            "payment_intents.create",
            "authorizations",
            is_looked_up=True,
            undone="cancellations",
            results=("canceled", "already"),
        ),
        Effect(
            "stripe.capture",
            steps.capture,
            "payment_intents.capture",
            "captures",
            is_looked_up=True,
            undone="refunds",
            results=("refunded", "already"),
            is_single=True,
        ),
        Effect(
            "stripe.refund",
            steps.refund,
            "refunds.create",
            "refunds",
            is_looked_up=True,
        ),
        *held.EFFECTS,
        Effect(
            "stripe.create_customer",
            steps.create_customer,
            "customers.create",
            "customers",
            is_looked_up=True,
            undone="customers.deleted",
            results=("deleted", "already"),
        ),
        Effect(
            "stripe.update_customer",
            steps.update_customer,
            "customers.update",
            "customers.updated",
            is_looked_up=True,
            undone="customers.updated",
            results=("restored", "already"),
            is_single=True,
        ),
        Effect(
            "stripe.attach_payment_method",
            steps.attach_payment_method,
            "payment_methods.attach",
            "payment_methods.attached",
            is_looked_up=True,
            undone="payment_methods.detached",
            results=("detached", "already"),
            is_single=True,
        ),
        Effect(
            "stripe.save_payment_method",
            steps.save_payment_method,
            "setup_intents.create",
            "setup_intents",
            is_looked_up=True,
            undone="payment_methods.detached",
            results=("detached", "already"),
        ),
        Effect(
            "stripe.create_product",
            steps.create_product,
            "products.create",
            "products",
            is_looked_up=True,
            undone="products.updated",
            results=("archived", "already"),
        ),
        Effect(
            "stripe.create_price",
            steps.create_price,
            "prices.create",
            "prices",
            is_looked_up=True,
            undone="prices.updated",
            results=("archived", "already"),
        ),
        Effect(
            "stripe.checkout",
            steps.checkout,
            "checkout.sessions.create",
            "checkout.sessions",
            suspends=True,
            is_looked_up=True,
            undone="checkouts_expired",
            results=("expired", "already"),
            reads="checkout.sessions.retrieve",
            replaces=True,
        ),
        Effect(
            "stripe.invoice",
            steps.invoice,
            "invoices.pay",
            "invoices.paid",
            is_looked_up=True,
            undone="credit_notes",
            results=("credited", "already"),
        ),
        Effect(
            "stripe.credit_note",
            steps.credit_note,
            "credit_notes.create",
            "credit_notes",
            is_looked_up=True,
            undone="credit_notes.voided",
            results=("voided", "already"),
        ),
        Effect(
            "stripe.subscribe",
            steps.subscribe,
            "subscriptions.create",
            "subscriptions",
            is_looked_up=True,
            undone="subscriptions.canceled",
            results=("canceled", "already"),
        ),
        Effect(
            "stripe.change_subscription",
            steps.change_subscription,
            "subscriptions.update",
            "subscriptions.raised",
            is_looked_up=True,
            undone="subscriptions.lowered",
            results=("changed_back", "already"),
            is_single=True,
        ),
        Effect(
            "stripe.pause_subscription",
            steps.pause_subscription,
            "subscriptions.pause",
            "subscriptions.paused",
            is_looked_up=True,
            undone="subscriptions.resumed",
            results=("resumed", "already"),
            is_single=True,
        ),
        Effect(
            "stripe.resume_subscription",
            steps.resume_subscription,
            "subscriptions.resume",
            "subscriptions.resumed",
            is_looked_up=True,
            undone="subscriptions.paused",
            results=("paused_again", "already"),
            is_single=True,
        ),
        Effect(
            "stripe.report_usage",
            steps.report_usage,
            "billing.meter_events.create",
            "usage",
            undone="usage_canceled",
            results=("canceled", "already"),
        ),
        Effect(
            "stripe.cancel_subscription",
            steps.cancel_subscription,
            "subscriptions.update",
            "subscriptions.ending",
            is_looked_up=True,
            undone="subscriptions.going_on",
            results=("taken_back", "already"),
            is_single=True,
        ),
        Effect(
            "stripe.submit_evidence",
            steps.submit_evidence,
            "disputes.update",
            "evidence",
            is_looked_up=True,
            is_single=True,
        ),
        Effect(
            "stripe.accept_dispute",
            steps.accept_dispute,
            "disputes.close",
            "disputes_accepted",
            is_looked_up=True,
            is_single=True,
        ),
        Effect(
            "stripe.review",
            steps.review,
            "payment_intents.retrieve",
            "",
            is_repeatable=True,
        ),
        *(
            Effect(action, prepare, operation, "", is_repeatable=True)
            for action, prepare, operation in (
                ("stripe.read_dispute", steps.read_dispute, "disputes.retrieve"),
                (
                    "stripe.read_fraud_warning",
                    steps.read_fraud_warning,
                    "early_fraud_warnings.retrieve",
                ),
                ("stripe.read_balance", steps.read_balance, "balance.retrieve"),
                ("stripe.list_payouts", steps.list_payouts, "payouts.list"),
                ("stripe.read_payout", steps.read_payout, "payouts.retrieve"),
                (
                    "stripe.list_balance_transactions",
                    steps.list_balance_transactions,
                    "balance_transactions.list",
                ),
            )
        ),
    ),
)
