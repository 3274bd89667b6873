"""Stripe: payments in two steps (authorize, capture)."""

from app.platform import Platform
from tasks.stripe import actions, client, webhook

PLATFORM = Platform(
    name="stripe",
    actions=(actions.authorize, actions.capture),
    verify=webhook.verify,
    probe=client.probe,
    warm=client.warm,
)
