"""All resources of the catalogue."""

from __future__ import annotations

from ops.sandbox.stripe.catalogue.customers import Customers
from ops.sandbox.stripe.catalogue.debits import Debits
from ops.sandbox.stripe.catalogue.discounts import Coupons, PromotionCodes
from ops.sandbox.stripe.catalogue.methods import PaymentMethods
from ops.sandbox.stripe.catalogue.prices import Plans, Prices
from ops.sandbox.stripe.catalogue.products import Products
from ops.sandbox.stripe.catalogue.setups import SetupAttempts, SetupIntents
from ops.sandbox.stripe.catalogue.sources import Sources, Tokens
from ops.sandbox.stripe.catalogue.taxes import ShippingRates, TaxIds, TaxRates
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource


def catalogue(desk: Desk) -> list[Resource]:
    """Return the resources; one of them may use another."""
    Debits(desk)
    methods, sources, prices = PaymentMethods(desk), Sources(desk), Prices(desk)
    desk.payments.method_of = methods.create_of
    return [
        Customers(desk, methods, sources),
        methods,
        sources,
        Tokens(desk),
        SetupIntents(desk, methods),
        SetupAttempts(desk),
        prices,
        Plans(desk, prices),
        Products(desk, prices),
        Coupons(desk),
        PromotionCodes(desk),
        TaxRates(desk),
        TaxIds(desk),
        ShippingRates(desk),
    ]
