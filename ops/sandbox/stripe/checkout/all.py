"""All resources of checkout."""

from __future__ import annotations

from ops.sandbox.stripe.catalogue.customers import Customers
from ops.sandbox.stripe.catalogue.methods import PaymentMethods
from ops.sandbox.stripe.catalogue.prices import Prices
from ops.sandbox.stripe.catalogue.setups import SetupIntents
from ops.sandbox.stripe.catalogue.sources import Sources
from ops.sandbox.stripe.checkout.bought import Bought
from ops.sandbox.stripe.checkout.links import PaymentLinks, PortalConfigurations, PortalSessions
from ops.sandbox.stripe.checkout.quotes import Quotes
from ops.sandbox.stripe.checkout.sessions import Sessions
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.subscribing.subscriptions import Subscriptions


def checkout(desk: Desk, subscriptions: Subscriptions) -> list[Resource]:
    """Return the resources; they sell what the catalogue has."""
    methods, bought = PaymentMethods(desk), Bought(desk, Prices(desk))
    customers, setups = Customers(desk, methods, Sources(desk)), SetupIntents(desk, methods)
    return [
        Sessions(desk, bought, customers, methods, setups, subscriptions),
        PaymentLinks(desk, bought),
        PortalConfigurations(desk),
        PortalSessions(desk),
        Quotes(desk, bought, subscriptions),
    ]
