"""Stripe: customers and their cards, products and prices, checkout pages, payments in two steps,
authorize and capture; refunds, subscriptions, invoices, disputes and payouts.
"""

from app.platform import Platform
from tasks.stripe import books, client, statement, usage, webhook
from tasks.stripe.balance import reading as balance
from tasks.stripe.balance import stated, transactions
from tasks.stripe.billing import changing, ending, invoicing, notes, pausing, resuming, subscribing
from tasks.stripe.catalogue import prices, products
from tasks.stripe.checkout import sessions
from tasks.stripe.customers import attaching, creating, saving, updating
from tasks.stripe.disputes import accepting, evidence, reading
from tasks.stripe.events import completing
from tasks.stripe.fraud import review, seen
from tasks.stripe.paying import canceling, captures, confirming, payments, refunds
from tasks.stripe.settings import StripeSettings

PLATFORM = Platform(
    name="stripe",
    actions=(
        payments.authorize,
        confirming.confirm,
        canceling.cancel,
        captures.capture,
        refunds.refund,
        review.review,
        creating.create_customer,
        updating.update_customer,
        attaching.attach_payment_method,
        saving.save_payment_method,
        products.create_product,
        prices.create_price,
        sessions.checkout,
        invoicing.invoice,
        notes.credit_note,
        subscribing.subscribe,
        changing.change_subscription,
        pausing.pause_subscription,
        resuming.resume_subscription,
        ending.cancel_subscription,
        usage.report_usage,
        reading.read_dispute,
        reading.read_fraud_warning,
        evidence.submit_evidence,
        accepting.accept_dispute,
        balance.read_balance,
        balance.list_payouts,
        balance.read_payout,
        transactions.list_balance_transactions,
    ),
    verify=webhook.verify,
    probe=client.probe,
    completed=completing.completed,
    settings=StripeSettings,
    warm=seen.warm,
    facts=books.event_facts,
    statement=statement.read,
    dispute=reading.read_facts,
    balance=stated.read,
)
