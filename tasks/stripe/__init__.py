"""Stripe: customers and their cards, products and prices, checkout pages, payments in two steps,
authorize and capture, and refunds.
"""

from app.platform import Platform
from tasks.stripe import books, captures, client, payments, refunds, statement, webhook
from tasks.stripe.catalogue import prices, products
from tasks.stripe.checkout import sessions
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
        products.create_product,
        prices.create_price,
        sessions.checkout,
    ),
    verify=webhook.verify,
    probe=client.probe,
    settings=StripeSettings,
    warm=client.warm,
    facts=books.event_facts,
    statement=statement.read,
)
