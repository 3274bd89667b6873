"""All resources of billing."""

from __future__ import annotations

from dataclasses import dataclass

from ops.sandbox.stripe.billing.balances import CustomerBalance
from ops.sandbox.stripe.billing.collection import Collection, InvoicePayments
from ops.sandbox.stripe.billing.credit_notes import CreditNotes
from ops.sandbox.stripe.billing.invoices import Invoices
from ops.sandbox.stripe.billing.items import InvoiceItems
from ops.sandbox.stripe.catalogue.prices import Prices
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource


@dataclass(frozen=True)
class Billing:
    """The resources, and those of them that subscriptions use."""

    resources: list[Resource]
    invoices: Invoices
    items: InvoiceItems


def billing(desk: Desk) -> Billing:
    """Return the resources."""
    collection = Collection(desk)
    items = InvoiceItems(desk, Prices(desk))
    invoices = Invoices(desk, collection, items)
    others = [InvoicePayments(desk), CustomerBalance(desk), CreditNotes(desk, collection)]
    return Billing([items, invoices, *others], invoices, items)
