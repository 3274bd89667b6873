"""Stripe: customers and their cards, payments in two steps, authorize and capture, and refunds."""

from app.platform import Platform
from tasks.stripe import books, captures, client, payments, refunds, statement, webhook
from tasks.stripe.customers import attaching, creating, saving, updating
from tasks.stripe.settings import StripeSettings

PLATFORM = Platform(
    name="stripe",
    actions=(
        payments.authorize,
        captures.capture,
        refunds.refund,
        creating.create_customer,
        updating.update_customer,
        attaching.attach_payment_method,
        saving.save_payment_method,
    ),
    verify=webhook.verify,
    probe=client.probe,
    settings=StripeSettings,
    warm=client.warm,
    facts=books.event_facts,
    statement=statement.read,
)
